"""Pictures that are exported as they were sent: cut to the box of the row, with the box drawn, or reduced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.formats.export import ExportSettings, export_runs
from persqa_client.images.prepare import load_image
from persqa_client.types import BoxMark
from tests.formats.examples import draw_picture, read_rows, write_run

BOX = [10, 20, 110, 80]


def export_sent(tmp_path: Path, rows: list[dict[str, Any]], layout: str = "swift", **settings: Any) -> list[Path]:
    """The files that the rows name."""
    key = "image" if layout == "jsonl" else "images"
    names = [name for row in rows for name in row["image"]]
    for name in names:
        draw_picture(tmp_path / "run" / name, 1, (200, 150))
    output = write_run(tmp_path / "run", rows, settings=settings)
    export_runs([output], ExportSettings(layout, tmp_path / "data", sent=True))
    return [tmp_path / "data" / name for row in read_rows(tmp_path / "data" / "train.jsonl") for name in row[key]]


@pytest.mark.parametrize("mode", ["cropped", "drawn"])
def test_the_box_of_each_picture_is_as_in_the_request(mode: Any, tmp_path: Path) -> None:
    rows = [{"image": ["1.png", "2.png"], "box": [None, BOX]}, {"image": ["1.png"], "box": BOX}]
    plain, *marked = export_sent(tmp_path, rows, box=mode)
    mark = BoxMark(10.0, 20.0, 110.0, 80.0, False, mode)
    sent = load_image(str(tmp_path / "run" / "1.png"), (), max_pixels=10**6, mark=mark).data
    assert [path.read_bytes() for path in marked] == [sent, sent]
    with Image.open(plain) as image:
        assert image.size == (200, 150)
    assert plain.read_bytes() != sent


def test_the_field_and_the_form_of_the_boxes_are_those_of_the_run(tmp_path: Path) -> None:
    rows = [{"image": ["1.png"], "face": [0.25, 0, 0.75, 1]}]
    settings: dict[str, Any] = {"box": "cropped", "box-key": "face", "box-format": "normalized", "max-pixels": 28 * 28}
    (path,) = export_sent(tmp_path, rows, **settings)
    with Image.open(path) as image:
        # A margin of a tenth is around the box.
        assert (image.width, image.height) == (32, 40)


def test_a_line_with_a_sent_picture_has_no_box_any_more(tmp_path: Path) -> None:
    export_sent(tmp_path, [{"image": ["1.png"], "box": BOX, "note": "mine"}], layout="jsonl", box="cropped")
    (row,) = read_rows(tmp_path / "data" / "train.jsonl")
    assert (row["box"], row["note"]) == (None, "mine")
