"""Runs whose rows have a box around the main character."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import SettingsError, generate
from persqa_client.run.recheck import recheck_run
from persqa_client.simulator.server import SimSettings, run_simulator
from tests.run.chat_servers import Call, Json
from tests.run.test_subjects import ask, read_rows, write_rows
from tests.support.commands import persqa

SENTENCE = "<mam> is in the red box. The box is only drawn to show that, so do not mention it."
QUESTION = {"question": "What is <mam> doing?"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture whose right half is blue, which a camera has stored upside down."""
    image = Image.new("RGB", (200, 100), (120, 120, 120))
    image.paste((0, 0, 200), (0, 0, 100, 100))
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(tmp_path / "a.jpg", exif=exif)
    return tmp_path


def pictures_of(call: Call) -> list[Image.Image]:
    return [Image.open(io.BytesIO(image)).convert("RGB") for image in call.images]


def is_red(image: Image.Image, place: tuple[int, int]) -> bool:
    red, green, blue = image.getpixel(place)  # type: ignore[misc]
    return red > 180 and green < 70 and blue < 70


async def test_the_box_is_drawn_and_named(folder: Path) -> None:
    box, whole = {"image": "a.jpg", "box": [120, 20, 180, 80]}, {"image": "a.jpg", "box": None}
    rows = write_rows(folder / "in.jsonl", {**box, **QUESTION}, {**whole, **QUESTION}, {"image": "a.jpg", **QUESTION})
    summary, calls = await ask(rows, box="drawn", verify="all")
    assert summary.tally.failed == {"box_invalid": 1}
    (failed,) = read_rows(folder / "qa.failed.jsonl")
    assert failed["error"]["message"] == (
        "Line 3: the row has no field 'box' (see --box-key); null stands for the whole image."
    )
    marked = [call for call in calls if SENTENCE in call.text]
    assert (len(marked), len(calls)) == (3, 6)
    sizes = [[picture.size for picture in pictures_of(call)] for call in calls]
    assert sorted(sizes) == [[], [], *4 * [[(200, 100)]]]
    drawn = {SENTENCE in call.text: is_red(picture, (117, 50)) for call in calls for picture in pictures_of(call)}
    assert drawn == {True: True, False: False}
    assert read_rows(folder / "qa.jsonl")[0] == {
        **box,
        **QUESTION,
        "pers_qa": "Question: What is <mam> doing?, Answer: <mam> stands beside a wooden door.",
    }
    assert not recheck_run(folder / "qa.jsonl").changes
    identity = json.loads((folder / "qa.run.json").read_text())["identity"]
    assert identity["box"] == "drawn"
    assert not {"box-key", "box-format"} & identity.keys()
    with pytest.raises(SettingsError):
        await ask(rows, box="cropped", verify="all")


async def test_the_picture_is_cut_to_the_box_of_each_image(folder: Path) -> None:
    boxes = [[0.0, 0.0, 0.5, 1.0], None, [0.5, 0, 1, 1]]
    rows = write_rows(folder / "in.jsonl", {"image": 3 * ["a.jpg"], "where": boxes, **QUESTION})
    _, [call] = await ask(rows, box="cropped", box_key="where", box_format="normalized", questions=2)
    first, second, third = pictures_of(call)
    assert (first.size, second.size, third.size) == ((110, 100), (200, 100), (110, 100))
    assert first.getpixel((50, 50)) == pytest.approx((120, 120, 120), abs=9)
    assert third.getpixel((60, 50)) == pytest.approx((0, 0, 200), abs=9)
    assert "red box" not in call.text


@pytest.mark.parametrize("value", [[120, 20, 300, 80], [1, 2], [50, 50, 10, 10], "here", [[1, 2, 3, 4]] * 2])
async def test_an_unusable_box_fails_its_row_in_one_sentence(folder: Path, value: object) -> None:
    lines: list[Json] = [{"image": "a.jpg", "box": value}, {"image": "a.jpg", "box": [10, 10, 50, 50]}]
    summary, _ = await ask(write_rows(folder / "in.jsonl", *lines), box="drawn")
    assert (summary.tally.succeeded, summary.tally.failed) == (1, {"box_invalid": 1})
    message = read_rows(folder / "qa.failed.jsonl")[0]["error"]["message"]
    assert message.startswith(("Line 1: the field 'box' ", "Line 1: a.jpg has 200 x 100 pixels, and its box "))
    assert message.endswith(".")


async def test_boxes_of_a_table_are_texts(folder: Path) -> None:
    (folder / "in.csv").write_text('image,box\na.jpg,"[10, 10, 30, 30]"\na.jpg,\n')
    summary, calls = await ask(folder / "in.csv", box="drawn", box_format="xywh")
    assert summary.tally.succeeded == 2
    assert sorted(SENTENCE in call.text for call in calls) == [False, True]


def test_persons_of_one_picture_are_uploaded_with_their_own_boxes(folder: Path) -> None:
    boxes = [[10, 10, 50, 90], [110, 10, 190, 90]]
    rows = write_rows(folder / "in.jsonl", *({"image": "a.jpg", "box": box} for box in boxes * 3))
    with run_simulator(SimSettings(latency=0.01)) as server:
        flags: Json = {"questions": 2, "box": "drawn", "concurrency": 1}
        summary = generate(rows, folder / "qa.jsonl", base_url=server.base_url, model="persqa-simulator", **flags)
    assert summary.tally.succeeded == 12
    details = read_rows(folder / "qa.details.jsonl")
    assert len({line["pictures"][0]["digest"] for line in details}) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"box_format": "xywh"}, "box_format says how the box of a row is read; say with box"),
        ({"box_key": "bbox"}, "box_key says how the box of a row is read"),
        ({"box": "drawn", "box_key": "image"}, "box_key image is a field for image_key"),
        ({"box": "drawn", "output_key": "box"}, "output_key box is a field"),
        ({"box": "circled"}, "box: must be 'drawn' or 'cropped'"),
    ],
)
def test_settings_of_boxes_that_do_not_fit_are_refused(folder: Path, flags: Any, message: str) -> None:
    rows = write_rows(folder / "in.jsonl", {"image": "a.jpg"})
    with pytest.raises(SettingsError, match=message):
        generate(rows, folder / "qa.jsonl", base_url="http://127.0.0.1:9/v1", model="m", **flags)


def test_the_command_shows_what_is_sent(folder: Path) -> None:
    shown = persqa("prompt", "show", "--box", "drawn", "--strategy", "direct", cwd=folder)
    assert SENTENCE in shown.stdout
    assert "<mam>在红框里。红框只是标记，不要提到它。" in shown.stdout
    write_rows(folder / "in.jsonl", {"image": "a.jpg", "box": [0, 0, 100, 100]})
    url = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    dry = persqa("run", "in.jsonl", "--box", "cropped", "--dry-run", *url, cwd=folder)
    assert (dry.returncode, "… (110x100, " in dry.stdout) == (0, True)
