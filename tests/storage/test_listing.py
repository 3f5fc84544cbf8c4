"""The listing of a run: names are appended, a torn end is cut off, and other files are left alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.storage.listing import BATCH_SIZE, ListedFiles, StoredListing
from tests.storage.test_crashes import record_history

ODD_NAMES = ["a.jpg", "trip/1.jpg", "two\nlines.jpg", "小猫.jpg", "not-utf-8-\udce9.jpg", '"quoted".jpg', "{.jpg"]


def open_listing(folder: Path) -> StoredListing:
    return StoredListing(lambda: folder / "qa.listing.jsonl")


def test_names_are_appended_and_read_from_any_number(tmp_path: Path) -> None:
    listing = open_listing(tmp_path)
    assert (listing.root, listing.count, list(listing.names())) == (None, 0, [])
    assert listing.extend("/photos", iter(ODD_NAMES[:3])) == 3
    assert listing.extend("/photos", iter(ODD_NAMES[3:])) == len(ODD_NAMES) - 3
    for same in (listing, open_listing(tmp_path)):
        assert (same.root, same.count) == ("/photos", len(ODD_NAMES))
        for skip in range(len(ODD_NAMES) + 2):
            assert list(same.names(skip)) == ODD_NAMES[skip:]


def test_rows_have_the_files_of_the_listing(tmp_path: Path) -> None:
    open_listing(tmp_path).extend("/photos", iter(ODD_NAMES))
    listed = ListedFiles(tmp_path / "qa.listing.jsonl")
    assert [listed.find(row) for row in (1, 1, 4, 8)] == ["/photos/a.jpg", "/photos/a.jpg", "/photos/小猫.jpg", ""]
    assert ListedFiles(tmp_path / "none.jsonl").find(1) == ""


def written_state(path: Path) -> tuple[int, ...]:
    """Without the time of the last reading."""
    status = path.stat()
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def test_nothing_is_written_without_a_new_name(tmp_path: Path) -> None:
    assert open_listing(tmp_path).extend("/photos", iter(())) == 0
    assert list(tmp_path.iterdir()) == []
    open_listing(tmp_path).extend("/photos", iter(["a.jpg"]))
    (tmp_path / "qa.listing.jsonl").chmod(0o444)
    before = written_state(tmp_path / "qa.listing.jsonl")
    assert open_listing(tmp_path).extend("/photos", iter(())) == 0
    assert written_state(tmp_path / "qa.listing.jsonl") == before


def test_another_root_holds_from_then_on(tmp_path: Path) -> None:
    open_listing(tmp_path).extend("/photos", iter(["a.jpg"]))
    open_listing(tmp_path).extend("/moved", iter(()))
    listing = open_listing(tmp_path)
    listing.extend("/moved", iter(["b.jpg"]))
    assert (listing.root, open_listing(tmp_path).root) == ("/moved", "/moved")
    assert list(open_listing(tmp_path).names()) == ["a.jpg", "b.jpg"]


def test_a_listing_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """In the first listing, in an extension, and with another root. Partial writes included."""
    first = [f"{number}.jpg" for number in range(2 * BATCH_SIZE + 5)]
    added = [f"new-{number}.jpg" for number in range(BATCH_SIZE + 5)]

    def list_all(folder: Path, names: list[str], root: str = "/photos") -> list[str]:
        listing = open_listing(folder)
        known = set(listing.names())
        listing.extend(root, (name for name in names if name not in known))
        return list(open_listing(folder).names())

    whole = tmp_path / "whole"
    whole.mkdir()
    histories = [
        (record_history(whole, lambda folder: list_all(folder, first)), first, first),
        (record_history(whole, lambda folder: list_all(folder, added + first, "/moved")), added + first, first + added),
    ]
    for number, (history, found, expected) in enumerate(histories):
        folders = history.restore_all(tmp_path / str(number))
        assert len(folders) > 5
        for folder in folders:
            for left_over in folder.glob("*.tmp"):
                left_over.unlink()
            assert list_all(folder, found, "/moved") == expected, folder.name
            assert open_listing(folder).root == "/moved"
            shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"my own notes\n", "was not written by a run", id="text"),
        pytest.param(b'{"image": "a.jpg"}\n', "was not written by a run", id="rows"),
        pytest.param(b"", "was not written by a run", id="empty"),
        pytest.param(b'{"tool":"persqa_client","listing":9,"root":"/"}\n', "another version", id="later version"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "qa.listing.jsonl").write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        open_listing(tmp_path)


@pytest.mark.parametrize("line", ["17", "a.jpg", "[]"])
def test_a_damaged_line_is_refused(line: str, tmp_path: Path) -> None:
    header = json.dumps({"tool": "persqa_client", "listing": 1, "root": "/photos"})
    (tmp_path / "qa.listing.jsonl").write_text(f"{header}\n{line}\n")
    with pytest.raises(SettingsError, match="was changed since"):
        list(open_listing(tmp_path).names())
