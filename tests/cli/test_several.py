"""Several endpoints on the command line: repeated flags, the config file, the summary."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import persqa

Two = tuple[Simulator, Simulator]


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    with (
        run_simulator(SimSettings(latency=0.01, api_key="key-1")) as one,
        run_simulator(SimSettings(latency=0.01, api_key="key-2")) as other,
    ):
        yield one, other


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONE", "key-1")
    monkeypatch.setenv("TWO", "key-2")
    for number in range(20):
        Image.new("RGB", (40, 30), (200, number, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"image": "{number}.png"}}\n' for number in range(20)))
    return tmp_path


RUN = ["run", "rows.jsonl", "-o", "qa.jsonl", "--model", "persqa-simulator", "--no-probes"]


def flags(two: Two, *names: str) -> list[str]:
    urls = [word for server in two for word in ("--base-url", server.base_url)]
    return [*RUN, *urls, *(word for name in names for word in ("--api-key-env", name))]


def test_the_summary_has_a_line_for_each_endpoint(folder: Path, two: Two) -> None:
    result = persqa(*flags(two, "ONE", "TWO"), cwd=folder)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("endpoint ")]
    assert [line.split()[1] for line in lines] == [f"{server.base_url}:" for server in two]
    assert all(" answers, 0 failed, " in line and " tokens in, " in line for line in lines)
    assert "key-" not in (result.stdout + result.stderr + (folder / "qa.run.json").read_text())


@pytest.mark.parametrize(
    ("names", "code", "words"), [(["ONE"], 3, ": Authentication failed (401"), (["ONE"] * 3, 2, "given 3 times for 2")]
)
def test_keys_that_do_not_fit_the_endpoints_are_one_message(
    folder: Path, two: Two, names: list[str], code: int, words: str
) -> None:
    result = persqa(*flags(two, *names), cwd=folder)
    assert result.returncode == code
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_config_file_can_name_one_or_several(folder: Path, two: Two, count: int) -> None:
    urls = [server.base_url for server in two][:count]
    listed = f'"{urls[0]}"' if count == 1 else f'["{urls[0]}", "{urls[1]}"]'
    names = '"ONE"' if count == 1 else '["ONE", "TWO"]'
    (folder / "run.toml").write_text(f"base-url = {listed}\napi-key-env = {names}\n")
    result = persqa(*RUN, "--config", "run.toml", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("endpoint ") == (0 if count == 1 else 2)


def test_a_dry_run_prints_all_endpoints(folder: Path, two: Two) -> None:
    result = persqa(*flags(two, "ONE", "TWO"), "--dry-run", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert f"POST {two[0].base_url}/chat/completions or {two[1].base_url}/chat/completions" in result.stdout
    assert os.environ["ONE"] not in result.stdout
