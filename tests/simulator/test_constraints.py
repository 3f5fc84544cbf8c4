"""Constraints of answers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from persqa_client.simulator.constraints import Constraint, apply_constraint, read_constraint
from persqa_client.simulator.error_responses import ErrorResponse
from tests.support.cases import each_case

NATURAL = "<mam> appears in a bright picture."
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}


@each_case(
    ("fields", "guided", "found"),
    [
        pytest.param({"structured_outputs": {"regex": "a"}}, False, Constraint("regex", "a"), id="structured"),
        pytest.param({"structured_outputs": {"regex": "a"}}, True, None, id="structured is ignored before 0.12"),
        pytest.param({"guided_regex": "a"}, False, None, id="guided is ignored since 0.12"),
        pytest.param({"guided_regex": "a"}, True, Constraint("regex", "a"), id="guided"),
        pytest.param({"guided_choice": ["a"]}, True, Constraint("choice", ["a"]), id="guided choice"),
        pytest.param(
            {"structured_outputs": {"choice": ["a"], "regex": None}}, False, Constraint("choice", ["a"]), id="null"
        ),
        pytest.param({"response_format": FORMAT}, False, Constraint("json", SCHEMA), id="json_schema"),
        pytest.param({"response_format": FORMAT}, True, Constraint("json", SCHEMA), id="json_schema before 0.12"),
        pytest.param({"response_format": {"type": "text"}}, False, None, id="text"),
        pytest.param({}, False, None, id="none"),
    ],
)
def test_the_constraint_in_effect_is_found(fields: dict[str, Any], guided: bool, found: Constraint | None) -> None:
    assert read_constraint(fields, guided) == found


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"structured_outputs": {}}, id="none named"),
        pytest.param({"structured_outputs": {"regex": "a", "choice": ["b"]}}, id="two named"),
        pytest.param({"structured_outputs": {"grammar": "a"}}, id="a grammar"),
        pytest.param({"structured_outputs": "a"}, id="no object"),
        pytest.param({"response_format": {"type": "json_schema"}}, id="no schema"),
    ],
)
def test_a_malformed_constraint_is_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(ErrorResponse) as caught:
        read_constraint(fields, guided=False)
    assert caught.value.status == 400


def test_without_a_constraint_the_answer_is_the_natural_one() -> None:
    assert apply_constraint(None, NATURAL, 0) == NATURAL


def test_a_choice_is_the_natural_answer_or_a_random_one() -> None:
    assert apply_constraint(Constraint("choice", ["a", NATURAL]), NATURAL, 0) == NATURAL
    assert {apply_constraint(Constraint("choice", ["a", "b"]), NATURAL, seed) for seed in range(20)} == {"a", "b"}


def test_a_schema_is_filled_with_the_natural_answer_and_stray_white_space() -> None:
    texts = [apply_constraint(Constraint("json", SCHEMA), NATURAL, seed) for seed in range(20)]
    assert all(json.loads(text) == {"answer": NATURAL} for text in texts)
    assert len(set(texts)) > 1


def test_a_pattern_inside_a_schema_is_obeyed() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string", "pattern": "<mam> is [a-z]+\\."}}}
    answer = json.loads(apply_constraint(Constraint("json", schema), NATURAL, 0))["answer"]
    assert re.fullmatch("<mam> is [a-z]+\\.", answer)


@each_case(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 4}, 4),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [None, None]),
        ({"enum": ["x"]}, "x"),
        ({"const": 5}, 5),
        ({"type": "string", "maxLength": 5}, "<mam>"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, NATURAL),
        ('{"type": "string"}', NATURAL),
    ],
)
def test_other_schemas_are_obeyed(schema: Any, value: Any) -> None:
    assert json.loads(apply_constraint(Constraint("json", schema), NATURAL, 0)) == value


@pytest.mark.parametrize(
    "constraint",
    [
        pytest.param(Constraint("regex", "[a-z"), id="malformed pattern"),
        pytest.param(Constraint("choice", []), id="no choices"),
        pytest.param(Constraint("json", "{"), id="malformed schema"),
        pytest.param(Constraint("json", {"$ref": "#/a"}), id="a reference"),
        pytest.param(Constraint("json", {"type": "colour"}), id="an unknown type"),
    ],
)
def test_an_unsupported_constraint_is_rejected(constraint: Constraint) -> None:
    with pytest.raises(ErrorResponse) as caught:
        apply_constraint(constraint, NATURAL, 0)
    assert caught.value.status == 400
