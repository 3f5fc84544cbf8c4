"""Builds a tiny Qwen2.5-VL checkpoint of random weights that vLLM serves on a CPU.

usage: make_checkpoint.py FOLDER, with the Python of the server's environment, which has torch and transformers
"""

# mypy: ignore-errors
# The project's environment has neither library, and both are dynamically typed.

import json
import re
import sys
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]

SENTENCES = [
    "The name of the main character in the image is <mam>. You need to answer a question about <mam>.",
    "Please answer starting with <mam>! What color is the hair of <mam>?",
    "<mam> wears a dark blue jacket over a white shirt and smiles at the camera.",
    "<mam> has short brown hair, a round face and green eyes behind thin glasses.",
    "<mam> stands near a tall window with a red cup on a small wooden table.",
    "<mam> looks calm and happy under a soft warm light in a quiet garden.",
    "<mam> holds an old silver camera with both hands close to a long grey coat.",
    "<mam> sits on a green bench beside a black cat with bright yellow eyes.",
    "<mam> walks along an empty street with an orange scarf and heavy brown boots.",
    "<mam> is made of smooth white clay with a thin gold line around the edge.",
]
# The last word of a sentence and its full stop are one token, so that constraints which let an answer end only after a
# sentence are met as soon as such a word comes.
FULL_STOPS = (".", "。", "!", "?")
CORPUS = [sentence.rstrip(".!?") + stop for sentence in SENTENCES for stop in FULL_STOPS] * 50

# Logit offsets, by a constant first coordinate of every token's embedding. They make words likely and other tokens
# unlikely, and end an answer after about ten words, so that it looks like text.
END_TOKEN_BIAS = 0.2
OTHER_TOKEN_BIAS = -2.0
# By a second coordinate, the end token is likely after a word with a full stop.
FULL_STOP_COORDINATE = 1.0

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}"
    "{% if c.type in ['image', 'image_url'] or 'image' in c %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of some hundred tokens with Qwen's special tokens."""
    bpe = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(r" ?[^ \n]+|\n"), "isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL_TOKENS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_config(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """Two layers each for text and vision, with heads of 64, the smallest that vLLM's CPU attention supports."""
    token = tokenizer.convert_tokens_to_ids
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 1000000.0},
            "tie_word_embeddings": False,
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config={
            "depth": 2,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_heads": 2,
            "out_hidden_size": 128,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "in_channels": 3,
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )


# In the byte-level alphabet, in which "Ġ" is a space, and "ãĢĤ" the Chinese full stop.
WORD = "\u0120[a-z]{2,}(?:[.!?]|\u00e3\u0122\u0124)?"


def shape_answers(model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Make lower-case words and the end token likely, and all other tokens unlikely."""
    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] = 0.5
        offsets = model.lm_head.weight[:, 0]
        offsets[:] = OTHER_TOKEN_BIAS
        for token, index in tokenizer.get_vocab().items():
            if re.fullmatch(WORD, token):
                offsets[index] = 0.0
                if not token[-1].isascii() or not token[-1].isalpha():
                    model.get_input_embeddings().weight[index, 1] = FULL_STOP_COORDINATE
        end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        offsets[end] = END_TOKEN_BIAS
        model.lm_head.weight[end, 1] = FULL_STOP_COORDINATE


def main(folder: Path) -> None:
    """Write the checkpoint; equal versions of the libraries give equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(make_config(tokenizer))
    shape_answers(model, tokenizer)
    model.to(torch.bfloat16).save_pretrained(folder)
    Qwen2VLImageProcessor(min_pixels=4 * 28 * 28, max_pixels=1024 * 28 * 28).save_pretrained(folder)
    Qwen2VLVideoProcessor().save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
