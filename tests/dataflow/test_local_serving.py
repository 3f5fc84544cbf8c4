"""The serving of a local model over a server of its own: a stand-in for vllm that serves the simulator."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from persqa_client import SettingsError
from persqa_client.dataflow import LocalModelVLMServing_vllm, PersQAGenerator
from persqa_client.errors import ServerFailed
from tests.dataflow.conftest import storage_of, written
from tests.dataflow.readme_example import example, read_output, write_rows
from tests.vllm_server.processes import MARK, fake_vllm, find_marked

pytestmark = pytest.mark.slow

MODEL = "a/model"


@pytest.fixture(autouse=True)
def handed_down(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, mark)


def local(mode: str = "sim", *, sim: str = "--latency 0", **arguments: Any) -> LocalModelVLMServing_vllm:
    return LocalModelVLMServing_vllm(
        hf_model_name_or_path=MODEL,
        vllm_command=fake_vllm(mode),
        extra_args=[f"--sim={sim}"],
        device="cuda",
        **arguments,
    )


def test_the_server_is_started_for_the_first_question_and_ended_by_cleanup(folder: Path, mark: str) -> None:
    serving = local()
    assert not find_marked(mark)
    assert "red" in serving.chat_with_one_image("red.png", "What colour is it?")
    assert find_marked(mark)
    serving.cleanup()
    assert not find_marked(mark)
    assert serving.generate_from_input(["red.png"], "What colour is it?")[0]
    serving.cleanup()


def test_the_operator_starts_no_server_where_nothing_is_left_to_ask(folder: Path, mark: str) -> None:
    rows = [{"image": ["red.png"], "id": number} for number in range(3)]
    serving = local()
    PersQAGenerator(serving).run(storage_of(rows))
    serving.cleanup()
    first = written()
    again = local()
    PersQAGenerator(again).run(storage_of(rows))
    assert not find_marked(mark)
    assert written() == first


def answered(base_url: str) -> int:
    with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/sim/stats", timeout=10) as reply:
        return int(json.load(reply)["answered"])


def test_a_server_that_is_killed_in_mid_run_ends_it_and_nothing_is_lost(folder: Path, mark: str) -> None:
    rows = [{"image": ["red.png"], "id": number} for number in range(40)]
    serving = local(sim="--latency 0.1 --slots 2", max_workers=2)
    # Whoever waited for it to come back would wait for longer than a test may take.
    serving.limits = serving.limits.model_copy(update={"max_outage": 3600.0})
    serving.start_serving()

    def kill() -> None:
        while answered(serving.server.base_url) < 10:
            time.sleep(0.02)
        assert serving.server.pid is not None
        os.kill(serving.server.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ServerFailed):
        PersQAGenerator(serving, probes=False).run(storage_of(rows))
    killer.join()
    assert not Path("cache/qa_step1.jsonl").exists()
    PersQAGenerator(serving, probes=False).run(storage_of(rows))
    assert [row["id"] for row in written()] == list(range(40))
    assert all(row["output"] for row in written())
    # What was answered before is not asked again, but for what was in flight or not yet written.
    assert answered(serving.server.base_url) <= 32
    serving.cleanup()
    assert not find_marked(mark)


def test_a_server_that_does_not_come_up_is_one_clear_error(folder: Path, mark: str) -> None:
    with pytest.raises(ServerFailed, match="No available memory"):
        local("fail").generate_from_input(["red.png"], "?")
    assert not find_marked(mark)


def test_arguments_go_where_vllm_takes_them(folder: Path) -> None:
    serving = LocalModelVLMServing_vllm(
        "a/model", "models", None, 2, 0.3, 0.8, 64, 7, 1.1, 5, 2048, 0.5, trust_remote_code=True
    )
    assert serving.sampling.model_dump() == {
        "temperature": 0.3,
        "top_p": 0.8,
        "max_tokens": 64,
        "seed": 5,
        "extra_body": {"top_k": 7, "repetition_penalty": 1.1},
    }
    with pytest.raises(SettingsError, match="hf_model_name_or_path"):
        LocalModelVLMServing_vllm()
    (folder / "there").mkdir()
    with pytest.raises(SettingsError, match="hf download a/model --local-dir there"):
        LocalModelVLMServing_vllm("a/model", hf_local_dir="there")
    (folder / "there" / "config.json").touch()
    assert LocalModelVLMServing_vllm("a/model", hf_local_dir="there").server.model_name_or_path == "there"


def test_the_example_of_the_readme_runs_as_it_stands(tmp_path: Path, mark: str) -> None:
    write_rows(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", example()],
        cwd=tmp_path,
        env={**os.environ, "PERSQA_VLLM": shlex.join(fake_vllm("sim"))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    red, blue = read_output(tmp_path)
    assert str(red).startswith("Question: ")
    assert ", Answer: <mam> " in str(red)
    assert "red" in str(red)
    assert "blue" in str(blue)
    assert not find_marked(mark)
