"""Pictures that several questions are asked about: prepared and held once, named where that pays."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, field, replace

import pytest

from persqa_client.errors import RowError
from persqa_client.images.cache import REMEMBERED, ImageLoader
from persqa_client.types import EncodedImage


@dataclass
class Preparing:
    """Prepares a picture in some turns of the loop, and remembers what it was asked for."""

    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def __call__(self, reference: str, *, named: bool = False) -> EncodedImage:
        self.asked.append((reference, named))
        await asyncio.sleep(0.001)
        if reference == "missing":
            raise RowError("image_missing", "There is no such picture.")
        picture = EncodedImage(reference.encode(), "image/jpeg", 1, 1)
        return replace(picture, uuid=f"uuid of {reference}") if named else picture


async def test_questions_at_the_same_time_hold_one_picture() -> None:
    preparing = Preparing()
    shared = ImageLoader(preparing, always=True, repeats=True)
    pictures = await asyncio.gather(*(shared.load(reference) for reference in ("a", "a", "b", "a")))
    assert preparing.asked == [("a", True), ("b", True)]
    assert pictures[0] is pictures[1] is pictures[3]
    assert await shared.load("a") is pictures[0]


async def test_a_picture_that_nobody_asks_about_any_more_is_let_go() -> None:
    preparing = Preparing()
    shared = ImageLoader(preparing, always=True, repeats=True)
    await shared.load("a")
    await asyncio.sleep(0)
    gc.collect()
    await shared.load("a")
    assert preparing.asked == [("a", True)] * 2


async def test_one_that_comes_again_is_named_from_then_on() -> None:
    shared = ImageLoader(Preparing(), always=False, repeats=True)
    references = ("a", "b", "a", "c", "a")
    assert [(await shared.load(reference)).uuid for reference in references] == [
        None,
        None,
        "uuid of a",
        None,
        "uuid of a",
    ]


async def test_none_is_named_where_no_server_keeps_it_and_one_question_is_asked() -> None:
    shared = ImageLoader(Preparing(), always=False, repeats=False)
    assert [(await shared.load("a")).uuid for _ in range(3)] == [None] * 3


async def test_what_came_long_ago_is_forgotten() -> None:
    shared = ImageLoader(Preparing(), always=False, repeats=True)
    shared._seen.update(dict.fromkeys(range(REMEMBERED)))
    await shared.load("a")
    assert len(shared._seen) == REMEMBERED


async def test_all_who_wait_hear_that_there_is_none() -> None:
    shared = ImageLoader(Preparing(), always=True, repeats=True)
    ends = await asyncio.gather(*(shared.load("missing") for _ in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [RowError] * 3
    with pytest.raises(RowError):
        await shared.load("missing")


async def test_the_others_get_the_picture_when_one_of_them_is_cancelled() -> None:
    preparing = Preparing()
    shared = ImageLoader(preparing, always=True, repeats=True)
    tasks = [asyncio.create_task(shared.load("a")) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [True, False, False]
    assert preparing.asked == [("a", True)]
