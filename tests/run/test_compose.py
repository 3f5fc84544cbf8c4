"""What a run's settings mean for its pictures: which get a uuid, and what their questions weigh."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client.config import Endpoint, Recipe, RunSettings, Sampling
from persqa_client.inputs.sources import InMemorySource
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.run.compose import RunPlan
from persqa_client.types import EncodedImage, Row, TaskId
from tests.support.fakes import FakeCompleter

KEEPS, KEEPS_NONE = ServerCapabilities(uuid=True), ServerCapabilities(uuid=False)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def plan_of(folder: Path, *, questions: int = 1, uuid: bool = True, **extra_body: Any) -> RunPlan:
    for name in ("a", "b"):
        Image.new("RGB", (40, 30), "red" if name == "a" else "blue").save(folder / f"{name}.png")
    settings = RunSettings(
        input=None,
        output=None,
        endpoint=Endpoint(base_url="http://gpu.example/v1", model="qwen"),
        sampling=Sampling(extra_body=extra_body),
        recipe=Recipe(questions=questions),
        image_root=folder,
        uuid=uuid,
    )
    return RunPlan(settings, InMemorySource())


async def load(
    plan: RunPlan, threads: ThreadPoolExecutor, server: ServerCapabilities | None, names: str
) -> list[EncodedImage]:
    pipeline = plan.pipeline(FakeCompleter([]), threads, "direct", (server,) if server else ())
    return [await pipeline.load(f"{name}.png") for name in names]


@pytest.mark.parametrize(
    ("questions", "server", "named"),
    [
        pytest.param(5, KEEPS, [True, True, True], id="several questions"),
        pytest.param(5, KEEPS_NONE, [True, True, True], id="several questions, for their order alone"),
        pytest.param(1, KEEPS, [False, False, True], id="what comes again"),
        pytest.param(1, KEEPS_NONE, [False] * 3, id="a server that keeps none"),
        pytest.param(1, None, [False] * 3, id="a server that was not tried"),
    ],
)
async def test_a_picture_has_a_uuid_where_that_pays(
    tmp_path: Path, threads: ThreadPoolExecutor, questions: int, server: ServerCapabilities | None, named: list[bool]
) -> None:
    pictures = await load(plan_of(tmp_path, questions=questions), threads, server, "aba")
    assert [picture.uuid is not None for picture in pictures] == named


async def test_no_uuid_leaves_what_comes_again_without_one(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    pictures = await load(plan_of(tmp_path, uuid=False), threads, KEEPS, "aa")
    assert [picture.uuid for picture in pictures] == [None, None]


async def test_a_uuid_depends_on_the_request_fields_that_change_what_is_seen(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    bodies: list[dict[str, Any]] = [{}, {"top_k": 20}, {"mm_processor_kwargs": {"max_pixels": 784}}]
    plans = [plan_of(tmp_path, questions=2, **body) for body in bodies]
    plain, other, shrunk = [(await load(plan, threads, KEEPS, "a"))[0].uuid for plan in plans]
    assert plain == other != shrunk


def weights(plan: RunPlan, folder: Path, **fields: Any) -> list[int]:
    row = plan.parse(1, orjson.dumps({"image": [f"{folder}/a.png"], **fields}))
    return [plan.weigh(row, unit) for unit in plan.units(row)]


def test_pictures_that_are_sent_once_count_with_the_rows_first_question(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    plan = plan_of(tmp_path, questions=3)
    whole = weights(plan, tmp_path)
    assert whole == [whole[0]] * 3
    plan.pipeline(FakeCompleter([]), threads, "direct", (KEEPS,))
    first, *others = weights(plan, tmp_path)
    assert first == whole[0]
    assert others == [len(orjson.dumps({"image": [f"{tmp_path}/a.png"]}))] * 2


def test_the_one_question_of_a_row_that_failed_counts_with_its_pictures(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    plan = plan_of(tmp_path, questions=3)
    plan.pipeline(FakeCompleter([]), threads, "direct", (KEEPS,))
    row = Row(1, b"{}", (f"{tmp_path}/a.png",), only_question=2)
    assert plan.weigh(row, TaskId(1, 2)) > 100


def test_more_questions_are_under_way_where_some_wait_for_others(tmp_path: Path) -> None:
    assert [plan_of(tmp_path, questions=questions).spread for questions in (1, 2, 5)] == [1, 2, 2]
