"""Runs with an image of the main character that is sent before those of each row."""

from __future__ import annotations

import io
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import PersQAClient, Recipe, SettingsError, generate
from persqa_client.config import Endpoint
from persqa_client.questions.bank import Bank
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.pipeline import Pipeline
from persqa_client.run.recheck import recheck_run
from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.types import Row, TaskId
from tests.run.chat_servers import Call
from tests.run.test_subjects import BLUE, GREEN, RED, ask, read_rows, write_rows
from tests.support.commands import persqa
from tests.support.fakes import FakeCompleter, load_nothing

MODEL = "persqa-simulator"
SENTENCE = "The first picture only shows who <mam> is; the question is not about it, so do not mention it."
COLOURS = {RED: "red", GREEN: "green", BLUE: "blue"}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for colour, name in COLOURS.items():
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{name}.png")
    return tmp_path


def colours_of(call: Call) -> list[str]:
    pixels = [Image.open(io.BytesIO(image)).convert("RGB").getpixel((0, 0)) for image in call.images]
    return [COLOURS[pixel] for pixel in pixels]  # type: ignore[index]


async def test_the_reference_is_sent_first_and_a_row_has_its_own(pictures: Path) -> None:
    plain = {"image": ["green.png", "green.png"], "question": "Who is <mam>?"}
    own = {"image": "green.png", "who": "blue.png", "question": "<mam>是谁？"}
    rows = write_rows(pictures / "in.jsonl", plain, own)
    flags = {"reference": pictures / "red.png", "reference_key": "who", "verify": "all"}
    summary, calls = await ask(rows, **flags)
    assert summary.tally.succeeded == 2
    sent = [["red", "green", "green"]] * 2 + [[]] + [["blue", "green"]] * 2 + [[]]
    assert sorted(colours_of(call) for call in calls) == sorted(sent)
    texts = {"问题：" in call.text: call.text for call in calls}
    assert SENTENCE in texts[False]
    assert "第一张图只用来说明<mam>是谁" in texts[True]
    assert (
        sum("第一张图" in call.text for call in calls) == sum("The first picture" in call.text for call in calls) == 3
    )
    details = read_rows(pictures / "qa.details.jsonl")
    assert [len(line["pictures"]) for line in details] == [3, 2]
    assert not recheck_run(pictures / "qa.jsonl").changes


async def test_another_reference_is_another_run(pictures: Path) -> None:
    rows = write_rows(pictures / "in.jsonl", {"image": "green.png"})
    await ask(rows, reference=pictures / "red.png")
    identity = json.loads((pictures / "qa.run.json").read_text())["identity"]
    assert identity["reference"].startswith("a file with the digest ")
    (pictures / "red.png").rename(pictures / "moved.png")
    assert (await ask(rows, reference=pictures / "moved.png"))[0].state == "already"
    with pytest.raises(SettingsError):
        await ask(rows, reference=pictures / "blue.png")
    with pytest.raises(SettingsError):
        await ask(rows)


async def test_a_rows_reference_that_changed_is_asked_about_again(pictures: Path) -> None:
    rows = write_rows(pictures / "in.jsonl", {"image": "green.png", "who": "red.png"}, {"image": "green.png"})
    await ask(rows, reference_key="who")
    os.replace(pictures / "blue.png", pictures / "red.png")
    _, calls = await ask(rows, reference_key="who", recheck_pictures=True)
    assert [colours_of(call) for call in calls] == [["blue", "green"]]


async def test_the_path_of_a_rows_reference_is_written_like_that_of_its_image(pictures: Path) -> None:
    rows = write_rows(
        pictures / "in.jsonl", {"image": ["green.png"], "who": "red.png"}, {"image": "none.png", "who": ""}
    )
    (pictures / "out").mkdir()
    output = pictures / "out" / "qa.jsonl"
    await ask(rows, reference_key="who", paths="relative", output=output)
    (answered,) = read_rows(output)
    assert (answered["image"], answered["who"]) == (["../green.png"], "../red.png")
    summary, calls = await ask(
        output.with_suffix(".failed.jsonl"), reference_key="who", output=output.parent / "2.jsonl"
    )
    assert (summary.tally.failed, calls) == ({"image_missing": 1}, [])


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("none.png", "image_missing", "none.png does not exist"),
        (["red.png"], "bad_image_field", "the field 'who' must be the path of one image"),
    ],
)
async def test_an_unusable_reference_fails_its_row(pictures: Path, value: object, code: str, words: str) -> None:
    rows = write_rows(pictures / "in.jsonl", {"image": "green.png", "who": value}, {"image": "green.png"})
    summary, _ = await ask(rows, reference_key="who")
    assert summary.tally.failed == {code: 1}
    assert words in read_rows(pictures / "qa.failed.jsonl")[0]["error"]["message"]


@pytest.mark.parametrize("name", ["none.png", "in.jsonl"])
def test_an_unusable_reference_of_the_run_is_refused(pictures: Path, name: str) -> None:
    rows = write_rows(pictures / "in.jsonl", {"image": "green.png"})
    with pytest.raises(SettingsError, match=f"^reference: .*{name} "):
        generate(rows, pictures / "qa.jsonl", base_url="http://127.0.0.1:9/v1", model=MODEL, reference=pictures / name)


def count_bytes(rows: Path, **flags: Any) -> int:
    """Bytes that the server received, with the probes."""
    with run_simulator(SimSettings(latency=0.01)) as server:
        generate(rows, rows.parent / "qa.jsonl", base_url=server.base_url, model=MODEL, fresh=True, **flags)
        return int(server.stats()["bytes_in"])


async def test_the_shared_reference_counts_once_in_memory() -> None:
    row = Row(1, b"{}", ("a.jpg",), question="Who is <mam>?", reference="who.jpg")
    weights: list[int] = []
    for shared in (None, "who.jpg"):
        completer = FakeCompleter(["<mam> reads a book."])
        asks = TaskMaker("<mam>", 0, Bank.build("human"), ())
        await Pipeline(completer, load_nothing, asks, shared_reference=shared).answer(row, TaskId(1), weights.append)
        assert [picture.data for picture in completer.requests[0].pictures] == [b"who.jpg", b"a.jpg"]
    assert weights == [len("{}who.jpga.jpg"), len("{}a.jpg")]


@pytest.mark.slow
def test_the_reference_is_uploaded_once(pictures: Path) -> None:
    noise = Image.frombytes("RGB", (400, 400), random.Random(1).randbytes(400 * 400 * 3))
    noise.save(pictures / "noise.png")
    size = (pictures / "noise.png").stat().st_size * 4 / 3
    rows = write_rows(pictures / "in.jsonl", *({"image": "green.png", "id": number} for number in range(24)))
    without = count_bytes(rows)
    assert size < count_bytes(rows, reference=pictures / "noise.png") - without < 1.2 * size
    assert count_bytes(rows, reference=pictures / "noise.png", uuid=False) - without > 23 * size


@pytest.mark.slow
async def test_the_client_of_single_questions_uploads_it_once(pictures: Path) -> None:
    with run_simulator(SimSettings(latency=0.01)) as server:
        endpoint = Endpoint(base_url=server.base_url, model=MODEL)
        recipe = Recipe(reference=pictures / "red.png")
        async with PersQAClient(endpoint, recipe=recipe) as client:
            for _ in range(3):
                record = await client.ask(pictures / "green.png", question="What is <mam> doing?")
                assert len(record.pictures) == 2
            # The image of the row has a uuid from its second question on.
            uploads = client._composition.pool.sessions[0].profile.uploads
            assert (uploads.images_sent, uploads.uuids_sent) == (2, 3)


def test_the_command_shows_it(pictures: Path) -> None:
    shown = persqa("prompt", "show", "--reference", "red.png", "--strategy", "surrogate", cwd=pictures)
    assert "The first picture only shows who Charlie is;" in shown.stdout
    assert "第一张图只用来说明小满是谁" in shown.stdout
    write_rows(pictures / "in.jsonl", {"image": "green.png"})
    url = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    dry = persqa("run", "in.jsonl", "--reference", "red.png", "--dry-run", *url, cwd=pictures)
    assert (dry.returncode, dry.stdout.count("… (64x64, "), dry.stdout.count(SENTENCE)) == (0, 2, 1)
    with run_simulator(SimSettings(latency=0)) as server:
        own = ("--base-url", server.base_url, "--model", MODEL, "--no-probes")
        preview = persqa("run", "in.jsonl", "--reference", "red.png", "--preview", "1", *own, cwd=pictures)
    lines = preview.stdout.splitlines()
    assert lines[1].startswith("reference ")
    assert "red.png  (64 x 64," in lines[1]
    assert lines[2].startswith("picture   green.png  (64 x 64,")
