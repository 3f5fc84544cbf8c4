"""Rows of a run made from those of other programs: which members are removed and added."""

from __future__ import annotations

import re
from collections.abc import Collection

from persqa_client.json_members import add_member, remove_members
from persqa_client.questions.tags import parse_tag
from persqa_client.questions.tasks import find_first_tag
from persqa_client.types import Json

# Where the former answer of a row stands.
OLD_ANSWER = "old_answer"
# The picture of a character, and what is said of it, for --reference-key and --describe-key.
REFERENCE, DESCRIPTION = "reference", "description"
# What data sets write in place of a tag.
PLACEHOLDER = re.compile(r"<sks>|\bsks\b")


def names_same_images(fields: Json, image_key: str, images: tuple[str, ...]) -> bool:
    own = fields.get(image_key)
    return list(images) == ([own] if isinstance(own, str) else own)


def has_own_question(fields: Json, image_key: str) -> bool:
    """Whether it is a row of a run, whatever else is in it."""
    return image_key in fields and fields.get("question") not in (None, "")


def make_row(line: bytes, fields: Json, keys: Collection[str], members: Json) -> bytes:
    """The row without the members ``keys``, and with others. What it names itself, besides these, has priority."""
    left = {key: value for key, value in fields.items() if key not in keys}
    return add_lacking_members(remove_members(line, keys), left, members)


def add_lacking_members(line: bytes, fields: Json, members: Json) -> bytes:
    """Adds the members that have a value. One that the row has itself, and that is not blank, has priority."""
    added = {key: value for key, value in members.items() if value is not None and fields.get(key) in (None, "")}
    if blank := added.keys() & fields.keys():
        line = remove_members(line, blank)
    for key, value in added.items():
        line = add_member(line, key, value)
    return line


def find_tag_name(text: object) -> str | None:
    """The text as the name of a tag; None if it can't be one."""
    try:
        return parse_tag(text)[1:-1] if isinstance(text, str) else None
    except ValueError:
        return None


def find_packed_tag(fields: Json) -> str | None:
    """The first of the tags in a row of an export. Words without brackets may be keywords."""
    tags = fields.get("tags")
    first = tags[0] if isinstance(tags, list) and tags else None
    return find_tag_name(first) if isinstance(first, str) and first.startswith("<") else None


def find_row_tag(fields: Json, question: str) -> str | None:
    """The question may name others before the one that it is about, or none."""
    return find_packed_tag(fields) or find_first_tag(question)


def fill_placeholder(question: str) -> str:
    """Replaces placeholders by ``{tag}``, for which a run puts the row's tag."""
    return PLACEHOLDER.sub("{tag}", question)
