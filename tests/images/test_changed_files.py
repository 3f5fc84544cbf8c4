"""A picture whose file changed since it was asked about."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.images.changed_files import (
    MAX_NAMED,
    MAX_REMEMBERED,
    ChangeReport,
    PictureFiles,
    PictureState,
    PictureWatch,
)
from persqa_client.images.prepare import read_image
from persqa_client.images.references import get_file_version
from persqa_client.outcomes import SentPicture
from persqa_client.questions.tasks import place_message
from persqa_client.types import FileStamp, Row
from tests.images.image_files import jpeg_with_metadata

OLD, NEW = FileStamp(1, 2, "old"), FileStamp(1, 3, "new")


def draw(path: Path, colour: str) -> None:
    Image.new("RGB", (40, 30), colour).save(path)


def stamp(reference: str, folder: Path) -> SentPicture:
    version = get_file_version(reference, [folder])
    assert version is not None
    digest = read_image(reference, [folder]).content_digest
    return SentPicture("image/png", 40, 30, 9, None, version.size, version.modified_ns, digest)


def picture(file: FileStamp | None) -> SentPicture:
    return SentPicture("image/png", 40, 30, 9, None, *(file or ()))


def test_another_content_is_a_change_and_another_time_is_none(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", "red")
    before = stamp("a.png", tmp_path)
    assert PictureFiles([tmp_path]).compare("a.png", before) is PictureState.SAME
    os.utime(tmp_path / "a.png", ns=(1, 1))
    assert PictureFiles([tmp_path]).compare("a.png", before) is PictureState.SAME
    draw(tmp_path / "a.png", "blue")
    assert PictureFiles([tmp_path]).compare("a.png", before) is PictureState.CHANGED
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    assert PictureFiles([tmp_path]).compare("b.png", before) is PictureState.CHANGED


def test_a_file_is_read_only_if_its_size_or_time_differ(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", "red")
    before = stamp("a.png", tmp_path)
    (tmp_path / "a.png").write_bytes(bytes(before.file_bytes or 0))
    os.utime(tmp_path / "a.png", ns=(1, before.modified_ns or 0))
    assert PictureFiles([tmp_path]).compare("a.png", before) is PictureState.SAME


def test_metadata_are_no_change(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 30), "red")
    (tmp_path / "a.jpg").write_bytes(jpeg_with_metadata(image, orientation=1))
    before = stamp("a.jpg", tmp_path)
    image.save(tmp_path / "a.jpg", comment=b"of the holidays", quality=75)
    other = stamp("a.jpg", tmp_path)
    image.save(tmp_path / "a.jpg", quality=75)
    assert PictureFiles([tmp_path]).compare("a.jpg", other) is PictureState.SAME
    (tmp_path / "a.jpg").write_bytes(jpeg_with_metadata(image, orientation=6))
    assert PictureFiles([tmp_path]).compare("a.jpg", before) is PictureState.CHANGED


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_file_that_is_no_picture_now_is_unreadable(tmp_path: Path, content: bytes | None) -> None:
    draw(tmp_path / "a.png", "red")
    before = stamp("a.png", tmp_path)
    (tmp_path / "a.png").unlink()
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    files = PictureFiles([tmp_path])
    assert files.compare("a.png", before) is PictureState.UNREADABLE
    assert not files.has_changed(["a.png", "a.png"], [before, before._replace(digest="x")])


def test_data_uris_never_change_and_earlier_versions_kept_nothing(tmp_path: Path) -> None:
    files = PictureFiles([tmp_path])
    assert files.compare(" DATA:image/png;base64,AAAA", picture(None)) is PictureState.SAME
    assert files.compare("a.png", picture(None)) is PictureState.UNKNOWN
    assert not files.has_changed(["a.png"], [picture(None)])


def test_the_digest_of_a_content_stays_the_same(tmp_path: Path) -> None:
    """Digests are compared with those of earlier versions."""
    (tmp_path / "a.gif").write_bytes(
        bytes.fromhex("47494638396101000100800000ff00000000002c00000000010001000002024401003b")
    )
    assert read_image("a.gif", [tmp_path]).content_digest == "6b6866dfc3afdbc2f2fa2d317c98b57a"


def make_row(number: int) -> Row:
    return Row(number, b"", ("a.png",))


def test_a_picture_that_is_replaced_during_a_run_is_named_once() -> None:
    warnings: list[str] = []
    watch = PictureWatch(report := ChangeReport(warnings.append, place_message))
    for row, file in ((1, OLD), (2, OLD), (3, NEW), (4, NEW), (5, None)):
        watch.note(make_row(row), "a.png", file)
    watch.note(make_row(6), "b.png", OLD)
    assert report.count == 1
    assert warnings == [
        "Line 3: a.png changed since it was asked about before; --recheck-pictures asks such rows again."
    ]


def test_a_row_that_was_made_of_a_file_has_its_name() -> None:
    warnings: list[str] = []
    report = ChangeReport(warnings.append, place_message, "changed.")
    row = Row(3, b"", (os.path.abspath("photos/a.png"),), names=("a.png",))
    report.add(row, row.images[0])
    report.add(row, "who.png")
    assert warnings == ["photos/a.png changed.", "photos/a.png: who.png changed."]


def test_a_picture_that_is_touched_is_not_named() -> None:
    watch = PictureWatch(report := ChangeReport(print, place_message))
    watch.note(make_row(1), "a.png", OLD)
    watch.note(make_row(2), "a.png", OLD._replace(modified_ns=9))
    assert report.count == 0


def test_an_earlier_answer_of_the_row_is_compared() -> None:
    warnings: list[str] = []
    watch = PictureWatch(report := ChangeReport(warnings.append, place_message))
    watch.expect(7, ["data:x", "a.png"], [picture(None), picture(OLD)])
    for question in range(3):
        watch.note(make_row(7), "data:x", None)
        watch.note(make_row(7), "a.png", NEW)
        assert report.count == 1, question
    assert warnings[0].startswith("Line 7: a.png changed since it was asked about before")


def test_many_changes_are_counted_and_memory_is_bounded() -> None:
    warnings: list[str] = []
    watch = PictureWatch(report := ChangeReport(warnings.append, place_message))
    for row in range(MAX_REMEMBERED + 5):
        watch.expect(row, ["a.png"], [picture(OLD)])
        watch.note(make_row(row), f"{row}.png", OLD)
    for row in range(100, 300):
        watch.note(make_row(row), f"{row}.png", NEW)
    assert (report.count, len(warnings)) == (200, MAX_NAMED)
    report.finish()
    assert warnings[MAX_NAMED:] == ["200 pictures changed during the run, or since its rows were first asked about."]
    watch.note(make_row(0), "0.png", NEW)
    watch.note(make_row(0), "a.png", NEW)
    assert report.count == 200
