"""``persqa report``: a page about a real run, messages and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from persqa_client.simulator.server import Simulator
from tests.report.runs import WrittenRun, make_record, write_pictures
from tests.report.test_page import parts_of
from tests.support.commands import persqa


def test_a_run_gets_a_page_with_its_pictures(simulator: Simulator, tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.png", "b.png")
    (tmp_path / "work").mkdir()
    lines = [{"image": [name]} for name in ("a.png", "b.png", "missing.png")]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    model = ("--base-url", simulator.base_url, "--model", "persqa-simulator", "--no-probes")
    run = persqa("run", "../rows.jsonl", "-o", "../out/qa.jsonl", "--questions", "2", *model, cwd=tmp_path / "work")
    assert run.returncode == 1, run.stderr
    result = persqa("report", "out/qa.jsonl", "-o", "out/report.html", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("6 questions about 3 pictures: out/report.html (0.1 MB).")
    part = parts_of((tmp_path / "out" / "report.html").read_text())[0]
    assert [row["id"] for row in part["rows"]] == ["1.1", "1.2", "2.1", "2.2", "3.1", "3.2"]
    assert [bool(uri) for _, uri, _ in part["pictures"]] == [True, True, False]
    assert "missing.png" in part["pictures"][2][2]


def test_errors_are_one_sentence(tmp_path: Path) -> None:
    missing = persqa("report", "qa.jsonl", "-o", "report.html", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == "Error: there is no output qa.jsonl: name the output of a run.\n"
    WrittenRun(tmp_path).finish([make_record(1)])
    (tmp_path / "mine.html").write_text("mine")
    foreign = persqa("report", "qa.jsonl", "-o", "mine.html", cwd=tmp_path)
    assert foreign.returncode == 2
    assert foreign.stderr.count("\n") == 1
    assert persqa("report", "qa.jsonl", "-o", "mine.html", "--force", cwd=tmp_path).returncode == 0
    assert persqa("report", "qa.jsonl", cwd=tmp_path).returncode == 2
    twice = persqa("report", "qa.jsonl", "qa.jsonl", "-o", "report.html", cwd=tmp_path)
    assert (twice.returncode, "the output qa.jsonl is given twice: name it once" in twice.stderr) == (2, True)
