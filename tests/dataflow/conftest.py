"""Three pictures, and frames that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.dataflow import FileStorage

MODEL = "persqa-simulator"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test, with three pictures in it."""
    for name, colour in (("red", (200, 0, 0)), ("green", (0, 160, 0)), ("blue", (0, 0, 200))):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DF_API_KEY", raising=False)
    return tmp_path


class HeldStorage:
    """Anything with read and write, as the operator asks for it."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def read(self, output_type: str) -> Any:
        assert output_type == "dataframe"
        return self.frame

    def write(self, frame: Any) -> None:
        self.frame = frame


def storage_of(rows: list[dict[str, Any]], *, cache_type: Any = "jsonl") -> FileStorage:
    """A storage in the working directory, at its first step."""
    Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return FileStorage("in.jsonl", cache_path="cache", file_name_prefix="qa", cache_type=cache_type).step()


def written(path: str = "cache/qa_step1.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
