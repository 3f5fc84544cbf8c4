"""What a request holds its answer to (a regex, a choice, a JSON schema) and the answer that obeys it. Pure."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from persqa_client.simulator.error_responses import bad_request
from persqa_client.simulator.patterns import Unmatchable, matching

SPACES = ("", " ", "\n", "\n  ", "  ")
"""vLLM's own JSON answers have stray white space between their tokens, so these have, too."""

DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Constraint:
    """``kind`` is regex, choice, json (``value`` is the schema) or json_object (any object)."""

    kind: str
    value: Any = None


def constraint_of(fields: dict[str, Any], guided: bool) -> Constraint | None:
    """The constraint of a request that the server obeys; raises Refusal where it is malformed.

    ``guided``: a vLLM before 0.12, which obeys the guided_* fields and ignores structured_outputs without a word.
    A newer one does the opposite. Both obey response_format.
    """
    if guided:
        for kind in ("regex", "choice", "json"):
            if fields.get(f"guided_{kind}") is not None:
                return Constraint(kind, fields[f"guided_{kind}"])
    elif fields.get("structured_outputs") is not None:
        return structured(fields["structured_outputs"])
    return from_format(fields.get("response_format"))


def structured(value: Any) -> Constraint:
    """Read vLLM's ``structured_outputs``, which names one kind."""
    given = {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else {}
    kinds = [kind for kind in ("regex", "choice", "json", "json_object", "grammar", "structural_tag") if kind in given]
    if not kinds:
        raise bad_request("You must use one kind of structured outputs constraint but none are specified.")
    if len(kinds) > 1:
        words = "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice')."
        raise bad_request(words)
    if kinds[0] in ("grammar", "structural_tag"):
        raise bad_request(f"The simulator obeys no structured_outputs of the kind {kinds[0]}.")
    return Constraint(kinds[0], given[kinds[0]])


def from_format(value: Any) -> Constraint | None:
    """Read OpenAI's ``response_format``."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "json_object":
        return Constraint("json_object")
    if kind != "json_schema":
        return None
    inner = value.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if not isinstance(schema, dict):
        raise bad_request("Missing required parameter: 'response_format.json_schema.schema'.", param="response_format")
    return Constraint("json", schema)


def obey(constraint: Constraint | None, natural: str, seed: int) -> str:
    """The natural answer where it fits, else one made to fit. Raises Refusal for what can't be obeyed."""
    if constraint is None:
        return natural
    draw = random.Random(seed)
    try:
        if constraint.kind == "regex":
            return matching(str(constraint.value), natural, draw)
        if constraint.kind == "choice":
            return choose(constraint.value, natural, draw)
        if constraint.kind == "json_object":
            return dump({"answer": natural}, draw)
        return dump(Filler(natural, draw).fill(read_schema(constraint.value)), draw)
    except Unmatchable as error:
        raise bad_request(str(error)) from None


def choose(choices: Any, natural: str, draw: random.Random) -> str:
    """The natural answer if it is a choice, else one by lot. Raises Refusal."""
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
        raise bad_request(f"Choice '{choices}' cannot be an empty list")
    return natural if natural in choices else str(draw.choice(choices))


def read_schema(value: Any) -> dict[str, Any]:
    """A schema may come as an object or as its JSON text. Raises Refusal."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise bad_request(f"Invalid JSON schema: {error}") from None
    if not isinstance(value, dict):
        raise bad_request("A JSON schema should be an object.")
    return value


class Filler:
    """Makes a value for a schema; the first free text in it is the natural answer."""

    def __init__(self, natural: str, draw: random.Random) -> None:
        self.natural = natural
        self.draw = draw

    def fill(self, schema: Any, depth: int = 0) -> Any:
        """A value that the schema allows. Raises Refusal or Unmatchable for what it has no value for."""
        if not isinstance(schema, dict) or depth > DEEPEST:
            return None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.natural if self.natural in schema["enum"] else self.draw.choice(schema["enum"])
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                return self.fill(schema[name][0], depth + 1)
        if "$ref" in schema or "allOf" in schema:
            raise bad_request("The simulator obeys no JSON schema with $ref or allOf.")
        kind = schema.get("type", "object" if "properties" in schema else "string")
        return self.of_type(kind[0] if isinstance(kind, list) and kind else kind, schema, depth)

    def of_type(self, kind: Any, schema: dict[str, Any], depth: int) -> Any:
        """A value of one of JSON's types."""
        if kind == "object":
            return {key: self.fill(inner, depth + 1) for key, inner in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.fill(schema.get("items", {}), depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]
        if kind == "string":
            return self.text(schema)
        if kind in ("integer", "number"):
            return schema.get("minimum", 1)
        if kind == "boolean":
            return self.draw.random() < 0.5
        if kind == "null":
            return None
        raise bad_request(f"Invalid JSON schema: unknown type {kind!r}.")

    def text(self, schema: dict[str, Any]) -> str:
        """A text by its pattern, which is held against the whole text as vLLM does, or its length."""
        if "pattern" in schema:
            return matching(str(schema["pattern"]), self.natural, self.draw)
        text = self.natural[: schema.get("maxLength")]
        return text.ljust(schema.get("minLength", 0), ".")


def dump(value: Any, draw: random.Random) -> str:
    """JSON text with stray white space outside its strings."""
    if isinstance(value, dict):
        items = [
            f"{space(draw)}{json.dumps(k, ensure_ascii=False)}:{space(draw)}{dump(v, draw)}" for k, v in value.items()
        ]
        return "{" + ",".join(items) + space(draw) + "}"
    if isinstance(value, list):
        return "[" + ",".join(space(draw) + dump(v, draw) for v in value) + space(draw) + "]"
    return json.dumps(value, ensure_ascii=False)


def space(draw: random.Random) -> str:
    """Some white space, or none."""
    return draw.choice(SPACES)
