"""The commands as a person gives them: exit codes, what is said, signals, the disk."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import PERSQA, persqa, start


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with run_simulator(SimSettings(latency=0.0)) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "rows.jsonl").write_text('{"image": "red.png"}\n')
    (tmp_path / "date.toml").write_text("[extra-body]\nday = 2020-01-31\n")
    return tmp_path


def run(folder: Path, server: Simulator, *more: str, input: str = "rows.jsonl") -> subprocess.CompletedProcess[str]:
    return persqa(*arguments(server, input), *more, cwd=folder)


def arguments(server: Simulator, input: str = "rows.jsonl") -> list[str]:
    return ["run", input, "-o", "qa.jsonl", "--base-url", server.base_url, "--model", "persqa-simulator"]


def many(folder: Path, count: int) -> None:
    lines = [f'{{"image": "red.png", "n": {n}}}\n' for n in range(count)]
    (folder / "rows.jsonl").write_text("".join(lines))


@pytest.mark.parametrize("command", ["run", "sim", "doctor"])
def test_help_has_an_example(command: str, tmp_path: Path) -> None:
    told = persqa(command, "--help", cwd=tmp_path)
    assert told.returncode == 0
    assert f"Example: persqa {command}" in " ".join(told.stdout.split())


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    """It must answer at once: the SDK alone would take half a second."""
    code = (
        "import sys; from persqa_client.cli.main import app\n"
        "try: app(['run', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('openai', 'aiohttp', 'PIL', 'anyio') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.strip().endswith("[]")


def test_all_good_is_exit_0_with_a_table(folder: Path, simulator: Simulator) -> None:
    told = run(folder, simulator)
    assert told.returncode == 0, told.stderr
    table = dict(line.split(maxsplit=1) for line in told.stdout.splitlines() if len(line.split()) > 1)
    assert (table["rows"].strip(), table["good"].strip(), table["output"].strip()) == ("1", "1", "qa.jsonl")


def test_some_failed_is_exit_1_also_when_given_again(folder: Path, simulator: Simulator) -> None:
    (folder / "rows.jsonl").write_text('{"image": "red.png"}\n{"image": "missing.png"}\n')
    told = run(folder, simulator)
    assert told.returncode == 1
    assert "image_missing" in told.stdout
    again = run(folder, simulator)
    assert again.returncode == 1
    assert "finished already" in again.stderr
    assert "--retry-failed" in again.stderr


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param(["--extra-body", "{"], "--extra-body is not JSON", id="extra body"),
        pytest.param(["--extra-body", '{"model": "x"}'], "can't set model", id="extra body sets the model"),
        pytest.param(["--tag", "a b"], "--tag", id="tag"),
        pytest.param(["--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY", id="key variable"),
        pytest.param(["--rps", "0"], "--rps", id="no requests a second"),
        pytest.param(["--top-p", "7"], "--top-p", id="top-p"),
        pytest.param(["--output-key", "image"], "--output-key image", id="output key"),
        pytest.param(["--temperature", "9"], "--temperature", id="temperature"),
        pytest.param(["--base-url", "localhost:8000"], "--base-url", id="base URL"),
        pytest.param(["-o", "."], "folder", id="output is a folder"),
        pytest.param(["-o", "/dev/null"], "device", id="output is a device"),
        pytest.param(["-o", "rows.jsonl/qa.jsonl"], "can't be made", id="no such place"),
        pytest.param(["--config", "missing.toml"], "missing.toml", id="no config file"),
        pytest.param(["--config", "date.toml"], "JSON can't hold", id="a date in the config file's request fields"),
        pytest.param(["--base-url", "http://[::1/v1"], "--base-url: must look like", id="half an IPv6 address"),
        pytest.param(["--rps", "inf"], "--rps", id="endless requests a second"),
        pytest.param(["--seed", "9" * 20], "--seed", id="seed beyond 64 bits"),
        pytest.param(["-o", f"{'x' * 235}.jsonl"], "is too long: give -o a shorter one", id="output name too long"),
        pytest.param(["--nonsense"], "--nonsense", id="no such flag"),
    ],
)
def test_wrong_use_is_exit_2_with_a_sentence(folder: Path, simulator: Simulator, more: list[str], says: str) -> None:
    told = run(folder, simulator, *more)
    assert told.returncode == 2
    assert says in " ".join(told.stderr.replace("│", " ").split())
    assert "Traceback" not in told.stderr


def test_a_missing_input_is_exit_2(folder: Path, simulator: Simulator) -> None:
    told = run(folder, simulator, input="absent.jsonl")
    assert told.returncode == 2
    assert told.stderr.startswith("Error: The input absent.jsonl does not exist")


@pytest.mark.parametrize(("input", "lacks"), [("empty.jsonl", "rows"), ("empty", "pictures")])
def test_an_input_of_nothing_is_said_so_and_leaves_nothing(
    folder: Path, simulator: Simulator, input: str, lacks: str
) -> None:
    (folder / "empty").mkdir()
    (folder / "empty.jsonl").write_text("\n")
    told = run(folder, simulator, input=input)
    assert (told.returncode, told.stderr) == (0, f"{input} holds no {lacks}: nothing to do.\n")
    assert not list(folder.glob("*qa*"))


def test_no_server_is_exit_3_and_leaves_no_output(folder: Path) -> None:
    with run_simulator(SimSettings()) as gone:
        pass
    told = run(folder, gone)
    assert told.returncode == 3
    assert "Nothing listens at" in told.stderr
    assert not list(folder.glob("*qa*")), "a run that never began leaves nothing"


def test_a_wrong_model_binds_nobody(folder: Path, simulator: Simulator) -> None:
    assert run(folder, simulator, "--model", "wrong").returncode == 3
    assert run(folder, simulator).returncode == 0


def test_a_finished_run_stays_in_place_while_the_server_is_away(folder: Path, simulator: Simulator) -> None:
    assert run(folder, simulator).returncode == 0
    (folder / "rows.jsonl").write_text('{"image": "red.png"}\n{"image": "red.png", "n": 2}\n')
    with run_simulator(SimSettings()) as gone:
        pass
    assert run(folder, gone).returncode == 3
    assert len((folder / "qa.jsonl").read_bytes().splitlines()) == 1
    assert run(folder, simulator).returncode == 0
    assert len((folder / "qa.jsonl").read_bytes().splitlines()) == 2


def test_a_config_file_gives_flags_below_those_of_the_command_line(folder: Path, simulator: Simulator) -> None:
    (folder / "run.toml").write_text(
        f'input = "rows.jsonl"\noutput = "qa.jsonl"\nbase-url = "{simulator.base_url}"\nmodel = "persqa-simulator"\n'
        'tag = "bo"\noutput-key = "qa"\ndetails = true\n[extra-body]\ntop_k = 20\n'
    )
    assert persqa("run", "--config", "run.toml", "--tag", "ann", cwd=folder).returncode == 0
    row = orjson.loads((folder / "qa.jsonl").read_bytes())
    assert "<ann>" in row["qa"]
    told = orjson.loads((folder / "qa.run.json").read_bytes())
    assert (told["identity"]["extra-body"], told["identity"]["details"]) == ({"top_k": 20}, True)


def test_a_config_file_with_an_unknown_key_is_refused(folder: Path, simulator: Simulator) -> None:
    (folder / "run.toml").write_text("temprature = 1\n")
    told = run(folder, simulator, "--config", "run.toml")
    assert told.returncode == 2
    assert "temprature" in told.stderr


def test_a_dry_run_shows_requests_and_sends_none(folder: Path, simulator: Simulator) -> None:
    many(folder, 5)
    asked = simulator.stats()["requests"]
    told = run(folder, simulator, "--dry-run")
    assert told.returncode == 0
    assert told.stdout.count("--- line") == 3
    assert "data:image/png;base64,iVBORw0KGgoAAAAN… (40x30" in told.stdout
    assert len(told.stdout) < 6000
    assert simulator.stats()["requests"] == asked
    assert not list(folder.glob("qa*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_drains_and_says_how_to_go_on(folder: Path, number: signal.Signals) -> None:
    many(folder, 300)
    with run_simulator(SimSettings(latency=0.05, slots=8)) as server:
        process = start(*arguments(server), "--concurrency", "8", "--no-probes", cwd=folder)
        while server.stats()["answered"] < 30:
            time.sleep(0.01)
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "give the same command again" in told
        kept = len((folder / "qa.jsonl.partial").read_bytes().splitlines())
        assert kept >= 29, "what was under way was written"
        assert run(folder, server, "--concurrency", "8", "--no-probes").returncode == 0
        assert server.stats()["answered"] == 300, "nothing was paid twice"
    assert [row["n"] for row in map(orjson.loads, (folder / "qa.jsonl").read_bytes().splitlines())] == list(range(300))


def test_the_output_grows_in_input_order_while_the_run_goes_on(folder: Path) -> None:
    many(folder, 200)
    with run_simulator(SimSettings(latency=0.02, jitter=0.9, slots=16)) as server:
        process = start(*arguments(server), "--concurrency", "16", cwd=folder)
        seen: list[int] = []
        while process.poll() is None and len(seen) < 100:
            partial = folder / "qa.jsonl.partial"
            lines = partial.read_bytes().splitlines(keepends=True) if partial.exists() else []
            seen = [orjson.loads(line)["n"] for line in lines if line.endswith(b"\n")]
            assert seen == list(range(len(seen)))
            time.sleep(0.02)
        assert 100 <= len(seen) < 200
        process.communicate(timeout=20)


def test_a_full_disk_stops_the_run_with_one_sentence_and_loses_nothing(folder: Path, simulator: Simulator) -> None:
    """The process may write no file beyond a few kilobytes: the same error path as a full disk."""
    many(folder, 400)
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    code = limited + "from persqa_client.cli.main import app; app()"
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments(simulator)], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 2, told.stderr
    assert "Traceback" not in told.stderr
    assert told.stderr.count("Error: ") == 1
    assert "the same command goes on from here" in told.stderr
    assert run(folder, simulator).returncode == 0
    assert [row["n"] for row in map(orjson.loads, (folder / "qa.jsonl").read_bytes().splitlines())] == list(range(400))


def test_the_installed_command_is_the_module(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("persqa")
    told = subprocess.run([script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout == subprocess.run([*PERSQA, "--help"], cwd=tmp_path, capture_output=True, text=True).stdout
