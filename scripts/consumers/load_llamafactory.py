"""Loads exports with LLaMA-Factory's loader, template and collator. usage: load_llamafactory.py EXPORTS CHECKPOINT

``get_dataset`` reads ``dataset_info.json``, converts the rows, counts the marks and renders the template; the collator
decodes the pictures. No model is made.
"""

# mypy: ignore-errors
# The project's environment does not have the package.

import re
import sys
import tempfile
from functools import partial
from pathlib import Path

from exported import Exports, LoadedRow
from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset, get_template_and_fix_tokenizer
from llamafactory.data.loader import _get_merged_dataset
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer

BATCH = 3


def load_rows(checkpoint, folder):
    with tempfile.TemporaryDirectory() as output:
        model, data, training, _, _ = get_train_args(
            {
                "stage": "sft",
                "do_train": True,
                "model_name_or_path": checkpoint,
                "dataset_dir": str(folder),
                "dataset": "train",
                "template": "qwen2_vl",
                "cutoff_len": 8192,
                "output_dir": output,
                "overwrite_cache": True,
                "report_to": "none",
                "finetuning_type": "lora",
                "use_cpu": True,
            }
        )
        found = load_tokenizer(model)
        template = get_template_and_fix_tokenizer(found["tokenizer"], data)
        merged = _get_merged_dataset(data.dataset, model, data, training, "sft")
        encoded = get_dataset(template, model, data, training, stage="sft", **found)["train_dataset"]
        loaded = [read_row(template, found["processor"], row) for row in merged]
        assert len(encoded) == len(loaded), f"{len(loaded) - len(encoded)} rows were skipped"
        collator = SFTDataCollatorWith4DAttentionMask(template=template, **found)
        for start in range(0, len(encoded), BATCH):
            batch = collator([encoded[number] for number in range(start, min(start + BATCH, len(encoded)))])
            count = sum(len(row.sizes) for row in loaded[start : start + BATCH])
            # A batch of text alone gets a picture of its own, which is masked.
            assert len(batch["image_grid_thw"]) == max(count, 1), (batch["image_grid_thw"], count)
        return loaded


def read_row(template, processor, row):
    """The pictures are opened by the plugin of the template, which has no public function for it."""
    [asked], [answered] = row["_prompt"], row["_response"]
    images = template.mm_plugin._regularize_images(row["_images"] or [], image_max_pixels=1 << 40, image_min_pixels=0)[
        "images"
    ]
    text, count = re.subn(r"<image>\s*", "", asked["content"])
    assert count == len(images)
    return LoadedRow([image.size for image in images], text, answered["content"])


if __name__ == "__main__":
    exports = Exports(Path(sys.argv[1]), "llamafactory", "transformers", "datasets")
    for name in ("llamafactory", "llamafactory-sent"):
        exports.check(name, partial(load_rows, sys.argv[2]), "get_dataset, template qwen2_vl, collator")
    sys.exit(exports.has_failed)
