"""Output and failure lines keep the input line unchanged, and outcomes survive a round trip through JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record, SentPicture, Verification
from persqa_client.storage.details import outcome_from_details, outcome_to_details
from persqa_client.storage.records import (
    outcome_from_json,
    outcome_to_json,
    parse_failure_line,
    record_details,
    render_failure,
    render_record,
    warn_of_added_questions,
)
from persqa_client.types import OutputStyle, TaskId, Usage
from tests.support.cases import each_case

RECORD = Record(
    task_id=TaskId(3, 1),
    kind="qa",
    tag="<mam>",
    question="What is <mam> wearing?",
    answer="<mam> wears a jacket.",
    raw="**mam** wears a jacket.",
    seed=7,
    model="qwen",
    finish_reason="stop",
    usage=Usage(900, 12),
    attempts=2,
    asks=1,
    made_good_by=("repair",),
    refused="loop",
    strategy="prefill",
    question_id="clothes-top",
    category="human",
    pictures=(SentPicture("image/jpeg", 40, 30, 800, 4),),
    raws=(
        RawAnswer("It. It. It.", "loop", (), "stop", None, None, 450, 6, 512, 8, "qwen"),
        RawAnswer("**mam** wears a jacket.", None, ("repair",), "stop", None, None, 450, 6, 512, 8, "qwen"),
    ),
)
FAILURE = Failure(
    TaskId(3), "no_tag", "The answer has no <mam>.", "answer", attempts=2, raw="A man.", usage=Usage(9, 2), asks=2
)
LINE = b'{"image": ["./photos/1.jpg"], "n": 1.50, "s": "\\u00e9"}'


def render(line: bytes, style: OutputStyle = "qa", details: bool = False) -> bytes:
    return render_record(line, RECORD, output_key="pers_qa", style=style, details=details)


def test_question_and_answer_are_added_to_the_input_line() -> None:
    pair = b"Question: What is <mam> wearing?, Answer: <mam> wears a jacket."
    assert render(LINE) == LINE[:-1] + b', "pers_qa": "' + pair + b'"}\n'


def test_the_answer_style_replaces_the_question_of_the_row() -> None:
    line = b'{"conversation":[{"from":"human","value":"hi"}],"x":1}'
    assert render(line, "answer") == (
        b'{"conversation":[{"from":"human","value":"What is <mam> wearing?"}],"x":1, '
        b'"pers_qa": "<mam> wears a jacket."}\n'
    )
    added = b', "question": "What is <mam> wearing?", "pers_qa": "<mam> wears a jacket."}\n'
    assert render(LINE, "answer") == LINE[:-1] + added


def test_an_added_question_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_added_questions.cache_clear()
    for _ in range(2):
        render(LINE, "answer")
    assert [record.message[:26] for record in caplog.records] == ["A row has no question, and"]
    assert "--" not in caplog.text


@each_case(
    ("before", "after"),
    [
        ('{"question": "What is <mam> wearing?"}', '{"question": "What is <mam> wearing?"'),
        ('{"question": "What is {tag} wearing?"}', '{"question": "What is <mam> wearing?"'),
        ('{"question": null}', '{"question": "What is <mam> wearing?"'),
        (
            '{"conversations": [{"from": "human", "value": "<image>\\nhi"}, {"from": "gpt", "value": "old"}]}',
            '{"conversations": [{"from": "human", "value": "<image>\\nWhat is <mam> wearing?"}, '
            '{"from": "gpt", "value": "<mam> wears a jacket."}]',
        ),
        (
            '{"conversation": [{"role": "user", "content": "hi <image>"}, {"role": "user", "content": "and"}]}',
            '{"conversation": [{"role": "user", "content": "What is <mam> wearing? <image>"}]',
        ),
        (
            '{"messages": 1.50, "conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": '
            '"hi"}, {"from": "gpt", "value": "old"}, {"from": "human", "value": "more"}, {"from": "gpt"}]}',
            '{"messages": 1.50, "conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": '
            '"What is <mam> wearing?"}, {"from": "gpt", "value": "<mam> wears a jacket."}]',
        ),
        (
            '{"conversation": [{"role": "user", "content": [{"type": "image", "n": 1.0}, {"type": "text", "text": '
            '"hi"}]}, {"role": "assistant", "content": [{"type": "text", "text": "old"}]}]}',
            '{"conversation": [{"role": "user", "content": [{"type": "image", "n": 1.0}, {"type": "text", "text": '
            '"What is <mam> wearing?"}]}, {"role": "assistant", "content": [{"type": "text", "text": '
            '"<mam> wears a jacket."}]}]',
        ),
        (
            '{"conversation": [{"role": "user", "content": [{"n": NaN}, {"text": "a"}, {"n": 1e400}, {"text": "b"}]}]}',
            '{"conversation": [{"role": "user", "content": [{"n": NaN},{"type":"text","text":"What is <mam> wearing?"},'
            '{"n": 1e400}]}]',
        ),
        (
            '{"conversation": [{"role": "user", "content": [{"text": "a"}, {"type": "image"}, {"text": "b"}]}]}',
            '{"conversation": [{"role": "user", "content": [{"type":"text","text":"What is <mam> wearing?"},'
            '{"type": "image"}]}]',
        ),
        (
            '{"conversation": [{"value": "hi"}, {"value": "old"}]}',
            '{"conversation": [{"value": "What is <mam> wearing?"}]',
        ),
        (
            '{"conversation": [{"from": "system", "value": "Be brief."}]}',
            '{"conversation": [{"from": "system", "value": "Be brief."}], "question": "What is <mam> wearing?"',
        ),
        ('{"conversation": []}', '{"conversation": [], "question": "What is <mam> wearing?"'),
    ],
)
def test_the_answer_style_puts_the_question_where_the_row_has_it(before: str, after: str) -> None:
    assert render(before.encode(), "answer").decode() == after + ', "pers_qa": "<mam> wears a jacket."}\n'


def test_details_follow_the_answer() -> None:
    row = json.loads(render(LINE, details=True))
    assert list(row) == ["image", "n", "s", "pers_qa", "pers_qa_meta"]
    assert row["pers_qa_meta"] == {
        "question": "What is <mam> wearing?",
        "answer": "<mam> wears a jacket.",
        "raw": "**mam** wears a jacket.",
        "tag": "<mam>",
        "kind": "qa",
        "model": "qwen",
        "seed": 7,
        "finish_reason": "stop",
        "attempts": 2,
        "asks": 1,
        "made_good_by": ["repair"],
        "refused": "loop",
        "strategy": "prefill",
        "question_id": "clothes-top",
        "category": "human",
        "pictures": [{"media_type": "image/jpeg", "width": 40, "height": 30, "bytes": 800, "tokens": 4}],
        "usage": {"prompt": 900, "completion": 12},
        "doubts": [],
        "verification": None,
    }


def test_details_have_doubts_and_the_verdicts() -> None:
    record = replace(RECORD, doubts=("hedged",), verification=Verification("yes", "no", 2, Usage(300, 2)))
    line = render_record(LINE, record, output_key="pers_qa", style="qa", details=True)
    meta = json.loads(line)["pers_qa_meta"]
    assert (meta["doubts"], meta["verification"]) == (
        ["hedged"],
        {"verdict": "yes", "blind": "no", "requests": 2, "usage": {"prompt": 300, "completion": 2}},
    )


@pytest.mark.parametrize("outcome", [RECORD, FAILURE], ids=["record", "failure"])
def test_outcomes_of_earlier_versions_have_no_doubts_and_were_not_verified(outcome: Outcome) -> None:
    fields = outcome_to_json(outcome)
    assert fields.keys().isdisjoint({"doubts", "verification"})
    assert outcome_from_json(fields) == outcome


@pytest.mark.parametrize(
    "outcome",
    [
        replace(RECORD, doubts=("short", "unverified"), verification=Verification("failed", requests=5)),
        replace(FAILURE, verification=Verification("no", "yes", 4, Usage(600, 4))),
    ],
    ids=["record", "failure"],
)
def test_doubts_and_verdicts_are_in_the_journal(outcome: Outcome) -> None:
    assert outcome_from_json(load_object(dump_compact(outcome_to_json(outcome)))) == outcome


def test_data_urls_in_the_row_stay_unchanged() -> None:
    line = b'{"image": "data:image/png;base64,iVBORw0KGgo="}'
    assert render(line).startswith(line[:-1])
    assert render_failure(line, FAILURE).startswith(line[:-1])


def test_a_numbered_failure_has_the_number_of_the_first_question_too() -> None:
    assert json.loads(render_failure(LINE, FAILURE, numbered=True))["error"]["question"] == 0
    whole = replace(FAILURE, whole_row=True)
    assert "question" not in json.loads(render_failure(LINE, whole, numbered=True))["error"]


def test_a_failure_is_added_to_the_input_line() -> None:
    error = b'{"code":"no_tag","message":"The answer has no <mam>.","attempts":2,"raw":"A man.","row":3'
    assert render_failure(LINE, FAILURE) == LINE[:-1] + b', "error": ' + error + b"}}\n"
    assert render_failure(LINE, replace(FAILURE, task_id=TaskId(3, 2))).endswith(error + b',"question":2}}\n')


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param(b'{"image": ', '{"image": ', id="torn"),
        pytest.param(b"[1]", "[1]", id="array"),
        pytest.param(b"caf\xe9", "caf\udce9", id="not UTF-8"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_a_line_that_is_not_an_object_becomes_text(line: bytes, text: str) -> None:
    failed = json.loads(render_failure(line, FAILURE))
    assert list(failed) == ["line", "error"]
    assert failed["line"] == text


def test_a_row_that_fails_again_has_one_error() -> None:
    """An ``error`` that the author of the input wrote stays."""
    first = render_failure(LINE, FAILURE)
    assert render_failure(first[:-1], FAILURE) == first
    own_error = b'{"error": "out of focus"}'
    assert render_failure(own_error, FAILURE).startswith(b'{"error": "out of focus", "error": {"code"')


def test_a_failure_line_names_its_task() -> None:
    assert parse_failure_line(render_failure(LINE, FAILURE)) == (TaskId(3, 0), "no_tag")
    assert parse_failure_line(render_failure(b"[1]", replace(FAILURE, task_id=TaskId(9, 4)))) == (
        TaskId(9, 4),
        "no_tag",
    )
    with pytest.raises(ValueError, match="not a line of a failure file"):
        parse_failure_line(b'{"error": "out of focus"}')


TEXT = st.text(max_size=20) | st.just("half a pair: \ud83d")
STAGES = st.sampled_from(["input", "endpoint", "answer"])
COUNT = st.integers(0, 10**9)
SHARED: dict[str, Any] = {
    "task_id": st.builds(TaskId, COUNT, COUNT),
    "usage": st.builds(Usage, COUNT, COUNT),
    "attempts": COUNT,
    "asks": COUNT,
}
RAWS = st.lists(
    st.builds(RawAnswer, TEXT, st.none() | TEXT, st.lists(TEXT, max_size=2).map(tuple), refusal=st.none() | TEXT),
    max_size=3,
).map(tuple)
SHARED["raws"] = RAWS
TASKS = st.none() | st.builds(AskedTask, TEXT, TEXT, TEXT, COUNT)
OUTCOMES = st.builds(
    Record,
    kind=TEXT,
    tag=TEXT,
    question=TEXT,
    answer=TEXT,
    raw=TEXT,
    seed=st.integers(0, 2**64 - 1),
    model=st.none() | TEXT,
    finish_reason=st.none() | TEXT,
    made_good_by=st.lists(TEXT, max_size=3).map(tuple),
    **SHARED,
) | st.builds(Failure, code=TEXT, message=TEXT, stage=STAGES, raw=st.none() | TEXT, task=TASKS, **SHARED)


@given(OUTCOMES)
def test_outcomes_survive_a_round_trip_through_json(outcome: Outcome) -> None:
    assert outcome_from_json(load_object(dump_compact(outcome_to_json(outcome)))) == outcome


@pytest.mark.parametrize("data", [{}, {"row": 1, "question_number": 0}, {**outcome_to_json(RECORD), "more": 1}])
def test_other_json_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an outcome"):
        outcome_from_json(data)


def test_what_identifies_the_file_of_a_picture_is_kept_but_not_in_the_output() -> None:
    """Pictures of earlier versions have none."""
    stamped = SentPicture("image/jpeg", 40, 30, 800, 4, 900, 1_700_000_000_000_000_001, "ab")
    embedded = SentPicture("image/jpeg", 40, 30, 800, 4)
    for picture, members in ((stamped, 8), (embedded, 5)):
        record = replace(RECORD, pictures=(picture,))
        kept = outcome_to_json(record)
        assert len(kept["pictures"][0]) == members
        assert outcome_from_json(kept).pictures == (picture,)
        details = outcome_to_details(record)
        assert len(details["pictures"][0]) == members
        assert outcome_from_details(details).pictures == (picture,)
        meta = record_details(record)["pictures"]
        assert meta == [{"media_type": "image/jpeg", "width": 40, "height": 30, "bytes": 800, "tokens": 4}]
