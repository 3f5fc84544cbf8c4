"""A run on a machine with a full disk, a folder that goes away, slow storage, a wrong clock or little memory.

It ends with one sentence and is resumed, or it goes on; either way the output has the bytes of an undisturbed run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import Command, persqa, python, start

ROWS = 300
MAIN = "\nfrom persqa_client.cli.main import app; app()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"image": "a.png", "n": n}) + "\n" for n in range(ROWS)))
    return tmp_path


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    """Slow enough for something to happen meanwhile."""
    with run_simulator(SimSettings(latency=0.05, slots=8)) as server:
        yield server


def words(server: Simulator, output: str | Path) -> list[str]:
    flags = [
        "--base-url",
        server.base_url,
        "--model",
        "persqa-simulator",
        "--no-probes",
        "--quiet",
        "--paths",
        "absolute",
    ]
    return ["run", "in.jsonl", "-o", str(output), "--concurrency", "8", *flags]


def numbers(output: Path) -> list[int]:
    return [json.loads(line)["n"] for line in output.read_text().splitlines()]


def check_complete(output: Path) -> None:
    """The simulator gives equal rows equal answers but for their seeds, so places and numbers are compared."""
    assert numbers(output) == list(range(ROWS))
    assert not list(output.parent.glob("*.partial")) + list(output.parent.glob("*.journal*"))


def wait_for_rows(process: Command, partial: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if partial.exists() and partial.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def check_one_sentence(errors: str) -> None:
    assert "Traceback" not in errors
    assert errors.count("Error: ") == 1, errors


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory. Only root may make one."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full_stops_the_run_until_there_is_room(folder: Path, server: Simulator) -> None:
    with mounted(folder / "disk", "size=96k") as disk:
        result = persqa(*words(server, disk / "qa.jsonl"), cwd=folder)
        assert result.returncode == 2
        check_one_sentence(result.stderr)
        assert any(reason in result.stderr for reason in ("No space left on device", "the disk may be full"))
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        before = server.stats()["answered"]
        assert persqa(*words(server, disk / "qa.jsonl"), cwd=folder).returncode == 0
        check_complete(disk / "qa.jsonl")
        assert server.stats()["answered"] - before < ROWS, "what was stored is not asked again"


def test_a_disk_that_is_read_only_is_refused(folder: Path, server: Simulator) -> None:
    with mounted(folder / "disk", "size=1m,ro") as disk:
        before = server.stats()["requests"]
        result = persqa(*words(server, disk / "qa.jsonl"), cwd=folder)
        assert result.returncode == 2
        check_one_sentence(result.stderr)
        assert "Read-only file system" in result.stderr
        assert server.stats()["requests"] == before


@pytest.mark.parametrize("is_removed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_folder_that_goes_away_stops_the_run(is_removed: bool, folder: Path, server: Simulator) -> None:
    (folder / "out").mkdir()
    process = start(*words(server, "out/qa.jsonl"), cwd=folder)
    wait_for_rows(process, folder / "out" / "qa.jsonl.partial", 20)
    (folder / "out").rename(folder / "away")
    if is_removed:
        shutil.rmtree(folder / "away")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    check_one_sentence(errors)
    assert "can't be written (No such file or directory)" in errors
    assert not (folder / "out").exists()
    if not is_removed:
        (folder / "away").rename(folder / "out")
    before = server.stats()["answered"]
    assert persqa(*words(server, "out/qa.jsonl"), cwd=folder).returncode == 0
    check_complete(folder / "out" / "qa.jsonl")
    assert is_removed or server.stats()["answered"] - before < ROWS - 15


SLOW = """
import json, os, time, urllib.request
fsync = os.fsync
def count():
    with urllib.request.urlopen(os.environ["STATS"]) as response:
        return json.load(response)["answered"]
def slow_fsync(descriptor):
    # As of a network folder that hangs. The first sync of a run that answers ends after 60 more answers.
    before = count()
    if before > int(os.environ["BEFORE"]) + 5 and not waited:
        waited.append(1)
        while count() < before + 60:
            time.sleep(0.01)
    fsync(descriptor)
waited = []
os.fsync = slow_fsync
"""


@pytest.mark.slow
def test_requests_go_on_while_a_sync_hangs(folder: Path, server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATS", f"{server.base_url.removesuffix('/v1')}/sim/stats")
    monkeypatch.setenv("BEFORE", str(server.stats()["answered"]))
    result = python(SLOW + MAIN, *words(server, "qa.jsonl"), cwd=folder)
    assert result.returncode == 0, result.stderr
    check_complete(folder / "qa.jsonl")


JUMPING = """
import random, time
now, rng = time.time, random.Random(0)
time.time = lambda: now() + rng.choice([-86400.0, 0.0, 86400.0])
"""


def test_a_clock_that_jumps_changes_nothing(folder: Path, server: Simulator) -> None:
    """By a day, forwards and backwards, at each look at it."""
    result = python(JUMPING + MAIN, *words(server, "qa.jsonl"), "--rps", "400", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    check_complete(folder / "qa.jsonl")
    assert 0 <= json.loads((folder / "qa.run.json").read_text())["seconds"] < 600


FEW_HANDLES = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (84, 84))"


def test_few_handles_lower_the_concurrency_and_fail_no_row(folder: Path, server: Simulator) -> None:
    result = python(FEW_HANDLES + MAIN, *words(server, "qa.jsonl"), "--concurrency", "64", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "--concurrency 64 is lowered to" in result.stderr
    check_complete(folder / "qa.jsonl")


LITTLE_MEMORY = """
import resource
with open("/proc/self/statm") as file:
    used = int(file.read().split()[5]) * resource.getpagesize()
limit = used + 500_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
def test_a_picture_that_memory_does_not_hold_fails_its_row_alone(folder: Path, server: Simulator) -> None:
    """225 megapixels take 0.7 GB, and the process may have 0.5 GB more than at its start."""
    Image.new("RGB", (15_000, 15_000), "red").save(folder / "big.png", compress_level=1)
    rows = [{"image": "big.png" if n == 3 else "a.png", "n": n} for n in range(8)]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = python(LITTLE_MEMORY + MAIN, *words(server, "qa.jsonl"), cwd=folder)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert numbers(folder / "qa.jsonl") == [0, 1, 2, 4, 5, 6, 7]
    assert numbers(folder / "qa.failed.jsonl") == [3]
