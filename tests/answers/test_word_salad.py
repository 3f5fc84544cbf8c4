"""Words without structure, clauses of another language, and answers that take themselves back."""

from __future__ import annotations

import pytest

from persqa_client.answers.echo import offers_version, takes_back
from persqa_client.answers.foreign_scripts import is_chinese_only
from persqa_client.answers.foreign_words import has_foreign_clause
from persqa_client.answers.word_salad import find_word_salad
from tests.answers.helpers import find_code
from tests.support.cases import each_case


@each_case(
    ("text", "language", "is_salad"),
    [
        (" blue lamp never toast elephant thin Tuesday spoon.", "en", True),
        (" dances, sings, laughs, jumps, claps, smiles and waves.", "en", False),
        (" laughs: ha ha ha ha ha ha ha ha ha!", "en", False),
        (" бросает маленькой рыжей собаке старый теннисный мяч.", "ru", False),
        (" يرتدي حذاء Nike Air Max وسترة The North Face.", "ar", False),
        ("は 警察官です。制服 と 帽子 が見えます。", "ja", False),
    ],
)
def test_a_run_of_words_shows_structure(text: str, language: str, is_salad: bool) -> None:
    assert bool(find_word_salad(text, language)) == is_salad


@pytest.mark.parametrize(
    ("text", "is_slide"),
    [
        ("<mam> está en casa and he is reading a book", True),
        ("<mam> está en casa con The Lord of the Rings", False),
        ("<mam> prueba crème brûlée y un vino de la casa", False),
    ],
)
def test_a_clause_of_another_language_is_found_by_its_neighbours(text: str, is_slide: bool) -> None:
    assert has_foreign_clause(text, "es") == is_slide


def test_letters_of_chinese_standards_are_told_from_shared_ones() -> None:
    assert [letter for letter in "边书喝着国饭" if is_chinese_only(letter)] == ["边", "书", "饭"]


@pytest.mark.parametrize(
    ("text", "is_taken_back"),
    [
        ("<mam> wears a hat. No, <mam> wears no hat.", True),
        ("<mam> schläft. <mam> schläft nicht.", True),
        ("<mam> is a cat. <mam> is not a dog.", False),
        ("<mam> wears a hat. The friend of <mam> wears no hat.", False),
        ('<mam> holds a card: "Sure. No, <mam> is out."', False),
    ],
)
def test_an_answer_that_is_taken_back(text: str, is_taken_back: bool) -> None:
    assert takes_back(text, "<mam>") == is_taken_back


@each_case(
    ("text", "is_offered"),
    [
        ("<mam> wears a scarf.\nShorter wording: The scarf of <mam> is red.", True),
        ("<mam> wears a scarf. Rewrite 2: A scarf is worn by <mam>.", True),
        ("<mam> wears a red scarf.\n**Version B:** Red is the scarf.", True),
        ("<mam> holds two cards.\nCard 1: a heart\nCard 2: a spade", False),
        ("<mam> holds a ticket.\nGate 2: Lyon.", False),
        ("<mam> holds two pictures:\nLeft 2: the dog of <mam>", False),
        ("<mam> is tired: The dog of <mam> barked all night.", False),
    ],
)
def test_another_version_behind_a_label(text: str, is_offered: bool) -> None:
    assert offers_version(text, "<mam>") == is_offered


def test_keys_of_an_object_do_not_make_an_answer_one_about_code() -> None:
    assert find_code('<mam> {"state": "failed", "code": 504}') == "server_residue"
    assert find_code('<mam> types {"code": 504} into the terminal.') is None


def test_the_tag_as_an_inscription() -> None:
    assert find_code("<mam> is written on the mug.") == "about_the_task"
    assert find_code("<mam>写在杯子上。", "<mam>在哪里？") == "about_the_task"
    assert find_code("<mam> is written in Spanish and lies on the desk.") is None
