"""Loads exports with Axolotl's loader and its collator of pictures and text. usage: load_axolotl.py EXPORTS CHECKPOINT

With the settings that its page about pictures names: ``skip_prepare_dataset``, so that the collator gets the rows as
``datasets`` read them. No model is made.
"""

# mypy: ignore-errors
# The project's environment does not have the package.

import base64
import io
import os
import sys
from functools import partial
from pathlib import Path

from axolotl.processing_strategies import get_processing_strategy
from axolotl.utils.collators.mm_chat import MultiModalChatDataCollator
from axolotl.utils.data.sft import prepare_datasets
from axolotl.utils.dict import DictDefault
from exported import Exports, LoadedRow
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor

BATCH = 3


def load_rows(processor, folder):
    # Relative paths start at the working directory.
    os.chdir(folder)
    settings = DictDefault(
        {
            "datasets": [{"path": "train.jsonl", "ds_type": "json", "type": "chat_template", "split": "train"}],
            "skip_prepare_dataset": True,
            "remove_unused_columns": False,
            "sample_packing": False,
            "dataset_prepared_path": str(folder.with_name(f"{folder.name}-prepared")),
            "sequence_len": 8192,
            "num_epochs": 1,
            "micro_batch_size": BATCH,
            "batch_size": BATCH,
            "gradient_accumulation_steps": 1,
            "max_steps": 1,
            "seed": 0,
            "shuffle_merged_datasets": False,
            "val_set_size": 0,
            "dataset_processes": 1,
        }
    )
    rows, _, _, _ = prepare_datasets(settings, processor.tokenizer, processor)
    strategy = get_processing_strategy(processor, processor.chat_template, "qwen2_vl")
    collator = MultiModalChatDataCollator(processor.tokenizer, strategy)
    loaded = [read_row(row) for row in strategy([dict(row) for row in rows])]
    for start in range(0, len(rows), BATCH):
        batch = collator([rows[number] for number in range(start, min(start + BATCH, len(rows)))])
        count = sum(len(row.sizes) for row in loaded[start : start + BATCH])
        assert len(batch.get("image_grid_thw", [])) == count, (batch.keys(), count)
    return loaded


def read_row(row):
    asked, answered = row["messages"]
    sizes = [open_picture(block).size for block in asked["content"] if block["type"] == "image"]
    texts = [
        "".join(block["text"] for block in turn["content"] if block["type"] == "text") for turn in (asked, answered)
    ]
    return LoadedRow(sizes, *texts)


def open_picture(block):
    data = base64.b64decode(block["base64"], validate=True) if "base64" in block else Path(block["path"]).read_bytes()
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


if __name__ == "__main__":
    exports = Exports(Path(sys.argv[1]), "axolotl", "transformers", "datasets")
    processor = AutoProcessor.from_pretrained(sys.argv[2])
    # Pictures are opened by the image processor. torchvision needs compiled operators for it, which don't load here.
    processor.image_processor = AutoImageProcessor.from_pretrained(sys.argv[2], backend="pil")
    for name in ("axolotl", "axolotl-sent", "axolotl-embed"):
        exports.check(name, partial(load_rows, processor), "prepare_datasets, MultiModalChatDataCollator")
    sys.exit(exports.has_failed)
