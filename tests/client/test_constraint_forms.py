"""The forms of constraints and beginnings: the fields they need, and the whole answer that comes of them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.dialect import CONSTRAINT_FORMS, OPTIONAL_FIELDS, PREFILL_FORMS, Dialect, attach, hold, unwrap
from persqa_client.client.request import steering
from persqa_client.types import Request

TAGGED = r"<mam>[\s\S]+"


@pytest.mark.parametrize("form", CONSTRAINT_FORMS)
def test_a_form_needs_the_field_that_it_is_noted_with(form: str) -> None:
    assert list(hold(form, TAGGED)) == [CONSTRAINT_FORMS[form]]
    assert CONSTRAINT_FORMS[form] in OPTIONAL_FIELDS


@pytest.mark.parametrize("form", PREFILL_FORMS)
def test_the_fields_of_a_given_beginning_can_be_done_without(form: str) -> None:
    assert OPTIONAL_FIELDS.issuperset(PREFILL_FORMS[form])
    sent = steering(Request("s", (), "q", 1, prefill="<mam>"), Dialect(prefill=form))
    assert set(sent) <= set(PREFILL_FORMS[form])


def pattern_of(pattern: str) -> str:
    schema = hold("json_schema", pattern)["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == list(schema["schema"]["properties"])
    assert schema["schema"]["additionalProperties"] is False
    return str(schema["schema"]["properties"]["answer"]["pattern"])


@pytest.mark.parametrize(
    ("pattern", "inside"),
    [
        pytest.param("persqa-[0-9]{6}", "^persqa-[0-9]{6}$", id="anchored"),
        pytest.param(TAGGED, r'^<mam>[^"\\\x00-\x1f]+$', id="what JSON would escape is left out"),
        pytest.param("Yes|No", "^(?:Yes|No)$", id="a choice is anchored as a whole"),
    ],
)
def test_the_pattern_of_the_json_form(pattern: str, inside: str) -> None:
    assert pattern_of(pattern) == inside


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_the_json_form_lets_through_needs_no_escape(text: str) -> None:
    """Some grammars write the pattern's characters straight between the quotes."""
    if re.fullmatch(pattern_of(TAGGED), f"<mam>{text}"):
        assert json.loads(f'{{"answer": "<mam>{text}"}}') == {"answer": f"<mam>{text}"}


@pytest.mark.parametrize(
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
def test_an_answer_comes_out_of_its_json_or_stays(text: str, inner: str) -> None:
    assert unwrap(text) == inner


@pytest.mark.parametrize(
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
def test_the_beginning_is_put_back(prefix: str, text: str, answer: str) -> None:
    assert attach(prefix, text) == answer
