"""``persqa bank``: the built-in questions, and all problems of a file at once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from persqa_client.questions.bank import load_builtin_bank, read_bank_file
from persqa_client.questions.categories import CATEGORIES
from tests.support.commands import persqa

WRONG = """{"text": "What is {tag} doing?", "category": "humam", "need": []}
{"text": "Who is {name}, {other}?", "language": "xx", "sensitive": 1}

{"text": "Where is {tag}?", "category": "human"}
{"text": "where is {tag}", "category": "human"}
{"text": "{tag}在做什么？", "sensitive": true}
{"text
"""


def test_the_list_has_each_category_with_its_numbers(tmp_path: Path) -> None:
    result = persqa("bank", "list", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["category", "the", "tag", "names", "English", "Chinese", "sensitive"]
    numbers = {line.split()[0]: line.split()[-3:] for line in lines[1 : len(CATEGORIES) + 1]}
    for category in CATEGORIES:
        english, chinese = (load_builtin_bank(category, language) for language in ("en", "zh"))
        sensitive = sum(question.sensitive for question in english)
        assert numbers[category] == [str(len(english)), str(len(chinese)), str(sensitive)]


def test_questions_are_shown_with_their_marks(tmp_path: Path) -> None:
    result = persqa("bank", "show", "human", "--language", "en", cwd=tmp_path)
    lines = result.stdout.splitlines()
    assert len(lines) == len(load_builtin_bank("human", "en"))
    assert lines[0] == "What colour is {tag}'s hair?  [needs colour, hair]"
    assert any(line.endswith("sensitive]") for line in lines)


def test_a_terminal_obeys_no_character_of_a_bank(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Where does {tag} \u202estand?\n")
    result = persqa("bank", "show", "mine.txt", cwd=tmp_path)
    assert result.stdout == "Where does {tag} \\u202estand?\n", result.stderr


def test_both_languages_have_headings(tmp_path: Path) -> None:
    lines = persqa("bank", "show", "animal", cwd=tmp_path).stdout.splitlines()
    assert [line for line in lines if line.startswith("#")] == ["# animal, English", "# animal, Chinese"]


def test_a_built_in_bank_can_be_copied(tmp_path: Path) -> None:
    result = persqa("bank", "show", "group", "--language", "zh", "--jsonl", cwd=tmp_path)
    (tmp_path / "mine.jsonl").write_text(result.stdout)
    assert read_bank_file(tmp_path / "mine.jsonl") == load_builtin_bank("group", "zh")


def test_all_problems_are_reported_at_once_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(WRONG)
    result = persqa("bank", "check", "mine.jsonl", cwd=tmp_path)
    assert result.returncode == 2
    *problems, total, human, every = result.stdout.splitlines()
    assert [problem.split(": ", 1)[0].removeprefix("mine.jsonl, line ") for problem in problems] == list("1122257")
    for problem, fact in zip(
        problems,
        ["'need'", "(did you mean human?)", "{name} and {other}", "'xx'", "sensitive", "as in line 4", "JSON"],
        strict=True,
    ):
        assert fact in problem
        assert problem.endswith(".")
    assert total == "2 questions:"
    assert human.split() == ["human,", "English", "1"]
    assert every.split() == ["every", "category,", "Chinese", "1", "(1", "sensitive)"]
    assert "7 problems" in result.stderr


def test_a_good_file_is_counted(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("# mine\nWhat is {tag} wearing?\nWho is {tag}?\n{tag}在做什么？\n")
    result = persqa("bank", "check", "mine.txt", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    total, *places = [line.split() for line in result.stdout.splitlines()]
    assert total == ["3", "questions:"]
    assert places == [["every", "category,", "English", "2"], ["every", "category,", "Chinese", "1"]]


def test_a_category_is_checked_as_its_bank(tmp_path: Path) -> None:
    """The advice about a misspelt one names it."""
    result = persqa("bank", "check", "human", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.match(r"\d+ questions:\n  human, English +\d+", result.stdout), result.stdout


def test_a_file_with_the_name_of_a_category_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "human").write_text("Who is {tag}?\n")
    for name in ("./human", str(tmp_path / "human")):
        assert persqa("bank", "check", name, cwd=tmp_path).stdout.startswith("1 question:"), name
        assert persqa("bank", "show", name, cwd=tmp_path).stdout == "Who is {tag}?\n"
    assert not persqa("bank", "check", "human", cwd=tmp_path).stdout.startswith("1 question:")


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["show", "humn"], "(did you mean human?)"),
        (["show", "mine.jsonl"], "mine.jsonl, line 1: "),
        (["show", "english.txt", "--language", "zh"], "english.txt has no questions in Chinese."),
        (["check", "missing.txt"], "The question bank missing.txt does not exist"),
        (["check", "."], "is a folder"),
        (["check", "empty.txt"], "is empty"),
        (["check", "latin.txt"], "line 2: this is not UTF-8"),
    ],
)
def test_a_bank_that_cannot_be_used_is_exit_2_with_one_sentence(tmp_path: Path, words: list[str], fact: str) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({"text": "no tag"}))
    (tmp_path / "english.txt").write_text("Who is {tag}?")
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    (tmp_path / "latin.txt").write_bytes(b"Who is {tag}?\n\xe9\n")
    result = persqa("bank", *words, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert fact in result.stderr
    assert len(result.stderr.splitlines()) == 1
