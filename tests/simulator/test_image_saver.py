"""Images that a simulator saves."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.simulator.images import ImageSaver, file_extension
from tests.simulator.requests import chat_body, connect, data_url, image_part, make_image
from tests.support.cases import each_case


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_each_distinct_image_is_saved_byte_for_byte(tmp_path: Path) -> None:
    red, blue = make_image("red"), make_image("blue", kind="JPEG")
    with connect(keep_pictures=tmp_path / "new" / "folder") as client:
        client.text(chat_body(image_part(red)))
        client.text(chat_body(image_part(red), image_part(data_url(blue, "image/jpeg")), text="Another question?"))
    assert kept(tmp_path / "new" / "folder") == {"00001.png": red, "00002.jpg": blue}


def test_unreadable_images_are_saved_too(tmp_path: Path) -> None:
    with connect(keep_pictures=tmp_path) as client:
        assert client.post(chat_body(image_part(data_url(b"not a picture", "image/webp")))).status_code == 400
    assert kept(tmp_path) == {"00001.webp": b"not a picture"}


def test_nothing_is_saved_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with connect() as client:
        client.text()
    assert kept(tmp_path) == {}


def test_numbers_continue_those_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "00041.jpg").write_bytes(b"of yesterday")
    (tmp_path / "note.txt").write_text("12")
    ImageSaver(tmp_path).save(b"new", "image/png")
    assert kept(tmp_path) == {"00041.jpg": b"of yesterday", "00042.png": b"new", "note.txt": b"12"}


def test_threads_share_the_numbers(tmp_path: Path) -> None:
    keeper = ImageSaver(tmp_path)

    def keep_from(start: int) -> None:
        for number in range(start, 60):
            keeper.save(b"%d" % number, "image/png")

    threads = [threading.Thread(target=keep_from, args=(start,)) for start in (0, 20, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept(tmp_path)) == [f"{n:05}.png" for n in range(1, 61)]
    assert sorted(map(int, kept(tmp_path).values())) == list(range(60))


def test_a_missing_folder_is_reported_to_the_client(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with connect(keep_pictures=folder) as client:
        folder.rmdir()
        rejected = client.post()
        assert rejected.status_code == 500
        assert "can't keep a picture: No such file or directory" in rejected.text
        folder.mkdir()
        client.text()
    assert list(kept(folder)) == ["00001.png"]


def test_a_file_in_place_of_the_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"--keep-pictures: .*file is not a writable folder"):
        ImageSaver(tmp_path / "file")


@each_case(
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
    assert file_extension(media_type) == expected
