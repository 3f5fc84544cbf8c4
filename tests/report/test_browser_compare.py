"""Two runs side by side, and answers that are nearly alike, in a real browser: in a file and in a served page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from persqa_client.outcomes import Outcome
from persqa_client.report.page import write_report
from tests.records.test_record_decisions import CUP, decide_on
from tests.report.runs import WrittenRun, make_failure, make_record
from tests.report.test_view import open_page, view, wait_for_rows
from tests.support.browser import (
    browser,
    expect,
    expect_current,
    expect_rows,
    find_serious,
    needs_chromium,
    open_figures,
    wait_until,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]  # a fixture
pytestmark = [needs_chromium, pytest.mark.slow]

FIRST: list[Outcome] = [
    make_record(1, "<mam> holds a red cup in the left hand."),
    make_record(2, "<mam> holds a <b>plate</b>."),
    make_record(3, "<mam> holds a spoon."),
    make_failure(4),
    make_record(5, "<mam> holds a red cup in the left hand!"),
]
SECOND: list[Outcome] = [
    make_record(1, "<mam> holds a blue cup in the right hand."),
    make_record(2, "<mam> holds a <b>plate</b>."),
    make_failure(3, "no_tag"),
    make_record(4, "<mam> holds a fork."),
    make_record(6, "<mam> holds nothing."),
]


@pytest.fixture(scope="module", params=["file", "view"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address."""
    folder = tmp_path_factory.mktemp("compare")
    outputs = [WrittenRun(folder, "a.jsonl").finish(FIRST), WrittenRun(folder, "b.jsonl").finish(SECOND)]
    if request.param == "view":
        with view("a.jsonl", "b.jsonl", cwd=folder) as (url, _):
            yield url
    else:
        write_report(outputs, folder / "report.html")
        yield f"file://{folder / 'report.html'}"


@pytest.fixture(scope="module")
def tab(browser: Browser, report: str) -> Iterator[Page]:
    with open_page(browser, report) as page:
        yield page


@pytest.fixture
def page(tab: Page) -> Page:
    tab.reload()
    wait_for_rows(tab)
    return tab


def open_comparison(page: Page) -> None:
    page.locator("#tab-compare").click()
    page.locator(".pair").first.wait_for()


def choose(page: Page, name: str, value: str) -> None:
    """Waits for the answer of a served page."""
    page.locator(f"#compared-{name}").select_option(value)
    wait_until(page, "compared.drawn === compared.turn")


KINDS = {
    "changed": ["#1-1"],
    "same": ["#1-2"],
    "lost": ["#1-3"],
    "gained": ["#1-4"],
    "both_failed": [],
    "only_first": ["#1-5"],
    "only_second": ["#2-6"],
    "": ["#1-1", "#1-2", "#1-3", "#1-4", "#1-5", "#2-6"],
}


def test_rows_are_matched_and_chosen_by_what_became_of_them(page: Page) -> None:
    open_comparison(page)
    for kind, rows in KINDS.items():
        choose(page, "kind", kind)
        # The first number of each pair: the other one is beside it.
        expect(page.locator(".pair .side:has(.number):not(.side:has(.number) + .side) .number")).to_have_text(rows)
        expect(page.locator("#pair-count")).to_have_text("1 pair" if len(rows) == 1 else f"{len(rows)} pairs")


def test_words_that_differ_are_marked(page: Page) -> None:
    open_comparison(page)
    choose(page, "kind", "changed")
    sides = page.locator(".pair .side")
    for number, words in enumerate((["red", "left"], ["blue", "right"])):
        expect(sides.nth(number).locator("mark.word")).to_have_text(words)
    expect(sides.nth(0).locator("mark:not(.word)")).to_have_text(["<mam>"])
    expect(sides.nth(0).locator(".answer")).to_have_text("<mam> holds a red cup in the left hand.")
    choose(page, "kind", "same")
    expect(page.locator(".pair").first).to_contain_text("<b>plate</b>")


def test_the_sums_stand_side_by_side(page: Page) -> None:
    open_comparison(page)
    lines = [line.split("\t") for line in page.locator("#sums table").inner_text().splitlines()]
    table = {line[0].strip(): line[1:] for line in lines}
    assert table["questions"] == ["5", "5"]
    assert table["accepted"] == ["4 (80%)", "4 (80%)"]
    assert (table["refusal"], table["no_tag"]) == (["1", "0"], ["0", "1"])
    assert table["tokens out per question"] == ["5.8", "5.8"]
    choose(page, "second", "0")
    expect(page.locator("#compared-kind option").nth(1)).to_have_text("changed (0)")


def test_answers_are_compared_as_the_runs_gave_them(browser: Browser, tmp_path: Path) -> None:
    outputs = [WrittenRun(tmp_path, name).finish([make_record(1)]) for name in ("a.jsonl", "b.jsonl")]
    decide_on(outputs[0], {1: "edit"})
    write_report(outputs, tmp_path / "report.html")
    with open_page(browser, f"file://{tmp_path / 'report.html'}") as page:
        open_comparison(page)
        choose(page, "kind", "same")
        expect(page.locator(".pair .answer")).to_have_text([CUP, CUP])
        expect(page.locator(".pair .was")).to_have_count(0)


def test_the_filters_of_the_page_apply_to_pairs(page: Page) -> None:
    open_comparison(page)
    page.locator("#failed").check()
    expect(page.locator(".pair")).to_have_count(2)
    expect(page.locator("#pair-count")).to_have_text("2 pairs")
    for _ in range(2):  # also if it is the row of the address
        page.locator(".pair a.number", has_text="#2-3").click()
        expect_current(page, "2-3")
        expect(page.locator("#compare")).to_be_hidden()
        page.locator("#tab-compare").click()


def test_a_report_of_one_run_has_no_comparison(browser: Browser, tmp_path: Path) -> None:
    write_report([WrittenRun(tmp_path).finish(FIRST)], tmp_path / "report.html")
    with open_page(browser, f"file://{tmp_path / 'report.html'}") as page:
        expect(page.locator("#tab-compare")).to_be_hidden()
        page.locator("#tab-figures").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#tab-rows")).to_be_focused()


def test_answers_that_are_nearly_alike_can_be_shown(page: Page) -> None:
    wait_until(page, "source.overview.group_count === 1")
    open_figures(page)
    figure = page.locator("#figures .figure", has=page.locator("h2", has_text="Near-duplicate answers"))
    figure.locator("p", has_text="2 of 8 answers (25%) are nearly alike, in 1 group").wait_for()
    figure.locator("button.bar").click()
    expect_rows(page, ["1-1", "1-5"])
    page.locator("#clear").click()
    expect(page.locator(".card:not(.pair)")).to_have_count(10)
    page.locator(".alike", has_text="like 1 other").last.click()
    expect_rows(page, ["1-1", "1-5"])
    expect(page.locator("#group")).to_have_value("1")


def test_the_comparison_is_accessible_and_fits_the_window(page: Page) -> None:
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        open_comparison(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert find_serious(page) == []
