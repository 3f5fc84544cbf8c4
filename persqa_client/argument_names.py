"""Messages by the names of Python arguments, in place of flags of the command line."""

from __future__ import annotations

import re
from collections.abc import Collection

FLAG = re.compile(r"(?<![\w-])(?:--(?P<name>[a-z][a-z-]*[a-z])|-(?P<short>[on]))(?![\w-])")
SHORT = {"o": "output", "n": "limit"}
NEGATED = "no_"


def name_arguments(message: str, arguments: Collection[str], switches: Collection[str] = ()) -> str:
    """``--max-tokens`` becomes ``max_tokens``, and that of a switch ``fresh=True``. Flags without an argument stay.

    >>> name_arguments("start again with --fresh", {"fresh"}, {"fresh"})
    'start again with fresh=True'
    """

    def name(flag: re.Match[str]) -> str:
        argument = SHORT[flag["short"]] if flag["short"] else flag["name"].replace("-", "_")
        positive = argument.removeprefix(NEGATED)
        if positive != argument and positive in switches:
            return f"{positive}=False"
        if argument not in arguments:
            return flag[0]
        # Not before a colon, which is followed by what is wrong with the value.
        is_named = message[flag.end() :].startswith(":")
        return f"{argument}=True" if argument in switches and not is_named else argument

    return FLAG.sub(name, message)
