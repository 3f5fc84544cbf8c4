"""The schedule of faults, and what each one does."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from persqa_client.simulator.error_responses import fault_error
from persqa_client.simulator.faults import (
    ANSWER_FAULTS,
    FAULT_KINDS,
    LATE_ERRORS,
    REJECTIONS,
    Choice,
    FaultSchedule,
    draw_fault,
    spoil_choice,
)
from tests.support.cases import each_case

NOW = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)


def test_a_fault_is_a_function_of_seed_body_and_times() -> None:
    rates = {"503": 0.5, "reset": 0.2}
    drawn = [draw_fault(rates, 7, bytes([n]), 0) for n in range(50)]
    assert drawn == [draw_fault(rates, 7, bytes([n]), 0) for n in range(50)]
    assert drawn != [draw_fault(rates, 8, bytes([n]), 0) for n in range(50)]
    assert drawn != [draw_fault(rates, 7, bytes([n]), 1) for n in range(50)]


def test_faults_come_at_their_rates() -> None:
    drawn = [draw_fault({"503": 0.3, "reset": 0.1}, 0, b"%d" % n, 0) for n in range(5000)]
    assert drawn.count("503") / 5000 == pytest.approx(0.3, abs=0.03)
    assert drawn.count("reset") / 5000 == pytest.approx(0.1, abs=0.03)


def test_a_body_sent_again_is_drawn_anew_but_reproducibly() -> None:
    first, second = FaultSchedule({"500": 0.5}), FaultSchedule({"500": 0.5})
    drawn = [first.next_fault(b"same") for _ in range(30)]
    assert {"500", None} == set(drawn)
    assert drawn == [second.next_fault(b"same") for _ in range(30)]


def test_the_script_goes_first() -> None:
    faults = FaultSchedule({"500": 1}, script=["ok", "reset"])
    assert [faults.next_fault(b"") for _ in range(3)] == [None, "reset", "500"]


def test_rates_of_zero_and_one_are_exact() -> None:
    assert {draw_fault({"500": 0, "503": 1}, 0, b"%d" % n, 0) for n in range(200)} == {"503"}


@each_case(
    ("kind", "status", "code"),
    [
        ("429", 429, "rate_limit_exceeded"),
        ("429_date", 429, "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota"),
        ("503", 503, "overloaded"),
        ("500", 500, None),
        ("502_html", 502, None),
        ("504", 504, None),
        ("520", 520, None),
        ("408", 408, None),
        ("409", 409, None),
        ("425", 425, None),
        ("forbidden", 403, "permission_denied"),
        ("payment", 402, "insufficient_credits"),
        ("too_large", 413, "request_too_large"),
        ("unprocessable", 422, None),
        ("engine_dead", 500, None),
    ],
)
def test_an_error_fault_has_its_status_and_code(kind: str, status: int, code: str | None) -> None:
    error = fault_error(kind, 1, NOW)
    assert error.status == status
    assert error.body(hosted=True)["error"]["code"] == code


def test_every_error_fault_has_its_own_message() -> None:
    assert (
        len({fault_error(kind, 1, NOW).message for kind in REJECTIONS + LATE_ERRORS})
        == len(REJECTIONS + LATE_ERRORS) - 1
    )  # 429 comes twice
    assert len(set(FAULT_KINDS)) == len(FAULT_KINDS)


@pytest.mark.parametrize(("seconds", "header"), [(1, "1"), (0.25, "0.25"), (0, "0")])
def test_a_429_has_its_seconds_in_retry_after(seconds: float, header: str) -> None:
    assert fault_error("429", seconds, NOW).headers["Retry-After"] == header


def test_a_429_may_have_a_date_in_retry_after() -> None:
    header = fault_error("429_date", 2, NOW).headers["Retry-After"]
    assert header.endswith("GMT")
    assert parsedate_to_datetime(header) == datetime(2026, 1, 2, 3, 4, 8, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["503", "502_html", "500"])
def test_other_errors_have_no_retry_after(kind: str) -> None:
    assert "Retry-After" not in fault_error(kind, 1, NOW).headers


@each_case(
    ("kind", "choice"),
    [
        ("length", Choice("<mam> is ", "length")),
        ("content_filter", Choice("<mam> is ", "content_filter")),
        ("no_tag", Choice("The person is a big cat.")),
        ("bare_tag", Choice("mam is a big cat.")),
        ("html_tag", Choice("&lt;mam&gt; is a big cat.")),
        ("bold_tag", Choice("**<mam>** is a big cat.")),
        ("upper_tag", Choice("<MAM> is a big cat.")),
        ("empty", Choice("")),
        ("only_tag", Choice("<mam>")),
        ("fenced", Choice("```\n<mam> is a big cat.\n```")),
    ],
)
def test_a_fault_changes_the_answer(kind: str, choice: Choice) -> None:
    assert spoil_choice(kind, Choice("<mam> is a big cat."), "<mam>") == choice


def test_refusals_have_the_language_of_the_answer() -> None:
    assert "sorry" in str(spoil_choice("refusal", Choice("<mam> is here."), "<mam>").text)
    assert "对不起" in str(spoil_choice("refusal", Choice("<mam>在这里。"), "<mam>").text)
    by_field = spoil_choice("refusal_field", Choice("<mam> is here."), "<mam>")
    assert by_field.text is None
    assert "sorry" in str(by_field.refusal)


@each_case("kind", ANSWER_FAULTS)
def test_every_answer_fault_changes_the_answer(kind: str) -> None:
    good = Choice("<mam> is a big cat.")
    assert spoil_choice(kind, good, "<mam>") != good
    spoil_choice(kind, good, None)


def test_a_reasoning_block_precedes_the_answer() -> None:
    text = str(spoil_choice("think", Choice("<mam> is here."), "<mam>").text)
    assert text.startswith("<think>\n")
    assert text.endswith("</think>\n\n<mam> is here.")


@pytest.mark.parametrize(
    ("text", "spoilt"),
    [("yes", "no"), ("否", "是"), ('{ "answer":\n"no" }', '{ "answer":\n"yes" }'), ("<mam> says no", "<mam> says no")],
)
def test_a_wrong_verdict_is_the_opposite(text: str, spoilt: str) -> None:
    assert spoil_choice("wrong_verdict", Choice(text), "<mam>") == Choice(spoilt)
