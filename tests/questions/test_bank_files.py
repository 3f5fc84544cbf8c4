"""A user's own bank: what is read, and how mistakes are reported."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.questions.bank import Question, derive_id, read_bank_file


def bank(folder: Path, content: str | bytes, name: str = "mine.jsonl") -> tuple[Question, ...]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_bank_file(path)


def item(**fields: object) -> str:
    return json.dumps({"text": "What is {tag} doing?", **fields}, ensure_ascii=False)


def test_a_question_with_all_its_fields(tmp_path: Path) -> None:
    line = item(id="a", category="Pet", language="en-GB", needs=["face", "whole body"], sensitive=True)
    needs = frozenset({"face", "whole_body"})
    assert bank(tmp_path, line) == (Question("a", "What is {tag} doing?", "animal", "en", needs, True),)


def test_a_question_with_a_text_only_is_for_every_category_and_the_language_of_its_text(tmp_path: Path) -> None:
    english, chinese = bank(tmp_path, item() + "\n" + item(text=" {tag}在做什么？ ", needs=None))
    assert english == Question(derive_id("What is {tag} doing?"), "What is {tag} doing?", None, "en")
    assert chinese == Question(derive_id("{tag}在做什么？"), "{tag}在做什么？", None, "zh")


PLAIN = "# my questions\n\nWhat is {tag} doing?\n   \n  {tag}在做什么？\n# the end"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_plain_text_has_a_question_on_each_line(tmp_path: Path, end: str, mark: str) -> None:
    questions = bank(tmp_path, mark + PLAIN.replace("\n", end), "mine.txt")
    assert [(q.text, q.language, q.category) for q in questions] == [
        ("What is {tag} doing?", "en", None),
        ("{tag}在做什么？", "zh", None),
    ]


def test_json_lines_may_have_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    assert len(bank(tmp_path, "\ufeff" + item() + "\r\n\r\n" + item(text="Where is {tag}?") + "\r\n")) == 2


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.JSONL"])
def test_json_lines_are_recognised_without_their_suffix(tmp_path: Path, name: str) -> None:
    assert bank(tmp_path, item(id="a"), name)[0].id == "a"


def test_a_plain_question_may_begin_with_the_tag(tmp_path: Path) -> None:
    assert bank(tmp_path, "{tag}在做什么？", "mine.txt")[0].text == "{tag}在做什么？"


def test_ids_depend_on_the_words_and_are_the_same_in_every_release() -> None:
    assert derive_id("What is {tag} doing?") == "76785308deca"
    assert derive_id("what is  {tag} DOING ?") == derive_id("What is {tag} doing?")
    assert derive_id("What was {tag} doing?") != derive_id("What is {tag} doing?")
    assert derive_id("{tag}की किताब?") != derive_id("{tag}का कताब?")


def test_different_categories_and_languages_may_share_ids_and_words(tmp_path: Path) -> None:
    lines = [
        item(id="a", category="human"),
        item(id="a", category="animal"),
        item(id="a", category="human", language="zh"),
        item(id="a", text="{tag}在做什么？", category="animal"),
    ]
    assert len(bank(tmp_path, "\n".join(lines))) == 4


# A wrong line, and facts that its message must state.
LINE_MISTAKES: dict[str, tuple[str, list[str]]] = {
    "broken": ('{"text": ', ["JSON", "character"]),
    "array": ("[1]", ["JSON object", '{"text": "…"}']),
    "bare text": ("What is {tag} doing?", ["JSON", "character 1"]),
    "no text": ('{"id": "a"}', ['"text"']),
    "empty text": (item(text=""), ['"text"']),
    "text of another type": (item(text=5), ["text", "string"]),
    "no tag": (item(text="What is that?"), ["{tag}"]),
    "blank": (item(text="   "), ["{tag}"]),
    "nothing but the tag": (item(text="{tag}?"), ["only {tag}"]),
    "placeholder": (item(text="Is {name} {tag}?"), ["{name}", "{tag}"]),
    "other case": (item(text="Where is {Tag}?"), ["{Tag}", "{tag}"]),
    "stray brace": (item(text="Where} is {tag}?"), ["placeholder }", "{tag}"]),
    "double brace": (item(text="Where is {{tag}}?"), ["placeholders { and };", "{tag}"]),
    "mam": (item(text="Where is <mam>?"), ["<mam>", "{tag}"]),
    "sks": (item(text="Where is <sks>, {tag}?"), ["<sks>", "{tag}"]),
    "full-width": (item(text="＜mam＞在哪里？"), ["＜mam＞", "{tag}"]),
    "two lines": (item(text="Where\nis {tag}?"), ["text", "line break"]),
    "surrogate": ('{"text": "Where is {tag} \\ud800?"}', ["text", "control character"]),
    "line in a brace": (item(text="Where is {a\nb}?"), ["text", "line break"]),
    "key": (item(need=[]), ["'need'", "id, text, category, language, needs or sensitive"]),
    "id": (item(id=3), ["id", "string"]),
    "empty id": (item(id=" "), ["id", "string"]),
    "id with a control": (item(id="a\tb"), ["id", "control character"]),
    "category": (item(category="car"), ["'car'", "human, animal, object, scene or group"]),
    "category type": (item(category=["human"]), ["category", "string"]),
    "language": (item(language="de"), ["'de'", "en or zh"]),
    "language type": (item(language=False), ["language", "string"]),
    "need": (item(needs=["wings"]), ["'wings'", "face, "]),
    "needs type": (item(needs="face"), ["needs", "list", '["face"]']),
    "needs items": (item(needs=[1]), ["needs", "list", '["face"]']),
    "sensitive": (item(sensitive="yes"), ["sensitive", "true or false"]),
    "sensitive null": (item(sensitive=None), ["sensitive", "true or false"]),
}
GOOD = item(id="good", text="Who is {tag}?")


@pytest.mark.parametrize(("line", "facts"), LINE_MISTAKES.values(), ids=LINE_MISTAKES)
def test_a_mistake_is_reported_with_file_and_line(tmp_path: Path, line: str, facts: list[str]) -> None:
    message = message_for(tmp_path, f"{GOOD}\n\n{line}\n")
    assert message.startswith(f"{tmp_path}/mine.jsonl, line 3: ")
    assert all(fact in message for fact in facts), message


PLAIN_MISTAKES: dict[str, tuple[str, list[str]]] = {
    "no tag": ("What is that?", ["{tag}"]),
    "placeholder": ("{name}在做什么？", ["{name}", "{tag}"]),
    "mam": ("<mam>在做什么？", ["<mam>", "{tag}"]),
    "sks": ("Where is <sks>?", ["<sks>", "{tag}"]),
    "duplicate": ("who is {tag}", ["the question is the same as in line 2"]),
}


@pytest.mark.parametrize(("line", "facts"), PLAIN_MISTAKES.values(), ids=PLAIN_MISTAKES)
def test_a_mistake_in_plain_text_is_reported_likewise(tmp_path: Path, line: str, facts: list[str]) -> None:
    message = message_for(tmp_path, f"# mine\nWho is {{tag}}?\n{line}\n", "mine.txt")
    assert message.startswith(f"{tmp_path}/mine.txt, line 3: ")
    assert all(fact in message for fact in facts), message


SAME = {
    "id": (item(id="a"), item(id="a", text="Where is {tag}?"), "the id is the same as in line 1"),
    "words": (item(id="a"), item(id="b", text="what is {tag} doing"), "the question is the same as in line 1"),
    "any category": (item(id="a"), item(id="a", category="human", text="Who is {tag}?"), "the id is the same"),
    "category first": (item(id="a", category="human"), item(id="b"), "the question is the same as in line 1"),
    "full width": (
        item(text="{tag}呢，咋样？"),
        item(text="{tag}呢咋样?"),
        "the question is the same as in line 1",
    ),
}


@pytest.mark.parametrize(("first", "second", "reason"), SAME.values(), ids=SAME)
def test_duplicates_for_one_row_are_reported(tmp_path: Path, first: str, second: str, reason: str) -> None:
    assert message_for(tmp_path, f"{first}\n{second}\n").startswith(f"{tmp_path}/mine.jsonl, line 2: {reason}")


FILE_MISTAKES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b"\xef\xbb\xbf \r\n\n", "is empty"),
    "another encoding": ("\n{tag}在做什么？".encode("gb18030"), "line 2: this is not UTF-8"),
    "UTF-16": ("What is {tag}?".encode("utf-16"), "line 1: this is not UTF-8"),
    "a video": (bytes(20_000_001), "larger than 20 MB"),
}


@pytest.mark.parametrize(("content", "fact"), FILE_MISTAKES.values(), ids=FILE_MISTAKES)
def test_a_file_that_is_not_a_bank(tmp_path: Path, content: bytes, fact: str) -> None:
    message = message_for(tmp_path, content)
    assert f"{tmp_path}/mine.jsonl" in message
    assert fact in message


def test_comments_alone_are_not_a_bank(tmp_path: Path) -> None:
    assert "is empty" in message_for(tmp_path, "# nothing\n", "mine.txt")


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{tmp_path}/missing.jsonl does not exist")):
        read_bank_file(tmp_path / "missing.jsonl")
    (tmp_path / "mine.jsonl").touch()
    with pytest.raises(SettingsError, match=re.escape(f"does not exist (did you mean {tmp_path}/mine.jsonl?); give")):
        read_bank_file(tmp_path / "mine.json")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{tmp_path} is a folder")):
        read_bank_file(tmp_path)


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(SettingsError, match=r"a/b .*\(Not a directory\)"):
        read_bank_file(tmp_path / "a" / "b")


def test_a_path_with_a_nul() -> None:
    with pytest.raises(SettingsError, match=r"a\\x00b can't be read"):
        read_bank_file(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_a_file_without_read_permission(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.touch(mode=0o000)
    with pytest.raises(SettingsError, match=r"\(Permission denied\)"):
        read_bank_file(path)


def message_for(folder: Path, content: str | bytes, name: str = "mine.jsonl") -> str:
    """The message of the error for a file of that content: one line that ends in a full stop."""
    with pytest.raises(SettingsError) as caught:
        bank(folder, content, name)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message
