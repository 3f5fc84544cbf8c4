"""Listing the images of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.images.fetched_files import FETCHED_FOLDER
from persqa_client.inputs.folders import (
    count_folder_images,
    describe_skipped_files,
    find_folder_names,
    is_listed_below,
    join_name,
    sort_key,
)
from persqa_client.inputs.patterns import find_matches


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def find_folder_images(folder: Path) -> Iterator[str]:
    return (join_name(folder, name) for name in find_folder_names(folder))


def list_images(folder: Path) -> list[str]:
    """Names relative to the folder; count_folder_images must agree."""
    names = list(find_folder_images(folder))
    assert count_folder_images(folder) == len(names)
    return [os.path.relpath(name, folder) for name in names]


def test_names_are_in_natural_order_without_regard_to_case(tmp_path: Path) -> None:
    names = ["1.jpg", "apple.png", "IMG_1.jpg", "img_2.JPG", "IMG_10.jpg", "img_10b.jpg", "Zebra.png"]
    make_files(tmp_path, *reversed(names))
    assert list_images(tmp_path) == names


def test_names_equal_in_natural_order_have_a_fixed_order(tmp_path: Path) -> None:
    names = ["001.JPG", "01.jpg", "1.jpg", "A.png", "a.png"]
    make_files(tmp_path, *names)
    assert list_images(tmp_path) == names
    backwards = names[::-1]
    assert sorted(backwards, key=sort_key) == sorted(names, key=sort_key) == names


def test_images_of_a_directory_come_before_those_of_sub_directories(tmp_path: Path) -> None:
    make_files(tmp_path, "b.jpg", "a/10.jpg", "a/9.jpg", "a/deep/1.jpg", "a10/1.jpg", "a9/1.jpg", "z.jpg")
    assert list_images(tmp_path) == ["b.jpg", "z.jpg", "a/9.jpg", "a/10.jpg", "a/deep/1.jpg", "a9/1.jpg", "a10/1.jpg"]


def test_only_visible_files_with_an_image_suffix_are_listed(tmp_path: Path) -> None:
    suffixes = ["jpg", "JPEG", "jpe", "Png", "webp", "gif", "bmp", "tif", "tiff", "avif", "HEIC", "heif"]
    make_files(tmp_path, *(f"{number}.{suffix}" for number, suffix in enumerate(suffixes)))
    make_files(tmp_path, "a.txt", "jpg", ".hidden.jpg", "._1.jpg", ".thumbs/1.jpg", "a.jpg.part", "Thumbs.db")
    assert list_images(tmp_path) == [f"{number}.{suffix}" for number, suffix in enumerate(suffixes)]
    skipped = describe_skipped_files(tmp_path)
    assert skipped is not None
    assert skipped.startswith(f"In {tmp_path}, 4 files are not images and are skipped (")
    assert all(f"1 with {suffix}" in skipped for suffix in (".txt", "no suffix", ".part", ".db"))


def test_files_with_other_names_are_listed_by_their_content(tmp_path: Path) -> None:
    names = ["a.jfif", "b.hif", "c.jpg_large", "d", "e.apng", "f.mpo", "g.JPG~", "h.jpeg?w=100"]
    make_files(tmp_path, *names)
    for name in names:
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 and so on")
    make_files(tmp_path, "notes.txt", "video.mp4")
    (tmp_path / "video.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    os.mkfifo(tmp_path / "pipe")
    assert list_images(tmp_path) == names
    skipped = describe_skipped_files(tmp_path)
    assert skipped is not None
    assert ", 3 files are not images and are skipped (" in skipped


def test_photos_that_are_not_downloaded_are_counted(tmp_path: Path) -> None:
    make_files(tmp_path, "1.jpg", ".IMG_0077.HEIC.icloud", "a/.IMG_0078.HEIC.icloud", "._1.jpg", ".DS_Store")
    assert list_images(tmp_path) == ["1.jpg"]
    skipped = describe_skipped_files(tmp_path)
    assert skipped is not None
    assert skipped.endswith(
        ", 2 files are not images and are skipped (2 with .icloud). Download those in iCloud first."
    )


def test_copies_in_system_folders_and_thumbnails_of_videos_are_left_out(tmp_path: Path) -> None:
    make_files(
        tmp_path, "1.jpg", "@eaDir/1.jpg/SYNOPHOTO_THUMB_XL.jpg", "a/@eaDir/2.jpg", "a/2.jpg", "$RECYCLE.BIN/3.jpg"
    )
    assert list_images(tmp_path) == ["1.jpg", "a/2.jpg"]
    skipped = describe_skipped_files(tmp_path)
    assert skipped in {
        f"In {tmp_path}, folders of the system are left out ({', '.join(named)})."
        for named in (("2 × @eaDir/", "1 × $RECYCLE.BIN/"), ("1 × $RECYCLE.BIN/", "2 × @eaDir/"))
    }
    (tmp_path / "MVI_1.THM").write_bytes(b"\xff\xd8\xff\xe0")
    assert list_images(tmp_path) == ["1.jpg", "a/2.jpg"]
    skipped = describe_skipped_files(tmp_path)
    assert skipped is not None
    assert "1 file is not an image and is skipped (1 with .thm). Folders of the system are left out (" in skipped


def test_downloaded_pictures_are_not_those_of_the_folder(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg", "b/c.jpg")
    for folder in (tmp_path, tmp_path / "b"):
        stored = folder / FETCHED_FOLDER / "3f" / "9a"
        stored.parent.mkdir(parents=True)
        stored.write_bytes(b"\x89PNG\r\n\x1a\n")
        assert not is_listed_below(str(tmp_path), str(stored))
    assert list_images(tmp_path) == ["a.jpg", "b/c.jpg"]
    assert [os.path.relpath(path, tmp_path) for path in find_matches(f"{tmp_path}/**").paths] == ["a.jpg", "b/c.jpg"]
    # It may itself be the input.
    assert list_images(tmp_path / FETCHED_FOLDER) == ["3f/9a"]


def test_raw_photos_are_named_however_few_they_are(tmp_path: Path) -> None:
    make_files(tmp_path, *(f"{number}.s{kind}" for kind in range(7) for number in range(3)), "1.nef", "2.CR3")
    skipped = describe_skipped_files(tmp_path)
    assert skipped is not None
    assert "1 with .nef" in skipped
    assert "1 with .cr3" in skipped
    assert "12 others" in skipped


def test_a_folder_of_images_alone_has_no_warning(tmp_path: Path) -> None:
    make_files(tmp_path, "1.jpg", "a/2.png", ".hidden")
    assert describe_skipped_files(tmp_path) is None


def test_a_directory_with_an_image_suffix_is_a_directory(tmp_path: Path) -> None:
    make_files(tmp_path, "album.jpg/1.png")
    assert list_images(tmp_path) == ["album.jpg/1.png"]


def test_links_to_files_are_listed_and_links_to_directories_are_not_followed(tmp_path: Path) -> None:
    make_files(tmp_path, "real/1.jpg")
    (tmp_path / "real" / "loop").symlink_to("..")
    (tmp_path / "album.jpg").symlink_to("real")
    (tmp_path / "good.jpg").symlink_to("real/1.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("missing.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    assert list_images(tmp_path) == ["good.jpg", "nowhere.jpg", "self.jpg", "real/1.jpg"]


def test_other_spellings_of_a_folder_give_equal_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path, "photos/1.jpg", "photos/a/2.jpg")
    monkeypatch.chdir(tmp_path)
    names = ["photos/1.jpg", "photos/a/2.jpg"]
    for folder in ("photos", "./photos/", "photos//", "photos/a/..", "./photos/."):
        assert list(find_folder_images(Path(folder))) == names
    assert list(find_folder_images(Path("."))) == names
    assert list(find_folder_images(tmp_path / "photos")) == [str(tmp_path / name) for name in names]


def test_a_name_that_is_not_utf_8_is_listed(tmp_path: Path) -> None:
    make_files(tmp_path, os.fsdecode(b"caf\xe9.jpg"))
    assert list_images(tmp_path) == [os.fsdecode(b"caf\xe9.jpg")]


def test_an_empty_folder_has_no_images(tmp_path: Path) -> None:
    assert list_images(tmp_path) == []


@pytest.mark.parametrize("name", ["missing", "file.jpg", "a\0b"])
def test_the_error_names_a_path_that_is_no_folder(name: str, tmp_path: Path) -> None:
    make_files(tmp_path, "file.jpg")
    with pytest.raises(SettingsError, match=name.partition("\0")[0]):
        list(find_folder_images(tmp_path / name))
    with pytest.raises(SettingsError, match=name.partition("\0")[0]):
        count_folder_images(tmp_path / name)


def test_the_error_names_a_sub_directory_that_cannot_be_read(open_folder: Path) -> None:
    make_files(open_folder, "1.jpg", "private/2.jpg", "zoo/3.jpg")
    (open_folder / "private").chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    names = find_folder_images(open_folder)
    assert next(names) == str(open_folder / "1.jpg")
    with pytest.raises(SettingsError, match=r"private.*Permission denied"):
        next(names)
    with pytest.raises(SettingsError, match="private"):
        count_folder_images(open_folder)


def test_raw_photos_beside_their_jpegs_are_skipped_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "a.NEF").write_bytes(b"MM\0*" + bytes(20))
    assert [Path(path).name for path in find_folder_images(tmp_path)] == ["a.jpg"]
    skipped = describe_skipped_files(tmp_path)
    assert skipped is not None
    assert skipped.endswith("(1 with .nef). Raw photos can't be read: export those without a JPEG.")
