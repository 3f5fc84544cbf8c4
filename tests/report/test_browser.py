"""The page in a real browser: filters, search, keys, links, pages and figures; hostile texts do nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from persqa_client.outcomes import Outcome
from persqa_client.report.data import ReportData
from persqa_client.report.page import render_page, write_report
from persqa_client.report.row_reader import ReportRow
from persqa_client.report.rows import ReportedRun
from persqa_client.types import TaskId
from tests.report.runs import (
    IDENTITY,
    QUESTION,
    WrittenRun,
    make_failure,
    make_input_failure,
    make_record,
    write_pictures,
)
from tests.report.test_page import HOSTILE
from tests.support.browser import (
    browser,
    expect,
    expect_current,
    expect_rows,
    find_serious,
    finish_keys,
    needs_chromium,
    open_figures,
    wait_until,
)
from tests.support.cases import each_case

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]  # a fixture
pytestmark = needs_chromium

ZH = "<mam>穿着什么？"
# By input line: what the filters below find.
OUTCOMES: tuple[Outcome, ...] = (
    make_record(1, "<mam> holds a red cup."),
    make_record(2, "<mam> holds a red cup and a blue plate.", doubts=("hedged",)),
    make_failure(3, "refusal"),
    make_failure(4, "no_tag", asked="Where is <mam>?"),
    make_record(5, "<mam>穿着红色外套。", asked=ZH, made_good_by=("constraint", "quotes")),
    make_record(6, "<mam> sits\nby\tthe sea\x1b[31m.", asked="Where is <mam>?", asks=2, attempts=2),
    make_input_failure(7),
    *(
        make_record(8 + number, f"<mam> is {text}", asked=f"What is {text}?")
        for number, text in enumerate(HOSTILE[:-1])
    ),
)
LINES = {8 + number: {"image": [f"{text}.png"]} for number, text in enumerate(HOSTILE)}
ALL = [str(outcome.task_id.row) for outcome in OUTCOMES]

# Values of the fields, and the rows that are left.
FILTERED = [
    pytest.param({"outcome": "accepted", "sort": "longest", "search": "red"}, ["2", "1"], id="accepted"),
    pytest.param({"outcome": "failed"}, ["3", "4", "7"], id="all failed"),
    pytest.param({"outcome": "=no_tag"}, ["4"], id="code"),
    pytest.param({"question-language": "zh"}, ["5"], id="language"),
    pytest.param({"doubt": "hedged"}, ["2"], id="doubt"),
    pytest.param({"step": "quotes"}, ["5"], id="step"),
    pytest.param({"repaired": True}, ["5"], id="repaired"),
    pytest.param({"reasked": True}, ["3", "4", "6"], id="asked again"),
    pytest.param({"doubtful": True}, ["2"], id="doubtful"),
    pytest.param({"failed": True}, ["3", "4", "7"], id="failed"),
    pytest.param({"shortest": "20", "longest": "30", "search": "cup"}, ["1"], id="length"),
    pytest.param({"search": "RED cup plate"}, ["2"], id="words"),
    pytest.param({"search": '"cup and"'}, ["2"], id="phrase"),
    pytest.param({"search": "can't help"}, ["3", "4"], id="raw text"),
    pytest.param({"search": "红色"}, ["5"], id="Chinese"),
    pytest.param({"search": "nothing has this"}, [], id="nothing"),
]

# All rows, by the value of the field for their order.
ORDERED = [
    ("shortest", "5 1 10 11 6 2 8 12 9 3 4 7"),
    ("longest", "9 12 8 2 6 11 1 10 5 3 4 7"),
    ("tokens", "3 4 1 2 5 6 8 9 10 11 12 7"),
    ("attempts", "3 4 6 1 2 5 7 8 9 10 11 12"),
    ("outcome", "1 2 5 6 8 9 10 11 12 7 4 3"),
    ("question", "7 5 1 2 3 11 10 9 12 8 4 6"),
]
# Follows a link, and returns after the page has looked for its row.
FOLLOW = """link => new Promise((done) => {
  addEventListener("hashchange", () => setTimeout(done), { once: true });
  location.hash = link;
})"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_pictures(folder, "1.png", "2.png")
    output = WrittenRun(folder).finish(OUTCOMES, LINES)
    write_report([output], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page, whose start takes as long as a short test, and the errors in it."""
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else errors.append(request.url),
    )
    yield page, errors
    context.close()


@pytest.fixture
def page(tab: tuple[Page, list[str]]) -> Iterator[Page]:
    """Fails the test for any error in the page, and for any request but that of the page."""
    page, errors = tab
    errors.clear()
    yield page
    hacked = page.evaluate("window.hacked")
    page.evaluate("localStorage.clear()")
    assert errors == []
    assert hacked is None


def open_report(page: Page, path: Path, link: str = "") -> None:
    page.goto("about:blank")  # from which another link loads the page anew
    page.goto(f"file://{path}{link}")
    wait_until(page, "source.isComplete && state.count > 0 && !isLinkOpen")


def test_a_row_shows_picture_question_answer_and_outcome(page: Page, report: Path) -> None:
    open_report(page, report)
    expect_rows(page, ALL)
    first = page.locator(".card").first
    expect(first.locator(".question")).to_have_text("What does <mam> hold?")
    expect(first.locator(".answer")).to_have_text("<mam> holds a red cup.")
    expect(first.locator(".answer mark")).to_have_text(["<mam>"])
    assert first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    failed = page.locator(".card").nth(2)
    expect(failed.locator(".badge")).to_have_text(["refusal", "asked again"])
    expect(failed.locator(".message")).to_have_text("Line 3: Both answers were rejected.")
    expect(page.locator("#summary")).to_have_text(re.compile(f"^{len(ALL)} questions about"))


@pytest.fixture
def opened(page: Page, report: Path) -> Page:
    open_report(page, report)
    return page


@each_case(("filters", "rows"), FILTERED)
def test_filters_leave_the_rows_that_fit(opened: Page, filters: dict[str, Any], rows: list[str]) -> None:
    page = opened
    page.locator("#clear").click()
    for name, value in filters.items():
        field = page.locator(f"#{name}")
        if value is True:
            field.check()
        elif field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    expect_rows(page, rows)
    expect(page.locator("#count")).to_have_text(f"{len(rows)} of {len(ALL)} questions")
    page.locator("#clear").click()
    expect_rows(page, ALL)


def test_a_question_can_be_chosen(page: Page, report: Path) -> None:
    open_report(page, report)
    page.locator("#question").select_option(label="Where is <mam>? (2)")
    expect_rows(page, ["4", "6"])


@each_case(("order", "rows"), ORDERED)
def test_rows_can_be_ordered(opened: Page, order: str, rows: str) -> None:
    opened.locator("#sort").select_option(order)
    expect_rows(opened, rows.split())


def test_keys_lead_from_row_to_row(page: Page, report: Path) -> None:
    open_report(page, report)
    for key, row in (("j", "1"), ("j", "2"), ("ArrowRight", "3"), ("k", "2"), ("ArrowLeft", "1"), ("k", "1")):
        page.keyboard.press(key)
        finish_keys(page)
        expect_current(page, row)
        expect(page.locator(".card[aria-current]")).to_be_focused()
    open_figures(page)
    page.locator("h1").click()
    page.keyboard.press("Enter")
    finish_keys(page)
    assert page.locator(".raws").count() == 0
    page.locator("#tab-rows").click()
    page.locator("#failed").click()
    expect_rows(page, ["3", "4", "7"])
    page.keyboard.press("j")
    expect_current(page, "3")
    page.locator("#clear").click()
    expect_rows(page, ALL)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("jk/")
    expect(page.locator("#search")).to_have_value("jk/")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).not_to_be_focused()


def test_the_raw_text_is_shown_on_demand(page: Page, report: Path) -> None:
    open_report(page, report, "#row=3")
    assert page.locator(".raws").count() == 0
    page.keyboard.press("Enter")
    expect(page.locator(".raws pre")).to_have_text(["I'm sorry.", "I can't help."])
    expect(page.locator(".card[aria-current] button.raw")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Enter")
    expect(page.locator(".raws")).to_have_count(0)


def test_a_link_leads_to_its_row(page: Page, report: Path) -> None:
    open_report(page, report, "#row=5")
    expect_current(page, "5")
    page.locator("#failed").check()
    expect_rows(page, ["3", "4", "7"])
    page.evaluate("location.hash = '#row=6'")
    expect_rows(page, ALL)
    expect_current(page, "6")
    page.evaluate(FOLLOW, "#row=nowhere")
    page.keyboard.press("j")
    wait_until(page, "location.hash === '#row=7'")


def test_invisible_characters_are_shown_as_escapes(page: Page, report: Path) -> None:
    open_report(page, report, "#row=6")
    answer = page.locator(".card[aria-current] .answer")
    expect(answer).to_have_text(r"<mam> sits\nby\tthe sea\u001b[31m.")
    expect(answer.locator(".escape")).to_have_count(3)
    reordered = page.locator("#row-10 .answer")
    assert reordered.text_content() == r"<mam> is ]]>\u2028\u2029\u0000\u001b[31m\u202eabc"


@each_case(
    ("text", "shown"),
    [
        ("h\u200bat\u3164 \u061c\u180e\U000e0041", r"h\u200bat\u3164 \u061c\u180e\u{e0041}"),
        ("a\u200d cup, \u200cb", r"a\u200d cup, \u200cb"),
        ("👩\u200d👧 می\u200cخواهم क्\u200dष", "👩\u200d👧 می\u200cخواهم क्\u200dष"),
        ("🏴\U000e0067\U000e0062\U000e007f.", "🏴\U000e0067\U000e0062\U000e007f."),
    ],
    ids=["invisible", "joins nothing", "joins letters", "flag"],
)
def test_joiners_and_tags_are_shown_where_they_join_nothing(opened: Page, text: str, shown: str) -> None:
    assert opened.evaluate("text => showText(text).textContent", text) == shown


def test_hostile_texts_are_shown_as_they_are(page: Page, report: Path) -> None:
    open_report(page, report)
    expect_rows(page, ALL)
    answers = page.locator(".answer").all_text_contents()
    for text in (*HOSTILE[:3], HOSTILE[4]):
        assert f"<mam> is {text}" in answers
    open_figures(page)
    page.locator("#language").click()
    page.locator("#figures h2", has_text="结果").wait_for()
    assert page.locator("body script:not([type])").count() == 1
    page.locator("#tab-rows").click()
    assert page.locator("img:not([src^='data:image/jpeg;base64,'])").count() == 0


def test_figures_lead_to_their_rows(page: Page, report: Path) -> None:
    open_report(page, report)
    open_figures(page)
    titles = page.locator("#figures h2").all_text_contents()
    assert titles[:4] == [
        "Outcomes",
        "Accepted by question",
        "Answer lengths in characters",
        "First words after the tag",
    ]
    expect(page.locator("svg.columns")).to_have_count(2)
    page.locator("#figures button.bar", has_text="no_tag").click()
    expect_rows(page, ["4"])
    page.locator("#clear").click()
    page.locator("#tab-figures").click()
    page.locator("#figures button.bar", has_text="holds a").click()
    expect_rows(page, ["1", "2"])
    # Words that the search does not find, as they are not beside each other.
    page.locator("#tab-figures").click()
    page.locator("#words").select_option("")
    page.locator("#tab-figures").click()
    page.locator("#figures button.bar", has_text="sits by").click()
    expect_rows(page, ["6"])


def test_the_figures_follow_the_filters(page: Page, report: Path) -> None:
    open_report(page, report)
    page.locator("#failed").check()
    page.locator("#tab-figures").click()
    of = page.locator("#figures p.of")
    expect(of).to_have_text(f"Figures of the 3 questions that the filters leave, of {len(ALL)} questions")
    page.locator("#failed").uncheck()
    expect(of).to_have_text(f"Figures of {len(ALL)} questions")


def test_the_language_is_that_of_the_browser_and_can_be_switched(browser: Browser, report: Path) -> None:
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    open_report(page, report)
    expect(page.locator("#tab-figures")).to_have_text("图表")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.locator("#language").click()
    expect(page.locator("#tab-figures")).to_have_text("Figures")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    context.close()


@pytest.mark.parametrize("view", ["rows", "figures"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(browser: Browser, report: Path, width: int, view: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    open_report(page, report)
    page.locator(f"#tab-{view}").click()
    page.locator({"rows": ".card", "figures": ".figure"}[view]).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_of_a_long_answer_the_beginning_is_shown_first(page: Page, tmp_path: Path) -> None:
    """And an empty answer, in an output that was changed, is shown as such."""
    output = WrittenRun(tmp_path).finish([make_record(1, f"<mam> {'waves 𠀀' * 300}."), make_record(2)])
    output.write_text(output.read_text().replace(f"Question: {QUESTION}, Answer: <mam> holds a cup.", ""))
    write_report([output], tmp_path / "report.html")
    open_report(page, tmp_path / "report.html")
    expect(page.locator(".answer").last).to_have_text("(empty answer)")
    answer = page.locator(".answer").first
    assert len(answer.text_content() or "") < 1100
    answer.locator("button", has_text="Show all 2,107 characters").click()
    expect(answer).to_have_text(re.compile(r"waves 𠀀\.$"))


def test_a_long_name_leaves_room_for_the_answer(page: Page, report: Path) -> None:
    open_report(page, report)
    page.locator("figcaption").first.evaluate("caption => (caption.textContent = 'x'.repeat(200))")
    assert page.locator(".pictures").first.evaluate("box => box.offsetWidth") == 120


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, report: Path, colours: Any) -> None:
    context = browser.new_context(color_scheme=colours, locale="en-GB")
    page = context.new_page()
    open_report(page, report, "#row=3")
    page.keyboard.press("Enter")
    page.locator(".raws pre").first.wait_for()
    found = find_serious(page)
    open_figures(page)
    found += find_serious(page)
    context.close()
    assert found == []


def test_a_printed_page_has_light_colours_and_no_controls(browser: Browser, report: Path) -> None:
    context = browser.new_context(color_scheme="dark", locale="en-GB")
    page = context.new_page()
    open_report(page, report, "#row=3")
    page.keyboard.press("Enter")
    page.locator(".raws pre").first.wait_for()
    page.emulate_media(media="print")
    shown = "each => each.filter((one) => one.checkVisibility()).map((one) => one.id || one.className)"
    assert page.locator("button, input, select, .keys").evaluate_all(shown) == []
    style = "({ color, backgroundColor }) => [color, backgroundColor]"
    assert page.evaluate(f"({style})(getComputedStyle(document.body))") == ["rgb(29, 31, 33)", "rgb(255, 255, 255)"]
    expect(page.locator("#count")).to_be_visible()
    assert page.locator(".raws pre").first.evaluate("text => getComputedStyle(text).maxHeight") == "none"
    context.close()


def make_large_page(path: Path, count: int) -> None:
    rows = []
    for number in range(1, count + 1):
        asked = f"What is number {number % 50}?"
        outcome: Any = make_failure(number, asked=asked) if number % 10 == 0 else make_record(number, asked=asked)
        rows.append(ReportRow(TaskId(number), number, (f"photo{number // 5}.jpg",), outcome))
    run = ReportedRun(path.with_name("qa.jsonl"), "finished", IDENTITY, rows, (), 0, False)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(render_page([run], ReportData([run], max_thumbnails=10)))


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_large_page_has_few_rows_in_the_document(page: Page, tmp_path: Path, count: int) -> None:
    make_large_page(tmp_path / "report.html", count)
    open_report(page, tmp_path / "report.html")
    cards = "document.querySelectorAll('.card').length"
    assert 0 < page.evaluate(cards) <= 500
    assert page.evaluate("document.querySelectorAll('script.part').length") == 0
    # Large pages are searched in steps.
    wait_until(page, f"state.count === {count}")
    page.get_by_label("Last page").first.click()
    wait_until(page, f"[...document.querySelectorAll('.card a.number')].at(-1).textContent === '#{count}'")
    assert 0 < page.evaluate(cards) <= 500
    page.keyboard.press("[")
    page.keyboard.press("j")
    expect_current(page, str(1 + 60 * ((count - 1) // 60 - 1)))
    assert page.evaluate(cards) <= 500
    page.locator("#failed").check()
    wait_until(page, f"document.querySelector('#count').textContent === '{count // 10:,} of {count:,} questions'")
    page.locator("#search").fill("photo778.jpg")
    expect_rows(page, ["3890"])
    page.locator("#clear").click()
    page.locator("#sort").select_option("outcome")
    page.evaluate(f"location.hash = '#row={count - 7}'")
    expect_current(page, str(count - 7))
    assert page.evaluate(cards) <= 500


def test_large_parts_are_read_when_they_have_arrived(page: Page, tmp_path: Path) -> None:
    """A browser shows a page before it has read all of it, and hands out the beginning of a long text."""
    text = "<mam> holds a cup " * 600
    rows = [ReportRow(TaskId(number), number, (), make_record(number, text)) for number in range(1, 2001)]
    run = ReportedRun(tmp_path / "qa.jsonl", "finished", IDENTITY, rows, (), 0, False)
    with (tmp_path / "report.html").open("w", encoding="utf-8") as file:
        file.writelines(render_page([run], ReportData([run])))
    open_report(page, tmp_path / "report.html")
    expect(page.locator("#count")).to_have_text("2,000 questions")


def test_a_key_crosses_the_end_of_a_page(page: Page, tmp_path: Path) -> None:
    make_large_page(tmp_path / "report.html", 150)
    open_report(page, tmp_path / "report.html", "#row=60")
    page.keyboard.press("j")
    expect_current(page, "61")
    expect(page.locator(".card a.number").first).to_have_text("#61")
    page.keyboard.press("k")
    expect_current(page, "60")
    expect(page.locator(".card a.number").last).to_have_text("#60")
    # Some keyboards have the bracket on a key that is pressed with AltGr, which sets Ctrl and Alt on Windows.
    press = "init => document.body.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, ...init }))"
    chord = {"key": "]", "ctrlKey": True, "altKey": True}
    page.evaluate(press, chord)
    finish_keys(page)
    expect(page.locator(".card a.number").last).to_have_text("#60")
    page.evaluate(press, chord | {"modifierAltGraph": True})
    expect(page.locator(".card a.number").first).to_have_text("#61")


def test_only_the_largest_bars_are_made(page: Page, tmp_path: Path) -> None:
    """Each row may have a question of its own."""
    make_large_page(tmp_path / "report.html", 150)
    open_report(page, tmp_path / "report.html")
    open_figures(page)
    figure = page.locator(".figure", has=page.locator("h2", has_text="Accepted by question"))
    expect(figure.locator(".bar")).to_have_count(25)
    expect(figure.locator(".others")).to_have_text("25 others")
    counts = "new Map([...Array(1000).keys()].map((number) => [number, 1]))"
    made = f"(() => {{ let made = 0; makeBars({counts}, () => (made++, {{ label: '', count: 1 }})); return made; }})()"
    assert page.evaluate(made) == 25
