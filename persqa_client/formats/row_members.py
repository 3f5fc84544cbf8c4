"""Reads members of a row of any layout, with the type that its consumer needs. Raises ValueError."""

from __future__ import annotations

from typing import Any

from persqa_client.types import Json


def read_string(fields: Json, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name!r} is not text")
    return value


def read_strings(fields: Json, name: str) -> tuple[str, ...]:
    """A list; empty if it is absent. A text would be counted by its letters."""
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name!r} is not a list of texts")
    return tuple(value)


def read_objects(fields: Json, name: str) -> list[dict[str, Any]]:
    value = fields.get(name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"{name!r} is not a list of objects")
    return value


def read_id(fields: Json) -> str:
    value = fields.get("id", "")
    return value if isinstance(value, str) else str(value)


def read_turns(fields: Json, name: str, role_key: str, roles: tuple[str, str]) -> tuple[Json, Json]:
    """The two turns of a question and its answer."""
    turns = read_objects(fields, name)
    if tuple(turn.get(role_key) for turn in turns) != roles:
        raise ValueError(f"{name!r} is not a turn of {roles[0]!r} and one of {roles[1]!r}")
    return turns[0], turns[1]
