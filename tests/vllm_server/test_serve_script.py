"""The package starts vLLM with the same options as ``scripts/serve_vllm.sh``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from persqa_client.vllm_server.command import ServeOptions, serve_command, serve_environment

SCRIPT = Path(__file__).parents[2] / "scripts" / "serve_vllm.sh"
# The script is for people, who may want to see the access log.
PACKAGE_ONLY = {("--disable-uvicorn-access-log",)}


def parse_options(words: list[str]) -> set[tuple[str, ...]]:
    """The options of a command line, each with its values."""
    starts = [place for place, word in enumerate(words) if word.startswith("--")]
    return {tuple(words[begin:end]) for begin, end in zip(starts, [*starts[1:], len(words)], strict=True)}


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_package_and_script_have_the_same_options(device: str, tmp_path: Path) -> None:
    vllm = tmp_path / "vllm"
    vllm.write_text("#!/bin/sh\necho space=$VLLM_CPU_KVCACHE_SPACE\nprintf '%s\\n' \"$@\"\n")
    vllm.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    script = subprocess.run(
        [SCRIPT, "some/model", "--device", device, "--port", "8123"],
        env={**environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    space, *words = script.stdout.splitlines()
    cpu = device == "cpu"
    ours = serve_command([], "some/model", 8123, ServeOptions(), cpu=cpu)
    assert words[:2] == ours[:2]
    assert parse_options(ours) - parse_options(words) == PACKAGE_ONLY
    assert parse_options(words) <= parse_options(ours)
    environment = serve_environment({}, ["vllm"], {}, cpu=cpu)
    assert space == f"space={environment.get('VLLM_CPU_KVCACHE_SPACE', '')}"
