"""``persqa view`` and its page in a real browser: rows, decisions by mouse and keys, a run that goes on."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from persqa_client.outcomes import Outcome
from persqa_client.report.page import write_report
from persqa_client.report.rows import read_run
from persqa_client.storage.decisions import Decision, decision_to_json, read_decisions
from persqa_client.storage.run_files import RunFiles
from tests.report.runs import WrittenRun, make_failure, make_record, write_pictures
from tests.report.test_browser import ALL, LINES, OUTCOMES
from tests.report.test_served_runs import append_to
from tests.support.browser import (
    browser,
    expect,
    expect_current,
    expect_equal,
    expect_rows,
    find_serious,
    finish_keys,
    needs_chromium,
    open_figures,
    wait_until,
)
from tests.support.commands import Command, persqa, start

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]  # a fixture
pytestmark = needs_chromium

SAVE_AT_ONCE = """(form, text) => {
  const area = form.querySelector("textarea");
  area.value = text;
  area.dispatchEvent(new Event("input"));
  form.requestSubmit();
}"""


@contextmanager
def view(*arguments: str, cwd: Path) -> Iterator[tuple[str, Command]]:
    command = start("view", *arguments, cwd=cwd)
    try:
        yield command.stdout.readline().strip(), command
    finally:
        command.send_signal(signal.SIGINT)
        command.communicate(20)


def wait_for_rows(page: Page) -> None:
    wait_until(page, "source.isComplete && (source.overview.read ?? 1) === 1 && state.count > 0 && !isLinkOpen")


@contextmanager
def open_page(browser: Browser, url: str, **settings: Any) -> Iterator[Page]:
    """Fails for any error in the page, and for any request to another server."""
    context = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}} | settings)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.on(
        "request",
        lambda request: None if request.url.startswith((url.split("#")[0], "data:")) else errors.append(request.url),
    )
    page.goto(url)
    wait_for_rows(page)
    yield page
    hacked = page.evaluate("window.hacked")
    context.close()
    # The console shows the status for a picture that can't be read, and for an answer that changed.
    assert [error for error in errors if not re.search(r"status of (404|409)", error)] == []
    assert hacked is None


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_pictures(folder, "1.png", "2.png")
    write_report([WrittenRun(folder).finish(OUTCOMES, LINES)], folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def url(run_folder: Path) -> Iterator[str]:
    with view("qa.jsonl", cwd=run_folder) as (url, _):
        yield url


def test_the_page_has_rows_filters_keys_links_and_pictures(browser: Browser, url: str) -> None:
    with open_page(browser, f"{url}#row=5") as page:
        expect_rows(page, ALL)
        expect_current(page, "5")
        assert page.locator("#row-1 img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
        expect(page.locator("#row-3 .missing")).to_have_text("not readable")
        page.keyboard.press("j")
        expect_current(page, "6")
        page.locator("#search").fill("cup plate")
        expect_rows(page, ["2"])
        page.locator("#clear").click()
        expect_rows(page, ALL)
        assert page.locator(".decide").count() == 0
        page.locator("#row-1 .zoom").click()
        assert page.locator("dialog[open] img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)


def test_the_figures_are_those_of_the_report(browser: Browser, url: str, run_folder: Path) -> None:
    pages = []
    for address in (f"file://{run_folder / 'report.html'}", url):
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(address)
        wait_for_rows(page)
        open_figures(page)
        pages.append(page)
    in_file = read_figures(pages[0])
    assert in_file[0] == f"Figures of {len(ALL)} questions"
    expect_equal(lambda: read_figures(pages[1]), in_file)  # when all answers are compared
    for page in pages:
        page.context.close()


def read_figures(page: Page) -> list[str]:
    labels = page.locator("#figures svg").evaluate_all("all => all.map((each) => each.getAttribute('aria-label'))")
    return [*page.locator("#figures p.of").all_inner_texts(), *page.locator(".figure").all_inner_texts(), *labels]


def find_lines(folder: Path) -> list[tuple[int, str, str | None, str]]:
    lines = map(json.loads, (folder / "qa.decisions.jsonl").read_text().splitlines())
    return [(each["row"], each["decision"], each["text"], each["comment"]) for each in lines]


def test_answers_are_decided_on_by_keys(browser: Browser, tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(number) for number in range(1, 5)])
    before = output.read_bytes()
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.keyboard.type("jax")  # each waits for the one before it
        expect_current(page, "3")
        page.keyboard.press("e")
        page.locator(".verdict.good").wait_for()
        page.keyboard.press("Control+a")
        page.keyboard.type("A cup.")
        page.locator(".verdict.bad", has_text="no_tag").wait_for()
        page.keyboard.press("Control+a")
        page.keyboard.type("<mam> holds a mug.")
        page.locator(".verdict.good").wait_for()
        page.keyboard.press("Control+Enter")
        page.locator(".badge", has_text="edited by hand").wait_for()
        expect(page.locator("#row-3 .answer")).to_have_text("<mam> holds a mug.")
        expect(page.locator("#row-3 .was")).to_have_text("Before: <mam> holds a cup.")
        expect(page.locator(".editor")).to_have_count(0)
        page.keyboard.press("c")
        page.keyboard.type("no j or a key")
        page.keyboard.press("Enter")
        page.locator("#row-3 .comment").wait_for()
        expect(page.locator(".editor")).to_have_count(0)
        page.keyboard.press("u")
        expect(page.locator("#row-3 .answer")).to_have_text("<mam> holds a cup.")
        expect(page.locator("#row-3 .comment")).to_have_text("Comment: no j or a key")
    assert find_lines(tmp_path) == [
        (1, "accept", None, ""),
        (2, "reject", None, ""),
        (3, "edit", "<mam> holds a mug.", ""),
        (3, "edit", "<mam> holds a mug.", "no j or a key"),
        (3, "none", None, "no j or a key"),
    ]
    assert output.read_bytes() == before


def test_keys_are_listed_and_named_by_buttons(browser: Browser, tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png")
    WrittenRun(tmp_path).finish([make_record(1)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        for button, key in (
            (".do-accept", "a"),
            (".do-reject", "x"),
            (".do-edit", "e"),
            (".zoom", "o"),
            (".raw", "Enter"),
        ):
            expect(page.locator(f"#row-1 {button}")).to_have_attribute("title", f"Key: {key}")
        page.keyboard.press("?")
        listed = page.locator("dialog[open] .key-list")
        expect(listed).to_contain_text("Reject")
        page.keyboard.press("x")  # acts on nothing that is behind the list
        assert find_serious(page) == []
        page.keyboard.press("?")
        expect(page.locator("dialog[open]")).to_have_count(0)
        expect(page.locator("#keys")).to_contain_text("x Reject")
        page.locator("#search").press("?")
        expect(page.locator("#search")).to_have_value("?")
        expect(page.locator("dialog[open]")).to_have_count(0)
    assert not (tmp_path / "qa.decisions.jsonl").exists()


def test_undo_leaves_comments(browser: Browser, tmp_path: Path) -> None:
    """They are no decisions, and are removed in their own editor."""
    WrittenRun(tmp_path).finish([make_record(1)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.keyboard.type("jc")
        expect(page.locator(".editor input")).to_be_focused()
        page.keyboard.type("blurred")
        page.keyboard.press("Enter")
        page.locator("#row-1 .comment", has_text="blurred").wait_for()
        expect(page.locator(".editor")).to_have_count(0)
        expect(page.locator("#row-1 .do-none")).to_have_count(0)
        page.keyboard.type("uc")  # nothing, and the comment again
        page.locator(".editor input").fill("")
        page.keyboard.press("Enter")
        page.locator("#row-1 .comment").wait_for(state="detached")
    assert find_lines(tmp_path) == [(1, "none", None, "blurred"), (1, "none", None, "")]


def test_an_edit_that_is_accepted_stays(browser: Browser, tmp_path: Path) -> None:
    """By key and by button; also of a failed question, without a warning of the text that the edit replaces."""
    WrittenRun(tmp_path).finish([make_record(1), make_failure(2)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        for row in ("1", "2"):
            page.keyboard.type("je")
            expect(page.locator("textarea")).to_be_focused()
            page.keyboard.press("Control+a")
            page.keyboard.type(f"<mam> holds mug {row}.")
            page.locator(".verdict.good").wait_for()
            page.keyboard.press("Control+Enter")
            expect(page.locator(".editor")).to_have_count(0)
            # Also at once, when the card may be the one from before the edit.
            page.keyboard.press("a")
            finish_keys(page)
            expect(page.locator(f"#row-{row} .answer")).to_have_text(f"<mam> holds mug {row}.")
            expect(page.locator(".accept-again")).to_have_count(0)
            page.locator("h1").click()
            page.keyboard.press("k")
            page.locator(f"#row-{row} .do-accept").click()
            expect(page.locator("[aria-busy]")).to_have_count(0)
            expect(page.locator(f"#row-{row} .badge", has_text="edited by hand")).to_be_visible()
        page.locator("#row-1 .do-none").click()
        expect(page.locator("#row-1 .do-none")).to_have_count(0)
        page.locator("#row-1 .do-accept").click()
        page.locator("#row-1 .badge", has_text="accepted by hand").wait_for()
    one, two = "<mam> holds mug 1.", "<mam> holds mug 2."
    # How often each is stored depends on whether the one before is stored by then.
    stored = [line for line, _ in groupby(line[:3] for line in find_lines(tmp_path))]
    assert stored == [(1, "edit", one), (2, "edit", two), (1, "none", None), (1, "accept", None)]


def test_a_key_accepts_what_the_checks_rejected_only_after_a_warning(browser: Browser, tmp_path: Path) -> None:
    """Keys typed ahead are left out with the first one, which only warns."""
    WrittenRun(tmp_path).finish([make_failure(1), make_record(2)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        expect(page.locator("#row-1 .do-accept")).to_contain_text("Accept anyway")
        expect(page.locator("#row-2 .do-accept")).not_to_contain_text("anyway")
        page.keyboard.type("ja")
        expect(page.locator("#row-1 .accept-again")).to_contain_text("rejected this answer (refusal). Press a again")
        expect_current(page, "1")
        assert not (tmp_path / "qa.decisions.jsonl").exists()
        page.keyboard.press("a")
        page.locator("#row-1 .badge", has_text="accepted by hand").wait_for()
        expect_current(page, "2")
        page.keyboard.press("a")
        page.locator("#row-2 .badge", has_text="accepted by hand").wait_for()
    assert find_lines(tmp_path) == [(1, "accept", None, ""), (2, "accept", None, "")]


def test_the_warning_of_a_rejected_answer_is_in_the_window(browser: Browser, tmp_path: Path) -> None:
    """Choosing a card moves it into view, and the warning is added below it."""
    write_pictures(tmp_path, *[f"{number}.png" for number in range(1, 7)], size=(640, 480))
    WrittenRun(tmp_path).finish([make_failure(number) for number in range(1, 7)])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url, viewport={"width": 1280, "height": 600}) as page,
    ):
        for number in range(1, 7):
            page.keyboard.press("j")
            expect_current(page, str(number))
            page.keyboard.press("a")
            expect(page.locator(f"#row-{number} .accept-again")).to_be_in_viewport(ratio=1)


def test_the_focus_is_seen_on_the_chosen_card(browser: Browser, url: str) -> None:
    with open_page(browser, url) as page:
        page.keyboard.press("j")
        card = page.locator(".card[aria-current]")
        expect(card).to_be_focused()
        expect(card).to_have_css("outline-style", "solid")
        page.evaluate("document.activeElement.blur()")
        expect(card).to_have_css("outline-style", "none")
        expect(card).not_to_have_css("box-shadow", "none")


def test_answers_are_decided_on_by_mouse_in_two_pages(browser: Browser, tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1), make_failure(2)])
    with (
        view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _),
        open_page(browser, url) as page,
        open_page(browser, url) as other,
    ):
        page.locator("#row-1 .do-edit").click()
        page.locator("#row-1 .verdict.good").wait_for()
        other.locator("#row-1 .do-comment").click()
        other.locator(".editor input").fill("by the other")
        other.locator(".editor [type=submit]").click()
        other.locator("#row-1 .comment").wait_for()
        page.locator("#row-1 .editor [type=submit]").click()  # an unchanged answer is accepted
        other.locator("#row-1 .badge", has_text="accepted by hand").wait_for()
        page.locator("#row-1 .comment").wait_for()
        page.locator("#row-2 .do-edit").click()
        # The problem is shown first, also to somebody who saves before the text is checked: in one step of the page.
        page.locator(".editor").evaluate(SAVE_AT_ONCE, "A cup.")
        page.locator(".verdict.bad", has_text="no_tag").wait_for()  # another one than that of the text before
        assert len(list(read_decisions(output))) == 1
        page.locator(".editor [type=submit]", has_text="Save anyway").click()
        other.locator("#row-2 .answer", has_text="A cup.").wait_for()
        other.locator("#decision").select_option("edit")
        expect_rows(other, ["2"])
    decisions = sorted((each.kind, each.text, each.comment) for each in read_decisions(output))
    assert decisions == [("accept", None, "by the other"), ("edit", "A cup.", "")]


def test_an_answer_that_changed_is_not_decided_on(browser: Browser, tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    run.finish([make_record(1)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url) as page:
        page.locator("#row-1 .do-edit").click()
        page.locator(".editor textarea").fill("<mam> holds a mug.")
        run.finish([make_record(1, "<mam> waves."), make_record(2)])
        # The files may be read before all of them are written, and then once more.
        wait_until(page, "source.overview.epoch > 0 && source.overview.rows === 2")
        page.locator(".editor [type=submit]").click()
        page.locator(".verdict, .trouble", has_text="another answer by now").first.wait_for()
        expect(page.locator(".editor textarea")).to_have_value("<mam> holds a mug.")
        page.locator(".editor button", has_text="Cancel").click()
        page.locator("#row-1 .answer", has_text="<mam> waves.").wait_for()
        expect_rows(page, ["1", "2"])
        assert not (tmp_path / "qa.decisions.jsonl").exists()
        # A row that did not change is decided on though all rows were read anew, and its text is kept until then.
        page.locator("#row-1 .do-edit").click()
        page.locator(".editor textarea").fill("<mam> holds a mug.")
        page.locator("#language").click()
        page.locator("#search").fill("waves")
        expect_rows(page, ["1"])
        page.locator("h1").click()
        page.keyboard.type("je")
        page.locator(".verdict.good").wait_for()
        run.finish([make_record(1, "<mam> waves."), make_failure(2), make_record(3)])
        wait_until(page, "source.overview.rows === 3")
        page.locator(".editor [type=submit]").click()
        page.locator(".was").wait_for()
    assert find_lines(tmp_path) == [(1, "edit", "<mam> holds a mug.", "")]


@pytest.mark.slow
def test_rows_that_leave_the_filters_hide_no_others(browser: Browser, tmp_path: Path) -> None:
    """Which have moved to the page that is shown."""
    lines: dict[int, dict[str, Any]] = {number: {"image": []} for number in range(1, 123)}
    output = WrittenRun(tmp_path).finish([make_record(number) for number in lines], lines)
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, f"{url}#row=31") as page:
        page.locator("#decision").select_option("undecided")
        expect_rows(page, [str(number) for number in range(1, 61)])
        rows = read_run(output).rows[:60]
        decisions = [decision_to_json(Decision(row.subject, row.decided_text, "accept")) for row in rows]
        RunFiles.for_output(output).decisions.write_text("".join(json.dumps(each) + "\n" for each in decisions))
        wait_until(page, "state.count === 62")
        page.locator("h1").click()
        page.keyboard.press("j")
        expect_current(page, "32")
        page.get_by_label("Next page").first.click()
        expect_rows(page, [str(number) for number in range(61, 121)])


def test_pictures_below_the_window_are_loaded_for_a_print(browser: Browser, tmp_path: Path) -> None:
    write_pictures(tmp_path, *(f"{number}.png" for number in range(1, 60)))
    WrittenRun(tmp_path).finish([make_record(number) for number in range(1, 61)])
    with (
        view("qa.jsonl", cwd=tmp_path) as (url, _),
        open_page(browser, url, viewport={"width": 600, "height": 400}) as page,
    ):
        wait_until(page, "document.querySelectorAll('.loaded').length === 59")
        expect(page.locator(".missing")).to_have_text(["not readable"])


def test_a_question_that_is_refused_is_said(browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1)])
    context = browser.new_context(locale="en-GB")
    with view("qa.jsonl", cwd=tmp_path) as (url, _):
        page = context.new_page()
        page.goto(url)
        expect_rows(page, ["1"])
        page.evaluate("load({ page: -1 })")
        page.locator("#notes.lost", has_text="not what was asked for last. This request can't be answered").wait_for()
        # As long a text as fits the field, in characters that take the most bytes.
        page.locator("#search").fill("𠀀 " * 400)
        page.locator(".nothing").wait_for()
        expect(page.locator("#notes.lost")).to_have_count(0)
    context.close()


def test_a_run_that_goes_on_is_followed(browser: Browser, tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    outcomes: list[Outcome] = [make_record(number) for number in range(1, 70)]
    run.leave_unfinished(outcomes)
    with view("qa.jsonl", cwd=tmp_path) as (url, _), open_page(browser, f"{url}#row=65") as page:
        expect(page.locator("#notes")).to_contain_text("new questions appear")
        expect(page.locator(".missing")).to_have_count(9)  # after which nothing moves
        top = page.locator(".card[aria-current]").bounding_box()
        outcomes += [make_failure(70), make_record(71)]
        append_to(run, outcomes)
        page.locator(".card", has_text="#71").wait_for()
        expect_rows(page, [str(number) for number in range(61, 72)])
        expect(page.locator("#summary")).to_have_text(re.compile("^71 questions"))
        expect_current(page, "65")
        assert page.locator(".card[aria-current]").bounding_box() == top
        files = RunFiles.for_output(run.output)
        files.failed_partial.rename(files.failed)
        files.details_partial.rename(files.details)
        files.partial.rename(files.output)
        files.checkpoint.unlink()
        wait_until(page, "source.overview.runs[0].state === 'unknown'")
        page.evaluate("showNew()")
        expect_current(page, "65")
        expect(page.locator(".card")).to_have_count(11)


def test_a_server_that_ended_is_named(browser: Browser, tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1)])
    context = browser.new_context(locale="en-GB")
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, command):
        page = context.new_page()
        page.goto(url)
        expect_rows(page, ["1"])
        command.send_signal(signal.SIGINT)
        page.locator("#notes.lost", has_text="The server has ended").wait_for()
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.locator(".trouble", has_text="Not stored: The server has ended").wait_for()
        page.keyboard.press("e")
        page.locator(".verdict", has_text="The server has ended").wait_for()
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"color_scheme": "light"}, {"color_scheme": "dark", "locale": "zh-CN", "viewport": {"width": 400, "height": 800}}],
    ids=["light", "dark, phone, Chinese"],
)
def test_axe_finds_nothing_serious_and_nothing_is_too_wide(browser: Browser, tmp_path: Path, settings: Any) -> None:
    write_pictures(tmp_path, "1.png")
    WrittenRun(tmp_path).finish([make_record(1), make_record(2, doubts=("hedged",)), make_failure(3), make_record(4)])
    with view("qa.jsonl", "--edit", cwd=tmp_path) as (url, _), open_page(browser, url, **settings) as page:
        for number, action in ((1, "accept"), (2, "reject"), (3, "edit"), (4, "comment")):
            page.locator(f"#row-{number} .do-{action}").click()
        page.locator("#row-3 .verdict.bad").wait_for()
        page.locator("#row-4 .editor input").fill("a comment")
        page.locator("#row-4 .editor [type=submit]").click()
        page.locator("#row-4 .comment").wait_for()
        assert find_serious(page) == []
        page.locator("#row-1 .zoom").click()
        assert find_serious(page) == []
        page.keyboard.press("Escape")
        page.locator("dialog[open]").wait_for(state="detached")
        width = page.viewport_size
        assert width is not None
        assert page.evaluate("document.documentElement.scrollWidth") <= width["width"]
        open_figures(page)
        assert find_serious(page) == []


@pytest.mark.slow
def test_a_large_run_is_shown_before_it_is_read(browser: Browser, tmp_path: Path) -> None:
    count = 20_000
    outcomes = [make_failure(number) if number % 10 == 0 else make_record(number) for number in range(1, count + 1)]
    WrittenRun(tmp_path).finish(outcomes)
    context = browser.new_context(locale="en-GB")
    with view("qa.jsonl", cwd=tmp_path) as (url, _):
        page = context.new_page()
        page.goto(url)
        expect_rows(page, [str(number) for number in range(1, 61)])
        assert page.evaluate("source.overview.read") < 1
        page.keyboard.press("j")
        wait_until(page, "source.overview.read === 1", 120)
        expect_current(page, "1")
        expect(page.locator("#count")).to_have_text(f"{count:,} questions")
        page.get_by_label("Last page").first.click()
        expect(page.locator(".card:last-child a.number")).to_have_text(f"#{count}")
        assert page.evaluate("document.querySelectorAll('.card').length") <= 60
        page.evaluate(f"location.hash = '#row={count // 2}'")
        expect_current(page, str(count // 2))
    context.close()


def test_the_command_prints_its_address_and_ends_with_one_line(tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1)])
    (tmp_path / "qa.decisions.jsonl").write_text("accept\n")
    command = start("view", "qa.jsonl", "--edit", cwd=tmp_path)
    url = command.stdout.readline()
    command.send_signal(signal.SIGINT)
    rest, messages = command.communicate(20)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/\n", url)
    assert (rest, command.returncode) == ("", 0)
    assert messages.splitlines() == [
        "Warning: qa.decisions.jsonl: line 1 is not JSON, so its decision is left out. Mend or remove the line.",
        "Showing qa.jsonl. Decisions go to qa.decisions.jsonl.",
        "Open the address in a browser on this machine. Ctrl-C ends it.",
        "Stopped.",
    ]


def test_errors_are_one_sentence(tmp_path: Path) -> None:
    WrittenRun(tmp_path).finish([make_record(1)])
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "torn.jsonl").mkdir()
    replaced = replace(WrittenRun(tmp_path), name="foreign.jsonl")
    replaced.finish([make_record(1)])
    (tmp_path / "foreign.decisions.jsonl").write_text('{"a": 1}\n')
    for arguments, message in (
        (["none.jsonl"], "there is no output none.jsonl: name the output of a run"),
        (["bad.jsonl"], "bad.jsonl is not the output of a run (line 1: it has no text 'pers_qa')"),
        (["torn.jsonl"], "torn.jsonl is a folder: name the output of a run, such as torn.jsonl/qa.jsonl"),
        (["qa.json"], "there is no output qa.json (did you mean qa.jsonl?): name the output of a run"),
        (["qa.jsonl", "./qa.jsonl"], "the output qa.jsonl is given twice: name it once"),
        (
            ["qa.jsonl", "foreign.jsonl"],
            "foreign.decisions.jsonl has a line that is not a decision, line 1: move the file, or remove the line",
        ),
    ):
        result = persqa("view", *arguments, cwd=tmp_path)
        assert (result.returncode, result.stdout, result.stderr) == (2, "", f"Error: {message}.\n")
    assert persqa("view", cwd=tmp_path).returncode == 2


def test_a_growing_page_waits_for_its_first_row(browser: Browser, tmp_path: Path) -> None:
    run = WrittenRun(tmp_path)
    run.leave_unfinished([])
    context = browser.new_context(locale="en-GB")
    with view("qa.jsonl", cwd=tmp_path) as (url, _):
        page = context.new_page()
        page.goto(url)
        page.locator(".nothing", has_text="There are no questions yet").wait_for()
        append_to(run, [make_record(1), make_failure(2)])
        expect_rows(page, ["1", "2"])
    context.close()
