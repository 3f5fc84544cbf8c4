"""Models of settings: how they are made, and what is said of a wrong value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from persqa_client.argument_names import list_choices, name_arguments
from persqa_client.errors import SettingsError
from persqa_client.suggestions import find_similar_name
from persqa_client.urls import expand_home, explain_impossible_path

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
# Headers that say how the request and its response are framed and encoded.
OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
# Request fields that --extra-body must not set.
RESERVED_REQUEST_FIELDS = frozenset({"model", "messages", "stream", "n", "seed"})
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

        def __init__(self, *positional: object, **values: Any) -> None:
            fields, own = type(self).model_fields, type(self).__name__
            if positional:
                first, second = [name for name in fields if name not in values][:2]
                raise TypeError(f"{own}() takes its arguments by name: {own}({first}=…, {second}=…)")
            if unknown := values.keys() - fields.keys():
                raise TypeError(describe_unknown_argument(own, min(unknown), fields, find_owners(type(self))))
            try:
                super().__init__(**values)
            except ValidationError as error:
                message = describe_error(error).replace("--header:", "--headers:")
            else:
                return
            # Raised here, because the validation error as its context would show the values, keys included.
            raise SettingsError(name_fields(message, type(self)))


def name_fields(message: str, kind: type[Settings]) -> str:
    """A message with the settings of a class as its arguments are named."""
    fields = kind.model_fields
    switches = {name for name, field in fields.items() if field.annotation is bool}
    choices = {name: list_choices(field.annotation) for name, field in fields.items()}
    return name_arguments(message, fields, switches, choices)


def find_owners(kind: type[Settings]) -> dict[str, str]:
    """The owners of the settings of the other classes in the module of ``kind``."""
    others = [each for each in Settings.__subclasses__() if each.__module__ == kind.__module__ and each is not kind]
    return {name: f"it is a setting of {each.__name__}" for each in others for name in each.model_fields}


def describe_unknown_argument(
    function: str, name: str, known: Iterable[str], elsewhere: Mapping[str, str] | None = None
) -> str:
    """Words the error like Python, with the argument that was probably meant. ``elsewhere``: what to do instead, by
    name.
    """
    unexpected = f"{function}() got an unexpected keyword argument {name!r}"
    if instead := (elsewhere or {}).get(name.replace("-", "_")):
        return f"{unexpected}: {instead}"
    similar = find_similar_name(name, known)
    return unexpected if similar is None else f"{unexpected}. Did you mean {similar!r}?"


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


def as_tuple(value: object) -> object:
    """One text stands for a list with it."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def read_path(value: object) -> object:
    """An empty one, perhaps from a variable that is not set, would be the working directory."""
    if isinstance(value, str) and not value.strip():
        raise ValueError("must not be empty; name a file, or a folder (. for the working directory)")
    if value is not None and not isinstance(value, str | os.PathLike):
        raise ValueError(f"must be a path, and not of the type {type(value).__name__}")
    if not isinstance(value, str | Path):
        return value
    path = expand_home(value)
    if (problem := explain_impossible_path(path)) is not None:
        raise ValueError(problem)
    return path


def read_picture_setting(value: object) -> object:
    """A path, or the content of a picture as a data: URI."""
    if isinstance(value, str | Path | None):
        path = read_path(value)
        return Path(path) if isinstance(path, str) else path
    # Imported here, because it needs Pillow, and these settings.
    from persqa_client.inputs.memory_pictures import Picture, embed_picture, explain_no_picture

    if not isinstance(value, Picture):
        instead = explain_no_picture(value)
        raise ValueError(instead or "must be a path, the bytes of a file, or a PIL image")
    return embed_picture(value, "the picture")


# Hours, minutes and seconds: 8h, 1h30m, 90s.
DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.IGNORECASE)


def read_duration(value: object) -> object:
    """Seconds of a text such as ``1h30m``."""
    if not isinstance(value, str):
        return value
    found = DURATION.fullmatch(value.replace(" ", ""))
    if found is None or not any(found.groups()):
        raise ValueError("must be a time such as 8h, 90m or 3600 (seconds)")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


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


def check_extra_body(fields: dict[str, Any]) -> dict[str, Any]:
    if reserved := fields.keys() & RESERVED_REQUEST_FIELDS:
        raise ValueError(f"can't set {min(reserved)}: the run sets it itself")
    try:
        as_sent = orjson.loads(orjson.dumps(fields))
    except TypeError as error:
        raise ValueError(f"can't be sent as JSON ({error})") from error
    if as_sent != fields:
        name = next(name for name in fields if as_sent[name] != fields[name])
        raise ValueError(f"can't be sent as JSON: the value of {name} would change")
    return fields


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
