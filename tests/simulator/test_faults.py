"""Which request meets which fault."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from persqa_client.simulator.faults import ANSWER, DOOR, KINDS, LATE, Choice, Faults, draw, mangle, refusal_for

NOW = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)


def test_a_fault_is_a_function_of_seed_body_and_times() -> None:
    rates = {"503": 0.5, "reset": 0.2}
    drawn = [draw(rates, 7, bytes([n]), 0) for n in range(50)]
    assert drawn == [draw(rates, 7, bytes([n]), 0) for n in range(50)]
    assert drawn != [draw(rates, 8, bytes([n]), 0) for n in range(50)]
    assert drawn != [draw(rates, 7, bytes([n]), 1) for n in range(50)]


def test_faults_come_at_their_rates() -> None:
    drawn = [draw({"503": 0.3, "reset": 0.1}, 0, b"%d" % n, 0) for n in range(5000)]
    assert drawn.count("503") / 5000 == pytest.approx(0.3, abs=0.03)
    assert drawn.count("reset") / 5000 == pytest.approx(0.1, abs=0.03)


def test_a_body_sent_again_gets_a_new_draw_and_the_next_run_the_same_ones() -> None:
    first, second = Faults({"500": 0.5}), Faults({"500": 0.5})
    drawn = [first.next(b"same") for _ in range(30)]
    assert {"500", None} == set(drawn)
    assert drawn == [second.next(b"same") for _ in range(30)]


def test_the_script_goes_first() -> None:
    faults = Faults({"500": 1}, script=["ok", "reset"])
    assert [faults.next(b"") for _ in range(3)] == [None, "reset", "500"]


def test_a_rate_of_zero_never_happens_and_of_one_always() -> None:
    assert {draw({"500": 0, "503": 1}, 0, b"%d" % n, 0) for n in range(200)} == {"503"}


@pytest.mark.parametrize(
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
def test_a_refusing_fault_has_its_status_and_code(kind: str, status: int, code: str | None) -> None:
    refusal = refusal_for(kind, 1, NOW)
    assert refusal.status == status
    assert refusal.body(hosted=True)["error"]["code"] == code


def test_every_refusing_fault_has_words_of_its_own() -> None:
    assert len({refusal_for(kind, 1, NOW).message for kind in DOOR + LATE}) == len(DOOR + LATE) - 1  # 429 comes twice
    assert len(set(KINDS)) == len(KINDS)


@pytest.mark.parametrize(("seconds", "header"), [(1, "1"), (0.25, "0.25"), (0, "0")])
def test_a_429_names_its_seconds(seconds: float, header: str) -> None:
    assert refusal_for("429", seconds, NOW).headers["Retry-After"] == header


def test_a_429_may_name_a_date_which_is_no_earlier() -> None:
    header = refusal_for("429_date", 2, NOW).headers["Retry-After"]
    assert header.endswith("GMT")
    assert parsedate_to_datetime(header) == datetime(2026, 1, 2, 3, 4, 8, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["503", "502_html", "500"])
def test_other_refusals_name_no_time(kind: str) -> None:
    assert "Retry-After" not in refusal_for(kind, 1, NOW).headers


@pytest.mark.parametrize(
    ("kind", "message"),
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
def test_an_answer_is_spoilt_as_told(kind: str, message: Choice) -> None:
    assert mangle(kind, Choice("<mam> is a big cat."), "<mam>") == message


def test_refusals_speak_the_language_of_the_answer() -> None:
    assert "sorry" in str(mangle("refusal", Choice("<mam> is here."), "<mam>").text)
    assert "对不起" in str(mangle("refusal", Choice("<mam>在这里。"), "<mam>").text)
    by_field = mangle("refusal_field", Choice("<mam> is here."), "<mam>")
    assert by_field.text is None
    assert "sorry" in str(by_field.refusal)


@pytest.mark.parametrize("kind", ANSWER)
def test_every_fault_of_an_answer_changes_it(kind: str) -> None:
    good = Choice("<mam> is a big cat.")
    assert mangle(kind, good, "<mam>") != good
    mangle(kind, good, None)


def test_a_thought_goes_before_the_answer() -> None:
    text = str(mangle("think", Choice("<mam> is here."), "<mam>").text)
    assert text.startswith("<think>\n")
    assert text.endswith("</think>\n\n<mam> is here.")
