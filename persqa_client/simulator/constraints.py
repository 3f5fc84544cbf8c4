"""Makes answers match a constraint: a regular expression, a choice or a JSON schema."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from persqa_client.simulator.error_responses import bad_request_error
from persqa_client.simulator.patterns import UnmatchablePattern, make_match

# Like vLLM, adds stray white space between JSON tokens.
SPACES = ("", " ", "\n", "\n  ", "  ")

MAX_SCHEMA_DEPTH = 20

STRUCTURED_KINDS = ("regex", "choice", "json", "json_object", "grammar", "structural_tag")


@dataclass(frozen=True, slots=True)
class Constraint:
    """``kind`` is regex, choice, json (``value`` is the schema) or json_object (any object)."""

    kind: str
    value: Any = None


def read_constraint(fields: dict[str, Any], guided: bool) -> Constraint | None:
    """Raises ErrorResponse for a malformed constraint.

    ``guided``: support guided_* and ignore structured_outputs, like vLLM before 0.12; otherwise the opposite. Both
    support response_format.
    """
    if guided:
        for kind in ("regex", "choice", "json"):
            if fields.get(f"guided_{kind}") is not None:
                return Constraint(kind, fields[f"guided_{kind}"])
    elif fields.get("structured_outputs") is not None:
        return read_structured_outputs(fields["structured_outputs"])
    return read_response_format(fields.get("response_format"))


def read_structured_outputs(value: Any) -> Constraint:
    given = {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else {}
    kinds = [kind for kind in STRUCTURED_KINDS if kind in given]
    if not kinds:
        raise bad_request_error("You must use one kind of structured outputs constraint but none are specified.")
    if len(kinds) > 1:
        message = "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice')."
        raise bad_request_error(message)
    if kinds[0] in ("grammar", "structural_tag"):
        raise bad_request_error(f"The simulator obeys no structured_outputs of the kind {kinds[0]}.")
    return Constraint(kinds[0], given[kinds[0]])


def read_response_format(value: Any) -> Constraint | None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "json_object":
        return Constraint("json_object")
    if kind != "json_schema":
        return None
    inner = value.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if not isinstance(schema, dict):
        message = "Missing required parameter: 'response_format.json_schema.schema'."
        raise bad_request_error(message, param="response_format")
    return Constraint("json", schema)


def apply_constraint(constraint: Constraint | None, natural: str, seed: int) -> str:
    """The natural answer if it matches, else a generated one. Raises ErrorResponse."""
    if constraint is None:
        return natural
    rng = random.Random(seed)
    try:
        if constraint.kind == "regex":
            return make_match(str(constraint.value), natural, rng)
        if constraint.kind == "choice":
            return choose_answer(constraint.value, natural, rng)
        if constraint.kind == "json_object":
            return dump_json({"answer": natural}, rng)
        return dump_json(SchemaFiller(natural, rng).fill(parse_schema(constraint.value)), rng)
    except UnmatchablePattern as error:
        raise bad_request_error(str(error)) from None


def choose_answer(choices: Any, natural: str, rng: random.Random) -> str:
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
        raise bad_request_error(f"Choice '{choices}' cannot be an empty list")
    return natural if natural in choices else str(rng.choice(choices))


def parse_schema(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise bad_request_error(f"Invalid JSON schema: {error}") from None
    if not isinstance(value, dict):
        raise bad_request_error("A JSON schema should be an object.")
    return value


class SchemaFiller:
    def __init__(self, natural: str, rng: random.Random) -> None:
        self.natural = natural
        self.rng = rng

    def fill(self, schema: Any, depth: int = 0) -> Any:
        """Raises ErrorResponse or UnmatchablePattern."""
        if not isinstance(schema, dict) or depth > MAX_SCHEMA_DEPTH:
            return None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.natural if self.natural in schema["enum"] else self.rng.choice(schema["enum"])
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                return self.fill(schema[name][0], depth + 1)
        if "$ref" in schema or "allOf" in schema:
            raise bad_request_error("The simulator obeys no JSON schema with $ref or allOf.")
        kind = schema.get("type", "object" if "properties" in schema else "string")
        return self._fill_type(kind[0] if isinstance(kind, list) and kind else kind, schema, depth)

    def _fill_type(self, kind: Any, schema: dict[str, Any], depth: int) -> Any:
        if kind == "object":
            return {key: self.fill(inner, depth + 1) for key, inner in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.fill(schema.get("items", {}), depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]
        if kind == "string":
            return self._fill_string(schema)
        if kind in ("integer", "number"):
            return schema.get("minimum", 1)
        if kind == "boolean":
            return self.rng.random() < 0.5
        if kind == "null":
            return None
        raise bad_request_error(f"Invalid JSON schema: unknown type {kind!r}.")

    def _fill_string(self, schema: dict[str, Any]) -> str:
        # Like in vLLM, and unlike JSON Schema, the whole text must match.
        if "pattern" in schema:
            return make_match(str(schema["pattern"]), self.natural, self.rng)
        text = self.natural[: schema.get("maxLength")]
        return text.ljust(schema.get("minLength", 0), ".")


def dump_json(value: Any, rng: random.Random) -> str:
    """Adds stray white space outside of strings."""
    if isinstance(value, dict):
        items = [
            f"{rng.choice(SPACES)}{json.dumps(k, ensure_ascii=False)}:{rng.choice(SPACES)}{dump_json(v, rng)}"
            for k, v in value.items()
        ]
        return "{" + ",".join(items) + rng.choice(SPACES) + "}"
    if isinstance(value, list):
        return "[" + ",".join(rng.choice(SPACES) + dump_json(v, rng) for v in value) + rng.choice(SPACES) + "]"
    return json.dumps(value, ensure_ascii=False)
