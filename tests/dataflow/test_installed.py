"""Runs tests/dataflow/installed where the real DataFlow can be imported: in a process that has it on its path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DATAFLOW = Path(sys.prefix) / "dataflow"
"""Where scripts/env.sh puts it."""
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not DATAFLOW.is_dir(), reason="open-dataflow is not there; scripts/test.sh fetches it")
def test_with_the_real_dataflow() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/dataflow/installed"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(DATAFLOW)},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
    assert "skipped" not in result.stdout


@pytest.mark.slow
def test_all_works_without_dataflow_and_without_pandas_but_for_frames() -> None:
    """The package and its servings import no pandas; the operator says which extra it needs."""
    code = (
        "import sys\n"
        "sys.modules['pandas'] = None\n"
        "import persqa_client, persqa_client.api, persqa_client.cli.execute\n"
        "from persqa_client.dataflow import OpenAIVLMServing\n"
        "print(OpenAIVLMServing.__mro__[-2].__module__)\n"
        "try:\n    from persqa_client.dataflow import FileStorage\n"
        "except ImportError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "persqa_client.dataflow.vlm_serving",
        "persqa_client.dataflow works on pandas' data frames: pip install 'persqa-client[dataflow]'",
    ]


def test_importing_the_package_imports_no_dataflow_that_is_there() -> None:
    code = "import sys, persqa_client, persqa_client.dataflow; print({'pandas', 'dataflow'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(DATAFLOW)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.slow
def test_a_dataflow_that_can_not_be_imported_causes_a_warning_and_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "dataflow").mkdir()
    (tmp_path / "dataflow" / "__init__.py").write_text("import a_package_that_is_missing\n")
    code = (
        "from persqa_client.dataflow import OpenAIVLMServing; print(OpenAIVLMServing('http://127.0.0.1:9/v1').failures)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "{}"
    assert "DataFlow is installed but can't be imported" in result.stderr
    assert "a_package_that_is_missing" in result.stderr
