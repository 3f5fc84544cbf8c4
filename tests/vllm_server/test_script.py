"""What the package starts is what ``scripts/serve_vllm.sh`` starts: both are told to a person as the way to serve."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from persqa_client.vllm_server.command import ServeOptions, serve_command, serve_environment

SCRIPT = Path(__file__).parents[2] / "scripts" / "serve_vllm.sh"
OF_A_RUN = {("--disable-uvicorn-access-log",)}
"""Nobody looks on while a run's own server works."""


def options(words: list[str]) -> set[tuple[str, ...]]:
    """Each option with its value."""
    starts = [place for place, word in enumerate(words) if word.startswith("--")]
    return {tuple(words[begin:end]) for begin, end in zip(starts, [*starts[1:], len(words)], strict=True)}


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_options_are_those_of_the_script(device: str, tmp_path: Path) -> None:
    vllm = tmp_path / "vllm"
    vllm.write_text("#!/bin/sh\necho space=$VLLM_CPU_KVCACHE_SPACE\nprintf '%s\\n' \"$@\"\n")
    vllm.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    told = subprocess.run(
        [SCRIPT, "some/model", "--device", device, "--port", "8123"],
        env={**environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    space, *words = told.stdout.splitlines()
    cpu = device == "cpu"
    ours = serve_command([], "some/model", 8123, ServeOptions(), cpu=cpu)
    assert words[:2] == ours[:2]
    assert options(ours) - options(words) == OF_A_RUN
    assert options(words) <= options(ours)
    environment = serve_environment({}, ["vllm"], {}, cpu=cpu)
    assert space == f"space={environment.get('VLLM_CPU_KVCACHE_SPACE', '')}"
