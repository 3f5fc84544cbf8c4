"""Makes the input of the goldens: 200 rows and ten small pictures. Only used when the goldens are recorded anew."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image

ROWS = 200
CATEGORIES = ("human", "animal", "object", "scene", "group", "Person", "pets", "场景")
OWN_QUESTIONS = (
    "What is <mam> wearing?",
    "Where is <mam>, and what is next to <mam>?",
    "<mam>穿着什么？",
    "图中的<mam>在做什么？",
    "Does Charlie stand beside <mam>?",
)
PICTURES = ("a.png", "b.png", "c.jpg", "d.jpg", "e.webp", "f.png", "sub/g.png", "图片.png", "with space.jpg", "gps.jpg")

BAD_LINES = (
    '{"image": ["missing.png"]}',
    '{"image": "missing.png", "id": 7, "note": "zwölf"}',
    '{"image": ["a.png"], "tag": "image"}',
    '{"image": ["a.png"], "category": "vehicle"}',
    '{"image": ["a.png"], "language": "klingon"}',
    '{"image": []}',
    '{"picture": "a.png"}',
    '{"image": 3}',
    '{"image": ["a.png"], "question": 5}',
    '{"image": ["a.png"], "pers_qa": "taken"}',
    '{"image": ["a.png"',
    "[1, 2]",
    '{"image": ["http://example.com/a.png"]}',
    '{"image": ["data:image/png;base64,!!!"]}',
    '{"image": ["empty.png"]}',
    '{"image": ["text.png"]}',
    '{"image": ["sub"]}',
)


def write_pictures(folder: Path) -> None:
    """Pictures that are sent as their own bytes, so that no golden depends on an encoder's version."""
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(PICTURES):
        colour = (number * 25, 255 - number * 20, number * 67 % 256)
        picture = Image.new("RGB", (32 + number * 4, 48 - number), colour)
        exif = Image.Exif()
        if name == "gps.jpg":
            exif[0x010F] = "Maker"
            exif.get_ifd(0x8825)[1] = "N"
        picture.save(folder / name, exif=exif) if name == "gps.jpg" else picture.save(folder / name)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no picture")


def make_rows(folder: Path) -> list[str]:
    """The lines, with the pictures' names relative to their folder. The bad lines are spread over the good ones."""
    rng = random.Random(12)
    inline = base64.b64encode((folder / "a.png").read_bytes()).decode()
    lines: list[str] = []
    for number in range(ROWS - len(BAD_LINES)):
        row: dict[str, Any] = {"image": [rng.choice(PICTURES)]}
        if number % 7 == 1:
            row["image"] = row["image"][0]
        if number % 9 == 2:
            row["image"] = rng.sample(PICTURES, 2)
        if number % 40 == 5:
            row["image"] = f"data:image/png;base64,{inline}"
        if number % 3 != 0:
            row["id"] = f"row-{number}" if number % 2 else number
        if number % 4 == 1:
            row["category"] = rng.choice(CATEGORIES)
        if number % 5 in (1, 2):
            row["language"] = rng.choice(("en", "zh", "zh-CN", "中文", "English"))
        if number % 6 == 3:
            row["question"] = OWN_QUESTIONS[number // 6 % len(OWN_QUESTIONS)]
        if number % 8 == 4:
            row["tag"] = rng.choice(("bo", "<lulu-2>", "xiao_mei"))
            if "question" in row:
                row["question"] = row["question"].replace("<mam>", f"<{row['tag'].strip('<>')}>")
        if number % 11 == 6:
            row |= {"note": "naïve “quotes” \\ /", "nested": {"list": [1, 2.5, None, True]}}
        lines.append(json.dumps(row, ensure_ascii=number % 2 == 0))
    lines[17] = json.dumps("a.png")
    lines[18] = json.dumps("图片.png", ensure_ascii=False)
    lines[19] = '{"image":["a.png"],"id":"a","conversation":[{"from":"human","value":""}]}'
    for number, line in enumerate(BAD_LINES):
        lines.insert(11 * (number + 1), line)
    return lines
