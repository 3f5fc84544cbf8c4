"""The pictures that a simulator keeps."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.simulator.images import Keeper, extension
from tests.simulator.asking import asking, body, part, picture, url


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_each_distinct_picture_is_kept_as_it_arrived(tmp_path: Path) -> None:
    red, blue = picture("red"), picture("blue", kind="JPEG")
    with asking(keep_pictures=tmp_path / "new" / "folder") as ask:
        ask.text(body(part(red)))
        ask.text(body(part(red), part(url(blue, "image/jpeg")), text="Another question?"))
    assert kept(tmp_path / "new" / "folder") == {"00001.png": red, "00002.jpg": blue}


def test_what_is_no_picture_is_kept_too(tmp_path: Path) -> None:
    with asking(keep_pictures=tmp_path) as ask:
        assert ask.post(body(part(url(b"not a picture", "image/webp")))).status_code == 400
    assert kept(tmp_path) == {"00001.webp": b"not a picture"}


def test_nothing_is_kept_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with asking() as ask:
        ask.text()
    assert kept(tmp_path) == {}


def test_numbers_go_on_from_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "00041.jpg").write_bytes(b"of yesterday")
    (tmp_path / "note.txt").write_text("12")
    Keeper(tmp_path).keep(b"new", "image/png")
    assert kept(tmp_path) == {"00041.jpg": b"of yesterday", "00042.png": b"new", "note.txt": b"12"}


def test_threads_share_the_numbers(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)

    def keep_from(start: int) -> None:
        for number in range(start, 60):
            keeper.keep(b"%d" % number, "image/png")

    threads = [threading.Thread(target=keep_from, args=(start,)) for start in (0, 20, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept(tmp_path)) == [f"{n:05}.png" for n in range(1, 61)]
    assert sorted(map(int, kept(tmp_path).values())) == list(range(60))


def test_a_folder_that_went_away_is_told_to_the_client(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with asking(keep_pictures=folder) as ask:
        folder.rmdir()
        refused = ask.post()
        assert refused.status_code == 500
        assert "can't keep a picture: No such file or directory" in refused.text
        folder.mkdir()
        ask.text()
    assert list(kept(folder)) == ["00001.png"]


def test_a_file_in_the_folders_place_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^--keep-pictures .*file is no folder to write to: .*\.$"):
        Keeper(tmp_path / "file")


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("image/jpeg", "jpg"),
        ("IMAGE/PNG", "png"),
        ("image/webp", "webp"),
        ("image/svg+xml", "bin"),
        ("image/../../etc", "bin"),
        ("text/html", "bin"),
        ("", "bin"),
    ],
)
def test_the_declared_type_names_the_file(media_type: str, expected: str) -> None:
    assert extension(media_type) == expected
