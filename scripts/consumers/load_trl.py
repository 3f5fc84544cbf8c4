"""Loads exports with TRL's collator of pictures and text. usage: load_trl.py EXPORTS CHECKPOINT

Its trainer gives batches of rows of ``datasets`` to the collator, which places the pictures, renders the chat template
and makes the tensors. No model is made.
"""

# mypy: ignore-errors
# The project's environment does not have the package.

import os
import sys
from functools import partial
from pathlib import Path

from datasets import Image, Sequence, load_dataset
from exported import Exports, LoadedRow
from transformers import AutoProcessor
from trl.data_utils import is_conversational, prepare_multimodal_messages
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

# Number of rows in a batch.
BATCH = 3


def load_lines(collator, folder):
    # Relative paths start at the working directory.
    os.chdir(folder)
    rows = load_dataset("json", data_files="train.jsonl", split="train").cast_column("images", Sequence(Image()))
    return collate_rows(collator, rows)


def load_parquet(collator, folder):
    return collate_rows(collator, load_dataset(str(folder), split="train"))


def collate_rows(collator, rows):
    assert is_conversational(rows[0])
    loaded = [read_row(row) for row in rows]
    for start in range(0, len(rows), BATCH):
        chosen = rows.select(range(start, min(start + BATCH, len(rows))))
        batch = collator([{"images": row["images"], "messages": row["messages"]} for row in chosen])
        sizes = [size for row in loaded[start : start + BATCH] for size in row.sizes]
        assert len(batch.get("image_grid_thw", [])) == len(sizes), (batch.keys(), sizes)
        assert batch["input_ids"].shape == batch["labels"].shape
    return loaded


def read_row(row):
    asked, answered = prepare_multimodal_messages(row["messages"], images=row["images"])
    sizes = [block["image"].size for block in asked["content"] if block["type"] == "image"]
    texts = [
        "".join(block["text"] for block in turn["content"] if block["type"] == "text") for turn in (asked, answered)
    ]
    return LoadedRow(sizes, *texts)


if __name__ == "__main__":
    exports = Exports(Path(sys.argv[1]), "trl", "transformers", "datasets")
    collator = DataCollatorForVisionLanguageModeling(AutoProcessor.from_pretrained(sys.argv[2]))
    how = "load_dataset, DataCollatorForVisionLanguageModeling"
    exports.check("trl", partial(load_lines, collator), how)
    exports.check("trl-sent", partial(load_lines, collator), how)
    exports.check("parquet", partial(load_parquet, collator), how)
    sys.exit(exports.has_failed)
