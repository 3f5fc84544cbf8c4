"""Builds tiny checkpoints of Qwen2-VL and Qwen3-VL, which count image tokens by other rules.

usage: make_relatives.py qwen2|qwen3 FOLDER, with the Python of the server's environment
"""

# mypy: ignore-errors
# As in make_checkpoint.py.

import json
import sys
from pathlib import Path

import torch
from make_checkpoint import make_config, make_tokenizer, shape_answers
from transformers import (
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLVideoProcessor,
)

TOKEN_IDS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
# Settings of the text model that the others do not have.
QWEN2_5_ONLY = ("model_type", "layer_types", "max_window_layers", "sliding_window", "use_sliding_window")
VISION = {"depth": 2, "hidden_size": 128, "num_heads": 2, "spatial_merge_size": 2, "temporal_patch_size": 2}


def make_qwen2(text, ids):
    vision = VISION | {"embed_dim": 128, "mlp_ratio": 2, "patch_size": 14}
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=text, vision_config=vision, **ids))
    pictures = Qwen2VLImageProcessor(size={"shortest_edge": 4 * 28 * 28, "longest_edge": 16384 * 28 * 28})
    return model, pictures, Qwen2VLVideoProcessor()


def make_qwen3(text, ids):
    rope = text["rope_parameters"] | {"mrope_interleaved": True, "mrope_section": [12, 10, 10]}
    vision = VISION | {
        "intermediate_size": 256,
        "out_hidden_size": 128,
        "patch_size": 16,
        "deepstack_visual_indexes": [0],
    }
    config = Qwen3VLConfig(text_config=text | {"head_dim": 64, "rope_parameters": rope}, vision_config=vision, **ids)
    size = {"shortest_edge": 64 * 32 * 32, "longest_edge": 16384 * 32 * 32}
    return (
        Qwen3VLForConditionalGeneration(config),
        Qwen2VLImageProcessor(patch_size=16, size=size),
        Qwen3VLVideoProcessor(),
    )


def main(family: str, folder: Path) -> None:
    """Write the checkpoint; equal versions of the libraries give equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    config = make_config(tokenizer).to_dict()
    text = {name: value for name, value in config["text_config"].items() if name not in QWEN2_5_ONLY}
    torch.manual_seed(0)
    make = {"qwen2": make_qwen2, "qwen3": make_qwen3}[family]
    model, *processors = make(text, {name: config[name] for name in TOKEN_IDS})
    shape_answers(model, tokenizer)
    model.to(torch.bfloat16).save_pretrained(folder)
    for processor in processors:
        processor.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
