"""``persqa run --serve`` as a person gives it: from nothing to data, however the server or the run ends."""

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

from tests.support.commands import lines_in, persqa, start
from tests.vllm_server.processes import MARK, MODEL, find_marked, find_remaining, serve_args

ROWS = 300
FLAGS = ["--concurrency", "8", "--no-probes"]
SLOW = [*FLAGS, "--serve-args", '--sim="--latency 0.1 --slots 8"']
"""Some seconds for all rows."""
QUICK = [*FLAGS, "--serve-args", '--sim="--latency 0"']


@pytest.fixture
def folder(tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MARK, mark)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "rows.jsonl").write_text('{"image": "red.png"}\n')
    return tmp_path


def start_and_wait(folder: Path) -> subprocess.Popen[str]:
    """A run of which some rows are written, and not all."""
    (folder / "rows.jsonl").write_text("".join(f'{{"image": "red.png", "n": {n}}}\n' for n in range(ROWS)))
    process = start(*serve_args("children", *SLOW), cwd=folder)
    while lines_in(folder / "qa.jsonl.partial") < 30:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    return process


def is_server(line: str) -> bool:
    """Whether a command line is that of the stand-in, and not of the guardian, which has the same words."""
    return f"serve {MODEL} --host" in line and "guardian" not in line


def simulator(mark: str) -> int:
    """The process that stands in for the server."""
    (pid,) = [pid for pid, line in find_marked(mark).items() if " sim " in line and "fake_vllm" not in line]
    return pid


def numbers(folder: Path) -> list[int]:
    return [orjson.loads(line)["n"] for line in (folder / "qa.jsonl").read_bytes().splitlines()]


def test_one_command_from_nothing_to_data(folder: Path, mark: str) -> None:
    told = persqa(*serve_args("children"), cwd=folder)
    assert told.returncode == 0, told.stderr
    facts = orjson.loads((folder / "qa.run.json").read_bytes())
    assert facts["identity"]["model"] == MODEL
    assert facts["base_url"] in told.stderr, "it is said where the server listens"
    assert b"Answer: <mam>" in (folder / "qa.jsonl").read_bytes()
    assert not find_marked(mark)
    assert not list((folder / "temporary").iterdir()), "its log goes when all went well"


def test_the_served_name_may_be_another(folder: Path) -> None:
    told = persqa(*serve_args("sim", "--model", "other"), cwd=folder)
    assert told.returncode == 0, told.stderr
    assert orjson.loads((folder / "qa.run.json").read_bytes())["identity"]["model"] == "other"


def test_a_server_that_wants_a_key_gets_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sk-own")
    told = persqa(*serve_args("sim"), cwd=folder)
    assert told.returncode == 0, told.stderr
    assert "sk-own" not in told.stdout + told.stderr + (folder / "qa.run.json").read_text()


@pytest.mark.parametrize(("device", "cpu"), [("cpu", True), ("cuda", False)])
def test_the_device_may_be_named(folder: Path, mark: str, device: str, cpu: bool) -> None:
    process = start(*serve_args("silent", "--device", device), cwd=folder)
    while not (servers := [line for line in find_marked(mark).values() if is_server(line)]):
        time.sleep(0.01)
    assert all(("--dtype bfloat16" in line) is cpu for line in servers)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def test_nothing_is_started_where_nothing_is_left_to_do(folder: Path) -> None:
    assert persqa(*serve_args("sim"), cwd=folder).returncode == 0
    again = persqa(*serve_args("fail"), cwd=folder)
    assert again.returncode == 0
    assert again.stderr == "qa.jsonl is finished already: nothing to do.\n"
    changed = persqa(*serve_args("fail", "--tag", "bo"), cwd=folder)
    assert changed.returncode == 2
    assert "the setting tag" in changed.stderr


def test_the_same_command_given_twice_starts_one_server(folder: Path, mark: str) -> None:
    first = start(*serve_args("silent"), cwd=folder)
    while not any(map(is_server, find_marked(mark).values())):
        time.sleep(0.01)
    told = persqa(*serve_args("fail"), cwd=folder)
    assert told.returncode == 2
    assert "another run is writing qa.jsonl right now" in told.stderr
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)
    assert not find_marked(mark)


def test_a_run_elsewhere_loads_nothing_that_starts_a_server(folder: Path) -> None:
    arguments = ["run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", "http://127.0.0.1:1/v1", "--model", MODEL]
    code = (
        "import sys\nfrom persqa_client.cli.main import app\n"
        f"try:\n    app({[*arguments, '--dry-run']!r})\n"
        "except SystemExit:\n"
        "    print([name for name in sys.modules if name.startswith('persqa_client') and 'serving' in name])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"


def test_one_that_dies_at_the_start_is_exit_3_with_its_words_and_leaves_nothing(folder: Path, mark: str) -> None:
    told = persqa(*serve_args("fail"), cwd=folder)
    assert told.returncode == 3
    assert told.stderr.count("\nError: ") == 1
    assert (
        "Error: vllm serve some/model ended with exit code 3 before it was ready: ValueError: No avail" in told.stderr
    )
    assert "  (APIServer pid=7) INFO 11-24 10:00:00 [core.py:1] Loading weights\n" in told.stderr
    assert not find_marked(mark)
    assert not list(folder.glob("*qa*")), "a run that never began leaves nothing"


def test_one_that_is_never_ready_is_exit_3(folder: Path, mark: str) -> None:
    told = persqa(*serve_args("silent", "--serve-timeout", "1"), cwd=folder)
    assert told.returncode == 3
    assert "was not ready within 1 s (--serve-timeout" in told.stderr
    assert not find_marked(mark)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--base-url", "http://127.0.0.1:1/v1"], "--serve starts a server for this run, and --base-url names one"),
        (["--api-key-env", "KEY"], "takes its key from VLLM_API_KEY"),
        (["--serve-args", "--port 8000"], "--port can't be passed on to vllm serve"),
        (["--serve-args", "'"], "--serve-args can't be split"),
        (["--vllm-command", "no-such-vllm"], "--vllm-command names no-such-vllm"),
        (["--serve", "", "--model", "m"], "--vllm-command is for the server that --serve MODEL starts"),
        (["--serve", "", "--device", "cpu"], "--device is for the server that --serve MODEL starts"),
    ],
)
def test_flags_that_do_not_go_together_are_exit_2(folder: Path, more: list[str], says: str) -> None:
    told = persqa(*serve_args("fail", *more), cwd=folder)
    assert told.returncode == 2
    assert says in told.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [([], "--serve MODEL"), (["--base-url", "http://127.0.0.1:1/v1"], "--model: say which")],
)
def test_without_a_server_the_flags_that_name_one_are_wanted(folder: Path, flags: list[str], says: str) -> None:
    told = persqa("run", "rows.jsonl", "-o", "qa.jsonl", *flags, cwd=folder)
    assert told.returncode == 2
    assert says in told.stderr


def test_a_dry_run_starts_no_server(folder: Path) -> None:
    told = persqa(*serve_args("fail", "--dry-run"), cwd=folder)
    assert told.returncode == 0, told.stderr
    assert f'"model": "{MODEL}"' in told.stdout


def test_a_server_that_dies_in_mid_run_ends_it_at_once_and_no_row_is_lost(folder: Path, mark: str) -> None:
    process = start_and_wait(folder)
    os.kill(simulator(mark), signal.SIGKILL)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 3, told
    assert told.count("Error: ") == 1
    assert "vllm serve some/model was ended by SIGKILL" in told
    assert "while it was in use" in told
    assert "give the same command again" in told
    assert not find_remaining(mark)
    assert persqa(*serve_args("sim", *QUICK), cwd=folder).returncode == 0
    assert numbers(folder) == list(range(ROWS))
    assert not (folder / "qa.failed.jsonl").exists()


def test_one_that_dies_before_the_first_row_is_told_by_its_own_words(folder: Path, mark: str) -> None:
    """That nothing listens any more is what the run sees first."""
    told = persqa(*serve_args("crash"), cwd=folder)
    assert told.returncode == 3
    assert "ended with exit code 1 while it was in use: MemoryError: that was all." in told.stderr
    assert not list(folder.glob("*qa*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_drains_the_run_and_ends_the_server(folder: Path, mark: str, number: signal.Signals) -> None:
    process = start_and_wait(folder)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "give the same command again" in told
    assert not find_marked(mark)
    kept = (folder / "qa.jsonl.partial").read_bytes()
    assert persqa(*serve_args("sim", *QUICK), cwd=folder).returncode == 0, "the port of the new server is another"
    assert (folder / "qa.jsonl").read_bytes().startswith(kept)
    assert numbers(folder) == list(range(ROWS))


def test_a_killed_run_takes_its_server_along(folder: Path, mark: str) -> None:
    process = start_and_wait(folder)
    process.kill()
    process.communicate(timeout=30)
    assert not find_remaining(mark)
    assert persqa(*serve_args("sim", *QUICK), cwd=folder).returncode == 0
    assert numbers(folder) == list(range(ROWS))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_while_the_server_starts_ends_it(folder: Path, mark: str, number: signal.Signals) -> None:
    process = start(*serve_args("silent"), cwd=folder)
    while not any(map(is_server, find_marked(mark).values())):
        time.sleep(0.01)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped while the server was starting" in told
    assert not find_marked(mark)
    assert not list(folder.glob("*qa*"))
