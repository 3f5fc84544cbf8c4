"""Constraint and prefill forms: the fields they need, and how the whole answer is restored."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.dialect import (
    CONSTRAINT_FORMS,
    OPTIONAL_FIELDS,
    PREFILL_FORMS,
    Dialect,
    constraint_fields,
    join_prefill,
    unwrap_json_answer,
)
from persqa_client.client.request import build_output_fields
from persqa_client.types import Request
from tests.support.cases import each_case

TAGGED = r"<mam>[\s\S]+"


@pytest.mark.parametrize("form", CONSTRAINT_FORMS)
def test_a_constraint_form_needs_its_field(form: str) -> None:
    assert list(constraint_fields(form, TAGGED)) == [CONSTRAINT_FORMS[form]]
    assert CONSTRAINT_FORMS[form] in OPTIONAL_FIELDS


@pytest.mark.parametrize("form", PREFILL_FORMS)
def test_the_fields_of_a_prefill_form_are_optional(form: str) -> None:
    assert OPTIONAL_FIELDS.issuperset(PREFILL_FORMS[form])
    sent = build_output_fields(Request("s", (), "q", 1, prefill="<mam>"), Dialect(prefill=form))
    assert set(sent) <= set(PREFILL_FORMS[form])


def pattern_of(pattern: str) -> str:
    schema = constraint_fields("json_schema", pattern)["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == list(schema["schema"]["properties"])
    assert schema["schema"]["additionalProperties"] is False
    return str(schema["schema"]["properties"]["answer"]["pattern"])


@pytest.mark.parametrize(
    ("pattern", "inside"),
    [
        pytest.param("persqa-[0-9]{6}", "^persqa-[0-9]{6}$", id="anchored"),
        pytest.param(TAGGED, r'^<mam>[^"\\\x00-\x1f]+$', id="without characters that JSON escapes"),
        pytest.param("Yes|No", "^(?:Yes|No)$", id="a choice is anchored as a whole"),
    ],
)
def test_the_pattern_of_the_json_form(pattern: str, inside: str) -> None:
    assert pattern_of(pattern) == inside


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_answers_in_the_json_form_need_no_escapes(text: str) -> None:
    """Some grammars write the matched characters between the quotes as they are."""
    if re.fullmatch(pattern_of(TAGGED), f"<mam>{text}"):
        assert json.loads(f'{{"answer": "<mam>{text}"}}') == {"answer": f"<mam>{text}"}


@each_case(
    ("text", "inner"),
    [
        pytest.param('{"answer": "<mam> sits."}', "<mam> sits.", id="JSON"),
        pytest.param('{\n"answer"\t\r\n :\n"<mam>坐着。"\t}', "<mam>坐着。", id="stray white space"),
        pytest.param('{"answer": "<mam> says \\"hi\\"."}', '<mam> says "hi".', id="escapes"),
        pytest.param('{"answer": "<mam> si', '{"answer": "<mam> si', id="cut off"),
        pytest.param("<mam> sits.", "<mam> sits.", id="no JSON"),
        pytest.param('"<mam> sits."', '"<mam> sits."', id="a bare string"),
        pytest.param('{"text": "a"}', '{"text": "a"}', id="another member"),
        pytest.param('{"answer": 3}', '{"answer": 3}', id="no string"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_answers_are_taken_out_of_their_json(text: str, inner: str) -> None:
    assert unwrap_json_answer(text) == inner


@each_case(
    ("prefix", "text", "answer"),
    [
        pytest.param("<mam>", " wears a hat.", "<mam> wears a hat.", id="goes on with a space"),
        pytest.param("<mam>", "wears a hat.", "<mam> wears a hat.", id="a space put in before a letter"),
        pytest.param("<mam>", "2 hats.", "<mam> 2 hats.", id="and before a digit"),
        pytest.param("<mam>", "'s hat is red.", "<mam>'s hat is red.", id="a possessive"),
        pytest.param("<mam>", "穿着帽子。", "<mam>穿着帽子。", id="Chinese"),
        pytest.param("<mam>", "émerge.", "<mam>émerge.", id="only ASCII letters"),
        pytest.param("<mam>", "<mam> wears a hat.", "<mam> wears a hat.", id="echoed"),
        pytest.param("<mam>", "\n<mam> wears a hat.", "<mam> wears a hat.", id="echoed after a line break"),
        pytest.param("<mam> wea", "rs a hat.", "<mam> wears a hat.", id="in the middle of a word"),
        pytest.param("<mam>", "", "<mam>", id="nothing more"),
    ],
)
def test_the_prefill_is_put_before_the_rest(prefix: str, text: str, answer: str) -> None:
    assert join_prefill(prefix, text) == answer
