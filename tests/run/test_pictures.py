"""A gallery of pictures, good and bad, through a whole run: what arrives at the other side, and what never leaves."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, run_simulator
from tests.images.file_parts import NEEDED, parts
from tests.images.picture_table import BUDGET, GOOD, Good
from tests.images.pictures import near, silent
from tests.images.unusable_files import BAD_FILES, BAD_PLACES

MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
CODES = {name: code for name, (_, code) in [*BAD_FILES.items(), *BAD_PLACES.items()]}


@dataclass(frozen=True)
class Shown:
    """A run over the gallery: its summary, the code of each row that failed, and what arrived, by its size."""

    summary: Summary
    answered: list[str]
    failed: dict[str, str]
    arrived: dict[tuple[int, int], tuple[str, bytes]]
    files: int


def hang(folder: Path) -> list[tuple[str, str]]:
    """Makes them all in a folder: the name of each, and what a row has for it; the bad ones among the good."""
    good, bad = [], []
    for number, (name, picture) in enumerate(GOOD.items()):
        (folder / f"{number}.{picture.ending}").write_bytes(picture.data)
        good.append((name, f"{number}.{picture.ending}"))
    for number, (name, (data, _)) in enumerate(BAD_FILES.items()):
        (folder / f"bad {number}.jpg").write_bytes(data)
        bad.append((name, f"bad {number}.jpg"))
    bad += [(name, make(folder)) for name, (make, _) in BAD_PLACES.items()]
    pairs = zip_longest(good, bad)
    return [row for pair in pairs for row in pair if row is not None]


def run_over(rows: Path, output: Path, kept: Path) -> Summary:
    """Without a look at what the server obeys, whose requests would be none of the rows'."""
    with run_simulator(SimSettings(latency=0, keep_pictures=kept)) as server:
        return generate(
            rows, output, base_url=server.base_url, model="persqa-simulator", max_pixels=BUDGET, probes=False
        )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("gallery")
    rows, output, kept = folder / "rows.jsonl", folder / "qa.jsonl", folder / "kept"
    rows.write_bytes(b"".join(orjson.dumps({"image": at, "name": name}) + b"\n" for name, at in hang(folder)))
    summary = run_over(rows, output, kept)
    answered = [orjson.loads(line)["name"] for line in output.read_bytes().splitlines()]
    failed = [orjson.loads(line) for line in (folder / "qa.failed.jsonl").read_bytes().splitlines()]
    files = [(path.suffix[1:], path.read_bytes()) for path in kept.iterdir()]
    arrived = {Image.open(io.BytesIO(data)).size: (ending, data) for ending, data in files}
    return Shown(summary, answered, {row["name"]: row["error"]["code"] for row in failed}, arrived, len(files))


def test_every_picture_ends_in_one_place(shown: Shown) -> None:
    assert shown.answered == list(GOOD)
    assert shown.failed == CODES
    assert shown.summary.tally.tasks == len(GOOD) + len(CODES)
    assert len(shown.arrived) == shown.files == len(GOOD)


@pytest.mark.parametrize("name", CODES)
def test_a_bad_picture_fails_with_its_code(name: str, shown: Shown) -> None:
    assert shown.failed[name] == CODES[name]


def arrival(good: Good, shown: Shown) -> tuple[str, bytes]:
    return shown.arrived[good.size or good.upright.size]


@pytest.mark.parametrize("name", GOOD)
def test_it_arrives_upright_and_in_its_own_colours(name: str, shown: Shown) -> None:
    good = GOOD[name]
    image = Image.open(io.BytesIO(arrival(good, shown)[1])).convert("RGB")
    scale = image.width / good.upright.width
    for x, y in good.points:
        got = image.getpixel((int(x * scale), int(y * scale)))
        red, green, blue = good.upright.convert("RGB").crop((x, y, x + 1, y + 1)).tobytes()
        assert near(got, (red, green, blue), good.tolerance), (x, y, got)


@pytest.mark.parametrize("name", GOOD)
def test_it_arrives_as_what_it_is_and_within_the_budget(name: str, shown: Shown) -> None:
    ending, data = arrival(GOOD[name], shown)
    image = Image.open(io.BytesIO(data))
    assert MEDIA_TYPES[ending] == GOOD[name].media_type == f"image/{str(image.format).lower()}"
    assert image.width * image.height <= BUDGET
    assert image.mode in ("L", "RGB")
    assert getattr(image, "n_frames", 1) == 1


@pytest.mark.parametrize("name", GOOD)
def test_nothing_but_the_picture_arrives(name: str, shown: Shown) -> None:
    _, data = arrival(GOOD[name], shown)
    format = str(Image.open(io.BytesIO(data)).format)
    assert silent(data)
    assert {part for part, _ in parts(data, format)} <= NEEDED[format]


@pytest.mark.parametrize("name", [name for name, good in GOOD.items() if good.own])
def test_what_may_pass_is_not_encoded_again(name: str, shown: Shown) -> None:
    """Every part that arrives stood in the file, byte for byte, and in this order."""
    good, (_, data) = GOOD[name], arrival(GOOD[name], shown)
    at = 0
    for part, content in parts(data, good.media_type.removeprefix("image/").upper()):
        if part != "JFIF":
            at = good.data.index(content, at)
    before, after = Image.open(io.BytesIO(good.data)), Image.open(io.BytesIO(data))
    assert (before.mode, before.tobytes()) == (after.mode, after.tobytes())


def test_the_gallery_has_secrets_to_lose() -> None:
    """Or there would be nothing in the silence of what arrives."""
    telling = [name for name, good in GOOD.items() if not silent(good.data)]
    assert len(telling) > len(GOOD) / 2
    assert all(name in telling for name in GOOD if " with EXIF" in name)
