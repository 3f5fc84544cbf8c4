"""Each alternative of a phrase behind the tag has a hint: without one, it is never looked for, so it is dead.

Elsewhere, a phrase has runs of any text, so that a shortest text says less.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from persqa_client.answers.phrases import fill_terms, fold_text, has_hint, list_languages, load_table, load_terms
from tests.support.cases import each_case

# Not in typeshed.
codes: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

KINDS = ("refusal", "no_image", "about_the_task")
# As many texts are tried for each alternative. In the n-th, each other choice takes its n-th alternative.
TEXTS = 24


def list_choices(items: Any) -> Iterator[Any]:
    """All alternations of a parsed pattern, whose identity is that of their list of alternatives."""
    for code, argument in items:
        if code is codes.BRANCH:
            yield argument[1]
        parts = argument[1] if code is codes.BRANCH else argument if isinstance(argument, tuple) else ()
        for part in parts:
            if isinstance(part, parser.SubPattern):
                yield from list_choices(part)


def write_text(items: Any, chosen: dict[int, Any], turn: int) -> str:
    """The shortest text that matches, without regard to what stands around it."""
    text = ""
    for code, argument in items:
        if code is codes.LITERAL:
            text += chr(argument)
        elif code is codes.IN:
            text += {codes.LITERAL: lambda value: chr(value), codes.RANGE: lambda value: chr(value[0])}.get(
                argument[0][0], lambda value: " " if value is codes.CATEGORY_SPACE else "x"
            )(argument[0][1])
        elif code is codes.BRANCH:
            branches = argument[1]
            text += write_text(chosen.get(id(branches)) or branches[turn % len(branches)], chosen, turn)
        elif code is codes.SUBPATTERN:
            text += write_text(argument[3], chosen, turn)
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            text += write_text(argument[2], chosen, turn) * argument[0]
    return text


def find_dead(phrase: str, language: str) -> Iterator[str]:
    parsed = parser.parse(fill_terms(phrase, load_terms(language)))
    for branches in list_choices(parsed):
        for branch in branches:
            texts = [fold_text(write_text(parsed, {id(branches): branch}, turn), language) for turn in range(TEXTS)]
            own = write_text(branch, {}, 0)
            if own.strip() and own in texts[0] and not any(has_hint(text, language) for text in texts):
                yield texts[0]


@each_case("language", sorted(list_languages()))
def test_an_alternative_behind_the_tag_has_a_hint(language: str) -> None:
    table = load_table(language)
    phrases = [phrase for kind in KINDS for phrase in table[kind].get("behind_tag", ())]
    assert {text for phrase in phrases for text in find_dead(phrase, language)} == set()
