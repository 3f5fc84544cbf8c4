"""The ways in which servers are held to a pattern, or given an answer's beginning, and how the answer comes back. Pure.

Each generation of servers ignores the others' fields without a word, so probes decide which one is used.
"""

from __future__ import annotations

import orjson

from persqa_client.types import Json

CONSTRAINTS = {
    "structured_outputs": "structured_outputs",
    "guided_regex": "guided_regex",
    "json_schema": "response_format",
}
"""Form and the request field that it needs: vLLM since 0.12, vLLM before, hosted models and others."""

PREFILLS = {
    "continue_final_message": ("continue_final_message", "add_generation_prompt"),
    "partial": ("partial",),
}
"""Form and the fields that it needs: vLLM, and Alibaba Model Studio, where the field stands in the message itself."""

ANYTHING = r"[\s\S]"
PLAIN = r'[^"\\\x00-\x1f]'
"""What stands in a JSON string as it is: not every server's grammar escapes what JSON wants escaped."""

MEMBER = "answer"


def hold(form: str, pattern: str) -> Json:
    """The request fields that hold an answer to a pattern."""
    if form == "structured_outputs":
        return {"structured_outputs": {"regex": pattern}}
    if form == "guided_regex":
        return {"guided_regex": pattern}
    return {"response_format": schema_of(pattern)}


def schema_of(pattern: str) -> Json:
    """A schema of one string. JSON Schema looks for its patterns anywhere in a string, hence the anchors."""
    inner = pattern.replace(ANYTHING, PLAIN)
    member = {"type": "string", "pattern": f"^(?:{inner})$" if "|" in inner else f"^{inner}$"}
    schema = {"type": "object", "properties": {MEMBER: member}, "required": [MEMBER], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": MEMBER, "strict": True, "schema": schema}}


def unwrap(text: str) -> str:
    """The string inside a JSON answer; the text as it is where it is none, one that was cut off for instance."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    inner = value.get(MEMBER) if isinstance(value, dict) else None
    return inner if isinstance(inner, str) else text


def attach(prefix: str, text: str) -> str:
    """The whole answer: the beginning that was given and what the server made follow, which may repeat it."""
    if text.lstrip().startswith(prefix):
        return text.lstrip()
    touching = prefix.endswith(">") and text[:1].isascii() and text[:1].isalnum()
    return f"{prefix} {text}" if touching else prefix + text
