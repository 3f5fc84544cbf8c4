"""The page of a report in a real browser: Debian's chromium, driven by Playwright.

The effect of an action may come after it, as the page draws when its search or its server has answered. So what a page
shows is read until it is as expected, with ``expect`` of Playwright or ``expect_equal``. Text is read from the document
and not as it is laid out, because a card that is not painted yet has no inner text.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (Debian: apt-get install chromium)")
playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
# As long as a busy machine may take; a test that passes waits much less.
SECONDS = 60
expect = playwright.expect
expect.set_options(timeout=1000 * SECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def wait_until(page: Page, condition: str, seconds: float = SECONDS) -> None:
    """Playwright's own wait evaluates a text in the page, which the policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def expect_equal(read: Callable[[], object], wanted: object) -> None:
    deadline = time.monotonic() + SECONDS
    while (found := read()) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == wanted, found


def expect_rows(page: Page, rows: list[str]) -> None:
    """The numbers of all cards, in order."""
    expect_equal(lambda: [text.removeprefix("#") for text in page.locator(".card a.number").all_text_contents()], rows)


def expect_current(page: Page, row: str) -> None:
    """The number of the selected row."""
    expect(page.locator(".card[aria-current] a.number")).to_have_text(f"#{row}")


def finish_keys(page: Page) -> None:
    """Waits until the keys that were pressed have acted, also where they have no effect."""
    page.evaluate("keyed")


def open_figures(page: Page) -> None:
    page.locator("#tab-figures").click()
    page.locator("#figures p.of").wait_for()


def find_serious(page: Page) -> list[tuple[str, str]]:
    """What axe finds, without minor things."""
    axe = pytest.importorskip(
        "axe_playwright_python", reason="the Python package axe-playwright-python is not installed"
    )
    if not page.evaluate("'axe' in window"):
        page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [(each["id"], each["nodes"][0]["html"]) for each in result["violations"] if each["impact"] != "minor"]
