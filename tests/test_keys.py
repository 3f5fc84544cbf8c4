"""What may be a key is in no message; the names of files, models and variables are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from persqa_client import generate
from persqa_client.errors import RunStopped, SettingsError, StorageError
from persqa_client.keys import mask_keys

KEYS = [
    "sk-proj-4Fq81",
    "sk-ant-api03-AbC1dE2f_gHi3",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "AIzaSyD4f5g6h7j8k9l0",
    "d41d8cd98f00b204e9800998ecf8427e",
    "550e8400-e29b-41d4-a716-446655440000",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "message", ["'{}' is unknown.", "No such option: --{}.", "http://h/v1?key={}&x=1", "The input {} does not exist."]
)
def test_a_key_is_masked_wherever_it_stands(key: str, message: str) -> None:
    assert mask_keys(message.format(key)) == message.format("…")


@pytest.mark.parametrize(
    "name",
    [
        "sk-photos.jsonl",
        "hf_photos",
        "d41d8cd98f00b204e9800998ecf8427e.jpg",
        "/data/d41d8cd98f00b204e9800998ecf8427e/a",
        "IMG_20240131_123456",
        "run20240131experiment01",
        "Qwen2.5-VL-3B-Instruct",
        "InternVL3-38B-Instruct-AWQ-2024",
        "gpt-4o-mini-2024-07-18",
        "a file with the digest 0a1b2c3d4e5f6071",
        "HF_TOKEN",
        "http://127.0.0.1:8000/v1",
        "disk-3/task_5.jsonl",
    ],
)
def test_ordinary_names_stay(name: str) -> None:
    assert mask_keys(f"The name {name!r} stays.") == f"The name {name!r} stays."


@pytest.mark.parametrize("key", KEYS)
def test_no_error_that_ends_a_run_repeats_a_key(key: str) -> None:
    stopped = RunStopped("wrong_model", f"The server does not serve '{key}'.")
    for error in (SettingsError(f"no {key}"), StorageError(f"no {key}"), stopped, stopped.fresh()):
        assert key not in f"{error} {error!r}"
    assert key not in stopped.message


@pytest.mark.parametrize("name", ["bank", "image_key", "without", "names", "image_root", "strategy", "paths", "input"])
def test_generate_does_not_repeat_a_key(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"image": "a.png"}\n')
    key = "sk-proj-4Fq81"
    flags: dict[str, Any] = {} if name == "input" else {name: [key] if name == "without" else key}
    with pytest.raises((SettingsError, RunStopped)) as caught:
        generate(key if name == "input" else "rows.jsonl", base_url="http://127.0.0.1:1/v1", model="m", **flags)
    assert "4Fq81" not in f"{caught.value} {caught.value!r}"
