"""Loads exports with ms-swift's loader, template and collator. usage: load_ms_swift.py EXPORTS CHECKPOINT

``load_dataset`` reads and checks the rows. The template decodes the pictures and makes the tensors. No model is made.
"""

# mypy: ignore-errors
# The project's environment does not have the package.

import os
import re
import sys
from functools import partial
from pathlib import Path

from exported import Exports, LoadedRow
from swift.dataset import load_dataset
from swift.model import get_processor
from swift.template import get_template
from swift.template.vision_utils import load_image

BATCH = 3


def load_rows(template, folder):
    # The folder of relative paths, which is read when a picture is opened.
    os.environ["ROOT_IMAGE_DIR"] = str(folder)
    rows, _ = load_dataset([str(folder / "train.jsonl")], strict=True, load_from_cache_file=False)
    loaded = [read_row(row) for row in rows]
    encoded = [template.encode(dict(row)) for row in rows]
    for start in range(0, len(encoded), BATCH):
        batch = template.data_collator(encoded[start : start + BATCH])
        count = sum(len(row.sizes) for row in loaded[start : start + BATCH])
        assert len(batch.get("image_grid_thw", [])) == count, (batch.keys(), count)
    return loaded


def read_row(row):
    asked, answered = row["messages"]
    images = [load_image(image["bytes"] or image["path"]) for image in row.get("images") or []]
    text, count = re.subn(r"<image>\s*", "", asked["content"])
    assert count == len(images)
    return LoadedRow([image.size for image in images], text, answered["content"])


if __name__ == "__main__":
    exports = Exports(Path(sys.argv[1]), "ms-swift", "transformers", "datasets")
    processor = get_processor(sys.argv[2], model_type="qwen2_5_vl")
    template = get_template(processor, template_type="qwen2_5_vl")
    template.set_mode("train")
    for name in ("swift", "swift-sent", "swift-embed"):
        exports.check(name, partial(load_rows, template), "load_dataset, template qwen2_5_vl, collator")
    sys.exit(exports.has_failed)
