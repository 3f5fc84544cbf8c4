"""``persqa run --serve`` in a process of its own, however the server or the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from PIL import Image

from tests.support.commands import Command, lines_in, persqa, start
from tests.vllm_server.processes import MARK, MODEL, find_marked, find_remaining, serve_args

pytestmark = pytest.mark.slow

ROWS = 300
FLAGS = ["--concurrency", "8", "--no-probes"]
# A run takes some seconds.
SLOW = [*FLAGS, "--serve-args", '--sim="--latency 0.1 --slots 8"']
QUICK = [*FLAGS, "--serve-args", '--sim="--latency 0"']


@pytest.fixture
def folder(tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MARK, mark)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "rows.jsonl").write_text('{"image": "red.png"}\n')
    return tmp_path


def start_and_wait(folder: Path) -> Command:
    """Starts a run and waits until some rows are written."""
    (folder / "rows.jsonl").write_text("".join(f'{{"image": "red.png", "n": {n}}}\n' for n in range(ROWS)))
    process = start(*serve_args("children", *SLOW), cwd=folder)
    while lines_in(folder / "qa.jsonl.partial") < 30:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    return process


def is_server(line: str) -> bool:
    """Whether it is the command line of the stand-in server, and not of its guardian."""
    return f"serve {MODEL} --host" in line and "guardian" not in line


def find_server(mark: str) -> int:
    """The process id of the stand-in server."""
    (pid,) = [pid for pid, line in find_marked(mark).items() if " sim " in line and "fake_vllm" not in line]
    return pid


def numbers(folder: Path) -> list[int]:
    return [orjson.loads(line)["n"] for line in (folder / "qa.jsonl").read_bytes().splitlines()]


def test_one_command_starts_a_server_and_answers_the_rows(folder: Path, mark: str) -> None:
    result = persqa(*serve_args("children"), cwd=folder)
    assert result.returncode == 0, result.stderr
    facts = orjson.loads((folder / "qa.run.json").read_bytes())
    assert facts["identity"]["model"] == MODEL
    assert facts["base_url"] in result.stderr, "the server's address is printed"
    assert b"Answer: <mam>" in (folder / "qa.jsonl").read_bytes()
    assert not find_marked(mark)
    assert not list((folder / "temporary").iterdir()), "the log is deleted after a run without errors"


def test_the_model_can_be_served_under_another_name(folder: Path) -> None:
    result = persqa(*serve_args("sim", "--model", "other", "--json"), cwd=folder)
    assert result.returncode == 0, result.stderr
    assert orjson.loads(result.stdout)["state"] == "finished"
    assert orjson.loads((folder / "qa.run.json").read_bytes())["identity"]["model"] == "other"


def test_the_servers_key_is_sent_and_not_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sk-own")
    result = persqa(*serve_args("sim"), cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "sk-own" not in result.stdout + result.stderr + (folder / "qa.run.json").read_text()


@pytest.mark.parametrize(("device", "cpu"), [("cpu", True), ("cuda", False)])
def test_the_device_can_be_chosen(folder: Path, mark: str, device: str, cpu: bool) -> None:
    process = start(*serve_args("silent", "--device", device), cwd=folder)
    while not (servers := [line for line in find_marked(mark).values() if is_server(line)]):
        time.sleep(0.01)
    assert all(("--dtype bfloat16" in line) is cpu for line in servers)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def test_no_server_starts_for_a_finished_run(folder: Path) -> None:
    assert persqa(*serve_args("sim"), cwd=folder).returncode == 0
    again = persqa(*serve_args("fail"), cwd=folder)
    assert again.returncode == 0
    assert again.stderr == "qa.jsonl is already finished: nothing to do.\n"
    changed = persqa(*serve_args("fail", "--tag", "bo"), cwd=folder)
    assert changed.returncode == 2
    assert "the setting tag" in changed.stderr


def test_the_same_command_twice_starts_one_server(folder: Path, mark: str) -> None:
    first = start(*serve_args("silent"), cwd=folder)
    while not any(map(is_server, find_marked(mark).values())):
        time.sleep(0.01)
    result = persqa(*serve_args("fail"), cwd=folder)
    assert result.returncode == 2
    assert "another run is writing qa.jsonl" in result.stderr
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)
    assert not find_marked(mark)


def test_a_run_with_base_url_imports_nothing_of_vllm_server(folder: Path) -> None:
    arguments = ["run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", "http://127.0.0.1:1/v1", "--model", MODEL]
    code = (
        "import sys\nfrom persqa_client.cli.main import app\n"
        f"try:\n    app({[*arguments, '--dry-run']!r})\n"
        "except SystemExit:\n"
        "    print([name for name in sys.modules if name.startswith('persqa_client') and 'vllm_server' in name])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_server_that_exits_at_the_start_is_exit_3_with_its_log(folder: Path, mark: str) -> None:
    result = persqa(*serve_args("fail"), cwd=folder)
    assert result.returncode == 3
    assert result.stderr.count("\nError: ") == 1
    assert (
        "Error: vllm serve some/model ended with exit code 3 before it was ready: ValueError: No avail" in result.stderr
    )
    assert "  (APIServer pid=7) INFO 11-24 10:00:00 [core.py:1] Loading weights\n" in result.stderr
    assert not find_marked(mark)
    assert not list(folder.glob("*qa*")), "nothing was asked"


def test_a_server_that_is_never_ready_is_exit_3(folder: Path, mark: str) -> None:
    result = persqa(*serve_args("silent", "--serve-timeout", "2", "-q", "--log-file", "run.log"), cwd=folder)
    assert result.returncode == 3
    assert "was not ready within 2 s (--serve-timeout" in result.stderr
    assert "Waiting for vllm serve" not in result.stderr
    assert "INFO    Waiting for vllm serve" in (folder / "run.log").read_text()
    assert not find_marked(mark)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--base-url", "http://127.0.0.1:1/v1"], "either --serve"),
        (["--api-key-env", "KEY"], "VLLM_API_KEY"),
        (["--serve-args", "--port 8000"], "--port can't be passed"),
        (["--serve-args", "'"], "--serve-args can't be split"),
        (["--vllm-command", "no-such-vllm"], "--vllm-command names no-such-vllm"),
        (["--serve", "", "--model", "m"], "--vllm-command needs --serve"),
        (["--serve", "", "--device", "cpu"], "--device needs --serve"),
    ],
)
def test_flags_that_exclude_each_other_are_exit_2(folder: Path, more: list[str], expected: str) -> None:
    result = persqa(*serve_args("fail", *more), cwd=folder)
    assert result.returncode == 2
    assert expected in result.stderr


def test_without_a_server_the_message_names_what_gives_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSQA_BASEURL", "http://127.0.0.1:9/v1")
    result = persqa("run", "rows.jsonl", "-o", "qa.jsonl", cwd=folder)
    assert result.returncode == 2
    variable = "PERSQA_BASE_URL (PERSQA_BASEURL is set, which nothing reads)"
    assert f"name an endpoint, set {variable}, or start a server with --serve MODEL" in result.stderr


def test_a_dry_run_starts_no_server(folder: Path) -> None:
    result = persqa(*serve_args("fail", "--dry-run"), cwd=folder)
    assert result.returncode == 0, result.stderr
    assert f'"model": "{MODEL}"' in result.stdout
    without = persqa("run", "rows.jsonl", "--dry-run", cwd=folder)
    assert (without.returncode, ": POST …/v1/chat/completions\n" in without.stdout) == (0, True), without.stderr


def test_a_server_that_is_killed_ends_the_run_and_no_row_is_lost(folder: Path, mark: str) -> None:
    process = start_and_wait(folder)
    os.kill(find_server(mark), signal.SIGKILL)
    _, result = process.communicate(timeout=60)
    assert process.returncode == 3, result
    assert result.count("Error: ") == 1
    assert "vllm serve some/model was ended by SIGKILL" in result
    assert "while it was in use" in result
    assert "same command again" in result
    assert not find_remaining(mark)
    assert persqa(*serve_args("sim", *QUICK), cwd=folder).returncode == 0
    assert numbers(folder) == list(range(ROWS))
    assert not (folder / "qa.failed.jsonl").exists()


def test_a_server_that_exits_before_the_first_row_is_reported_with_its_log(folder: Path, mark: str) -> None:
    """The run sees first that the connection is refused."""
    result = persqa(*serve_args("crash"), cwd=folder)
    assert result.returncode == 3
    assert "ended with exit code 1 while it was in use: MemoryError: that was all." in result.stderr
    assert not list(folder.glob("*qa*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_lets_requests_finish_and_stops_the_server(folder: Path, mark: str, number: signal.Signals) -> None:
    process = start_and_wait(folder)
    process.send_signal(number)
    _, result = process.communicate(timeout=30)
    assert process.returncode == 130, result
    assert "same command again" in result
    assert not find_marked(mark)
    kept = (folder / "qa.jsonl.partial").read_bytes()
    assert persqa(*serve_args("sim", *QUICK), cwd=folder).returncode == 0, "the new server has another port"
    assert (folder / "qa.jsonl").read_bytes().startswith(kept)
    assert numbers(folder) == list(range(ROWS))


def test_the_server_of_a_killed_run_is_stopped(folder: Path, mark: str) -> None:
    process = start_and_wait(folder)
    process.kill()
    process.communicate(timeout=30)
    assert not find_remaining(mark)
    assert persqa(*serve_args("sim", *QUICK), cwd=folder).returncode == 0
    assert numbers(folder) == list(range(ROWS))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_while_the_server_starts_stops_it(folder: Path, mark: str, number: signal.Signals) -> None:
    process = start(*serve_args("silent"), cwd=folder)
    while not any(map(is_server, find_marked(mark).values())):
        time.sleep(0.01)
    process.send_signal(number)
    _, result = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped while the server was starting" in result
    assert not find_marked(mark)
    assert not list(folder.glob("*qa*"))


@pytest.mark.parametrize("variables", [{"PERSQA_VLLM": "missing/vllm"}, {"VLLM_API_KEY": "key\nwith a line break"}])
def test_what_can_t_be_started_is_not_said_to_start(
    folder: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    words = serve_args("sim")
    if "PERSQA_VLLM" in variables:
        del words[words.index("--vllm-command") :]
    result = persqa(*words, cwd=folder)
    assert result.returncode == 2
    assert result.stderr.startswith("Error: ")
    assert next(iter(variables)) in result.stderr
