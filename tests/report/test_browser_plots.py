"""The plots of a timeline in a real browser: lines with gaps, what is under the pointer, and the table; in a file and
in a served page, which follows the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from persqa_client.endpoints.traffic_counts import DURATION_BOUNDS
from persqa_client.report.page import write_report
from persqa_client.storage.run_files import RunFiles
from tests.report.runs import WrittenRun, make_record
from tests.report.test_browser import browser, pytestmark, wait_until
from tests.report.test_view import open_page, view

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser", "pytestmark"]


def write_timeline(path: Path) -> None:
    mark = {
        "tool": "persqa_client",
        "timeline": 1,
        "started": "2026-01-02T03:04:05Z",
        "latency_bounds": DURATION_BOUNDS,
    }
    sample = {"failed": 0, "in_flight": 4, "limit": 8, "running": 3, "waiting": 1, "latency": {"10": 5}}
    lines: list[dict[str, object]] = []
    for _ in range(2):
        lines.append(mark)
        lines += [
            {"t": float(t), "done": 2 * t, "tokens": [t, t], **sample, "retries": {"<b>busy</b>": t}} for t in range(5)
        ]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


@pytest.fixture(scope="module", params=["file", "view"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address."""
    folder = tmp_path_factory.mktemp("plots")
    output = WrittenRun(folder).finish([make_record(1)])
    write_timeline(RunFiles.for_output(output).timeline)
    if request.param == "view":
        with view("qa.jsonl", cwd=folder) as (url, _):
            yield url
    else:
        write_report([output], folder / "report.html")
        yield f"file://{folder / 'report.html'}"


@pytest.fixture(scope="module")
def page(browser: Browser, report: str) -> Iterator[Page]:
    """For tests that change nothing."""
    with open_page(browser, report) as page:
        page.locator("#tab-figures").click()
        page.locator(".plot").first.wait_for()
        yield page


def test_a_run_with_a_timeline_has_plots(page: Page) -> None:
    titles = page.locator("#figures h2").all_inner_texts()
    assert titles[-5:] == [
        "Over time: qa.jsonl",
        "Questions per second",
        "Requests in flight",
        "Retries and refusals per minute",
        "Seconds to an answer",
    ]
    plots = page.locator("svg.lines")
    assert plots.nth(0).get_attribute("aria-label") == "Questions per second. questions/s: 2 to 2, mean 2"
    lines = plots.nth(1).locator("path.line").evaluate_all("paths => paths.map(path => path.getAttribute('d'))")
    assert [line.count("M") for line in lines] == [2, 2, 2, 2]
    assert plots.nth(1).locator(".restart").count() == 1
    assert "retries: <b>busy</b> 8" in page.locator("#figures").inner_text()
    assert "Overall: half of the 50 answers within " in page.locator("#figures").inner_text()


def test_the_pointer_and_the_table_tell_the_numbers(page: Page) -> None:
    figure = page.locator(".plot").nth(1)
    figure.locator("svg.lines").hover()
    assert "in flight 4 · limit 8 · running at the server 3 · waiting at the server 1" in figure.inner_text()
    figure.locator("summary").click()
    figure.locator("table").wait_for()  # it is drawn after the click has ended
    assert figure.locator("th[scope=col]").all_inner_texts()[:3] == ["Time", "in flight", "limit"]
    assert figure.locator("tr").nth(1).locator("td").all_inner_texts() == ["4", "8", "3", "1"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_plots_follow_the_run_under_their_reader(browser: Browser, tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    files = RunFiles.for_output(run.leave_unfinished([make_record(1)]))
    write_timeline(files.timeline_partial)
    lines = files.timeline_partial.read_bytes().splitlines(keepends=True)
    files.timeline_partial.write_bytes(b"".join(lines[:4]))
    with view("qa.jsonl", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.locator("#tab-figures").click()
        plot = page.locator(".plot").nth(1)
        plot.locator("summary").click()
        plot.locator("table").wait_for()
        plot.locator("svg.lines").hover()
        readout = plot.locator(".readout").inner_text()
        assert "in flight 4" in readout
        with files.timeline_partial.open("ab") as file:
            file.writelines(lines[4:])
        plot.locator(".restart").wait_for(state="attached")
        wait_until(page, "document.querySelectorAll('#figures details[open] table tr').length > 5")
        assert page.evaluate("document.activeElement.localName") == "summary"
        assert plot.locator(".readout").inner_text() not in ("", readout)
