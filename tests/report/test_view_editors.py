"""Editors and decisions of a served page in a real browser: drafts, slow storing, and what others decide meanwhile."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from persqa_client.storage.decisions import Decision, Subject, decision_to_json, read_decisions
from persqa_client.types import TaskId
from tests.report.runs import QUESTION, WrittenRun, make_record
from tests.report.test_view import find_lines, open_page, view, wait_for_rows
from tests.support.browser import (
    browser,
    expect,
    expect_current,
    expect_equal,
    expect_rows,
    finish_keys,
    needs_chromium,
    wait_until,
)

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Page, Route

__all__ = ["browser"]  # a fixture
pytestmark = [needs_chromium, pytest.mark.slow]


def hold(page: Page, pattern: str) -> list[Route]:
    """Requests that are sent only when the test continues them."""
    held: list[Route] = []
    page.route(pattern, lambda route: held.append(route))
    return held


def wait_for(page: Page, held: list[Route], count: int = 1) -> None:
    """Requests come in while Playwright works."""

    def count_held() -> int:
        page.evaluate("0")
        return len(held)

    expect_equal(count_held, count)


def test_what_is_written_survives_a_reload(browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1), make_record(2), make_record(3)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.locator("#row-1 .do-edit").click()
        page.locator("#row-1 textarea").fill("A cup.")
        page.locator("#row-2 .do-comment").click()
        page.locator("#row-2 input").fill("blurred")
        page.locator("#row-3 .do-edit").click()
        page.keyboard.type(" ")  # is not stored
        page.reload()
        wait_for_rows(page)
        expect(page.locator("#row-1 textarea")).to_have_value("A cup.")
        expect(page.locator("#row-1 .verdict.bad")).to_contain_text("no_tag")
        expect(page.locator("#row-2 .editor input")).to_have_value("blurred")
        expect(page.locator(".editor")).to_have_count(2)  # nothing was written in the third
        page.locator("#row-1 button", has_text="Cancel").click()
        page.locator("#row-2 [type=submit]").click()
        page.locator("#row-2 .comment").wait_for()
        page.reload()
        wait_for_rows(page)
        expect_rows(page, ["1", "2", "3"])
        assert page.locator(".editor").count() == 0
        assert page.evaluate("sessionStorage.length") == 0
    assert find_lines(tmp_path) == [(2, "none", None, "blurred")]


def test_a_draft_survives_its_server_and_is_left_out_of_other_runs(browser: Browser, tmp_path: Path) -> None:
    """The port stays the same, and the other run has the same name and answers, in another folder."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        WrittenRun(folder).finish([make_record(1), make_record(2)])
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    with view("qa.jsonl", "--edit", cwd=one) as (url, _):
        page.goto(url)
        wait_for_rows(page)
        page.locator("#row-1 .do-edit").click()
    port = url.split("/")[2].partition(":")[2]
    page.locator("#notes.lost", has_text="open the address that it prints").wait_for()
    assert "--port" not in page.locator("#notes").inner_text()
    page.locator("#row-1 textarea").fill("<mam> holds a mug.")
    page.locator("#notes.lost", has_text=f"run persqa view again with --port {port}").wait_for()
    with view("qa.jsonl", "--edit", "--port", port, cwd=other) as (url, _):
        page.goto(url)
        wait_for_rows(page)
        expect_rows(page, ["1", "2"])
        assert page.locator(".editor").count() == 0
    with view("qa.jsonl", "--edit", "--port", port, cwd=one) as (url, _):
        page.goto(url)
        expect(page.locator("#row-1 textarea")).to_have_value("<mam> holds a mug.")
    context.close()


def test_a_draft_about_another_answer_is_shown_as_such(browser: Browser, tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    run.finish([make_record(1)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.locator("#row-1 .do-edit").click()
        page.locator("textarea").fill("<mam> holds a mug.")
        expect(page.locator(".trouble")).to_have_count(0)
        page.goto("about:blank")
        run.finish([make_record(1, "<mam> waves.")])
        page.goto(url)
        page.locator(".answer", has_text="<mam> waves.").wait_for()
        expect(page.locator(".editor .trouble")).to_contain_text("another answer by now")
        expect(page.locator("textarea")).to_have_value("<mam> holds a mug.")
        # Rows that are read anew are shown when nobody writes, with the drafts.
        page.locator("textarea").focus()
        run.finish([make_record(1, "<mam> sits."), make_record(2)])
        wait_until(page, "source.overview.rows === 2")
        page.keyboard.press("End")
        page.keyboard.type("!")
        page.locator("h1").click()
        page.locator(".answer", has_text="<mam> sits.").wait_for()
        expect_rows(page, ["1", "2"])
        expect(page.locator("textarea")).to_have_value("<mam> holds a mug.!")


@pytest.mark.slow
def test_a_comment_of_another_tab_is_not_replaced_by_a_draft(browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1)])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url) as page,
        open_page(browser, url) as other,
    ):
        page.locator("#row-1 .do-edit").click()
        page.locator("textarea").fill("<mam> holds a mug.")
        other.locator("#row-1 .do-comment").click()
        other.locator(".editor input").fill("by the other")
        other.locator(".editor [type=submit]").click()
        other.locator("#row-1 .comment").wait_for()
        page.reload()
        page.locator("#row-1 .verdict.good").wait_for()
        expect(page.locator(".editor input")).to_have_value("by the other")
        page.locator(".editor [type=submit]").click()
        page.locator("#row-1 .was").wait_for()
    assert find_lines(tmp_path)[-1] == (1, "edit", "<mam> holds a mug.", "by the other")


def test_an_editor_tells_what_others_decided_meanwhile(browser: Browser, tmp_path: Path) -> None:
    """Otherwise one of two people who edit a row would replace the other's text without having seen it."""
    WrittenRun(tmp_path).finish([make_record(1)])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url) as page,
        open_page(browser, url) as other,
    ):
        page.locator("#row-1 .do-edit").click()
        page.locator("textarea").fill("<mam> holds a mug.")
        other.locator("#row-1 .do-edit").click()
        other.locator("textarea").fill("<mam> holds a <b>jar</b>.")
        other.locator("#row-1 .verdict.bad").wait_for()
        other.locator(".editor [type=submit]").click()
        told = page.locator("#row-1 .editor > .meanwhile")
        expect(told).to_contain_text("elsewhere: edited by hand: <mam> holds a <b>jar</b>.")
        expect(page.locator("textarea")).to_be_focused()
        other.locator("#row-1 .do-none").click()
        expect(told).to_have_count(0)
        held = hold(page, "**/decide?*")
        page.keyboard.press("Control+Enter")
        wait_for(page, held)
        other.locator("#row-1 .do-reject").click()
        other.locator("#row-1 .badge", has_text="rejected by hand").wait_for()
        held.pop().continue_()
        page.locator("#row-1 .badge", has_text="edited by hand").wait_for()
        expect(page.locator(".meanwhile")).to_have_count(0)
    assert [line[1] for line in find_lines(tmp_path)] == ["edit", "none", "reject", "edit"]


def test_an_editor_does_not_tell_of_the_page_own_decision(browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1)])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url) as page,
        open_page(browser, url) as other,
    ):
        held = hold(page, "**/decide?*")
        page.locator("#row-1 .do-reject").click()
        wait_for(page, held)
        page.locator("#row-1 .do-comment").click()
        held.pop().continue_()
        wait_until(page, "source.overview.decisions.length === 1 && sent.size === 1")
        expect(page.locator("#row-1 .decide[aria-busy]")).to_have_count(0)
        expect(page.locator(".meanwhile")).to_have_count(0)
        other.locator("#row-1 .do-accept").click()
        expect(page.locator(".meanwhile")).to_contain_text("elsewhere: accepted by hand")


def test_an_editor_tells_of_the_same_decision_about_the_new_answer(browser: Browser, tmp_path: Path) -> None:
    """A card with a decision about an earlier answer shows that it is about that one."""
    run = WrittenRun(tmp_path)
    run.finish([make_record(1, "<mam> holds a plate.")])
    subject = Subject(TaskId(1), ("1.png",), QUESTION)
    earlier = Decision(subject, "<mam> holds a plate.", "accept", time="2026-09-27T07:00:00Z")
    (tmp_path / "qa.decisions.jsonl").write_text(json.dumps(decision_to_json(earlier)) + "\n")
    run.finish([make_record(1)])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url) as page,
        open_page(browser, url) as other,
    ):
        expect(page.locator("#row-1 .was")).to_contain_text("holds a plate")
        page.locator("#row-1 .do-edit").click()
        page.locator("textarea").fill("<mam> holds a mug.")
        other.locator("#row-1 .do-accept").click()
        expect(page.locator(".meanwhile")).to_contain_text("elsewhere: accepted by hand")


def test_an_editor_of_a_row_that_was_out_of_sight_tells_what_others_decided(browser: Browser, tmp_path: Path) -> None:
    """What the page sent before says nothing of decisions after those that the card shows."""
    WrittenRun(tmp_path).finish([make_record(1), make_record(2, "<mam> holds a plate.")])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url) as page,
        open_page(browser, url) as other,
    ):
        held = hold(page, "**/decide?*")
        page.locator("#row-1 .do-reject").click()
        wait_for(page, held)
        page.locator("#search").fill("plate")
        expect_rows(page, ["2"])
        held.pop().continue_()
        other.locator("#row-1 .badge", has_text="rejected by hand").wait_for()
        other.locator("#row-1 .do-accept").click()
        other.locator("#row-1 .badge", has_text="accepted by hand").wait_for()
        page.locator("#search").fill("")
        page.locator("#row-1 .badge", has_text="accepted by hand").wait_for()
        page.locator("#row-1 .do-edit").click()
        other.locator("#row-1 .do-reject").click()
        expect(page.locator(".meanwhile")).to_contain_text("elsewhere: rejected by hand")


def test_a_cancelled_editor_leaves_what_others_decided(browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1)])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url) as page,
        open_page(browser, url) as other,
    ):
        page.locator("#row-1 .do-edit").click()
        other.locator("#row-1 .do-reject").click()
        wait_until(page, "source.overview.decisions.length === 1")
        page.keyboard.press("Escape")
        page.locator("#row-1 .badge", has_text="rejected by hand").wait_for()


def test_an_editor_is_not_left_while_another_row_is_stored(browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1), make_record(2)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        held = hold(page, "**/decide?*")
        page.locator("#row-1 .do-comment").click()
        page.keyboard.type("first")
        page.keyboard.press("Enter")
        wait_for(page, held)
        page.keyboard.type("!")  # into a text that is on its way
        expect(page.locator("#row-1 .editor input")).to_have_value("first")
        page.locator("#row-2 .do-comment").click()
        page.keyboard.type("sec")
        held.pop().continue_()
        page.locator("#row-1 .comment").wait_for()
        expect(page.locator("#row-1 .editor")).to_have_count(0)
        page.keyboard.type("ond")
        expect(page.locator("#row-2 .editor input")).to_have_value("second")


def test_the_last_of_several_decisions_counts(browser: Browser, tmp_path: Path) -> None:
    """Also if they are made before the first one is stored."""
    WrittenRun(tmp_path).finish([make_record(1)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        held = hold(page, "**/decide?*")
        page.locator("#row-1 .do-accept").click()
        page.locator("#row-1 .do-reject").click()
        wait_for(page, held)
        expect(page.locator("#row-1 .decide")).to_have_attribute("aria-busy", "true")
        held[0].continue_()
        wait_for(page, held, 2)
        held[1].continue_()
        page.locator("#row-1 .badge", has_text="rejected by hand").wait_for()
        expect(page.locator("[aria-busy]")).to_have_count(0)
    assert [line[1] for line in find_lines(tmp_path)] == ["accept", "reject"]


def test_a_decision_that_is_not_stored_is_named_when_its_row_is_not_shown(browser: Browser, tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_record(2, "<mam> waves.")])
    context = browser.new_context(locale="en-GB")
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _):
        page = context.new_page()
        page.goto(url)
        expect_rows(page, ["1", "2"])
        (tmp_path / "qa.decisions.jsonl").mkdir()  # can't be written
        held = hold(page, "**/decide?*")
        page.locator("#row-1 .do-accept").click()
        page.locator("#search").fill("waves")
        expect_rows(page, ["2"])
        wait_for(page, held)
        held.pop().continue_()
        page.locator("#notes.lost", has_text="The decision about row 1 is not stored: ").wait_for()
        (tmp_path / "qa.decisions.jsonl").rmdir()
        page.unroute_all()
        page.locator("#search").fill("")
        expect_rows(page, ["1", "2"])
        page.locator("#row-1 .do-accept").click()
        page.locator("#row-1 .badge", has_text="accepted by hand").wait_for()
        expect(page.locator("#notes")).not_to_contain_text("not stored")
    context.close()
    assert len(list(read_decisions(output))) == 1


def test_a_key_that_is_held_down_decides_once(browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(number) for number in range(1, 5)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.keyboard.press("j")
        for _ in range(3):
            page.keyboard.down("a")
        page.keyboard.up("a")
        finish_keys(page)
        expect_current(page, "2")
        page.keyboard.press("e")
        page.locator(".verdict.good").wait_for()
        page.locator("textarea").fill("A cup.")
        page.keyboard.down("Control")
        for _ in range(3):
            page.keyboard.down("Enter")
            page.locator(".verdict.bad").wait_for()
        page.keyboard.up("Enter")
        page.keyboard.up("Control")
        page.locator("textarea").fill(" ")
        expect(page.locator(".editor [type=submit]")).to_be_disabled()
    assert find_lines(tmp_path) == [(1, "accept", None, "")]


@pytest.mark.parametrize("control", ["Accept", "Raw text", "Edit"])
def test_keys_are_about_the_card_whose_control_was_clicked(control: str, browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(number) for number in range(1, 5)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.keyboard.press("j")
        expect_current(page, "1")
        page.locator(".card").nth(2).get_by_role("button", name=control).click()
        expect_current(page, "3")
        if control == "Edit":
            page.locator("textarea").press("Escape")
            page.locator("textarea").wait_for(state="detached")
        page.keyboard.press("x")
        finish_keys(page)
        expect_current(page, "4")
    assert find_lines(tmp_path)[-1][:2] == (3, "reject")


@pytest.mark.slow
def test_an_old_answer_about_the_state_is_left_out(browser: Browser, tmp_path: Path) -> None:
    """It arrives after a newer one, and says no more than that nothing was new."""
    WrittenRun(tmp_path).finish([make_record(1)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        held: list[tuple[Route, APIResponse]] = []

        def answer_later(route: Route) -> None:
            held.append((route, route.fetch()))

        page.route("**/state?*", answer_later, times=1)
        expect_equal(lambda: (page.evaluate("0"), len(held))[1], 1)
        page.locator("#row-1 .do-accept").click()
        page.locator("#row-1 .badge", has_text="accepted by hand").wait_for()
        route, response = held.pop()
        with page.expect_response(re.compile("/state")):
            route.fulfill(response=response)
        with page.expect_response(re.compile("/state")):
            pass  # the next question
        assert page.evaluate("source.overview.rows") == 1


def test_an_old_answer_about_rows_is_left_out(browser: Browser, tmp_path: Path) -> None:
    """It is about the time before a decision that is already shown."""
    WrittenRun(tmp_path).finish([make_record(1), make_record(2)])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url) as page,
        open_page(browser, url) as other,
    ):
        held: list[tuple[Route, APIResponse]] = []
        page.route("**/rows?*", lambda route: held.append((route, route.fetch())), times=1)
        other.locator("#row-2 .do-accept").click()
        other.locator("#row-2 .badge", has_text="accepted by hand").wait_for()
        expect_equal(lambda: (page.evaluate("0"), len(held))[1], 1)
        page.locator("#row-1 .do-accept").click()
        page.locator("#row-1 .badge", has_text="accepted by hand").wait_for()
        route, response = held.pop()
        with page.expect_response(re.compile("/rows")):
            route.fulfill(response=response)
        with page.expect_response(re.compile("/state")):
            pass  # the next question
        expect(page.locator("#row-1 .badge", has_text="accepted by hand")).to_have_count(1)
        expect(page.locator("#row-2 .badge", has_text="accepted by hand")).to_have_count(1)


def test_a_key_saves_what_the_checks_reject_only_after_a_warning(browser: Browser, tmp_path: Path) -> None:
    """The problem that is shown while somebody types is easily missed. A button says what it does."""
    WrittenRun(tmp_path).finish([make_record(1)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.keyboard.type("je")
        verdict = page.locator(".verdict.bad")
        for text, key, focused in (("An orange suit.", "Control+Enter", "textarea"), ("A cup.", "Enter", "input")):
            page.locator("textarea").fill(text)
            expect(verdict).to_contain_text("(no_tag)")
            expect(verdict).not_to_contain_text("again")
            page.locator(f".editor {focused}").focus()
            page.keyboard.press(key)
            expect(verdict).to_contain_text("The checks would reject this: no <mam> at the beginning (no_tag). Press")
            assert not (tmp_path / "qa.decisions.jsonl").exists()
        page.locator("textarea").focus()
        page.keyboard.press("Control+Enter")
        expect(page.locator("#row-1 .answer")).to_have_text("A cup.")
    assert find_lines(tmp_path) == [(1, "edit", "A cup.", "")]
