"""A pattern of a module is compiled when it is first used."""

from __future__ import annotations

import re

import pytest

from persqa_client.lazy_pattern import compile_lazily


def test_it_finds_what_a_compiled_pattern_finds() -> None:
    lazy, compiled = compile_lazily("(b+)", re.IGNORECASE), re.compile("(b+)", re.IGNORECASE)
    assert lazy.findall("aBBab") == compiled.findall("aBBab")
    assert lazy.sub("-", "aBBab") == "a-a-"
    assert lazy.split("aBBa") == compiled.split("aBBa")
    assert lazy.match("aBB", 1) is not None
    assert lazy.pattern == compiled.pattern


def test_an_invalid_pattern_is_found_at_the_first_use() -> None:
    lazy = compile_lazily("(")
    with pytest.raises(re.error):
        lazy.search("a")
