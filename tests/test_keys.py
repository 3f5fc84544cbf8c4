"""What may be a key is in no message and no file; the names of files, models and variables are."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pytest

from persqa_client import generate
from persqa_client.errors import RunStopped, ServerFailed, SettingsError, StorageError, UnusableInput
from persqa_client.keys import hide_secrets, is_key, list_secrets, mask_keys, mask_secrets, may_be_key
from tests.support.cases import each_case

KEY = "sk-proj-4Fq81abc"
HASH = "d41d8cd98f00b204e9800998ecf8427e"
# Of providers, and without a beginning of their own.
KEYS = [
    "sk-proj-4Fq81",
    "sk-ant-api03-AbC1dE2f_gHi3",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "AIzaSyD4f5g6h7j8k9l0",
    "github_pat_11ABCDEFG0abcdefghij_klmnop",
    "fw_3ZabcDEFghiJKLmnoPQRst",
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "Zk4tR9vQ2mX7pL1wBb",
    "0123456789abcdef0123456789abcdef",
    "0123456789ABCDEF0123456789ABCDEF",
    "8f14e45fceea167a5a36dedd4bea2543.kLmN8pQrStUvWx2y",
    "qk3v9x2m7t4z8w1n6r5b",
    HASH,
    "550e8400-e29b-41d4-a716-446655440000",
]

MODELS = [
    "Qwen/Qwen2.5-VL-7B-Instruct-AWQ",
    "gpt-5-mini-2025-08-07",
    "accounts/fireworks/models/qwen2p5-vl-32b-instruct",
    "anthropic/claude-sonnet-4.5",
    "Qwen/Qwen3-VL-235B-A22B-Instruct-FP8",
    "OpenGVLab/InternVL3_5-241B-A28B",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
    "mistralai/Pixtral-12B-2409",
    "llava-hf/llava-v1.6-mistral-7b-hf",
    "google/gemma-3-27b-it",
    "microsoft/Phi-3.5-vision-instruct",
    "deepseek-ai/deepseek-vl2-tiny",
    "zai-org/GLM-4.1V-9B-Thinking",
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
    "mistralai/MiniMaxM2-8x7B-v0.1",
    "XiaomiMiMo/MiMo-VL-7B-RL-2508",
    "qwen-vl-max-2025-04-08",
    "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
    "gemini-2.5-flash-lite-preview-09-2025",
    "pixtral-large-latest",
    "grok-2-vision-1212",
    "Qwen2.5-VL-3B-Instruct",
    "InternVL3-38B-Instruct-AWQ-2024",
    "gpt-4o-mini-2024-07-18",
    "unsloth/Qwen2.5-VL-7B-Instruct-bnb-4bit",
    "Cohere2MoeForAI/c4ai-command-r-v01",
    "TheBloke/Mixtral-8x7B-Instruct-v0.1-GPTQ",
    "nvidia/Llama-3.1-Nemotron-Nano-VL-8B-V1",
]
FILES = f"""
    IMG_20240311_184233.jpg IMG_20240131_123456 photos/DSC04712-Edit.jpg
    PXL_20240311_184233123.MP.jpg
    IMG-20240311-WA0004.jpg 428610332_10161234567890123_1234567890123456789_n.jpg
    52345678901_a1b2c3d4e5_o.jpg COCO_val2014_000000391895.jpg
    n01440764/ILSVRC2012_val_00000293.JPEG {HASH}.jpg da39a3ee5e6b4b0d3255bfef95601890afd80709.png sk-photos.jsonl
    550e8400-e29b-41d4-a716-446655440000.HEIC images/{HASH}.jsonl hf_photos run20240131experiment01 disk-3/task_5.jsonl
    qa.jsonl.journal12 qa.details.jsonl.partial Screenshot_20240311-184233_Instagram.png 100APPLE/IMG_0001.HEIC.icloud
    fw_update_2024.zip C:\\Users\\Anna\\Pictures\\DSC_0042.NEF LLaVA-Instruct-150K/llava_instruct_150k.json
""".split()
VARIABLES = [
    "HF_TOKEN",
    "OPENAI_API_KEY",
    "MY_KEY",
    "AZURE_OPENAI_KEY_2",
    "VLLM_KEY_EU_WEST1",
    "S3_KEY",
    "K8S_TOKEN",
    "NO_SUCH_KEY",
    "QWEN_KEY",
    "key",
    "Key2",
    "DASHSCOPE_API_KEY",
    "FIREWORKS_API_KEY",
    "x-ms-client-request-id",
    "authorization",
    "api-key",
    "x-goog-api-key",
]
OTHERS = [
    "http://127.0.0.1:8000/v1",
    "https://x1y2z3a4b5c6d7e8f9g0.us-east-1.aws.endpoints.huggingface.cloud/v1",
    "max-inflight-mb",
    "recheck-pictures",
    "https://my-resource.openai.azure.com/openai/deployments/gpt-4o-mini/",
    "conversations",
    "pers_qa_meta",
    "<|vision_start|>",
    "Zk4tR9vQ2m",
    "prompts-digest",
    "0a1b2c3d4e5f6071",
]


@each_case("key", KEYS)
@each_case(
    "message",
    [
        "'{}' is unknown.",
        "No such option: --{}.",
        "http://h/v1?key={}&x=1",
        "The input {} does not exist.",
        "The server does not serve '{}'; it serves persqa-simulator. Check --model.",
        "KEY={}",
        "(Bearer {}).",
    ],
)
def test_a_key_is_masked_wherever_it_stands(key: str, message: str) -> None:
    masked = mask_keys(message.format(key))
    assert not [part for part in key.replace("/", ".").split(".") if part in masked]
    assert masked.replace("…", "").replace(".", "") == message.format("").replace(".", "")


def test_a_text_after_the_name_of_a_scheme_is_a_key_if_it_is_no_word() -> None:
    assert mask_keys("got Bearer abcdefgh12345678abcd.") == "got Bearer …."
    assert mask_keys("a Bearer token, basic authentication") == "a Bearer token, basic authentication"


@each_case("name", [*MODELS, *FILES, *VARIABLES, *OTHERS])
def test_ordinary_names_stay(name: str) -> None:
    assert mask_keys(f"The name {name!r} stays.") == f"The name {name!r} stays."


@each_case("name", VARIABLES)
def test_the_name_of_a_variable_is_taken_for_one(name: str) -> None:
    assert not may_be_key(name)


@each_case("key", [*KEYS, "key-1a2b3c", "Zk4tR9vQ2m", "sk_live", "qwertyuiopasdfghjkl", "A_" * 40])
def test_in_the_place_of_a_name_a_doubt_is_enough(key: str) -> None:
    assert may_be_key(key)


@each_case(
    ("alphabet", "share"),
    [
        (string.ascii_letters + string.digits, 0.99),
        (string.ascii_letters + string.digits + "-_", 0.98),
        (string.ascii_letters + string.digits + "+/", 0.98),
        (string.ascii_lowercase + string.digits, 0.95),
        (string.ascii_letters, 0.96),
        ("0123456789abcdef", 1.0),
        ("0123456789ABCDEF", 1.0),
    ],
)
def test_random_keys_of_any_alphabet_are_recognized(alphabet: str, share: float) -> None:
    """Those of providers have at least 24 characters, mostly 32 or more."""
    source = random.Random(3)
    for length, lacking in ((24, 1 - share), (32, (1 - share) / 2), (48, 0.0)):
        keys = ["".join(source.choices(alphabet, k=length)) for _ in range(400)]
        assert sum(not is_key(key) for key in keys) / len(keys) <= lacking


def test_what_exists_as_a_file_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / f"my photos {HASH}" / HASH
    folder.mkdir(parents=True)
    (folder / "0123456789abcdef0123456789abcdef").touch()
    monkeypatch.chdir(folder.parent)
    for path in (folder, folder / "0123456789abcdef0123456789abcdef", HASH, f"{HASH}/missing", tmp_path / "x.jpg"):
        message = f"The input {path} can't be read: correct the path."
        assert mask_keys(message) == message
    for missing, shown in {
        f"{folder}/{HASH}": f"{folder}/…",
        f"/nowhere/{HASH}/a": "/nowhere/…/a",
        "fedcba9876543210fedcba9876543210": "…",
        f"{folder}/{KEYS[7]}": f"{folder}/…",
    }.items():
        assert mask_keys(f"The input {missing} does not exist.") == f"The input {shown} does not exist."


def test_what_a_row_or_the_server_names_is_shown() -> None:
    row = f"Line 1: the image {HASH} does not exist."
    assert UnusableInput("image_missing", f"{KEYS[8]}: {row}", shown=row).message == f"…: {row}"
    served = f"/models/{HASH}"
    stopped = RunStopped("unknown_model", f"The server does not serve {HASH!r}; it serves {served}.", served)
    assert stopped.message == f"The server does not serve '…'; it serves {served}."
    assert str(ServerFailed("server_died", "It ended.", [f"no model {KEYS[8]}"])) == "It ended.\n  no model …"


@each_case("key", KEYS)
def test_no_error_that_ends_a_run_repeats_a_key(key: str) -> None:
    stopped = RunStopped("wrong_model", f"The server does not serve '{key}'.")
    for error in (SettingsError(f"no {key}"), StorageError(f"no {key}"), stopped, stopped.fresh()):
        assert key not in f"{error} {error!r}"
    assert key not in stopped.message


@pytest.mark.parametrize("key", ["sk-proj-4Fq81", "Zk4tR9vQ2mX7pL1wBb", "0123456789abcdef0123456789abcdef"])
@pytest.mark.parametrize(
    "name", ["bank", "image_key", "without", "names", "image_root", "strategy", "paths", "input", "output", "language"]
)
def test_generate_does_not_repeat_a_key(key: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"image": "a.png"}\n')
    flags: dict[str, Any] = {} if name == "input" else {name: [key] if name == "without" else key}
    with pytest.raises((SettingsError, RunStopped)) as caught:
        generate(key if name == "input" else "rows.jsonl", base_url="http://127.0.0.1:1/v1", model="m", **flags)
    assert key not in f"{caught.value} {caught.value!r}"
    assert not list(tmp_path.glob(f"*{key}*"))


def test_an_output_with_the_name_of_a_hash_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"image": "a.png"}\n')
    for ending, reason in {"": "may be a key", ".partial": "was not written by a run"}.items():
        Path(f"{HASH}{ending}" if ending else "other").touch()
        with pytest.raises(SettingsError, match=reason):
            generate("rows.jsonl", HASH, base_url="http://127.0.0.1:1/v1", model="m")


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": KEY},
        {"apiKey": "sesame"},
        {"X-API-KEY": "sesame"},
        {"auth": {"user": "sesame"}},
        {"access_token": "sesame"},
        {"clientSecret": "sesame"},
        {"password": 123456},
        {"extra": [{"headers": {"Authorization": "Basic c2VzYW1l"}}]},
        {"route": KEY},
        {"headers": ["x-route: Bearer 0a1b2c3d4e"]},
        {"tenant": "0123456789abcdef0123456789abcdef"},
    ],
)
def test_secrets_are_hidden_and_masked(fields: dict[str, Any]) -> None:
    hidden = hide_secrets(fields)
    for text in (str(hidden), str(mask_secrets(fields)), str(mask_secrets(hidden))):
        assert not [part for part in (KEY, "sesame", "123456", "c2VzYW1l", "0a1b2c3d", "789abcdef") if part in text]
    assert "digest:" in str(hidden)
    assert hide_secrets(hidden) == hidden
    assert mask_secrets(hidden) == mask_secrets(fields) != fields


@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 20, "repetition_penalty": 1.05, "min_tokens": 5, "stop_token_ids": [151645], "eos_token": 2},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"stop": ["</s>", "<|im_end|>"], "skip_special_tokens": True},
        {"guided_regex": r"<mam>[A-Z][a-z]{1,20}[\s\S]*"},
        {"lora": "org/Qwen2.5-VL-7B-lora-2025", "api_key": "", "auth": None},
        {"keyword": "cat", "tokenizer": "Qwen/Qwen2.5-VL-7B-Instruct"},
        {"monkey": "x", "provider": {"order": ["Fireworks"]}},
    ],
)
def test_other_members_stay(fields: dict[str, Any]) -> None:
    assert hide_secrets(fields) == mask_secrets(fields) == fields


def test_another_secret_has_another_digest() -> None:
    assert hide_secrets({"api_key": "a"}) != hide_secrets({"api_key": "b"})


def test_ordinary_words_are_not_looked_for_in_the_server_s_texts() -> None:
    assert list_secrets({"api_key": KEY, "cache_key": "sunflower", "password": 12, "n": 1}) == [KEY]
