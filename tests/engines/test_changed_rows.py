"""An answered row that has changed is named by its input, and its place there."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.config import Endpoint
from persqa_client.engines.row_feed import RowFeed
from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_inputs
from persqa_client.inputs.sources import Source
from persqa_client.outcomes import Record
from persqa_client.run.plan import RunPlan
from persqa_client.run.settings import make_run_settings
from persqa_client.storage.checkpoint import RunDescription
from persqa_client.storage.ledger import Ledger
from persqa_client.storage.run_files import RunFiles
from tests.storage.scenario import make_record, render

ENDPOINT = Endpoint(base_url="http://127.0.0.1:1/v1", model="m")


def open_ledger(folder: Path) -> Ledger:
    return Ledger(RunFiles.for_output(folder / "qa.jsonl"), RunDescription({}), render=render)


def read_jobs(ledger: Ledger, source: Source) -> list[Record]:
    """Good answers to the rows that are open."""
    plan = RunPlan(make_run_settings([ENDPOINT], {})).make_row_reader()
    jobs = RowFeed(source, ledger, plan, None, min_line=0).jobs()
    return [make_record(job.task_id) for job in jobs if job is not None]


@pytest.mark.parametrize(
    ("names", "changed", "words"),
    [
        pytest.param(["a.jsonl"], "a.jsonl", "the input a.jsonl changed at line 3, which was", id="one"),
        pytest.param(["a.jsonl", "b.jsonl"], "a.jsonl", "the input a.jsonl changed at line 3,", id="the first of two"),
        pytest.param(["a.jsonl", "b.jsonl"], "b.jsonl", "the input b.jsonl changed at line 3,", id="the second"),
        pytest.param(["a.jsonl", "c.csv", "b.jsonl"], "c.csv", "the input c.csv changed at row 2,", id="a table"),
    ],
)
def test_a_changed_row_is_named_with_its_input(
    names: list[str], changed: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        Path(name).write_text(f'{{"image": "1{name}"}}\n\n{{"image": "x{name}"}}\n{{"image": "3{name}"}}\n')
    Path("c.csv").write_text("image,q\n1.jpg,\nxc.csv,\n3.jpg,\n")
    with open_ledger(tmp_path) as ledger:
        # The first row is left open, so that no later one is written.
        for record in read_jobs(ledger, open_inputs(names, "image"))[1:]:
            ledger.store_outcome(record)
    Path(changed).write_text(Path(changed).read_text().replace(f"x{changed}", "y.jpg"))
    with open_ledger(tmp_path) as ledger, pytest.raises(SettingsError, match=words):
        read_jobs(ledger, open_inputs(names, "image"))
