"""Long and endless texts are judged by their length and their loops, before anything that takes longer."""

from __future__ import annotations

import re

from persqa_client.answers.answer_language import ADDRESSES, CHINESE_PHRASE, NAMES_WITH_WORDS, RELATIVES
from persqa_client.answers.foreign_scripts import HIRAGANA
from persqa_client.answers.parse import LONGEST_ANSWER, Answer
from persqa_client.answers.phrases import bound_runs
from persqa_client.answers.tag_repair import MAX_PASSES, repair_tag
from persqa_client.answers.word_salad import PLAIN_FORM
from persqa_client.quotations import remove_quotations
from tests.answers.helpers import GOOD, find_code, parse_text
from tests.support.cases import each_case


def vary(length: int) -> str:
    """A sentence without a repetition."""
    words = [f"{(7919 * n) % 10007:x}" for n in range(length // 4)]
    return f"<mam> wears {' '.join(words)}"[:length] + "."


@each_case(
    "unit", ["X", "mam ", "</mam>", "＜", "\\<", "„", "「", "`", "I can't ", "sorry, ", "the picture ", "null ", "我"]
)
@each_case("length", [4000, 60000])
def test_an_endless_text_is_a_loop_and_left_as_it_is(unit: str, length: int) -> None:
    text = ("<mam> " + unit * (length // len(unit))).strip()
    assert parse_text(text) == Answer(text)
    assert find_code(text) == "loop"


def test_a_text_far_longer_than_an_answer_is_rejected_unrepaired() -> None:
    text = vary(LONGEST_ANSWER + 1)
    assert parse_text(f"Sure! {text}") == Answer(f"Sure! {text}")
    assert find_code(text) == "not_a_sentence"


def test_long_thoughts_do_not_count() -> None:
    assert parse_text(f"{vary(LONGEST_ANSWER + 1)}</think>{GOOD}") == Answer(GOOD, ("thinking",))
    assert parse_text(f"{'Hmm. ' * 2000}</think>**<mam>** sits.") == Answer("<mam> sits.", ("thinking", "tag_marks"))


def test_forms_within_forms_are_repaired_a_few_times() -> None:
    nested = "＜" * (MAX_PASSES + 9) + "<mam>"
    assert repair_tag(f"x{nested}", "<mam>")[0].startswith("x＜")
    assert repair_tag("<mam></mam></mam></mam> sits.", "<mam>")[0] == "<mam> sits."


def test_runs_in_phrases_are_bounded() -> None:
    assert bound_runs(r"a[^.!?]*b[^,\]]+c[^.]*?d[abc]*") == r"a[^.!?]{0,200}b[^,\]]{1,200}c[^.]{0,200}?d[abc]*"


REPEAT_THAT_GIVES_BACK = re.compile(r"(?<![*+}\\])(?:[*+]|\{\d+,\})(?!\+)")


@each_case(
    "pattern",
    [
        HIRAGANA,
        ADDRESSES,
        NAMES_WITH_WORDS,
        CHINESE_PHRASE,
        PLAIN_FORM,
        *(each for pair in RELATIVES.values() for each in pair),
    ],
)
def test_a_long_word_is_searched_once(pattern: re.Pattern[str]) -> None:
    """An unbounded repeat that gives characters back would be tried anew from each place of the word."""
    assert REPEAT_THAT_GIVES_BACK.findall(pattern.pattern) == []


def test_words_before_a_verb_of_writing_are_only_sought_in_japanese_and_korean() -> None:
    assert remove_quotations("<mam>はNo Smokingと書かれた板を持つ").replace(" ", "") == "<mam>はと書かれた板を持つ"
    assert remove_quotations(f"x, {'a' * 200}と書かれた板").startswith("x, a")
