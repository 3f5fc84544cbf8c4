"""The README's example for people who come from DataFlow: nothing changed but the path of the model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dataflow.readme_example import MODEL, example, read_output, write_rows
from tests.vllm_server.processes import MARK, find_marked

HOME = Path(os.environ.get("TINY_VLLM_HOME") or Path.home() / ".cache" / "tiny-vllm")


@pytest.mark.own_server
def test_the_documented_example_writes_the_documented_output(tmp_path: Path, mark: str) -> None:
    write_rows(tmp_path)
    assert MODEL in example()
    told = subprocess.run(
        [sys.executable, "-c", example().replace(MODEL, repr(str(HOME / "model")))],
        cwd=tmp_path,
        env={**os.environ, "PERSQA_VLLM": str(HOME / "venv" / "bin" / "vllm"), "HF_HUB_OFFLINE": "1", MARK: mark},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert told.returncode == 0, told.stderr
    # Random weights may fail twice to say anything; all rows stay, and what is an answer is one.
    good = [text for text in read_output(tmp_path) if text is not None]
    assert good
    assert all(text.startswith("Question: ") and ", Answer: <mam>" in text for text in good)
    assert not find_marked(mark), "no process is left behind"
