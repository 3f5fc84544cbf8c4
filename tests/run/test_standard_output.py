"""``-o -``: answers go to standard output in input order, failures to a file, everything else to standard error."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client.errors import OutputClosed, SettingsError, StorageError
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from persqa_client.storage.transient_ledgers import MemoryLedger, StreamLedger
from tests.storage.scenario import LINES, announce, answer_first_run, render
from tests.support.commands import Command, persqa, start


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.01, jitter=0.9, slots=16)) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "photos" / "red.png")
    return tmp_path


def write_rows(folder: Path, count: int, image: str = "photos/red.png") -> None:
    lines = [f'{{"image": "{image if number % 10 else "missing.png"}", "n": {number}}}\n' for number in range(count)]
    (folder / "rows.jsonl").write_text("".join(lines))


def command(server: Simulator, *more: str, input: str = "rows.jsonl") -> list[str]:
    flags = ["--base-url", server.base_url, "--model", "persqa-simulator", "--no-probes"]
    return ["run", input, "-o", "-", "--failed", "bad/failed.jsonl", *flags, *more]


def test_answers_are_written_in_input_order_and_nothing_else(folder: Path, simulator: Simulator) -> None:
    write_rows(folder, 200)
    result = persqa(*command(simulator), cwd=folder)
    assert result.returncode == 1
    rows = [orjson.loads(line) for line in result.stdout.splitlines()]
    failed = [orjson.loads(line) for line in (folder / "bad" / "failed.jsonl").read_bytes().splitlines()]
    assert [row["n"] for row in rows] == [number for number in range(200) if number % 10]
    assert [row["n"] for row in failed] == list(range(0, 200, 10))
    assert all(row["pers_qa"].startswith("Question: ") for row in rows)
    assert "With -o - this run can't be resumed" in result.stderr
    assert re.search(r"^answered +180$", result.stderr, re.MULTILINE)
    assert "failed rows   bad/failed.jsonl" in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["bad", "photos", "rows.jsonl"]


def test_the_bytes_are_those_of_an_output_file(folder: Path, simulator: Simulator) -> None:
    write_rows(folder, 30)
    piped = persqa(*command(simulator, "--questions", "3"), cwd=folder)
    words = ["qa.jsonl" if word == "-" else word for word in command(simulator, "--questions", "3")]
    at = words.index("--failed")
    del words[at : at + 2]
    assert persqa(*words, cwd=folder).returncode == 1
    assert piped.stdout.encode() == (folder / "qa.jsonl").read_bytes()
    assert (folder / "bad" / "failed.jsonl").read_bytes() == (folder / "qa.failed.jsonl").read_bytes()


def test_a_run_without_failures_leaves_no_file(folder: Path, simulator: Simulator) -> None:
    result = persqa(*command(simulator, input="photos"), cwd=folder)
    assert result.returncode == 0
    assert orjson.loads(result.stdout)["image"] == [str(folder / "photos" / "red.png")]
    assert not (folder / "bad" / "failed.jsonl").exists()


def test_a_closed_pipe_ends_the_run_quietly(folder: Path, simulator: Simulator) -> None:
    write_rows(folder, 20_000)
    asked = simulator.stats()["requests"]
    process = start(*command(simulator), cwd=folder)
    first = [process.stdout.readline() for _ in range(3)]
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert [orjson.loads(line)["n"] for line in first] == [1, 2, 3]
    assert errors == "Warning: With -o - this run can't be resumed: the same command starts from the beginning.\n"
    assert simulator.stats()["requests"] - asked < 10_000


def test_a_slow_reader_gets_all_rows_and_holds_the_run_back(folder: Path, simulator: Simulator) -> None:
    (folder / "rows.jsonl").write_text(
        "".join(f'{{"image": "photos/red.png", "n": {n}, "text": "{"x" * 20_000}"}}\n' for n in range(400))
    )
    asked = simulator.stats()["requests"]
    process = start(*command(simulator, "--concurrency", "4"), cwd=folder)
    assert orjson.loads(process.stdout.readline())["n"] == 0
    before = -1
    while (sent := simulator.stats()["requests"]) != before:  # until the run waits for its reader
        before = sent
        time.sleep(0.3)
    assert sent - asked < 300
    with process.stdout as rest:
        assert [orjson.loads(line)["n"] for line in rest] == list(range(1, 400))
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_after_a_signal_whole_rows_are_written(number: signal.Signals, folder: Path, simulator: Simulator) -> None:
    write_rows(folder, 20_000)
    process = start(*command(simulator), cwd=folder)
    lines = [process.stdout.readline() for _ in range(20)]
    process.send_signal(number)
    rest, errors = process.stdout.read(), process.stderr.read()
    assert process.wait(60) == 130
    written = [orjson.loads(line)["n"] for line in (*lines, *rest.splitlines())]
    assert written == [number for number in range(written[-1] + 1) if number % 10]
    process.stdout.close()
    process.stderr.close()
    assert "With -o - this run can't be resumed" in errors
    assert "Nothing is lost" not in errors


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["-o", "-"],
            "Error: -o - writes answered rows to standard output; name a file for the others with --failed.\n",
        ),
        (["-o", "q.jsonl", "--failed", "f.jsonl"], "Error: --failed is for -o - alone;"),
        (
            ["-o", "-", "--failed", "rows.jsonl"],
            "Error: --failed: rows.jsonl exists; move it, or choose another name.",
        ),
        (["-o", "-", "--failed", "photos"], "Error: --failed: photos is not a file;"),
        (["-o", "-", "--failed", "rows.jsonl/x"], "Error: --failed: rows.jsonl/x can't be written (Not a directory)"),
        (["-o", "-", "--failed", "f", "--fresh"], "Error: --fresh needs an output file;"),
        (["-o", "-", "--failed", "f", "--retry-failed"], "Error: --retry-failed needs an output file;"),
        (["-o", "-", "--failed", "f", "--paths", "relative"], "Error: --paths relative needs an output file"),
    ],
)
def test_flags_that_do_not_fit_are_one_sentence(
    words: list[str], expected: str, folder: Path, simulator: Simulator
) -> None:
    write_rows(folder, 3)
    flags = ["--base-url", simulator.base_url, "--model", "persqa-simulator"]
    result = persqa("run", "rows.jsonl", *words, *flags, cwd=folder)
    assert result.returncode == 2
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if not line.startswith("Warning")]
    assert len(errors) == 1
    assert f"{errors[0]}\n".startswith(expected)


def test_a_full_disk_is_reported(folder: Path, simulator: Simulator) -> None:
    write_rows(folder, 30)
    with open("/dev/full", "w") as full:
        piped = Command(None, command(simulator), folder, stdout=full.fileno())
        [errors] = piped.communicate(timeout=60)
    assert piped.returncode == 2
    assert "Error: standard output can't be written (No space left on device)" in errors
    words = ["/dev/full" if word.startswith("bad") else word for word in command(simulator)]
    result = persqa(*words, cwd=folder)
    assert result.returncode == 2
    assert "Error: /dev/full can't be written (No space left on device)" in result.stderr


def test_the_ledger_writes_what_the_one_in_memory_keeps(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    ledger = StreamLedger(render, write, tmp_path / "failed.jsonl")
    memory = MemoryLedger(render)
    for each in (ledger, memory):
        announce(each)
        for task_id in [task_id for line in LINES for task_id in line.task_ids][::-1]:
            each.store_outcome(answer_first_run(task_id))
        each.finish({})
    assert (ledger.tally, ledger.buffer.tasks, ledger.buffer.bytes) == (memory.tally, 0, 0)
    ledger.close()
    os.close(write)
    with open(read, "rb") as output:
        assert [orjson.loads(line) for line in output] == memory.get_rows(failed=False)
    lines = (tmp_path / "failed.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line) for line in lines] == memory.get_rows(failed=True)


def test_errors_of_the_thread_are_raised_by_the_ledger(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ledger = StreamLedger(render, write, tmp_path / "failed.jsonl")
    announce(ledger)
    for task_id in LINES[0].task_ids:
        ledger.store_outcome(answer_first_run(task_id))
    with pytest.raises(OutputClosed):
        ledger.finish({})
    with pytest.raises(OutputClosed):
        ledger.store_outcome(answer_first_run(LINES[1].task_ids[0]))
    ledger.close()
    os.close(write)
    ledger = StreamLedger(render, os.open("/dev/full", os.O_WRONLY), tmp_path / "failed.jsonl")
    announce(ledger)
    ledger.store_outcome(answer_first_run(LINES[0].task_ids[0]))
    ledger.store_outcome(answer_first_run(LINES[0].task_ids[1]))
    with pytest.raises(StorageError, match="standard output can't be written"):
        ledger.finish({})
    ledger.close()
    with pytest.raises(SettingsError):
        StreamLedger(render, 1, tmp_path)
