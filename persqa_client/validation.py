"""Models of settings: how they are made, and what is said of a wrong value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from persqa_client.argument_names import name_arguments
from persqa_client.errors import SettingsError
from persqa_client.suggestions import find_similar_name

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
# Headers that say how the request and its response are framed and encoded.
OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
# How pydantic begins its sentences, and how usage errors say the same.
DEMAND = re.compile(r"^(input|value|string|list|tuple|dictionary) should (be|have|match)\b", re.IGNORECASE)

# How pydantic begins a message that a validator of the settings gave.
OWN_ERROR = "Value error, "

PLAIN_WORDS = (
    ("valid integer", "whole number"),
    ("valid number", "number"),
    ("valid string", "text"),
    ("valid tuple", "list"),
    ("an instance of Sequence", "a list"),
    ("a valid boolean", "true or false"),
)


class Settings(BaseModel):
    """Raises SettingsError for an invalid value, and TypeError for an unknown name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers take the signature from the fields

        def __init__(self, **values: Any) -> None:
            fields = type(self).model_fields
            if unknown := values.keys() - fields.keys():
                raise TypeError(describe_unknown_argument(type(self).__name__, min(unknown), fields))
            try:
                super().__init__(**values)
            except ValidationError as error:
                message = describe_error(error).replace("--header:", "--headers:")
            else:
                return
            # Raised here, because the validation error as its context would show the values, keys included.
            switches = {name for name, field in fields.items() if field.annotation is bool}
            raise SettingsError(name_arguments(message, fields, switches))


def describe_unknown_argument(function: str, name: str, known: Iterable[str]) -> str:
    """As Python says it, with the argument that was probably meant."""
    similar = find_similar_name(name, known)
    meant = "" if similar is None else f". Did you mean {similar!r}?"
    return f"{function}() got an unexpected keyword argument {name!r}{meant}"


def describe_error(error: ValidationError) -> str:
    """One sentence about the first invalid setting, by the name of its flag."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(part).replace("_", "-") for part in first["loc"] if isinstance(part, str) and part != "[key]"]
    if not path:
        reason = first["msg"].removeprefix(OWN_ERROR)
        return f"{reason}." if reason.startswith("--") else f"{reason[0].upper()}{reason[1:]}."
    name = path[-1] if path[0] != "headers" else "header"
    if first["type"] == "missing":
        return f"--{name} is missing."
    if first["type"] == "extra_forbidden":
        return f"--{name} is not a setting."
    if first["type"] == "string_too_short":
        return f"--{name}: must not be empty."
    reason = describe_reason(first["msg"])
    if first["type"] == "literal_error":
        reason += suggest_choice(error)
    return f"--{name}: {reason if first['type'] == 'value_error' else reason[0].lower() + reason[1:]}."


def suggest_choice(error: ValidationError) -> str:
    """``error``: its first one is about a choice, which is never a key."""
    first = error.errors(include_url=False)[0]
    choices = re.findall(r"'([^']*)'", first["ctx"]["expected"])
    similar = find_similar_name(first["input"], choices) if isinstance(first["input"], str) else None
    return "" if similar is None else f" (did you mean {similar!r}?)"


def describe_reason(message: str) -> str:
    """A message of pydantic in the words of usage errors. One of a validator of ours is kept."""
    if message.startswith(OWN_ERROR):
        return message.removeprefix(OWN_ERROR)
    reason = DEMAND.sub(r"must \2", message).partition(", unable to")[0]
    for word, plain in PLAIN_WORDS:
        reason = reason.replace(word, plain)
    return reason


Kind = TypeVar("Kind", bound=Settings)


def build_settings(kind: type[Kind], **values: Any) -> Kind:
    """``kind(**values)`` for the values of flags. Raises SettingsError, by the names of flags."""
    made = kind.__new__(kind)
    try:
        BaseModel.__init__(made, **values)
    except ValidationError as error:
        message = describe_error(error)
    else:
        return made
    raise SettingsError(message)


def check_header_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")
    if name.lower() in OWN_HEADERS:
        raise ValueError(f"{name} is set by the client itself")
    return name


def check_header_value(value: SecretStr) -> SecretStr:
    if not HEADER_VALUE.fullmatch(value.get_secret_value()):
        raise ValueError("the value is empty, or contains a line break or a non-ASCII character")
    return value
