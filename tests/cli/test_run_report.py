"""``persqa run --report``: a page at the end of the run, whatever the end is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.cli.run_report import check_report, write_run_report
from persqa_client.errors import SettingsError
from persqa_client.report.page import is_report
from persqa_client.simulator.server import DEFAULT_MODEL, Simulator
from tests.report.runs import WrittenRun, make_record
from tests.support.commands import persqa


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    lines = [{"image": image} for image in ("a.png", "a.png", "none.png", "a.png")]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def run_with_report(folder: Path, simulator: Simulator, *flags: str) -> tuple[int, str]:
    """The exit code, and what stands on stderr."""
    words = ("run", "in.jsonl", "-o", "qa.jsonl", "--base-url", simulator.base_url, "--model", DEFAULT_MODEL)
    result = persqa(*words, "--no-probes", *flags, cwd=folder)
    return result.returncode, result.stderr


def test_a_run_ends_with_a_page_about_its_rows(folder: Path, simulator: Simulator) -> None:
    code, errors = run_with_report(folder, simulator, "--report", "pages/report.html")
    page = folder / "pages" / "report.html"
    assert (code, is_report(page)) == (1, True)
    assert errors.splitlines()[-1].startswith("Report of 4 questions about 2 pictures: pages/report.html (")
    page.unlink()
    assert run_with_report(folder, simulator, "--report", "pages/report.html", "-q") == (1, "")
    assert is_report(page)


@pytest.mark.parametrize("mode", [("--dry-run",), ("--preview", "1")])
def test_a_mode_without_results_says_that_it_writes_no_page(
    folder: Path, simulator: Simulator, mode: tuple[str, ...]
) -> None:
    code, errors = run_with_report(folder, simulator, "--report", "report.html", *mode)
    assert (code, (folder / "report.html").exists()) == (0, False)
    assert errors.splitlines()[0] == f"No report is written: {mode[0]} makes no results."


def test_a_run_that_stops_has_a_page_about_the_rows_up_to_then(folder: Path, simulator: Simulator) -> None:
    stop = ("--concurrency", "1", "--max-tokens-total", "1", "--report", "report.html")
    code, errors = run_with_report(folder, simulator, *stop)
    assert (code, (folder / "qa.jsonl").exists(), is_report(folder / "report.html")) == (3, False, True)
    assert errors.splitlines()[-1].startswith("Report of ")


@pytest.mark.parametrize(
    ("page", "output", "message"),
    [
        ("in.jsonl", "qa.jsonl", "in.jsonl exists and is not a report: choose another --report"),
        ("qa.failed.jsonl", "qa.jsonl", "qa.failed.jsonl is one of the files of the output qa.jsonl"),
        ("a.png/report.html", "qa.jsonl", "--report: a.png can't be made (File exists)"),
        ("report.html", "-", "--report needs an output file"),
    ],
)
def test_a_page_that_cannot_be_written_is_known_before_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, page: str, output: str, message: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(SettingsError, match=re.escape(message)):
        check_report(Path(page), Path(output))


def test_a_page_that_cannot_be_written_stops_the_run_before_its_first_row(folder: Path, simulator: Simulator) -> None:
    (folder / "mine.html").write_text("mine")
    code, errors = run_with_report(folder, simulator, "--report", "mine.html")
    assert (code, list(folder.glob("qa*"))) == (2, [])
    assert errors.splitlines()[-1].startswith("Error: mine.html exists and is not a report")
    code, errors = run_with_report(folder, simulator, "--report", "report.txt")
    assert (code, "the file will have HTML; name it report.html" in errors) == (2, True)


def test_a_page_that_fails_at_the_end_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    (tmp_path / "file").write_text("")
    write_run_report(tmp_path / "file" / "report.html", output)
    message = capsys.readouterr().err
    assert message.startswith("Warning: no report was written (")
    assert "report.html can't be written" in message


def test_a_page_that_is_no_report_any_more_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    page = tmp_path / "report.html"
    page.write_text("mine")
    write_run_report(page, output)
    assert page.read_text() == "mine"
    assert "Warning: no report was written (" in capsys.readouterr().err


def test_without_a_page_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run_report(None, tmp_path / "qa.jsonl")
    assert capsys.readouterr().err == ""


def test_a_run_that_has_not_begun_has_no_advice_for_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run_report(tmp_path / "report.html", tmp_path / "qa.jsonl")
    assert capsys.readouterr().err == ""
