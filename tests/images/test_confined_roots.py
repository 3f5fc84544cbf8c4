"""With confined roots, no path leads out of the folders, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as arrow
import pytest

from persqa_client.errors import RowError
from persqa_client.images.confined_roots import ConfinedRoots
from persqa_client.images.fetched_files import FETCHED_FOLDER, name_fetched
from persqa_client.images.references import get_file_version, read_reference
from tests.inputs.packed import PICTURE, make_png, write_parquet, write_tar


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Besides the folder, a file, and a folder whose name begins like it."""
    for name in ("root/a.png", "root/deep/b.png", "other/c.png", "root-2/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "root" / "file-link.png").symlink_to(tmp_path / "other" / "c.png")
    (tmp_path / "root" / "folder-link").symlink_to(tmp_path / "other")
    (tmp_path / "root" / "inner-link.png").symlink_to(tmp_path / "root" / "deep" / "b.png")
    (tmp_path / "root-link").symlink_to(tmp_path / "root")
    return tmp_path / "root"


INSIDE: dict[str, Callable[[Path], str]] = {
    "relative": lambda root: "a.png",
    "with .. inside": lambda root: "deep/../a.png",
    "out and in again": lambda root: "../root/a.png",
    "absolute": lambda root: str(root / "a.png"),
    "a link within": lambda root: "inner-link.png",
    "by another name of the folder": lambda root: str(root.parent / "root-link" / "a.png"),
    "file:// URL": lambda root: f"file://{root}/a.png",
}
OUTSIDE: dict[str, Callable[[Path], str]] = {
    "relative with ..": lambda root: "../other/c.png",
    "absolute": lambda root: str(root.parent / "other" / "c.png"),
    "a folder whose name begins alike": lambda root: "../root-2/d.png",
    "a link to a file": lambda root: "file-link.png",
    "a link to a folder": lambda root: "folder-link/c.png",
    ".. behind a link": lambda root: "folder-link/../other/c.png",
    "file:// URL": lambda root: f"file://{root.parent}/other/c.png",
    "percent-encoded": lambda root: f"file://{root}/%2e%2e/other/c.png",
    "the home folder": lambda root: "~/c.png",
    "a file that is not there": lambda root: "../other/c.PNG",
    "another case": lambda root: str(root.parent / "ROOT" / "a.png"),
}


def confine(root: Path) -> ConfinedRoots:
    return ConfinedRoots.make([root], [root])


@pytest.mark.parametrize("name", INSIDE)
def test_what_lies_within_is_read(name: str, root: Path) -> None:
    assert read_reference(INSIDE[name](root), confine(root)).startswith(b"root/")


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_is_read_or_looked_for(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent / "other"))
    reference = OUTSIDE[name](root)
    with pytest.raises(RowError) as caught:
        read_reference(reference, confine(root))
    assert caught.value.code == "image_outside"
    assert "c.png" not in caught.value.message
    assert get_file_version(reference, confine(root)) is None


def test_the_root_may_be_a_link_and_the_users_own_picture_lies_anywhere(root: Path) -> None:
    own = root.parent / "other" / "c.png"
    link = root.parent / "root-link"
    roots = ConfinedRoots.make([link], [link, own])
    assert read_reference("a.png", roots) == b"root/a.png"
    assert read_reference(str(own), roots) == b"other/c.png"
    with pytest.raises(RowError, match="lies outside"):
        read_reference("../root-2/d.png", roots)


@pytest.mark.parametrize(("path", "code"), [("../../other/c.png", "image_outside"), ("b.png", None)])
def test_a_path_in_a_parquet_file_is_confined_too(path: str, code: str | None, root: Path) -> None:
    cell = arrow.array([{"bytes": None, "path": path}], PICTURE)
    write_parquet(root / "deep" / "rows.parquet", arrow.table({"image": cell}))
    reference = "deep/rows.parquet#image/1/1"
    if code is None:
        assert read_reference(reference, confine(root)) == b"root/deep/b.png"
        return
    with pytest.raises(RowError) as caught:
        read_reference(reference, confine(root))
    assert caught.value.code == code


def test_the_name_of_a_member_of_an_archive_is_no_path(root: Path) -> None:
    write_tar(root / "s.tar", [("../other/c.png", make_png(1)), ("/etc/d.png", make_png(2))])
    assert read_reference("s.tar#../other/c.png", confine(root)) == make_png(1)
    assert read_reference("s.tar#/etc/d.png", confine(root)) == make_png(2)
    with pytest.raises(RowError, match="lies outside"):
        read_reference("../other/s.tar#a.png", confine(root))


def test_a_link_in_the_place_of_a_download_is_refused(root: Path) -> None:
    url = "https://example.org/c.png"
    place = root / FETCHED_FOLDER / name_fetched(url)
    place.parent.mkdir(parents=True)
    place.symlink_to(root.parent / "other" / "c.png")
    with pytest.raises(RowError) as caught:
        read_reference(url, confine(root))
    assert caught.value.code == "image_outside"
    assert get_file_version(url, confine(root)) is None
