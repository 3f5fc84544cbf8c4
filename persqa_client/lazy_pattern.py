"""Patterns that are compiled when they are first used.

Most answers need few of the patterns that look for rare faults. To compile all of them would be a third of the time
that the imports take.
"""

from __future__ import annotations

import re
from typing import Any, cast

METHODS = ("search", "match", "fullmatch", "findall", "finditer", "split", "sub")


class LazyPattern:
    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern = pattern
        self.flags = flags

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(name)
        compiled = re.compile(self.pattern, self.flags)
        # From now on the methods are found here, without this function.
        self.__dict__.update({method: getattr(compiled, method) for method in METHODS})
        return self.__dict__[name]


def compile_lazily(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """``re.compile`` for patterns of modules. It has the methods of a pattern; functions of ``re`` do not take it."""
    return cast(re.Pattern[str], LazyPattern(pattern, flags))
