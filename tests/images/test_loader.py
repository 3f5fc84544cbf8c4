"""Loading images for requests: in threads, with a uuid and only once where they are shared."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.loader import ImageCache, ImageLoader, add_image_uuid
from persqa_client.images.references import FileVersion
from persqa_client.types import BoxMark, EncodedImage

IMAGE = EncodedImage(b"\xff\xd8image", "image/jpeg", 40, 30)
FIELDS: dict[str, Any] = {"top_k": 20, "mm_processor_kwargs": {"min_pixels": 1, "max_pixels": 784}}


class FakeCache(ImageCache):
    """Loads an image of the reference's own bytes, once ``release`` is set, and remembers what was loaded."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.release = threading.Event()
        self.release.set()

    def find_version(self, reference: str) -> None:
        return None

    def load_at_once(
        self, reference: str, version: FileVersion | None = None, mark: BoxMark | None = None
    ) -> EncodedImage | None:
        return None

    def load(self, reference: str, version: FileVersion | None = None, mark: BoxMark | None = None) -> EncodedImage:
        self.loaded.append(reference)
        self.threads.add(threading.current_thread())
        self.release.wait(timeout=30)
        if reference == "missing":
            raise RowError("image_missing", "missing does not exist.")
        return replace(IMAGE, data=reference.encode())


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def loader(
    cache: ImageCache, threads: ThreadPoolExecutor, *, share_all: bool = False, share_repeated: bool = False
) -> ImageLoader:
    return ImageLoader(cache, threads, FIELDS, share_all=share_all, share_repeated=share_repeated)


async def test_images_are_loaded_in_threads(cache: FakeCache, threads: ThreadPoolExecutor) -> None:
    assert (await loader(cache, threads).load("a")).image.data == b"a"
    assert threading.current_thread() not in cache.threads


async def test_the_error_of_the_cache_is_raised(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    images = loader(ImageCache([tmp_path], max_pixels=100, max_bytes=100), threads)
    with pytest.raises(RowError) as caught:
        await images.load("missing.jpg")
    assert caught.value.code == "image_missing"


async def test_requests_at_the_same_time_share_one_image(cache: FakeCache, threads: ThreadPoolExecutor) -> None:
    images = loader(cache, threads, share_all=True)
    found = [each.image for each in await asyncio.gather(*map(images.load, ("a", "a", "b", "a")))]
    assert sorted(cache.loaded) == ["a", "b"]
    assert found[0] is found[1] is found[3]
    assert found[0].uuid == add_image_uuid(replace(IMAGE, data=b"a"), FIELDS).uuid
    assert (await images.load("a")).image is found[0]


async def test_a_shared_image_is_released_with_its_last_request(cache: FakeCache, threads: ThreadPoolExecutor) -> None:
    images = loader(cache, threads, share_all=True)
    await images.load("a")
    await asyncio.sleep(0)
    gc.collect()
    await images.load("a")
    assert cache.loaded == ["a", "a"]


async def test_a_repeated_reference_has_a_uuid_from_the_second_time_on(
    cache: FakeCache, threads: ThreadPoolExecutor
) -> None:
    images = loader(cache, threads, share_repeated=True)
    uuids = [(await images.load(reference)).image.uuid for reference in ("a", "b", "a", "c", "a")]
    assert [uuid is not None for uuid in uuids] == [False, False, True, False, True]


async def test_without_sharing_no_image_has_a_uuid(cache: FakeCache, threads: ThreadPoolExecutor) -> None:
    images = loader(cache, threads)
    assert [(await images.load("a")).image.uuid for _ in range(3)] == [None] * 3


async def test_the_number_of_known_references_is_bounded(cache: FakeCache, threads: ThreadPoolExecutor) -> None:
    images = ImageLoader(cache, threads, FIELDS, share_all=False, share_repeated=True, max_known=2)
    uuids = [(await images.load(reference)).image.uuid for reference in ("a", "b", "c", "a", "c")]
    assert [uuid is not None for uuid in uuids] == [False, False, False, False, True]


async def test_every_request_gets_the_error_of_a_shared_image(cache: FakeCache, threads: ThreadPoolExecutor) -> None:
    images = loader(cache, threads, share_all=True)
    results = await asyncio.gather(*(images.load("missing") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [RowError] * 3
    with pytest.raises(RowError):
        await images.load("missing")


async def test_cancelling_one_request_leaves_the_image_to_the_others(
    cache: FakeCache, threads: ThreadPoolExecutor
) -> None:
    images = loader(cache, threads, share_all=True)
    cache.release.clear()
    tasks = [asyncio.create_task(images.load("a")) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    cache.release.set()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [True, False, False]
    assert cache.loaded == ["a"]


def test_a_uuid_is_the_same_in_every_run() -> None:
    assert add_image_uuid(IMAGE, {}).uuid == "persqa-" + sha256(b'["image/jpeg",{}]\xff\xd8image').hexdigest()


def test_only_the_uuid_is_added() -> None:
    assert replace(add_image_uuid(IMAGE, FIELDS), uuid=None) == IMAGE


@pytest.mark.parametrize(
    ("image", "fields"),
    [
        pytest.param(replace(IMAGE, data=b"\xff\xd8imagf"), FIELDS, id="bytes"),
        pytest.param(replace(IMAGE, media_type="image/png"), FIELDS, id="media type"),
        pytest.param(IMAGE, {"mm_processor_kwargs": {"min_pixels": 1, "max_pixels": 785}}, id="processor settings"),
        pytest.param(IMAGE, {**FIELDS, "media_io_kwargs": {"image": {"mode": "L"}}}, id="decoder settings"),
        pytest.param(IMAGE, {}, id="no settings"),
    ],
)
def test_the_uuid_changes_with_all_that_the_model_sees(image: EncodedImage, fields: dict[str, Any]) -> None:
    assert add_image_uuid(image, fields).uuid != add_image_uuid(IMAGE, FIELDS).uuid


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"mm_processor_kwargs": {"max_pixels": 784, "min_pixels": 1}}, id="other fields, another order"),
        pytest.param({**FIELDS, "media_io_kwargs": {}}, id="empty settings"),
    ],
)
def test_the_uuid_does_not_change_with_other_fields(fields: dict[str, Any]) -> None:
    assert add_image_uuid(IMAGE, fields).uuid == add_image_uuid(IMAGE, FIELDS).uuid


@pytest.mark.parametrize("share_all", [True, False])
async def test_a_file_that_is_replaced_is_loaded_anew_while_its_image_is_in_use(
    tmp_path: Path, threads: ThreadPoolExecutor, share_all: bool
) -> None:
    images = loader(ImageCache([tmp_path], max_pixels=10_000, max_bytes=10_000), threads, share_all=share_all)
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    held = (await images.load("a.png")).image
    Image.new("RGB", (41, 40), "blue").save(tmp_path / "new.png")
    (tmp_path / "new.png").replace(tmp_path / "a.png")
    found = (await images.load("a.png")).image
    assert (held.width, found.width) == (40, 41)


async def test_the_stamp_is_of_the_file_and_not_of_an_equal_one(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    """Equal images share one re-encoded image, but their files have times of their own."""
    for number, name in enumerate("ab", 1):
        Image.new("RGB", (200, 200), "red").save(tmp_path / f"{name}.png")
        os.utime(tmp_path / f"{name}.png", ns=(number, number))
    images = loader(ImageCache([tmp_path], max_pixels=10_000, max_bytes=100_000), threads)
    first, second = [await images.load(f"{name}.png") for name in "ab"]
    assert first.image is second.image
    assert first.file is not None
    assert second.file is not None
    assert (first.file.modified_ns, second.file.modified_ns) == (1, 2)
    assert first.file.digest == second.file.digest
