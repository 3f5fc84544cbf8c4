"""Checks exports against the types of the package ``openai``. usage: load_openai.py EXPORTS

The service itself is not asked. The types are those of chat messages, which the rows of fine-tuning have.
"""

# mypy: ignore-errors
# It runs like the scripts beside it.

import base64
import io
import json
import sys
from pathlib import Path

from exported import Exports, LoadedRow
from openai.types.chat import ChatCompletionMessageParam
from PIL import Image
from pydantic import TypeAdapter

MESSAGES = TypeAdapter(list[ChatCompletionMessageParam])


def load_rows(folder):
    return [read_row(json.loads(line)) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def read_row(row):
    assert set(row) == {"messages"}
    MESSAGES.validate_python(row["messages"])
    asked, answered = row["messages"]
    sizes, texts = [], []
    for block in asked["content"]:
        if block["type"] == "image_url":
            data = base64.b64decode(block["image_url"]["url"].partition(";base64,")[2], validate=True)
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                assert block["image_url"]["url"].startswith(f"data:{Image.MIME[image.format]};")
                sizes.append(image.size)
        else:
            texts.append(block["text"])
    return LoadedRow(sizes, "".join(texts), answered["content"])


if __name__ == "__main__":
    exports = Exports(Path(sys.argv[1]), "openai")
    exports.check("openai", load_rows, "types of chat messages")
    sys.exit(exports.has_failed)
