"""Loads exports with Hugging Face's ``datasets``. usage: load_datasets.py EXPORTS"""

# mypy: ignore-errors
# The project's environment does not have the package.

import json
import os
import sys
from pathlib import Path

from datasets import Image, List, load_dataset
from exported import Exports, LoadedRow


def read_blocks(message):
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


def read_block_row(row):
    """A row of ``images`` and of ``messages`` with blocks. Each block of a picture takes one of the images."""
    asked, answered = row["messages"]
    images = row["images"]
    assert sum(block["type"] == "image" for block in asked["content"]) == len(images)
    return LoadedRow([image.size for image in images], read_blocks(asked), read_blocks(answered))


def load_parquet(folder):
    return [read_block_row(row) for row in load_dataset(str(folder), split="train")]


def stream_parquet(folder):
    return [read_block_row(row) for row in load_dataset(str(folder), split="train", streaming=True)]


def load_trl_lines(folder):
    # Relative paths start at the working directory.
    os.chdir(folder)
    rows = load_dataset("json", data_files="train.jsonl", split="train")
    return [read_block_row(row) for row in rows.cast_column("images", List(Image()))]


def load_archives(folder):
    rows = load_dataset("webdataset", data_files=str(folder / "*.tar"), split="train")
    return [LoadedRow([row["jpg"].size], row["json"]["question"], row["json"]["answer"]) for row in rows]


def load_captions(folder):
    rows = load_dataset("imagefolder", data_dir=str(folder / "train"), split="train")
    return [LoadedRow([row["image"].size], row["question"], row["text"]) for row in rows]


def load_sidecars(folder):
    """Loads the first line of the text beside a picture, as trainers of image models do."""
    rows = [json.loads(line) for line in (folder / "train" / "metadata.jsonl").read_text().splitlines()]
    for row in rows:
        lines = (folder / "train" / row["file_name"]).with_suffix(".txt").read_text().splitlines()
        assert " ".join(row["text"].split()) in lines
    return load_captions(folder)


if __name__ == "__main__":
    exports = Exports(Path(sys.argv[1]), "datasets", "pyarrow")
    exports.check("parquet", load_parquet, "load_dataset of the folder")
    exports.check("parquet", stream_parquet, "the same, streamed")
    exports.check("trl", load_trl_lines, "load_dataset, cast to pictures")
    exports.check("webdataset-alike", load_archives, "load_dataset('webdataset')")
    exports.check("captions", load_sidecars, "load_dataset('imagefolder')", ordered=False)
    sys.exit(exports.has_failed)
