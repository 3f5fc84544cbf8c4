"""What a server calls things, and what it can't take: learnt once, kept for the run. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

import orjson

from persqa_client.types import Json

# The ways in which servers are held to a pattern, or given an answer's beginning, and how the answer comes back. Pure.
#
# Each generation of servers ignores the others' fields without a word, so probes decide which one is used.

CONSTRAINT_FORMS = {
    "structured_outputs": "structured_outputs",
    "guided_regex": "guided_regex",
    "json_schema": "response_format",
}
"""Form and the request field that it needs: vLLM since 0.12, vLLM before, hosted models and others."""

PREFILL_FORMS = {
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


# Ask for an answer as a stream, with its usage.
STREAM_FIELDS: Json = {"stream": True, "stream_options": {"include_usage": True}}

RENAMES = {"max_tokens": "max_completion_tokens"}
"""OpenAI's reasoning models refuse the old name; many compatible servers know the old one alone."""

FORM_FIELDS = frozenset(CONSTRAINT_FORMS.values()).union(*PREFILL_FORMS.values())

OPTIONAL_FIELDS = frozenset({"temperature", "top_p", "seed", *RENAMES, *RENAMES.values(), *STREAM_FIELDS}) | FORM_FIELDS
"""Fields that a request can do without."""

UNSUPPORTED_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"})
UNSUPPORTED_WORDS = re.compile(
    r"unsupported|unrecognized|unrecognised|unknown (name|field|parameter|argument)|not supported|does not support"
    r"|not permitted|not allowed|cannot find field|unexpected (keyword|field|parameter)",
    re.IGNORECASE,
)

ABOUT_THE_ROW = re.compile(r"\b(images?|pictures?|contents?|files?|media)\b", re.IGNORECASE)
"""A message with one of these complains of what is asked, whatever fields it names besides."""

NOUN = r"(?:(?:request |keyword )?(?:parameter|argument|field|name|value|option|input)s?\b ?)"
NEGATION = r"(?:not (?:supported|permitted|allowed)|unsupported|unrecogni[sz]ed)"
BEFORE = rf"(?:{NEGATION}|unknown|unexpected|does not support|cannot find):? (?:the )?{NOUN}?(?:supplied)?:? ?"
BEHIND = rf":?\s+(?:{NOUN}|extra inputs )?(?:(?:is|are) )?(?:currently )?{NEGATION}"
"""What stands right beside the name of a field that is refused."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How requests are worded for one server. ``constraint`` and ``prefill`` are the forms that it was found to obey,
    if any."""

    constraint: str | None = None
    prefill: str | None = None
    renamed: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    sends_uuids: bool = False
    """Whether a picture is given its uuid, and need not be sent again."""

    @property
    def supports_streaming(self) -> bool:
        """Whether an answer may come piece by piece, and with its usage."""
        return self.dropped.isdisjoint(STREAM_FIELDS)

    def field_name(self, field: str) -> str | None:
        """The field's name for this server; None where it is left out."""
        if field in self.dropped:
            return None
        return RENAMES[field] if field in self.renamed else field

    @property
    def active_constraint(self) -> str | None:
        """The form that constrains answers, unless its field was refused since."""
        refused = self.constraint is None or CONSTRAINT_FORMS[self.constraint] in self.dropped
        return None if refused else self.constraint

    @property
    def active_prefill(self) -> str | None:
        """The form by which an answer's beginning is given, unless one of its fields was refused since."""
        refused = self.prefill is None or not self.dropped.isdisjoint(PREFILL_FORMS[self.prefill])
        return None if refused else self.prefill

    def constrain(self, pattern: str) -> Json:
        """The fields that hold an answer to a pattern; none where the server obeys no such field."""
        return {} if self.active_constraint is None else hold(self.active_constraint, pattern)

    def with_refusals(self, other: Dialect, ignoring: Collection[str] = ()) -> Dialect:
        """This dialect with what another one of the same server was refused, but for the fields ``ignoring``."""
        dropped = self.dropped | (other.dropped - frozenset(ignoring))
        return replace(self, renamed=self.renamed | other.renamed, dropped=dropped)

    def adapt_to_refusal(self, field: str) -> Dialect | None:
        """The dialect after a server refused the field: renamed if it has another name, else dropped.

        None where that was done before, so that a request is never resent as it was.
        """
        original = next((old for old, new in RENAMES.items() if new == field), field)
        if field in RENAMES and field not in self.renamed | self.dropped:
            return replace(self, renamed=self.renamed | {field})
        if original in self.dropped:
            return None
        return replace(self, dropped=self.dropped | {original})

    def describe_changes(self) -> list[str]:
        """What was changed, for the summary: one line each."""
        renamed = [f"{name} is sent as {RENAMES[name]}" for name in sorted(self.renamed - self.dropped)]
        return renamed + [f"{name} is left out: the server refuses it" for name in sorted(self.dropped)]


def find_refused_field(error: Json, sent: Collection[str]) -> str | None:
    """The field of ours that a 400 or 422 names as unsupported, or None where it complains of something else.

    ``error`` is the decoded body. A value out of bounds (``max_tokens`` over the context) is not a dialect.
    """
    detail = error.get("error", error)
    if isinstance(detail, list):
        detail = detail[0] if detail else {}
    if not isinstance(detail, dict):
        return None
    if isinstance(entries := detail.get("detail"), list):
        return _from_validation(entries, sent)
    message = str(detail.get("message", ""))
    coded = str(detail.get("code")) in UNSUPPORTED_CODES
    if not coded and not UNSUPPORTED_WORDS.search(message):
        return None
    if (parameter := str(detail.get("param"))) in sent:
        return parameter
    if ABOUT_THE_ROW.search(message):
        return None
    return _first_found({name: rf"\b{re.escape(name)}\b" if coded else _refusal_of(name) for name in sent}, message)


def _refusal_of(name: str) -> str:
    word = re.escape(name)
    quoted = rf"['\"`‘“]{word}['\"`’”]"
    return rf"{quoted}|(?i:{BEFORE})\b{word}\b|\b{word}\b(?i:{BEHIND})"


def _first_found(patterns: dict[str, str], message: str) -> str | None:
    """The name found first: a server that refuses one field may advise another behind it."""
    found = [(match.start(), name) for name, pattern in patterns.items() if (match := re.search(pattern, message))]
    return min(found)[1] if found else None


def _from_validation(entries: list[object], sent: Collection[str]) -> str | None:
    """FastAPI's way: ``{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], …}]}``."""
    for entry in entries:
        if isinstance(entry, dict) and str(entry.get("type")) in UNSUPPORTED_CODES:
            place = entry.get("loc")
            parts = map(str, place) if isinstance(place, list) else ()
            return next((part for part in parts if part in sent), None)
    return None
