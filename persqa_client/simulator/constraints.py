"""Makes answers match a constraint: a regular expression, a choice or a JSON schema."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

# Python has no public parser of patterns; sre_parse is deprecated since 3.11.
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from persqa_client.simulator.error_responses import bad_request_error

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


# Strings from regular expressions. The package rstr is not used: it writes random characters instead of words, depends
# on the hash seed for [^…], and fails on {101,} and [^\x00-\x7f].

# Characters for free places, likeliest first.
ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?'\"()[]{}-_/<>@#%&*+=|~^$\\\n\t一是的人"
)

TRIES = 40
MAX_LENGTH = 20_000
# Extra characters of an open repetition that the natural answer doesn't fill.
EXTRA = 12

# Parse tree nodes for one character, and for repetitions.
SINGLES = (constants.IN, constants.ANY, constants.NOT_LITERAL)
REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT)
SUPPORTED = (*SINGLES, *REPEATS, constants.LITERAL, constants.BRANCH, constants.SUBPATTERN, constants.AT)

CATEGORIES: dict[Any, Callable[[str], bool]] = {
    constants.CATEGORY_DIGIT: str.isdecimal,
    constants.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    constants.CATEGORY_SPACE: str.isspace,
    constants.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    constants.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    constants.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}


class UnmatchablePattern(Exception):
    """No string was found for a pattern."""


def make_match(pattern: str, natural: str, rng: random.Random) -> str:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UnmatchablePattern(f"Invalid regular expression {pattern!r}: {error}") from None
    tree = parser.parse(pattern)
    check_supported(tree)
    if compiled.fullmatch(natural):
        return natural
    for number in range(TRIES):
        # Assertions such as \b are ignored; if words fail, random characters may match.
        filling = natural if number < TRIES // 2 else ""
        text = "".join(PatternWriter(filling, rng).write(tree))
        if len(text) <= MAX_LENGTH and compiled.fullmatch(text):
            return text
    raise UnmatchablePattern(f"The simulator found no string that matches {pattern!r}.")


def check_supported(tree: Any) -> None:
    """Raises UnmatchablePattern for syntax that vLLM's grammars don't support."""
    for op, value in tree:
        if op not in SUPPORTED:
            raise UnmatchablePattern(f"Grammar error: invalid regex: {str(op).lower()} is not supported")
        if op is constants.SUBPATTERN:
            check_supported(value[3])
        elif op in REPEATS:
            check_supported(value[2])
        elif op is constants.BRANCH:
            for branch in value[1]:
                check_supported(branch)


class PatternWriter:
    def __init__(self, filling: str, rng: random.Random) -> None:
        self.filling = filling
        self.rng = rng

    def write(self, tree: Any) -> Iterator[str]:
        for op, value in tree:
            yield self._write_node(op, value)

    def _write_node(self, op: Any, value: Any) -> str:
        if op is constants.LITERAL:
            return chr(value)
        if op in SINGLES:
            return self.rng.choice(find_candidates(op, value))
        if op is constants.BRANCH:
            return "".join(self.write(self.rng.choice(value[1])))
        if op is constants.SUBPATTERN:
            return "".join(self.write(value[3]))
        if op in REPEATS:
            return self._write_repeat(*value)
        return ""  # AT: an anchor

    def _write_repeat(self, least: int, most: int, inside: Any) -> str:
        if least > MAX_LENGTH:
            raise UnmatchablePattern(f"The simulator writes no more than {MAX_LENGTH} characters.")
        if len(inside) == 1 and inside[0][0] in SINGLES:
            return self._fill(least, most, *inside[0])
        times = self.rng.randint(least, min(most, least + EXTRA // 4))
        return self._join("".join(self.write(inside)) for _ in range(times))

    def _join(self, pieces: Iterable[str]) -> str:
        text = ""
        for piece in pieces:
            text += piece
            if len(text) > MAX_LENGTH:
                raise UnmatchablePattern(f"The simulator writes no more than {MAX_LENGTH} characters.")
        return text

    def _fill(self, least: int, most: int, op: Any, value: Any) -> str:
        fits = make_character_test(op, value)
        text = "".join(c for c in self.filling if fits(c))[:most].strip()
        wanted = least if text else self.rng.randint(least, min(most, least + EXTRA))
        if len(text) >= wanted:
            return text
        return text + "".join(self.rng.choices(find_candidates(op, value), k=wanted - len(text)))


def find_candidates(op: Any, value: Any) -> list[str]:
    fits = make_character_test(op, value)
    found = [c for c in ALPHABET if fits(c)] or [c for c in list_set_characters(op, value) if fits(c)]
    if not found:
        raise UnmatchablePattern("The simulator found no character for a part of the pattern.")
    return found[:26]


def list_set_characters(op: Any, value: Any) -> Iterator[str]:
    for item_op, item in value if op is constants.IN else ():
        if item_op is constants.LITERAL:
            yield chr(item)
        elif item_op is constants.RANGE:
            yield from map(chr, range(item[0], min(item[1], item[0] + 25) + 1))


def make_character_test(op: Any, value: Any) -> Callable[[str], bool]:
    if op is constants.ANY:
        return lambda c: c != "\n"
    if op is constants.NOT_LITERAL:
        return lambda c: ord(c) != value
    negated = bool(value) and value[0][0] is constants.NEGATE
    items = [item for item in value if item[0] is not constants.NEGATE]
    return lambda c: any(matches_set_item(item_op, item, c) for item_op, item in items) != negated


def matches_set_item(op: Any, value: Any, c: str) -> bool:
    if op is constants.LITERAL:
        return bool(ord(c) == value)
    if op is constants.RANGE:
        return bool(value[0] <= ord(c) <= value[1])
    return CATEGORIES[value](c)
