"""What a shell completes, asked as bash asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from persqa_client.cli.main import app
from persqa_client.questions.categories import CATEGORIES, NEEDS

ROOT = Path(__file__).parents[2]


def complete(line: str) -> list[str]:
    """The last word of ``line`` is incomplete, and may be empty."""
    words = line.split(" ")
    environment = {
        "_PERSQA_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    result = CliRunner().invoke(app, prog_name="persqa", env=environment)
    assert result.exit_code == 0, result.output
    return result.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("persqa ", list(typer.main.get_command(app).commands)),  # type: ignore[attr-defined]
        ("persqa re", ["recheck", "report"]),
        ("persqa bank ", ["list", "show", "check"]),
        ("persqa run --lang", ["--language"]),
        ("persqa run --language ", ["en", "zh"]),
        ("persqa run --answer-style s", ["short", "sentences"]),
        ("persqa run --strategy pre", ["prefill"]),
        ("persqa run --bank ", list(CATEGORIES)),
        ("persqa run --bank an", ["animal"]),
        ("persqa run --without h", [need for need in NEEDS if need.startswith("h")]),
        ("persqa run --steer ", ["system", "prompt"]),
        ("persqa bank show ob", ["object"]),
        ("persqa prompt show --bank sc", ["scene"]),
    ],
)
def test_choices_are_completed(line: str, expected: list[str]) -> None:
    assert sorted(complete(line)) == sorted(expected)


@pytest.mark.parametrize(
    "line",
    ["persqa run ", "persqa run photos -o ", "persqa run --config ", "persqa run --bank mine", "persqa bank check ",
     "persqa report ", "persqa view ", "persqa init "],
)  # fmt: skip
def test_files_are_left_to_the_shell(line: str) -> None:
    """A shell completes files if it is given nothing."""
    assert complete(line) == []


def test_a_config_file_that_cannot_be_read_does_not_disturb(tmp_path: Path) -> None:
    assert complete(f"persqa run --config {tmp_path}/missing.toml --language ") == ["en", "zh"]


def test_completion_imports_nothing_slow() -> None:
    code = (
        "import sys; from persqa_client.cli.main import app\n"
        "try: app(prog_name='persqa')\nexcept SystemExit: pass\n"
        "print([name for name in ('openai', 'aiohttp', 'PIL', 'rich') if name in sys.modules])"
    )
    environment = {
        **os.environ,
        "_PERSQA_COMPLETE": "complete_bash",
        "COMP_WORDS": "persqa run --bank ",
        "COMP_CWORD": "3",
        "PYTHONPATH": str(ROOT),
    }
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[-2] == "[]"
    assert "animal" in result.stdout
