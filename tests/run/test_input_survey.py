"""What an input is told to take without a request: rows, pictures, tokens."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.config import Endpoint
from persqa_client.images.tokens import count_image_tokens
from persqa_client.inputs.sources import InMemorySource
from persqa_client.run.input_survey import InputSurvey, RowMeter, survey_input
from persqa_client.run.plan import RunPlan
from persqa_client.run.preview import draw_places
from persqa_client.run.settings import make_run_settings

MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"


def survey(rows: list[Any], folder: Path, *, model: str = MODEL, most: int = 100, **flags: Any) -> InputSurvey:
    settings = make_run_settings(
        [Endpoint(base_url="http://127.0.0.1:9/v1", model=model)], {"image_root": folder, **flags}
    )
    return survey_input(InMemorySource(rows), RowMeter(RunPlan(settings)), settings.limit, most=most)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (640, 480), "red").save(tmp_path / "a.png")
    Image.new("RGB", (3000, 2000), "blue").save(tmp_path / "b.jpg")
    return tmp_path


def test_rows_and_pictures_are_counted(folder: Path) -> None:
    rows = [
        {"image": "a.png"}, {"image": ["a.png", "b.jpg"]}, {"image": "none.png"}, {"image": 5}, {"image": "b.jpg"},
        {"image": "a.png", "question": "What does <other> do?"}, {"image": "c.png"},
    ]  # fmt: skip
    found = survey(rows, folder)
    assert (found.rows, found.usable, found.questions, found.is_sampled) == (7, 3, 3, False)
    assert found.problems.counts == {"bad_image_field": 1}
    assert found.picture_problems.counts == {"image_missing": 2, "bad_question": 1}
    assert found.picture_problems.examples["image_missing"].startswith("Line 3: none.png does not exist")
    sizes = [(folder / name).stat().st_size for name in ("a.png", "b.jpg")]
    assert (found.pictures, found.different_pictures, found.picture_bytes) == (4, 2, sum(sizes))
    # The large one is reduced to 1,003,520 pixels first.
    reduced = count_image_tokens(1226, 817, "qwen2.5-vl")
    assert found.picture_tokens == pytest.approx(
        2 * count_image_tokens(640, 480, "qwen2.5-vl") + 2 * reduced + 4 * 2, abs=2
    )


def test_each_question_has_the_pictures_of_its_row(folder: Path) -> None:
    one = survey([{"image": "a.png"}], folder)
    three = survey([{"image": "a.png"}], folder, questions=3)
    assert (three.questions, three.picture_tokens) == (3, 3 * one.picture_tokens)
    assert 2 * one.text_tokens < three.text_tokens < 4 * one.text_tokens


def test_a_crop_is_measured_and_every_picture_of_the_character(folder: Path) -> None:
    box, whole = {"image": "a.png", "box": [100, 100, 200, 200]}, {"image": "a.png", "box": None}
    drawn, cropped = (survey([box], folder, box=mode) for mode in ("drawn", "cropped"))
    assert drawn.picture_tokens == survey([whole], folder, box="cropped").picture_tokens
    assert cropped.picture_tokens == count_image_tokens(120, 120, "qwen2.5-vl") + 2
    turned = survey([{"image": "a.png", "box": [400, 500, 450, 600]}], folder, box="cropped")
    assert turned.usable == 1  # if the picture is turned, as its header may not show
    outside = survey([{"image": "a.png", "box": [100, 100, 700, 700]}], folder, box="drawn")
    assert outside.picture_problems.counts == {"box_invalid": 1}
    shown = survey([{"image": "a.png", "who": "b.jpg"}] * 2, folder, reference_key="who")
    assert (shown.pictures, shown.different_pictures, shown.usable) == (4, 2, 2)
    assert shown.picture_tokens > 2 * drawn.picture_tokens
    assert survey([{"image": "a.png", "who": "c.jpg"}], folder, reference_key="who").usable == 0


def test_of_a_huge_input_a_part_of_the_pictures_is_read(folder: Path) -> None:
    rows = [{"image": "a.png" if number % 4 else "none.png", "id": number} for number in range(1000)]
    found = survey([*rows, {"image": 5}], folder, most=100)
    assert (found.rows, found.readable, found.measured, found.is_sampled) == (1001, 1000, 100, True)
    assert found.picture_problems.total + found.usable_measured == 100
    assert 60 <= found.usable_measured <= 90
    assert found.usable == 10 * found.usable_measured
    assert found.questions == found.usable
    assert found.prompt_tokens == pytest.approx(10 * (found.text_tokens_measured + found.picture_tokens_measured))


@pytest.mark.parametrize(("total", "count"), [(0, 5), (1, 5), (5, 5), (7, 3), (1000, 64), (1001, 1000)])
def test_places_are_spread_but_not_at_equal_distances(total: int, count: int) -> None:
    places = draw_places(total, count)
    assert len(places) == min(total, count)
    assert all(part * total <= place * len(places) + len(places) for part, place in enumerate(places))
    assert all(0 <= place < total for place in places)
    assert all(before < after <= before + 2 * (total // count + 1) for before, after in pairwise(places))
    assert places == draw_places(total, count)


def test_a_part_of_rows_that_repeat_themselves_has_all_kinds() -> None:
    kinds = Counter(place % 8 for place in draw_places(200_000, 5000))
    assert len(kinds) == 8
    assert max(kinds.values()) < 1.3 * min(kinds.values())


def test_a_limit_holds(folder: Path) -> None:
    assert survey([{"image": "a.png"}] * 9, folder, limit=4).rows == 4
    assert survey([], folder).usable == survey([{"image": 5}], folder).questions == 0
