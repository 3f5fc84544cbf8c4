"""Pictures that Python callers give as paths, bytes or PIL images."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import Endpoint, PersQAClient, Record, RowError, SettingsError, generate, stream
from persqa_client.inputs.memory_pictures import embed_pictures, hide_pictures, name_pictures
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import write_row
from persqa_client.simulator.server import Simulator
from persqa_client.types import BadRow, Row
from tests.support import user_script
from tests.support.commands import python

RED = Image.new("RGB", (40, 30), (200, 0, 0))


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def red(tmp_path: Path) -> Path:
    RED.save(tmp_path / "red.png")
    return tmp_path / "red.png"


def parse(row: object, number: int = 3) -> Row:
    parsed = hide_pictures(parse_line(number, write_row(row, number, "image"), image_key="image", output_key="pers_qa"))
    assert isinstance(parsed, Row)
    return parsed


def test_a_row_has_the_place_of_a_picture_in_its_line_and_the_content_beside_it() -> None:
    row = parse({"image": [encode(RED), "b.png", RED], "n": 1})
    assert json.loads(row.line) == {"image": ["row 3, picture 1", "b.png", "row 3, picture 3"], "n": 1}
    assert [image[:10] for image in row.images] == ["data:;plac", "b.png", "data:;plac"]
    assert parse(RED).line == b'{"image": "row 3, picture 1"}'


def test_equal_pictures_count_the_same_in_every_place() -> None:
    """So they get the same questions, whatever the number of their row."""
    first, second = parse(encode(RED), number=1), parse({"image": [encode(RED)]}, number=7)
    assert first.names == second.names
    assert first.names != parse(encode(Image.new("RGB", (40, 30)))).names


def test_rows_without_such_pictures_stay_as_they_are() -> None:
    for row in ("a.png", {"image": Path("a.png")}, {"picture": 1}, {"image": None}, 5):
        embedded = embed_pictures(row, 1, "image")
        assert embedded == row
    line = b'{"image": "data:image/png;base64,aaaa"}'
    parsed = parse_line(1, line, image_key="image", output_key="pers_qa")
    assert hide_pictures(parsed) is parsed


@pytest.mark.parametrize(
    "place",
    [
        "row%201%22%7D%0A%7B%22image%22%3A%22evil",
        "row%201%2C%20picture%201%22%2C%22pers_qa%22%3A%22mine",
        "row%201%2C%20picture%20%D9%A1",
        "evil",
    ],
)
def test_a_row_of_a_file_cannot_write_text_of_its_own_in_place_of_a_picture(place: str) -> None:
    for digest in ("00", "0" * 32):
        reference = f"data:;place={place};digest={digest};base64,{base64.b64encode(encode(RED)).decode()}"
        line = json.dumps({"image": reference}).encode()
        row = hide_pictures(parse_line(1, line, image_key="image", output_key="pers_qa"))
        assert isinstance(row, Row)
        named = name_pictures(row)
        assert isinstance(named, Row)
        assert (row.line, row.images, named.images) == (line, (reference,), (reference,))


def test_a_row_that_fails_has_no_content_in_it() -> None:
    line = write_row({"image": encode(RED), "tag": "a b"}, 2, "image")
    parsed = hide_pictures(parse_line(2, line, image_key="image", output_key="pers_qa"))
    assert isinstance(parsed, BadRow)
    assert json.loads(parsed.line) == {"image": "row 2, picture 1", "tag": "a b"}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F", "PA"])
def test_pil_images_of_every_mode_are_answered(mode: str, simulator: Simulator) -> None:
    summary = generate([Image.new(mode, (40, 30))], base_url=simulator.base_url, model="persqa-simulator")
    assert summary.tally.succeeded == 1, summary.failures


def test_a_pil_image_is_sent_upright(simulator: Simulator) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (400, 100), (0, 0, 200)).save(stream, "JPEG", exif=exif)
    with Image.open(io.BytesIO(stream.getvalue())) as image:
        rows: list[Any] = [{"image": image}, {"image": stream.getvalue()}]
        summary = generate(rows, base_url=simulator.base_url, model="persqa-simulator", details=True)
    sent = [row["pers_qa_meta"]["pictures"][0] for row in summary.records]
    assert [(picture["width"], picture["height"]) for picture in sent] == 2 * [(100, 400)]


def test_a_run_with_such_pictures_is_resumed_and_notices_other_content(simulator: Simulator, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"base_url": simulator.base_url, "model": "persqa-simulator", "questions": 2}
    rows: list[Any] = [RED, {"image": b"text"}, {"image": [encode(RED), RED]}]
    output = tmp_path / "qa.jsonl"
    summary = generate(rows, output, **settings)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (4, {"image_not_a_picture": 2})
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["image"] for line in lines[::2]] == ["row 1, picture 1", ["row 3, picture 1", "row 3, picture 2"]]
    failed = json.loads((tmp_path / "qa.failed.jsonl").read_text().splitlines()[0])
    assert failed["error"]["message"].startswith("Row 2, picture 1 is text")
    assert max(path.stat().st_size for path in tmp_path.glob("qa.*")) < 10_000
    assert generate([*rows, RED], output, **settings).tally.succeeded == 6
    with pytest.raises(SettingsError, match=r"has changed in its first .* choose another output"):
        generate([encode(RED, "JPEG"), *rows[1:], RED], output, **settings)


async def test_a_client_takes_them_and_gives_rows_back_without_content(simulator: Simulator, red: Path) -> None:
    endpoint = Endpoint(base_url=simulator.base_url, model="persqa-simulator")
    async with PersQAClient(endpoint) as client:
        record = await client.ask(RED, encode(RED), red, question="What colour is <mam>?")
        assert "in 3 dark pictures" in record.answer
        with pytest.raises(RowError, match="Picture 2 is text"):
            await client.ask(red, b"text")
        assert isinstance(await client.answer(encode(RED)), Record)
    rows = sorted([row async for row, _ in stream([RED, red, b"text"], endpoint)])  # type: ignore[type-var]
    assert [row.images for row in rows if isinstance(row, Row)] == [
        ("row 1, picture 1",), (str(red),), ("row 3, picture 1",)
    ]  # fmt: skip
    assert max(len(repr(row)) for row in rows) < 500


def test_a_pil_image_of_a_cut_file_fails_alone(simulator: Simulator) -> None:
    noise = encode(Image.effect_noise((100, 100), 100), "JPEG")
    with Image.open(io.BytesIO(noise[:3000])) as image:
        summary = generate([{"image": image, "id": 7}, RED], base_url=simulator.base_url, model="persqa-simulator")
    assert summary.tally.succeeded == 1
    failed = summary.failures[0]
    assert (failed["image"], failed["id"], failed["error"]["code"]) == ("row 1, picture 1", 7, "image_unreadable")
    assert "Row 1, picture 1 is unusable: the image can't be encoded (" in failed["error"]["message"]


def test_a_client_is_not_opened_by_a_plain_with() -> None:
    client = PersQAClient(Endpoint(base_url="http://a/v1", model="m"))
    with pytest.raises(TypeError, match="async with PersQAClient"), client:
        pass


@pytest.mark.slow
def test_a_user_script_runs(simulator: Simulator, red: Path, tmp_path: Path) -> None:
    result = python(Path(user_script.__file__).read_text(), simulator.base_url, red, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "4 {}"
    assert lines[2].startswith("<bo>")
    assert lines[3] == "image_not_a_picture"
    assert lines[6:] == ["1 True ['red.png']", "1 False ['red.png']", "1 {'accept': 1, 'reject': 1} True", "2"]
