"""The shelf of pictures: what comes again is prepared once, within its bound, from many threads."""

from __future__ import annotations

import os
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from persqa_client.errors import RowError
from persqa_client.images.cache import ImageCache
from persqa_client.images.prepare import load_image, redrawn
from persqa_client.types import EncodedImage
from tests.images import pictures

BUDGET = 100_000
PHOTO = pictures.opened(pictures.SAMPLES[0].read_bytes())


def photo(number: int, orientation: int = 6) -> bytes:
    """Pictures that differ, each larger than the budget."""
    return pictures.talkative_jpeg(PHOTO.resize((500, 400 + number)), orientation=orientation)


class Drawing:
    """``redrawn``, with a count of how often it was needed and, if wanted, something that happens meanwhile."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.times = 0

    def __call__(self, data: bytes, format: str, orientation: int, max_pixels: int, name: str) -> EncodedImage:
        self.times += 1
        self.meanwhile()
        return redrawn(data, format, orientation, max_pixels, name)


def shelf(folder: Path, drawing: Drawing, bound: int = 10_000_000) -> ImageCache:
    return ImageCache([folder], max_pixels=BUDGET, bound=bound, redraw=drawing)


def test_it_gives_what_would_be_loaded_without_it(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(0))
    assert shelf(tmp_path, Drawing()).load("a.jpg") == load_image("a.jpg", [tmp_path], max_pixels=BUDGET)


def test_a_picture_that_comes_again_is_drawn_once(tmp_path: Path) -> None:
    drawing = Drawing()
    own = shelf(tmp_path, drawing)
    (tmp_path / "a.jpg").write_bytes(photo(0))
    assert own.load("a.jpg") is own.load("a.jpg")
    assert drawing.times == 1


def test_the_same_content_elsewhere_is_drawn_once(tmp_path: Path) -> None:
    """Also where the files differ in their metadata, which never goes out."""
    drawing = Drawing()
    own = shelf(tmp_path, drawing)
    data = photo(0)
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "b.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x06note" + data[2:])
    assert own.load("a.jpg") is own.load("b.jpg")
    assert own.load("data:image/jpeg;base64," + b64encode(data).decode()) is own.load("a.jpg")
    assert drawing.times == 1


def test_another_turning_is_another_picture(tmp_path: Path) -> None:
    own = shelf(tmp_path, Drawing())
    for orientation in (6, 8):
        (tmp_path / f"{orientation}.jpg").write_bytes(photo(0, orientation))
    assert own.load("6.jpg").data != own.load("8.jpg").data


def test_a_file_that_changed_is_prepared_anew(tmp_path: Path) -> None:
    """Also where the new content has the old length and its time is set back."""
    own = shelf(tmp_path, Drawing())
    path = tmp_path / "a.jpg"
    data = photo(0)
    path.write_bytes(data)
    first, before = own.load("a.jpg"), path.stat()
    path.write_bytes(photo(0, orientation=8))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert own.load("a.jpg").data != first.data


def test_what_is_kept_is_bounded_and_the_longest_unused_goes_first(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(photo(number))
    size = len(load_image("0.jpg", [tmp_path], max_pixels=BUDGET).data)
    drawing = Drawing()
    own = shelf(tmp_path, drawing, bound=int(2.5 * size))
    for name in ("0", "1", "0", "2", "0", "1"):
        own.load(f"{name}.jpg")
        assert own.held <= 2.5 * size
    assert drawing.times == 4  # the second was let go for the third, not the first


def test_a_picture_above_the_bound_is_given_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(0))
    own = shelf(tmp_path, Drawing(), bound=10)
    assert own.load("a.jpg").data
    assert own.held == 0


def test_what_goes_out_as_its_own_bytes_is_not_kept_but_shared_while_it_is_held(tmp_path: Path) -> None:
    own = shelf(tmp_path, Drawing())
    (tmp_path / "a.jpg").write_bytes(pictures.talkative_jpeg(PHOTO.resize((100, 100))))
    held = own.load("a.jpg")
    assert own.load("a.jpg") is held
    assert own.held == 0


def test_two_that_want_the_same_at_once_wait_for_one_drawing(tmp_path: Path) -> None:
    wanted = threading.Barrier(2)

    def meet() -> None:
        wanted.wait(timeout=30)
        time.sleep(0.1)  # for the other to come and wait; it passes as well if it comes late

    drawing = Drawing(meanwhile=meet)
    own = shelf(tmp_path, drawing)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(photo(0))
    with ThreadPoolExecutor(2) as threads:
        coming = [threads.submit(own.load, name) for name in ("a.jpg", "b.jpg")]
        # Nobody else draws: the barrier is passed by this thread, or the test hangs and fails.
        wanted.wait(timeout=30)
        first, second = (one.result() for one in coming)
    assert first is second
    assert drawing.times == 1


def test_an_error_is_told_to_each_under_its_own_name_and_not_kept(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def fail(data: bytes, format: str, orientation: int, max_pixels: int, name: str) -> EncodedImage:
        raise RowError("image_bomb", f"{name} is too much.")

    def load(name: str) -> RowError:
        both.wait(timeout=30)
        with pytest.raises(RowError) as caught:
            own.load(name)
        return caught.value

    own = ImageCache([tmp_path], max_pixels=BUDGET, bound=10_000_000, redraw=fail)
    names = ("a.jpg", "b.jpg")
    for name in names:
        (tmp_path / name).write_bytes(photo(0))
    for _ in range(20):
        with ThreadPoolExecutor(2) as threads:
            errors = list(threads.map(load, names))
        assert [error.message for error in errors] == [f"{name} is too much." for name in names]


def test_many_threads_get_the_right_pictures(tmp_path: Path) -> None:
    count = 6
    for number in range(count):
        (tmp_path / f"{number}.jpg").write_bytes(photo(number))
    alone = [load_image(f"{number}.jpg", [tmp_path], max_pixels=BUDGET) for number in range(count)]
    own = shelf(tmp_path, Drawing(), bound=2 * len(alone[0].data))
    wanted = [number % count for number in range(60)]
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(own.load, [f"{number}.jpg" for number in wanted]))
    assert got == [alone[number] for number in wanted]
    assert own.held <= 2 * len(alone[0].data)


@pytest.mark.parametrize("reference", ["missing.jpg", ".", "bad\0name"])
def test_what_is_no_file_fails_as_it_does_alone(reference: str, tmp_path: Path) -> None:
    with pytest.raises(RowError) as alone:
        load_image(reference, [tmp_path], max_pixels=BUDGET)
    with pytest.raises(RowError) as caught:
        shelf(tmp_path, Drawing()).load(reference)
    assert (caught.value.code, caught.value.message) == (alone.value.code, alone.value.message)
