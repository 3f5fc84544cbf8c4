"""The rows of a Ray Dataset are answered, and a bad one ends nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from persqa_client import Endpoint, Limits
from persqa_client.errors import SettingsError
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.ray.clusters import draw_pictures

# Ray itself warns of what it will change.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ray = pytest.importorskip("ray")


WRONG_ARGUMENTS: tuple[tuple[str, Any], ...] = (
    *(("workers", wrong) for wrong in (0, -1, 1.5, "3", None, True, (3, 1), (1, 2, 3), (0, 2))),
    *(("batch_size", wrong) for wrong in (0, -1, 1.5, "a", None)),
    *(("dataset", wrong) for wrong in (None, [{"image": "a.png"}], np.zeros(3))),
    *(("endpoint", wrong) for wrong in (None, 5, "http://127.0.0.1:9/v1", ["http://127.0.0.1:9/v1"])),
    *(("recipe", wrong) for wrong in ({"tag": "bo"}, "bo")),
    ("image_root", 5),
)


@pytest.fixture(scope="module")
def connected(cluster: Any) -> Iterator[Any]:
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def busy_simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.1, slots=64)) as simulator:
        yield simulator


def encode(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


def endpoint_of(simulator: Simulator) -> Endpoint:
    return Endpoint(base_url=simulator.base_url, model="persqa-simulator")


def test_each_row_gets_an_answer_or_a_code(connected: Any, busy_simulator: Simulator, tmp_path: Path) -> None:
    from persqa_client.ray import answer

    rows = [{"image": encode("red"), "number": number} for number in range(100)]
    rows[7]["image"] = b"no picture"
    rows[8]["image"] = b""
    dataset = answer(
        ray.data.from_items(rows),
        endpoint_of(busy_simulator),
        question="What colour is {tag}?",
        limits=Limits(concurrency=8),
        workers=2,
        batch_size=10,
    )
    found = {row["number"]: row for row in dataset.take_all()}
    assert sorted(found) == list(range(100))
    assert {number: row["code"] for number, row in found.items() if row["code"]} == {
        7: "image_not_a_picture",
        8: "image_empty",
    }
    assert found[7]["answer"] == ""
    assert "message" in json.loads(found[7]["details"])
    assert found[9]["question"] == "What colour is <mam>?"
    assert found[9]["answer"].startswith("<mam>")
    assert json.loads(found[9]["details"])["tokens"]["prompt"] > 0
    assert found[9]["image"] == rows[9]["image"]
    assert busy_simulator.stats()["max_in_flight"] <= 8


def test_pictures_are_paths_arrays_and_rows_have_fields(
    connected: Any, busy_simulator: Simulator, tmp_path: Path
) -> None:
    from persqa_client.ray import answer

    pictures = draw_pictures(tmp_path / "pictures", 2)
    paths = [
        {"picture": "0000.png", "tag": "anna", "question": "Where is {tag}?"},
        {"picture": "0009.png", "tag": "anna", "question": None},
    ]
    endpoint = endpoint_of(busy_simulator)
    first = answer(ray.data.from_items(paths), endpoint, image="picture", image_root=pictures).take_all()
    assert {(row["question"], row["code"]) for row in first} >= {("Where is <anna>?", "")}
    assert [row["code"] for row in first if row["picture"] == "0009.png"] == ["image_missing"]
    arrays = ray.data.from_numpy(np.zeros((3, 30, 40, 3), dtype=np.uint8))
    second = answer(arrays, endpoint, image="data").take_all()
    assert [row["code"] for row in second] == ["", "", ""]


def test_workers_leave_the_cpus_to_the_tasks_that_read(
    connected: Any, busy_simulator: Simulator, tmp_path: Path
) -> None:
    """One worker on each node, of which each has one CPU. The tasks would wait for ever."""
    from persqa_client.ray import answer

    photos = ray.data.read_binary_files(str(draw_pictures(tmp_path / "photos", 6)), include_paths=True)
    dataset = answer(photos, endpoint_of(busy_simulator), image="bytes", workers=3)
    assert [row["code"] for row in dataset.take_all()] == [""] * 6


def test_fewer_permits_than_workers_are_enough(connected: Any, busy_simulator: Simulator, tmp_path: Path) -> None:
    from persqa_client.ray import answer

    rows = [{"image": encode("red"), "number": number} for number in range(12)]
    limits = Limits(concurrency=1)
    dataset = answer(ray.data.from_items(rows), endpoint_of(busy_simulator), limits=limits, workers=3, batch_size=2)
    assert [row["code"] for row in dataset.take_all()] == [""] * 12


def test_what_is_wrong_is_said_before_anything_is_sent(connected: Any, busy_simulator: Simulator) -> None:
    from persqa_client.ray import answer

    endpoint = endpoint_of(busy_simulator)
    with pytest.raises(SettingsError, match="no column 'image', but 'photo'"):
        answer(ray.data.from_items([{"photo": "a.png"}]), endpoint)
    with pytest.raises(SettingsError, match="column 'code' already"):
        answer(ray.data.from_items([{"image": "a.png", "code": 1}]), endpoint)
    dataset = ray.data.from_items([{"image": "a.png"}])
    for name, wrong in WRONG_ARGUMENTS:
        given = {"dataset": dataset, "endpoint": endpoint, name: wrong}
        with pytest.raises(SettingsError, match=f"^{name}: "):
            answer(given.pop("dataset"), given.pop("endpoint"), **given)
    for limits in (Limits(max_tokens_total=5), Limits(max_failures=1), Limits(max_wall=60)):
        with pytest.raises(SettingsError, match=r"^max_\w+: a data set has no budget"):
            answer(dataset, endpoint, limits=limits)


@pytest.mark.parametrize("array", [np.zeros((3, 30, 40), np.uint8), np.zeros((30, 40, 3), np.float32)])
def test_an_array_that_is_no_picture_is_described(array: np.ndarray[Any, Any]) -> None:
    from persqa_client.ray.dataset import read_pictures

    with pytest.raises(ValueError, match=f"3.* numbers of {array.dtype} is no picture; give height × width × 3"):
        read_pictures(array)
