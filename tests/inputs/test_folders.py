"""Which pictures a folder has, in which order, and what happens where it can't be told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.folders import count_pictures, find_pictures, in_order


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def found(folder: Path) -> list[str]:
    """Names below the folder; the count is held to them."""
    names = list(find_pictures(folder))
    assert count_pictures(folder) == len(names)
    return [os.path.relpath(name, folder) for name in names]


def test_names_come_in_the_order_people_count_in_whatever_their_case(tmp_path: Path) -> None:
    names = ["1.jpg", "apple.png", "IMG_1.jpg", "img_2.JPG", "IMG_10.jpg", "img_10b.jpg", "Zebra.png"]
    fill(tmp_path, *reversed(names))
    assert found(tmp_path) == names


def test_names_alike_in_natural_order_have_one_order_too(tmp_path: Path) -> None:
    names = ["001.JPG", "01.jpg", "1.jpg", "A.png", "a.png"]
    fill(tmp_path, *names)
    assert found(tmp_path) == names
    backwards = names[::-1]
    assert sorted(backwards, key=in_order) == sorted(names, key=in_order) == names


def test_a_directorys_own_pictures_come_before_those_below_it(tmp_path: Path) -> None:
    fill(tmp_path, "b.jpg", "a/10.jpg", "a/9.jpg", "a/deep/1.jpg", "a10/1.jpg", "a9/1.jpg", "z.jpg")
    assert found(tmp_path) == ["b.jpg", "z.jpg", "a/9.jpg", "a/10.jpg", "a/deep/1.jpg", "a9/1.jpg", "a10/1.jpg"]


def test_only_names_of_pictures_count_and_hidden_ones_do_not(tmp_path: Path) -> None:
    suffixes = ["jpg", "JPEG", "jpe", "Png", "webp", "gif", "bmp", "tif", "tiff", "avif", "HEIC", "heif"]
    fill(tmp_path, *(f"{number}.{suffix}" for number, suffix in enumerate(suffixes)))
    fill(tmp_path, "a.txt", "jpg", ".hidden.jpg", "._1.jpg", ".thumbs/1.jpg", "a.jpg.part", "Thumbs.db")
    assert found(tmp_path) == [f"{number}.{suffix}" for number, suffix in enumerate(suffixes)]


def test_a_directory_named_like_a_picture_is_a_directory(tmp_path: Path) -> None:
    fill(tmp_path, "album.jpg/1.png")
    assert found(tmp_path) == ["album.jpg/1.png"]


def test_links_to_files_are_listed_and_links_to_directories_are_not_followed(tmp_path: Path) -> None:
    fill(tmp_path, "real/1.jpg")
    (tmp_path / "real" / "loop").symlink_to("..")
    (tmp_path / "album.jpg").symlink_to("real")
    (tmp_path / "good.jpg").symlink_to("real/1.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("gone.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    assert found(tmp_path) == ["good.jpg", "nowhere.jpg", "self.jpg", "real/1.jpg"]


def test_a_folder_written_differently_gives_equal_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "photos/1.jpg", "photos/a/2.jpg")
    monkeypatch.chdir(tmp_path)
    names = ["photos/1.jpg", "photos/a/2.jpg"]
    for folder in ("photos", "./photos/", "photos//", "photos/a/..", "./photos/."):
        assert list(find_pictures(Path(folder))) == names
    assert list(find_pictures(Path("."))) == names
    assert list(find_pictures(tmp_path / "photos")) == [str(tmp_path / name) for name in names]


def test_a_name_that_is_not_utf_8_is_listed(tmp_path: Path) -> None:
    fill(tmp_path, os.fsdecode(b"caf\xe9.jpg"))
    assert found(tmp_path) == [os.fsdecode(b"caf\xe9.jpg")]


def test_a_folder_without_pictures_has_none(tmp_path: Path) -> None:
    assert found(tmp_path) == []


@pytest.mark.parametrize("name", ["missing", "file.jpg", "a\0b"])
def test_a_folder_that_is_none_is_named(name: str, tmp_path: Path) -> None:
    fill(tmp_path, "file.jpg")
    with pytest.raises(SettingsError, match=name.partition("\0")[0]):
        list(find_pictures(tmp_path / name))
    with pytest.raises(SettingsError, match=name.partition("\0")[0]):
        count_pictures(tmp_path / name)


def test_a_sub_directory_that_may_not_be_read_is_named_and_not_passed_over(open_folder: Path) -> None:
    fill(open_folder, "1.jpg", "private/2.jpg", "zoo/3.jpg")
    (open_folder / "private").chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    names = find_pictures(open_folder)
    assert next(names) == str(open_folder / "1.jpg")
    with pytest.raises(SettingsError, match=r"private.*Permission denied"):
        next(names)
    with pytest.raises(SettingsError, match="private"):
        count_pictures(open_folder)
