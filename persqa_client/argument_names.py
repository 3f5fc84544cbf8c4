"""Messages by the names of Python arguments, in place of flags of the command line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args, get_origin

FLAG = re.compile(
    r"(?<![\w-])(?:--(?P<name>[a-z][a-z-]*[a-z])|-(?P<short>[on]))(?![\w-])"
    r"(?P<value> (?:(?P<number>\d+(?:\.\d+)?)|(?P<word>[a-z][a-z-]*))(?![\w-]))?"
)
SHORT = {"o": "output", "n": "limit"}
NEGATED = "no_"


def name_arguments(
    message: str,
    arguments: Collection[str],
    switches: Collection[str] = (),
    choices: Mapping[str, Collection[str]] | None = None,
    short: Mapping[str, str] = SHORT,
) -> str:
    """``--max-tokens`` becomes ``max_tokens``, ``--max-tokens 9`` ``max_tokens=9``, and a switch ``fresh=True``.

    ``choices``: the words that may follow a flag as its value. ``short``: arguments of flags with one letter. Flags
    without an argument stay.

    >>> name_arguments("start again with --fresh", {"fresh"}, {"fresh"})
    'start again with fresh=True'
    """

    def name(flag: re.Match[str]) -> str:
        argument = short.get(flag["short"], "") if flag["short"] else flag["name"].replace("-", "_")
        following = flag["value"] or ""
        positive = argument.removeprefix(NEGATED)
        if positive != argument and positive in switches:
            return f"{positive}=False{following}"
        if argument not in arguments:
            return flag[0]
        if argument in switches:
            # Not before a colon, which is followed by what is wrong with the value.
            is_named = not following and message[flag.end() :].startswith(":")
            return argument if is_named else f"{argument}=True{following}"
        if flag["number"]:
            return f"{argument}={flag['number']}"
        if flag["word"] and flag["word"] in (choices or {}).get(argument, ()):
            return f'{argument}="{flag["word"]}"'
        return f"{argument}{following}"

    return FLAG.sub(name, message)


def list_choices(annotation: Any) -> frozenset[str]:
    """The words of all ``Literal`` in an annotation."""
    if get_origin(annotation) is Literal:
        return frozenset(each for each in get_args(annotation) if isinstance(each, str))
    parts = get_args(getattr(annotation, "__value__", annotation))
    return frozenset().union(*(list_choices(part) for part in parts if not isinstance(part, str)))
