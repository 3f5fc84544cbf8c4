"""The endpoint and the model of a run: by flags, by variables, or the only model that the endpoint serves."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.simulator.server import SimSettings, run_simulator
from tests.support.commands import persqa, start

ENDED = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (32, 32), (200, 0, 0)).save(tmp_path / "a.png")
    return tmp_path


@pytest.fixture(params=[("only",), ("one", "two")], ids=["one model", "two models"])
def models(request: pytest.FixtureRequest) -> Iterator[tuple[tuple[str, ...], str]]:
    with run_simulator(SimSettings(latency=0, models=request.param)) as server:
        yield request.param, server.base_url


def run(folder: Path, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        return persqa("run", "a.png", "-o", "qa.jsonl", "--no-probes", *flags, cwd=folder)


def test_the_only_model_is_used_and_others_are_listed(folder: Path, models: tuple[tuple[str, ...], str]) -> None:
    names, url = models
    result = run(folder, "--base-url", url)
    if len(names) == 1:
        assert (result.returncode, result.stderr.splitlines()[0]) == (0, "Model: only")
        assert run(folder, "--base-url", url).returncode == 0  # the same run, which is finished
    else:
        assert result.returncode == 2
        assert "serves 2 models: one, two" in result.stderr
        assert not (folder / "qa.jsonl").exists()


def test_variables_are_defaults(folder: Path) -> None:
    with run_simulator(SimSettings(latency=0, models=("one", "two"))) as server:
        assert run(folder, PERSQA_BASE_URL=server.base_url, PERSQA_MODEL="two").returncode == 0
        other = run(folder, "--model", "one", "--fresh", PERSQA_BASE_URL=server.base_url, PERSQA_MODEL="two")
        assert other.returncode == 0
        assert b'"one"' in (folder / "qa.run.json").read_bytes()
        ended = run(folder, "--base-url", ENDED, "--fresh", PERSQA_BASE_URL=server.base_url)
        assert ended.returncode == 3


def test_the_endpoint_of_a_config_file_goes_before_the_variable(folder: Path) -> None:
    (folder / "run.toml").write_text(f'base-url = "{ENDED}"\nmodel = "two"\n')
    with run_simulator(SimSettings(latency=0, models=("two",))) as server:
        result = run(folder, "--config", "run.toml", "--max-outage", "0", PERSQA_BASE_URL=server.base_url)
        assert (result.returncode, server.stats()["requests"]) == (3, 0)


def test_without_an_answer_the_run_ends_at_once(folder: Path) -> None:
    result = run(folder, "--base-url", ENDED)
    assert result.returncode == 3
    assert "127.0.0.1:9" in result.stderr
    dry = run(folder, "--base-url", ENDED, "--dry-run")
    assert (dry.returncode, '"model": "(the only model of the endpoint)"' in dry.stdout) == (0, True)


@pytest.mark.slow
def test_a_server_that_does_not_list_its_models_is_waited_for_with_a_word(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        process = start("run", "a.png", "-o", "qa.jsonl", "--base-url", url, cwd=folder)
        said = process.stderr.readline()
    # It has ended now, instead of after three attempts of ten seconds.
    process.communicate(60)
    assert process.returncode == 3
    assert said.startswith(f"Waiting for {url} to list its models.")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--question", "What does <bo> do?"), "--question must have {tag} in it"),
        (("--prompt", "{question} {colour}"), "names the field {colour}"),
        (("--without", "teeth"), "'teeth' is not a known need"),
        (("--names", "none.txt"), "--names: none.txt does not exist"),
        (("--reference", "none.png"), "none.png does not exist"),
        (("none.jsonl",), "The input none.jsonl does not exist"),
        (("-o", "a.png/qa.jsonl"), "a.png"),
        (("-o", "rows.jsonl", "rows.jsonl"), "the input rows.jsonl is one of the files of the output rows.jsonl"),
    ],
)
def test_what_needs_no_server_is_reported_first(flags: tuple[str, ...], reason: str, folder: Path) -> None:
    (folder / "rows.jsonl").write_text('{"image": "a.png"}\n')
    result = persqa("run", "a.png", "-o", "qa.jsonl", *flags, "--base-url", ENDED, cwd=folder)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert reason in result.stderr
    if flags[0] != "-o":
        result = persqa("estimate", "a.png", *flags, "--base-url", ENDED, cwd=folder)
        assert (result.returncode, reason in result.stderr) == (2, True), result.stderr


def test_a_wrong_url_is_named_by_the_variable_that_has_it(folder: Path) -> None:
    result = run(folder, PERSQA_BASE_URL="htp://127.0.0.1:9/v1")
    assert (result.returncode, result.stderr) == (2, "Error: PERSQA_BASE_URL: must look like http://HOST:PORT/v1.\n")
    assert "PERSQA_BASE_URL may have it" in persqa("doctor", cwd=folder).stderr


def test_a_price_is_looked_up_for_the_model_that_is_found(folder: Path) -> None:
    with run_simulator(SimSettings(latency=0, models=("only",))) as server:
        result = persqa("run", "a.png", "-o", "qa.jsonl", "--base-url", server.base_url, "--max-cost", "1", cwd=folder)
    assert (result.returncode, "the price of only at this endpoint is not known" in result.stderr) == (2, True)


def test_variables_do_not_concern_a_server_of_one_s_own(folder: Path) -> None:
    result = run(folder, "--serve", "m", "--vllm-command", "no-such-program", PERSQA_BASE_URL=ENDED, PERSQA_MODEL="x")
    assert (result.returncode, "no-such-program" in result.stderr) == (2, True), result.stderr


def test_short_flags(folder: Path) -> None:
    Image.new("RGB", (32, 32), (0, 0, 200)).save(folder / "b.png")
    assert persqa("run", "-h", cwd=folder).stdout == persqa("run", "--help", cwd=folder).stdout
    with run_simulator(SimSettings(latency=0)) as server:
        result = persqa("run", "a.png", "b.png", "-n", "1", "-o", "qa.jsonl", "--base-url", server.base_url, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert len((folder / "qa.jsonl").read_bytes().splitlines()) == 1
