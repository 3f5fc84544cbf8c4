"""Pictures for the event loop: at once where that takes no time, in a thread where it does, the same either way."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import RowError
from persqa_client.images.cache import ImageCache, ImagePreparer
from persqa_client.images.prepare import load_image
from persqa_client.types import EncodedImage
from tests.images import pictures

BUDGET = 100_000
PHOTO = pictures.opened(pictures.SAMPLES[0].read_bytes())
UPRIGHT = pictures.talkative_jpeg(PHOTO.resize((300, 200)), orientation=1)
TURNED = pictures.talkative_jpeg(PHOTO.resize((300, 200)), orientation=6)
LARGE = pictures.talkative_jpeg(PHOTO.resize((500, 400)), orientation=1)


class Counting(ThreadPoolExecutor):
    """Threads, and how often they were needed."""

    needed = 0

    def submit(self, *work: Any, **named: Any) -> Future[Any]:
        self.needed += 1
        return super().submit(*work, **named)


def preparer(folder: Path, threads: Counting) -> ImagePreparer:
    return ImagePreparer(
        ImageCache([folder], max_pixels=BUDGET, bound=10_000_000),
        threads,
        lambda picture: replace(picture, uuid=f"of {len(picture.data)}"),
    )


@pytest.mark.parametrize(
    ("data", "threads"), [(UPRIGHT, 0), (TURNED, 1), (LARGE, 1)], ids=["as it is", "turned", "reduced"]
)
async def test_a_thread_is_needed_for_what_is_drawn_anew(tmp_path: Path, data: bytes, threads: int) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with Counting(2) as pool:
        picture = await preparer(tmp_path, pool)("a.jpg")
        assert pool.needed == threads
    assert picture == load_image("a.jpg", [tmp_path], max_pixels=BUDGET)
    assert not any(secret in picture.data for secret in pictures.SECRETS)


async def test_a_picture_that_somebody_holds_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(TURNED)
    with Counting(2) as pool:
        prepare = preparer(tmp_path, pool)
        picture = await prepare("a.jpg")
        assert await prepare("a.jpg") is picture
        assert pool.needed == 1


async def test_a_picture_with_a_uuid_comes_from_a_thread(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(UPRIGHT)
    with Counting(2) as pool:
        picture: EncodedImage = await preparer(tmp_path, pool)("a.jpg", named=True)
        assert pool.needed == 1
    assert picture.uuid == f"of {len(picture.data)}"


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("none.jpg", None, "image_missing"),
        ("cut.jpg", UPRIGHT[:-500], "image_truncated"),
        ("text.jpg", b"no picture", "image_not_a_picture"),
        ("empty.jpg", b"", "image_empty"),
    ],
)
async def test_what_is_no_good_is_told_as_ever(tmp_path: Path, name: str, data: bytes | None, code: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with Counting(2) as pool, pytest.raises(RowError) as caught:
        await preparer(tmp_path, pool)(name)
    assert caught.value.code == code
    assert name in caught.value.message
