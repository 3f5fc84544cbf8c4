"""The benches and the soak of scripts/ measure what they say."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from persqa_client.formats.export import ExportSettings, export_runs
from tests.formats.examples import write_run

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def concurrency(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("benches.concurrency")


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("benches.common")


@pytest.fixture
def ceiling(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("benches.ceiling")


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("soak")


@pytest.mark.slow
def test_a_run_that_lasts_gives_its_rate(concurrency: Any, common: Any, tmp_path: Path) -> None:
    with common.run_simulator("--slots", 4, "--latency", 0.2) as (url, _):
        result = concurrency.measure_run(url, common.SIMULATED_MODEL, tmp_path, "4", 2)
    assert 10 <= result.rate <= 21
    assert (result.rejected, result.lost) == (0, 0)


@pytest.mark.slow
def test_a_run_that_is_stopped_gives_no_rate(concurrency: Any, common: Any, tmp_path: Path) -> None:
    """Fifty bad answers in a row stop it."""
    with (
        common.run_simulator("--latency", 0.01, "--fault", "no_tag=1") as (url, _),
        pytest.raises(RuntimeError, match=r"^The run ended before (its first row|5 seconds)"),
    ):
        concurrency.measure_run(url, common.SIMULATED_MODEL, tmp_path, "8", 5)


def test_a_soak_without_rows_is_refused_in_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "soak.py"), "--rows", "0", "--folder", str(tmp_path / "soak")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (2, "soak.py: error: --rows needs at least 1")
    assert not (tmp_path / "soak").exists()


@pytest.mark.slow
def test_a_soak_finds_no_row_that_is_lost_or_changed(tmp_path: Path) -> None:
    """Too short for its other targets."""
    command = [sys.executable, str(SCRIPTS / "soak.py"), "--rows", "1500", "--kills", "1", "--folder", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert "| rows lost, doubled or misplaced | 0 of 1,500 | 0 | met |" in result.stdout, result.stderr
    assert re.search(r"other bytes than without faults and kills \| 0 of 1,\d{3} rows \| 0 \| met \|", result.stdout)
    # Three figures, with a line for each process that ran long enough.
    assert (tmp_path / "soak.svg").read_text().count("<polyline") in (3, 6)


@pytest.mark.parametrize(
    ("change", "misplaced", "changed"),
    [
        (lambda lines: lines, False, False),
        (lambda lines: lines[1:], True, False),
        (lambda lines: [*lines, lines[-1]], True, False),
        (lambda lines: [lines[1], lines[0], *lines[2:]], True, False),
        (lambda lines: [lines[0].replace("red", "blue"), *lines[1:]], False, True),
    ],
)
def test_a_soak_counts_rows_that_are_wrong(
    change: Any, misplaced: bool, changed: bool, soak: Any, tmp_path: Path
) -> None:
    rows = [f'{{"id": {number}}}' for number in range(4)]
    lines = [f'{row[:-1]}, "pers_qa": "red"}}\n' for row in rows]
    (tmp_path / "rows.jsonl").write_text("".join(f"{row}\n" for row in rows))
    (tmp_path / "reference.jsonl").write_text("".join(lines))
    (tmp_path / "qa.jsonl").write_text("".join(change(lines)))
    (tmp_path / "qa.details.jsonl").write_text("".join(f'{{"row": {row}, "asks": 1}}\n' for row in range(1, 5)))
    figures = soak.judge_output(tmp_path / "rows.jsonl", tmp_path, 4, 0)
    assert [figure.met for figure in figures[:2]] == [not misplaced, not changed]


def test_packed_rows_are_read_with_their_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    packed, reader = import_module("benches.packed"), import_module("benches.read_rows")
    pictures = packed.make_small_pictures(tmp_path / "photos", 9)
    assert len({path.read_bytes() for path in pictures}) == 9
    output = write_run(tmp_path / "run", [{"image": [str(path)]} for path in pictures[:4]])
    packed.answer_rest(packed.write_rows(tmp_path / "rows.jsonl", pictures), output, 4)
    size = sum(path.stat().st_size for path in pictures)
    assert reader.read_all(str(tmp_path / "rows.jsonl"), "image") == (9, size)
    for layout, key in (("parquet", "images"), ("webdataset", "image")):
        export_runs([output], ExportSettings(layout, tmp_path / layout))
        assert reader.read_all(str(tmp_path / layout), key) == (9, size)


TWO_FIGURES_AND_A_FAULT = """
import time
from benches.common import Figure

def measure(folder):
    yield Figure("the first", "1", "≤ 2", True)
    deadline = time.monotonic() + 60
    while not (folder / "first.seen").exists():
        assert time.monotonic() < deadline, "the first figure was kept back"
        time.sleep(0.01)
    yield Figure("the second", "3", "≤ 2", False)
    raise ValueError("a fault of the bench")
"""


def test_figures_come_as_they_are_measured_and_then_the_fault(
    common: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "two_figures.py").write_text(TWO_FIGURES_AND_A_FAULT)
    figures = common.measure_in_process(import_module("two_figures").measure, tmp_path)
    assert next(figures).line() == "| the first | 1 | ≤ 2 | met |"
    (tmp_path / "first.seen").touch()
    assert next(figures).line() == "| the second | 3 | ≤ 2 | MISSED |"
    with pytest.raises(RuntimeError, match=r"failed, with exit code 1; its error is above\.$"):
        next(figures)


@pytest.mark.slow
def test_all_clients_of_the_ceiling_send_the_same_pictures_and_texts(ceiling: Any, common: Any, tmp_path: Path) -> None:
    rows, bodies, dataset = common.write_new_rows(tmp_path, 4), tmp_path / "bodies.jsonl", tmp_path / "dataset.jsonl"
    ceiling.record_bodies(rows, bodies, tmp_path / "out.jsonl", 4)
    others = ceiling.write_dataset(bodies, dataset)
    pictures = [base64.b64encode(path.read_bytes()).decode() for path in sorted((tmp_path / "small").iterdir())]
    sent = [json.loads(line) for line in bodies.read_text().splitlines()]
    # The requests are concurrent, so they arrive in any order.
    assert [sum(picture in str(body) for body in sent) for picture in pictures] == [1] * len(sent)
    for body, line in zip(sent, dataset.read_text().splitlines(), strict=True):
        first, *rest = json.loads(line)["content"]
        assert first == {"type": "text", "text": body["messages"][0]["content"] + ceiling.NEXT_TURN}
        assert rest == body["messages"][1]["content"]
    assert others == {name: sent[-1][name] for name in ("temperature", "top_p", "seed", "structured_outputs")}
    with common.run_bare_server(0.0, tmp_path / "again.jsonl") as url:
        assert ceiling.run_bare_loop(url, 4, bodies) > 0
    assert sorted((tmp_path / "again.jsonl").read_text().splitlines()) == sorted(bodies.read_text().splitlines())


@pytest.mark.parametrize(
    ("auto", "tokens", "met"),
    [(18.0, 55.0, [True, True, True, True, True]), (17.8, 56.0, [True, True, False, True, False])],
)
def test_a_ceiling_is_judged_by_medians_and_equal_work(
    auto: float, tokens: float, met: list[bool], ceiling: Any
) -> None:
    """The rates of the bare loop, of ``persqa run`` with a fixed concurrency, and of ``vllm bench serve``."""
    rates = [(20.0, 19.0, 21.0), (30.0, 10.0, 40.0), (20.0, 19.5, 20.0)]
    rounds = [
        {
            "bare loop": ceiling.Measured(bare, 469, 55),
            "persqa run": ceiling.Measured(run, 469, 55),
            "vllm bench serve": ceiling.Measured(bench, 467, 55),
            "persqa run, auto": ceiling.Measured(bare * auto / 20, 469, tokens),
        }
        for bare, run, bench in rates
    ]
    figures = list(ceiling.judge(rounds))
    assert [figure.met for figure in figures] == met
    assert figures[0].value == "0.950 (0.333 to 0.975)"


def test_a_server_that_ignores_sigterm_is_ended(common: Any) -> None:
    command = ["bash", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        common.end_group(process, 0.1)
        assert process.returncode == -signal.SIGKILL
