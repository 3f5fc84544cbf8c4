"""A real vLLM that is started for a run and ended with it, with the children that it has."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from persqa_client import ServerFailed, VLLMServer, generate
from persqa_client.vllm_server.guardian import find_descendants, is_live
from tests.live.commands import (
    MANY_MINUTES,
    assert_rows_answered,
    command_line,
    environment,
    look,
    output_of,
    run,
    sample_rows,
    wait_for_rows,
    write_rows,
)
from tests.live.endpoints import TinyVLLMInstall, TinyVLLMServer

pytestmark = [pytest.mark.own_server, pytest.mark.usefixtures("quiet")]

MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"
LEAN = ["--max-num-seqs", "32", "--enforce-eager"]
"""Without compilation, which takes longer than all tests."""
WORDY = {"min_tokens": 16}
"""A model of random weights may end right after the tag."""
ROWS = 200
ALREADY = 40


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model hub is asked, nothing is reported to anybody, and a gigabyte of cache is plenty."""
    for name in ("HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "VLLM_CPU_KVCACHE_SPACE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("VLLM_TARGET_DEVICE", "cpu")


def flags(tiny_vllm: TinyVLLMInstall) -> list[str]:
    served = ["--serve", str(tiny_vllm.model), "--model", MODEL, "--vllm-command", str(tiny_vllm.vllm)]
    few = ["--concurrency", "32"]  # so few that most rows are neither answered nor under way at the kill
    return [*served, "--serve-args", shlex.join(LEAN), "--extra-body", json.dumps(WORDY), *few]


def test_a_block_starts_it_for_a_run_and_leaves_nothing_behind(tiny_vllm: TinyVLLMInstall, tmp_path: Path) -> None:
    told: list[str] = []
    rows = sample_rows(24)
    before = find_descendants(os.getpid())
    with VLLMServer(
        str(tiny_vllm.model),
        served_model_name=MODEL,
        vllm_command=[str(tiny_vllm.vllm)],
        extra_args=LEAN,
        on_progress=told.append,
    ) as server:
        family = find_descendants(os.getpid()) - before
        assert {engine_of(family).pid, server.pid} <= {process.pid for process in family}
        summary = generate(rows, endpoint=server.endpoint, extra_body=WORDY)
    assert_rows_answered(summary.records, summary.failures, len(rows))
    assert told
    assert told[-1].startswith(f"Waiting for vllm serve {tiny_vllm.model} to be ready, ")
    assert have_ended(family, 0)


def test_an_option_that_vllm_does_not_have_is_told_in_its_own_words(tiny_vllm: TinyVLLMInstall, tmp_path: Path) -> None:
    before = find_descendants(os.getpid())
    server = VLLMServer(
        str(tiny_vllm.model),
        vllm_command=[str(tiny_vllm.vllm)],
        extra_args=["--no-such-option"],
        log_path=tmp_path / "log",
    )
    with pytest.raises(ServerFailed, match=r"ended with exit code 2 before it was ready: .*--no-such-option"):
        server.start()
    assert find_descendants(os.getpid()) <= before


def test_a_model_that_does_not_fit_is_told_by_its_cause(tiny_vllm: TinyVLLMInstall, tmp_path: Path) -> None:
    """The error is one of the engine's process, and what vLLM says last is only that it failed."""
    before = find_descendants(os.getpid())
    server = VLLMServer(
        str(tiny_vllm.model),
        vllm_command=[str(tiny_vllm.vllm)],
        max_model_len=99_999_999,
        extra_args=LEAN,
        log_path=tmp_path / "log",
    )
    with pytest.raises(ServerFailed, match=r"before it was ready: .*99999999"):
        server.start()
    assert find_descendants(os.getpid()) <= before


@pytest.mark.parametrize("victim", ["engine", "run"])
def test_a_kill_in_mid_run_loses_no_row_and_leaves_nothing_behind(
    tiny_vllm: TinyVLLMInstall, own_server: TinyVLLMServer, tmp_path: Path, victim: str
) -> None:
    input = write_rows(tmp_path, sample_rows(ROWS))
    with (tmp_path / "said.txt").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command_line(input, flags(tiny_vllm)),
            env=environment(),
            stdout=said,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        try:
            wait_for_rows(process, output_of(input).with_name("qa.jsonl.partial"), ALREADY)
            family = find_descendants(process.pid)
            os.kill(process.pid if victim == "run" else engine_of(family).pid, signal.SIGKILL)
            process.wait(MANY_MINUTES)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        done = look(input, process.returncode, said.read())
    assert have_ended(family, 60), done.said
    if victim == "engine":
        assert done.code == 3, done.said
        assert "while it was in use" in done.error
        assert "Run the same command again" in done.said
    # Another server of the same model is as good to go on with.
    finished = run(input, own_server.endpoint.wordy_flags, own_server.environ)
    finished.assert_answered(ROWS)


def engine_of(family: set[psutil.Process]) -> psutil.Process:
    """The process that computes; vLLM gives it a name of its own."""
    (engine,) = [process for process in family if process.name().startswith("VLLM::EngineCor")]
    return engine


def have_ended(family: set[psutil.Process], seconds: float) -> bool:
    """Whether all processes end within some seconds."""
    _, alive = psutil.wait_procs(family, timeout=seconds)
    return not any(map(is_live, alive))
