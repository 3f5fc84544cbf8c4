"""Collects what scripts and data sets rely on: flags, exit codes, names of keys, codes and variables."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import persqa_client
from persqa_client.cli.main import app
from tests.goldens.scenarios import SCENARIOS, play, prepare
from tests.goldens.server import MODEL, RecordingServer
from tests.support.commands import PERSQA, persqa, start

HERE = Path(__file__).parent
GOLDEN = HERE / "surfaces.json"
ROOT = HERE.parent.parent
PACKAGE = Path(persqa_client.__file__).parent
MAPPINGS = (
    "identity.extra-body", "counts.failed", "counts.re_asked", "counts.made_good_by", "counts.doubts",
    "counts.verification.verdicts", "server.constraints",
    "server.prefills", "versions",
)  # fmt: skip
"""Keys of the run file whose own keys are data."""

NAMES = HERE / "names.json"
"""Codes and environment variables; kept by hand, since nothing lists them."""


def collect(folder: Path) -> dict[str, Any]:
    """All surfaces that can be asked for; about five seconds."""
    return {
        "public_names": sorted(persqa_client.__all__),
        "flags": flags(),
        "exit_codes": exit_codes(folder / "exits"),
        **run_keys(folder / "run"),
        **simulator(folder),
    }


def flags() -> dict[str, Any]:
    """Each command's options and arguments with what they take, by the application that the console script calls."""
    return {
        name: {parameter.name: describe(parameter) for parameter in command.params}
        for name, command in sorted(iterate_commands("", typer.main.get_command(app)))
    }


def iterate_commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Commands of groups have the group's name before their own."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for own, inner in command.commands.items():
        yield from iterate_commands(f"{name} {own}".strip(), inner)


def describe(parameter: Any) -> dict[str, Any]:
    # Python 3.13 names the class by its private module.
    annotation = str(parameter.type_descriptor.annotation).replace("pathlib._local.", "pathlib.")
    details = {
        "flags": [*parameter.opts, *parameter.secondary_opts],
        "type": re.sub(r"<class '(.*)'>|typing\.|pathlib\.|builtins\.", r"\1", annotation),
        "min": parameter.min,
        "max": parameter.max,
        "metavar": parameter.metavar,
        "default": parameter.default if isinstance(parameter.default, str | int | float | bool) else None,
        "required": parameter.required,
        "repeatable": getattr(parameter, "multiple", False),
        "variable": parameter.envvar,
    }
    return {name: value for name, value in details.items() if value is not None and value is not False}


def exit_codes(folder: Path) -> dict[str, int]:
    """The exit codes of runs that end in each way, but for a defect of the program (70)."""
    folder.mkdir()
    prepare(folder)
    good, bad = '{"image": "a.png"}\n', '{"image": "missing.png"}\n'
    (folder / "good.jsonl").write_text(good)
    (folder / "mixed.jsonl").write_text(good + bad)
    found = {}
    common = ("--model", MODEL, "--no-probes", "--concurrency", "1")
    with RecordingServer(salt=None) as server:
        for name in ("good", "mixed"):
            run = ("run", f"{name}.jsonl", "-o", f"{name}.out.jsonl", "--base-url", server.url, *common)
            found[name] = persqa(*run, cwd=folder).returncode
        found["no such flag"] = persqa("run", "good.jsonl", "--no-such-flag", cwd=folder).returncode
        found["other settings"] = persqa(*run, "--seed", "5", cwd=folder).returncode
    run = ("run", "good.jsonl", "-o", "other.jsonl", "--base-url", server.url, *common)
    found["nothing listens"] = persqa(*run, cwd=folder).returncode
    for number in (signal.SIGINT, signal.SIGTERM):
        found[number.name] = interrupted(folder, number, common)
    return found


def interrupted(folder: Path, number: signal.Signals, common: tuple[str, ...]) -> int:
    with RecordingServer(limit=0) as server:
        run = ("run", "good.jsonl", "-o", f"{number.name}.jsonl", "--base-url", server.url, *common)
        process = start(*run, cwd=folder)
        deadline = time.monotonic() + 20
        while not server.bodies and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        time.sleep(0.3)
        # The first signal lets requests in flight end; the second ends them.
        if process.poll() is None:
            process.send_signal(number)
        process.communicate(timeout=20)
        return process.wait()


def run_keys(folder: Path) -> dict[str, Any]:
    """Keys of the files of a finished run, in the order in which they stand there."""
    folder.mkdir()
    prepare(folder)
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == "questions-uuid")
    play(scenario, folder)
    record = json.loads((folder / "out.jsonl").read_bytes().splitlines()[0])
    failures = [json.loads(line) for line in (folder / "out.failed.jsonl").read_bytes().splitlines()]
    return {
        "meta_keys": list(key_paths(record["pers_qa_meta"])),
        "error_keys": sorted({key for failure in failures for key in failure["error"]}),
        "run_file_keys": list(key_paths(json.loads((folder / "out.run.json").read_bytes()))),
        "files": sorted(path.name for path in folder.glob("*out.*")),
    }


def key_paths(value: object, path: str = "") -> list[str]:
    """Dotted names of all keys, those of mappings that hold data left out."""
    if isinstance(value, list):
        return key_paths(value[0], f"{path}[]") if value and isinstance(value[0], dict) else []
    if not isinstance(value, dict) or path in MAPPINGS:
        return []
    names = [f"{path}.{key}".removeprefix(".") for key in value]
    return [name for own in zip(names, value.values(), strict=True) for name in (own[0], *key_paths(own[1], own[0]))]


def simulator(folder: Path) -> dict[str, Any]:
    """What ``persqa sim`` prints first, its port left out, and the keys of its statistics."""
    command = [*PERSQA, "sim", "--port", "0", "--model", "demo-model"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip("\n") for _ in range(2)]
        found = re.search(r"http://[^ ]*/v1", lines[1])
        assert found is not None, lines
        with urllib.request.urlopen(f"{found[0].removesuffix('/v1')}/sim/stats") as answer:
            stats = json.load(answer)
        process.send_signal(signal.SIGTERM)
    return {
        "simulator_lines": [re.sub(r":\d+/", ":PORT/", line) for line in lines],
        "simulator_stats": list(key_paths(stats)),
    }


def sources() -> str:
    """All code of the package in one text."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py")))
