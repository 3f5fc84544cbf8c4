"""The image cache: images that come again are encoded once, within its size, from many threads."""

from __future__ import annotations

import os
import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import RowError
from persqa_client.images import prepare
from persqa_client.images.decode import reencode_image
from persqa_client.images.loader import ImageCache
from persqa_client.images.prepare import load_image
from persqa_client.types import EncodedImage
from tests.images import image_files

MAX_PIXELS = 100_000
PHOTO = image_files.decode(image_files.SAMPLES[0].read_bytes())


def photo(number: int, orientation: int = 6) -> bytes:
    """Different images, each of more than MAX_PIXELS."""
    return image_files.jpeg_with_metadata(PHOTO.resize((500, 400 + number)), orientation=orientation)


class CountingEncoder:
    """``reencode_image`` that counts its calls, and may call something first."""

    def __init__(self) -> None:
        self.calls = 0
        self.before: Callable[[], None] = lambda: None

    def __call__(self, *args: Any) -> EncodedImage:
        self.calls += 1
        self.before()
        return reencode_image(*args)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> CountingEncoder:
    encoder = CountingEncoder()
    monkeypatch.setattr(prepare, "reencode_image", encoder)
    return encoder


def cache_of(folder: Path, max_bytes: int = 10_000_000) -> ImageCache:
    return ImageCache([folder], max_pixels=MAX_PIXELS, max_bytes=max_bytes)


def test_it_loads_what_load_image_loads(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(0))
    assert cache_of(tmp_path).load("a.jpg") == load_image("a.jpg", [tmp_path], max_pixels=MAX_PIXELS)


def test_an_image_that_comes_again_is_encoded_once(tmp_path: Path, encoder: CountingEncoder) -> None:
    cache = cache_of(tmp_path)
    (tmp_path / "a.jpg").write_bytes(photo(0))
    assert cache.load("a.jpg") is cache.load("a.jpg")
    assert encoder.calls == 1


def test_equal_images_in_several_files_are_encoded_once(tmp_path: Path, encoder: CountingEncoder) -> None:
    """Also if the files differ in their metadata."""
    cache = cache_of(tmp_path)
    data = photo(0)
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "b.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x06note" + data[2:])
    assert cache.load("a.jpg") is cache.load("b.jpg")
    assert cache.load("data:image/jpeg;base64," + b64encode(data).decode()) is cache.load("a.jpg")
    assert encoder.calls == 1


def test_another_orientation_is_another_image(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    for orientation in (6, 8):
        (tmp_path / f"{orientation}.jpg").write_bytes(photo(0, orientation))
    assert cache.load("6.jpg").data != cache.load("8.jpg").data


def test_a_file_that_changed_is_loaded_again(tmp_path: Path) -> None:
    """Also if its size and its modification time are the same."""
    cache = cache_of(tmp_path)
    path = tmp_path / "a.jpg"
    path.write_bytes(photo(0))
    first, before = cache.load("a.jpg"), path.stat()
    path.write_bytes(photo(0, orientation=8))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert cache.load("a.jpg").data != first.data


def test_the_least_recently_used_image_is_dropped_first(tmp_path: Path, encoder: CountingEncoder) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(photo(number))
    size = len(load_image("0.jpg", [tmp_path], max_pixels=MAX_PIXELS).data)
    encoder.calls = 0
    cache = cache_of(tmp_path, max_bytes=int(2.5 * size))
    for name in ("0", "1", "0", "2", "0", "1"):
        cache.load(f"{name}.jpg")
        assert cache.size <= 2.5 * size
    assert encoder.calls == 4  # the second image was dropped for the third, not the first


def test_an_image_larger_than_the_cache_is_loaded_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(0))
    cache = cache_of(tmp_path, max_bytes=10)
    assert cache.load("a.jpg").data
    assert cache.size == 0


def test_an_image_sent_as_it_is_is_not_kept_but_shared_while_in_use(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    (tmp_path / "a.jpg").write_bytes(image_files.jpeg_with_metadata(PHOTO.resize((100, 100))))
    held = cache.load("a.jpg")
    assert cache.load("a.jpg") is held
    assert cache.size == 0


def test_two_threads_that_need_the_same_image_encode_it_once(tmp_path: Path, encoder: CountingEncoder) -> None:
    encoding, release = threading.Event(), threading.Event()

    def wait() -> None:
        encoding.set()
        release.wait(timeout=30)

    encoder.before = wait
    cache = cache_of(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(photo(0))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.load, "a.jpg")
        assert encoding.wait(timeout=30)
        second = threads.submit(cache.load, "b.jpg")
        release.set()
        assert first.result() is second.result()
    assert encoder.calls == 1


def test_an_error_is_not_kept_and_names_the_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)

    def fail(*args: object) -> EncodedImage:
        raise RowError("image_bomb", "is too large.")

    def load(name: str) -> RowError:
        both.wait(timeout=30)
        with pytest.raises(RowError) as caught:
            cache.load(name)
        return caught.value

    monkeypatch.setattr(prepare, "reencode_image", fail)
    cache = cache_of(tmp_path)
    names = ("a.jpg", "b.jpg")
    for name in names:
        (tmp_path / name).write_bytes(photo(0))
    for _ in range(20):
        with ThreadPoolExecutor(2) as threads:
            errors = list(threads.map(load, names))
        assert [error.message for error in errors] == [f"{name} is too large." for name in names]


def test_many_threads_load_the_right_images(tmp_path: Path) -> None:
    count = 6
    for number in range(count):
        (tmp_path / f"{number}.jpg").write_bytes(photo(number))
    alone = [load_image(f"{number}.jpg", [tmp_path], max_pixels=MAX_PIXELS) for number in range(count)]
    cache = cache_of(tmp_path, max_bytes=2 * len(alone[0].data))
    wanted = [number % count for number in range(60)]
    with ThreadPoolExecutor(8) as threads:
        loaded = list(threads.map(cache.load, [f"{number}.jpg" for number in wanted]))
    assert loaded == [alone[number] for number in wanted]
    assert cache.size <= 2 * len(alone[0].data)


@pytest.mark.parametrize("reference", ["missing.jpg", ".", "bad\0name"])
def test_errors_are_those_of_load_image(reference: str, tmp_path: Path) -> None:
    with pytest.raises(RowError) as alone:
        load_image(reference, [tmp_path], max_pixels=MAX_PIXELS)
    with pytest.raises(RowError) as caught:
        cache_of(tmp_path).load(reference)
    assert (caught.value.code, caught.value.message) == (alone.value.code, alone.value.message)


def test_a_cached_file_is_loaded_at_once_if_it_can_be_sent_unchanged(tmp_path: Path, encoder: CountingEncoder) -> None:
    """In memory filesystems nothing is known of the page cache; then a thread loads the file."""
    (tmp_path / "plain.jpg").write_bytes(image_files.encode(PHOTO.resize((100, 80)), "JPEG"))
    (tmp_path / "turned.jpg").write_bytes(photo(0))
    (tmp_path / "broken.jpg").write_bytes(photo(0)[:500])
    cache = cache_of(tmp_path)
    image = cache.load_at_once("plain.jpg")
    assert image in (None, load_image("plain.jpg", [tmp_path], max_pixels=MAX_PIXELS))
    assert image is None or cache.load("plain.jpg") is image
    assert (
        cache.load_at_once("turned.jpg") is cache.load_at_once("broken.jpg") is cache.load_at_once("none.jpg") is None
    )
    assert encoder.calls == 0
    encoded = cache.load("turned.jpg")
    assert cache.load_at_once("turned.jpg") is encoded
