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
from tests.report.test_view import open_page, view
from tests.support.browser import browser, expect, expect_equal, needs_chromium, open_figures, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]  # a fixture
pytestmark = [needs_chromium, pytest.mark.slow]


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
        open_figures(page)
        yield page


def test_a_run_with_a_timeline_has_plots(page: Page) -> None:
    expect(page.locator("#figures h2.over-time")).to_have_text(["Over time: qa.jsonl"])
    titles = ["Questions per second", "Requests in flight", "Retries and refusals per minute", "Seconds to an answer"]
    expect(page.locator("#figures .plot h2")).to_have_text(titles)
    plots = page.locator("svg.lines")
    expect(plots.nth(0)).to_have_attribute("aria-label", "Questions per second. questions/s: 2 to 2, mean 2")
    starts = "paths => paths.map((path) => path.getAttribute('d').split('M').length - 1)"
    expect_equal(lambda: plots.nth(1).locator("path.line").evaluate_all(starts), [2, 2, 2, 2])
    expect(plots.nth(1).locator(".restart")).to_have_count(1)
    expect(page.locator("#figures")).to_contain_text("retries: <b>busy</b> 8")
    expect(page.locator("#figures")).to_contain_text(
        "Overall, also of questions that were asked again: half of the 50 answers within "
    )


def test_a_line_breaks_where_nothing_is_known(page: Page) -> None:
    trace = "([values, starts]) => tracePath(values, [...values.keys()], starts, (x) => 10 * x, (y) => y)"
    for values, starts, path in (
        ([1, 2, 3], [], "M0.0 1.0L10.0 2.0L20.0 3.0"),
        ([1, 2, 3, 4], [[2, ""]], "M0.0 1.0L10.0 2.0M20.0 3.0L30.0 4.0"),
        ([None, 2, None, 4, 5], [], "M8.5 2.0h3M30.0 4.0L40.0 5.0"),
        ([1, 2], [[1, ""]], "M-1.5 1.0h3M8.5 2.0h3"),
    ):
        assert page.evaluate(trace, [values, starts]) == path


def test_only_an_open_table_is_printed(page: Page) -> None:
    tables = page.locator(".plot details")
    tables.nth(0).locator("summary").click()
    page.emulate_media(media="print")
    expect(tables.nth(0).locator("table")).to_be_visible()
    expect(tables.nth(1)).to_be_hidden()
    page.emulate_media(media="screen")
    expect(tables.nth(1)).to_be_visible()


def test_the_pointer_and_the_table_tell_the_numbers(page: Page) -> None:
    figure = page.locator(".plot").nth(1)
    figure.locator("svg.lines").hover()
    numbers = "in flight 4 · limit 8 · running at the server 3 · waiting at the server 1"
    expect(figure.locator(".readout")).to_contain_text(numbers)
    figure.locator("summary").click()
    head = ["Time", "in flight", "limit", "running at the server", "waiting at the server"]
    expect(figure.locator("th[scope=col]")).to_have_text(head)
    expect(figure.locator("tr").nth(1).locator("td")).to_have_text(["4", "8", "3", "1"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_plots_follow_the_run_under_their_reader(browser: Browser, tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    files = RunFiles.for_output(run.leave_unfinished([make_record(1)]))
    write_timeline(files.timeline_partial)
    lines = files.timeline_partial.read_bytes().splitlines(keepends=True)
    files.timeline_partial.write_bytes(b"".join(lines[:4]))
    with view("qa.jsonl", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        open_figures(page)
        plot = page.locator(".plot").nth(1)
        plot.locator("summary").click()
        plot.locator("table").wait_for()
        plot.locator("svg.lines").hover()
        readout = plot.locator(".readout")
        expect(readout).to_contain_text("in flight 4")
        before = readout.text_content()
        with files.timeline_partial.open("ab") as file:
            file.writelines(lines[4:])
        plot.locator(".restart").wait_for(state="attached")
        wait_until(page, "document.querySelectorAll('#figures details[open] table tr').length > 5")
        expect(plot.locator("summary")).to_be_focused()
        expect(readout).not_to_have_text(before)
        expect(readout).to_contain_text("in flight 4")
