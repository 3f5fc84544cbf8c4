"""The pipeline and the row reader that are composed from settings: uuids of images, weights of tasks."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client.config import Endpoint, Recipe, Sampling
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.run.compose import Composition
from persqa_client.run.plan import RowReader, RunPlan
from persqa_client.run.settings import RunSettings
from persqa_client.types import EncodedImage, Row, TaskId

CACHES, CACHES_NOTHING = ServerCapabilities(uuid=True), ServerCapabilities(uuid=False)


def make_settings(folder: Path, *, questions: int = 1, uuid: bool = True, **extra_body: Any) -> RunSettings:
    for name in ("a", "b"):
        Image.new("RGB", (40, 30), "red" if name == "a" else "blue").save(folder / f"{name}.png")
    return RunSettings(
        input=None,
        output=None,
        endpoint=Endpoint(base_url="http://gpu.example/v1", model="qwen"),
        sampling=Sampling(extra_body=extra_body),
        recipe=Recipe(questions=questions),
        image_root=folder,
        uuid="auto" if uuid else "off",
    )


async def load_images(settings: RunSettings, server: ServerCapabilities | None, names: str) -> list[EncodedImage]:
    async with Composition(RunPlan(settings)) as composition:
        composition.servers = (server,) if server else ()
        pipeline = composition.make_pipeline()
        return [(await pipeline.load(f"{name}.png")).image for name in names]


@pytest.mark.parametrize(
    ("questions", "server", "has_uuid"),
    [
        pytest.param(5, CACHES, [True, True, True], id="several questions"),
        pytest.param(5, CACHES_NOTHING, [True, True, True], id="several questions, to order the requests"),
        pytest.param(1, CACHES, [False, False, True], id="repeated image"),
        pytest.param(1, CACHES_NOTHING, [False] * 3, id="server without cache"),
        pytest.param(1, None, [False] * 3, id="server not probed"),
    ],
)
async def test_an_image_gets_a_uuid_only_if_it_is_sent_again(
    tmp_path: Path, questions: int, server: ServerCapabilities | None, has_uuid: list[bool]
) -> None:
    images = await load_images(make_settings(tmp_path, questions=questions), server, "aba")
    assert [image.uuid is not None for image in images] == has_uuid


async def test_no_uuid_turns_uuids_of_repeated_images_off(tmp_path: Path) -> None:
    images = await load_images(make_settings(tmp_path, uuid=False), CACHES, "aa")
    assert [image.uuid for image in images] == [None, None]


async def test_the_uuid_depends_on_request_fields_that_change_the_image(tmp_path: Path) -> None:
    bodies: list[dict[str, Any]] = [{}, {"top_k": 20}, {"mm_processor_kwargs": {"max_pixels": 784}}]
    settings = [make_settings(tmp_path, questions=2, **body) for body in bodies]
    plain, other, shrunk = [(await load_images(each, CACHES, "a"))[0].uuid for each in settings]
    assert plain == other != shrunk


def weigh_all(reader: RowReader, folder: Path) -> list[int]:
    row = reader.parse(1, orjson.dumps({"image": [f"{folder}/a.png"]}))
    return [reader.weigh(row, task_id) for task_id in reader.task_ids(row)]


def test_shared_images_count_for_the_first_question_of_a_row(tmp_path: Path) -> None:
    plan = RunPlan(make_settings(tmp_path, questions=3))
    alone = weigh_all(plan.make_row_reader(), tmp_path)
    assert alone == [alone[0]] * 3
    first, *others = weigh_all(plan.make_row_reader(share_images=True), tmp_path)
    assert first == alone[0]
    assert others == [len(orjson.dumps({"image": [f"{tmp_path}/a.png"]}))] * 2


def test_a_retried_question_counts_with_its_images(tmp_path: Path) -> None:
    reader = RunPlan(make_settings(tmp_path, questions=3)).make_row_reader(share_images=True)
    row = Row(1, b"{}", (f"{tmp_path}/a.png",), only_question=2)
    assert reader.weigh(row, TaskId(1, 2)) > 100


def test_more_tasks_run_if_some_wait_for_others(tmp_path: Path) -> None:
    plans = [RunPlan(make_settings(tmp_path, questions=questions)) for questions in (1, 2, 5)]
    assert [plan.make_row_reader().jobs_per_permit for plan in plans] == [1, 2, 2]


async def test_another_process_can_compose_the_same_from_pickled_settings(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, questions=2)
    copy = pickle.loads(pickle.dumps(settings))
    assert copy == settings
    assert RunPlan(copy, tmp_path).identity() == RunPlan(settings, tmp_path).identity()
    [image] = await load_images(copy, CACHES, "a")
    assert image == (await load_images(settings, CACHES, "a"))[0]
