"""A run over valid and invalid image files: what arrives at the server, and what fails with which code."""

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
from tests.images.file_parts import IMAGE_PARTS, list_parts
from tests.images.image_files import has_no_metadata, is_near
from tests.images.invalid_files import INVALID_FILES, INVALID_PATHS
from tests.images.valid_files import MAX_PIXELS, VALID_FILES, ValidFile
from tests.support.cases import each_case

MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
CODES = {name: code for name, (_, code) in [*INVALID_FILES.items(), *INVALID_PATHS.items()]}


@dataclass(frozen=True)
class FinishedRun:
    summary: Summary
    answered: list[str]  # names of the rows in the output
    failed: dict[str, str]  # code by name of the row
    arrived: dict[tuple[int, int], tuple[str, bytes]]  # suffix and content of the images that arrived, by size
    arrived_count: int

    def arrival_of(self, file: ValidFile) -> tuple[str, bytes]:
        return self.arrived[file.size or file.upright.size]


def write_files(folder: Path) -> list[tuple[str, str]]:
    """Name and image reference of each row, valid and invalid ones in turn."""
    valid, invalid = [], []
    for number, (name, file) in enumerate(VALID_FILES.items()):
        (folder / f"{number}.{file.suffix}").write_bytes(file.data)
        valid.append((name, f"{number}.{file.suffix}"))
    for number, (name, (data, _)) in enumerate(INVALID_FILES.items()):
        (folder / f"invalid {number}.jpg").write_bytes(data)
        invalid.append((name, f"invalid {number}.jpg"))
    invalid += [(name, make(folder)) for name, (make, _) in INVALID_PATHS.items()]
    pairs = zip_longest(valid, invalid)
    return [row for pair in pairs for row in pair if row is not None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("images")
    rows, output, kept = folder / "rows.jsonl", folder / "qa.jsonl", folder / "kept"
    lines = [orjson.dumps({"image": reference, "name": name}) + b"\n" for name, reference in write_files(folder)]
    rows.write_bytes(b"".join(lines))
    with run_simulator(SimSettings(latency=0, keep_pictures=kept)) as server:
        # Without probes, whose images would be kept, too.
        summary = generate(
            rows, output, base_url=server.base_url, model="persqa-simulator", max_pixels=MAX_PIXELS, probes=False
        )
    answered = [orjson.loads(line)["name"] for line in output.read_bytes().splitlines()]
    failed = [orjson.loads(line) for line in (folder / "qa.failed.jsonl").read_bytes().splitlines()]
    files = [(path.suffix[1:], path.read_bytes()) for path in kept.iterdir()]
    arrived = {Image.open(io.BytesIO(data)).size: (suffix, data) for suffix, data in files}
    return FinishedRun(summary, answered, {row["name"]: row["error"]["code"] for row in failed}, arrived, len(files))


def test_every_row_is_answered_or_fails(run: FinishedRun) -> None:
    assert run.answered == list(VALID_FILES)
    assert run.failed == CODES
    assert run.summary.tally.tasks == len(VALID_FILES) + len(CODES)
    assert len(run.arrived) == run.arrived_count == len(VALID_FILES)


@each_case("name", CODES)
def test_an_invalid_image_fails_with_its_code(name: str, run: FinishedRun) -> None:
    assert run.failed[name] == CODES[name]


@each_case("name", VALID_FILES)
def test_it_arrives_upright_and_in_its_colours(name: str, run: FinishedRun) -> None:
    file = VALID_FILES[name]
    image = Image.open(io.BytesIO(run.arrival_of(file)[1])).convert("RGB")
    scale = image.width / file.upright.width
    for x, y in file.points:
        colour = image.getpixel((int(x * scale), int(y * scale)))
        red, green, blue = file.upright.convert("RGB").crop((x, y, x + 1, y + 1)).tobytes()
        assert is_near(colour, (red, green, blue), file.tolerance), (x, y, colour)


@each_case("name", VALID_FILES)
def test_it_arrives_with_its_media_type_and_within_the_pixel_limit(name: str, run: FinishedRun) -> None:
    suffix, data = run.arrival_of(VALID_FILES[name])
    image = Image.open(io.BytesIO(data))
    assert MEDIA_TYPES[suffix] == VALID_FILES[name].media_type == f"image/{str(image.format).lower()}"
    assert image.width * image.height <= MAX_PIXELS
    assert image.mode in ("L", "RGB")
    assert getattr(image, "n_frames", 1) == 1


@each_case("name", VALID_FILES)
def test_it_arrives_without_metadata(name: str, run: FinishedRun) -> None:
    _, data = run.arrival_of(VALID_FILES[name])
    format = str(Image.open(io.BytesIO(data)).format)
    assert has_no_metadata(data)
    assert {part for part, _ in list_parts(data, format)} <= IMAGE_PARTS[format]


@each_case("name", [name for name, file in VALID_FILES.items() if file.as_is])
def test_an_image_sent_as_it_is_is_not_encoded_again(name: str, run: FinishedRun) -> None:
    """Every part that arrives is in the file, byte for byte and in this order."""
    file, (_, data) = VALID_FILES[name], run.arrival_of(VALID_FILES[name])
    position = 0
    for part, content in list_parts(data, file.media_type.removeprefix("image/").upper()):
        if part != "JFIF":
            position = file.data.index(content, position)
    before, after = Image.open(io.BytesIO(file.data)), Image.open(io.BytesIO(data))
    assert (before.mode, before.tobytes()) == (after.mode, after.tobytes())


def test_most_of_the_files_have_metadata() -> None:
    """Otherwise the test above would prove nothing."""
    with_metadata = [name for name, file in VALID_FILES.items() if not has_no_metadata(file.data)]
    assert len(with_metadata) > len(VALID_FILES) / 2
    assert all(name in with_metadata for name in VALID_FILES if " with EXIF" in name)
