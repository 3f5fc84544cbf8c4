"""A person's own bank: what is read, and what each mistake is told as."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.questions.bank import derived_id, read_bank_file
from persqa_client.questions.sampling import Question


def bank(folder: Path, content: str | bytes, name: str = "mine.jsonl") -> tuple[Question, ...]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_bank_file(path)


def item(**fields: object) -> str:
    return json.dumps({"text": "What is {tag} doing?", **fields}, ensure_ascii=False)


def test_an_item_with_all_its_fields(tmp_path: Path) -> None:
    line = item(id="a", category="Pet", language="en-GB", needs=["face", "whole body"], sensitive=True)
    needs = frozenset({"face", "whole_body"})
    assert bank(tmp_path, line) == (Question("a", "What is {tag} doing?", "animal", "en", needs, True),)


def test_an_item_with_its_text_alone_fits_every_category_and_tells_its_language(tmp_path: Path) -> None:
    english, chinese = bank(tmp_path, item() + "\n" + item(text=" {tag}在做什么？ ", needs=None))
    assert english == Question(derived_id("What is {tag} doing?"), "What is {tag} doing?", None, "en")
    assert chinese == Question(derived_id("{tag}在做什么？"), "{tag}在做什么？", None, "zh")


PLAIN = "# my questions\n\nWhat is {tag} doing?\n   \n  {tag}在做什么？\n# the end"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_plain_text_has_a_question_on_each_line(tmp_path: Path, end: str, mark: str) -> None:
    questions = bank(tmp_path, mark + PLAIN.replace("\n", end), "mine.txt")
    assert [(q.text, q.language, q.category) for q in questions] == [
        ("What is {tag} doing?", "en", None),
        ("{tag}在做什么？", "zh", None),
    ]


def test_json_lines_may_have_a_mark_and_line_ends_of_windows(tmp_path: Path) -> None:
    assert len(bank(tmp_path, "\ufeff" + item() + "\r\n\r\n" + item(text="Where is {tag}?") + "\r\n")) == 2


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.JSONL"])
def test_json_lines_are_known_by_their_look_too(tmp_path: Path, name: str) -> None:
    assert bank(tmp_path, item(id="a"), name)[0].id == "a"


def test_a_plain_question_may_begin_with_the_tag(tmp_path: Path) -> None:
    assert bank(tmp_path, "{tag}在做什么？", "mine.txt")[0].text == "{tag}在做什么？"


def test_ids_follow_the_words_and_are_the_same_in_every_release() -> None:
    assert derived_id("What is {tag} doing?") == "76785308deca"
    assert derived_id("what is  {tag} DOING ?") == derived_id("What is {tag} doing?")
    assert derived_id("What was {tag} doing?") != derived_id("What is {tag} doing?")
    assert derived_id("{tag}की किताब?") != derived_id("{tag}का कताब?")


def test_different_categories_and_languages_may_share_ids_and_words(tmp_path: Path) -> None:
    lines = [
        item(id="a", category="human"),
        item(id="a", category="animal"),
        item(id="a", category="human", language="zh"),
        item(id="a", text="{tag}在做什么？", category="animal"),
    ]
    assert len(bank(tmp_path, "\n".join(lines))) == 4


LINE_MISTAKES = {
    "broken": ('{"text": ', "this is not JSON, "),
    "array": ("[1]", 'this is no JSON object; write {"text": "…"}'),
    "bare text": ("What is {tag} doing?", "this is not JSON, "),
    "no text": ('{"id": "a"}', 'there is no question; write it as "text"'),
    "empty text": (item(text=""), 'there is no question; write it as "text"'),
    "text of another type": (item(text=5), "the text must be a string; put it in quotes"),
    "nobody": (item(text="What is that?"), "the question names nobody; write {tag} where the tag belongs"),
    "blank": (item(text="   "), "the question names nobody; write {tag} where the tag belongs"),
    "nothing but": (item(text="{tag}?"), "the question is nothing but {tag}; write what is asked about it"),
    "placeholder": (item(text="Is {name} {tag}?"), "{name} is no placeholder that is known; use {tag}, and no other"),
    "other case": (item(text="Where is {Tag}?"), "{Tag} is no placeholder that is known; use {tag}"),
    "stray brace": (item(text="Where} is {tag}?"), "} is no placeholder that is known; use {tag}"),
    "double brace": (item(text="Where is {{tag}}?"), "{ is no placeholder that is known; use {tag}"),
    "mam": (item(text="Where is <mam>?"), "<mam> is written out; write {tag} instead"),
    "sks": (item(text="Where is <sks>, {tag}?"), "<sks> is written out; write {tag} instead"),
    "full-width": (item(text="＜mam＞在哪里？"), "＜mam＞ is written out; write {tag} instead"),
    "two lines": (item(text="Where\nis {tag}?"), "the question has a control character or a line break in it"),
    "surrogate": ('{"text": "Where is {tag} \\ud800?"}', "the question has a control character or a line break in it"),
    "line in a brace": (item(text="Where is {a\nb}?"), "the question has a control character or a line break in it"),
    "key": (item(need=[]), "the key 'need' is unknown; use id, text, category, language, needs or sensitive"),
    "id": (item(id=3), "id must be a string that is not empty; write it in quotes"),
    "empty id": (item(id=" "), "id must be a string that is not empty; write it in quotes"),
    "id with a control": (item(id="a\tb"), "id has a control character or a line break in it; take that out"),
    "category": (item(category="car"), "'car' is no known category; use human, animal, object, scene or group"),
    "category type": (item(category=["human"]), "category must be a string that is not empty"),
    "language": (item(language="de"), "'de' is no known language; use en or zh"),
    "language type": (item(language=False), "language must be a string that is not empty"),
    "need": (item(needs=["wings"]), "'wings' is no known need; use face, "),
    "needs type": (item(needs="face"), 'needs must be a list of strings; write for example ["face"]'),
    "needs items": (item(needs=[1]), 'needs must be a list of strings; write for example ["face"]'),
    "sensitive": (item(sensitive="yes"), "sensitive must be true or false; write it without quotes"),
    "sensitive null": (item(sensitive=None), "sensitive must be true or false; write it without quotes"),
}
GOOD = item(id="good", text="Who is {tag}?")


@pytest.mark.parametrize(("line", "reason"), LINE_MISTAKES.values(), ids=LINE_MISTAKES)
def test_a_mistake_names_the_file_the_line_and_what_to_do(tmp_path: Path, line: str, reason: str) -> None:
    assert told(tmp_path, f"{GOOD}\n\n{line}\n").startswith(f"{tmp_path}/mine.jsonl, line 3: {reason}")


PLAIN_MISTAKES = {
    "nobody": ("What is that?", "the question names nobody; write {tag} where the tag belongs"),
    "placeholder": ("{name}在做什么？", "{name} is no placeholder that is known; use {tag}, and no other"),
    "mam": ("<mam>在做什么？", "<mam> is written out; write {tag} instead"),
    "sks": ("Where is <sks>?", "<sks> is written out; write {tag} instead"),
    "duplicate": ("who is {tag}", "the question is the same as that of line 2; leave one out"),
}


@pytest.mark.parametrize(("line", "reason"), PLAIN_MISTAKES.values(), ids=PLAIN_MISTAKES)
def test_a_mistake_in_plain_text_is_told_alike(tmp_path: Path, line: str, reason: str) -> None:
    message = told(tmp_path, f"# mine\nWho is {{tag}}?\n{line}\n", "mine.txt")
    assert message.startswith(f"{tmp_path}/mine.txt, line 3: {reason}")


SAME = {
    "id": (item(id="a"), item(id="a", text="Where is {tag}?"), "the id is the same as that of line 1"),
    "words": (item(id="a"), item(id="b", text="what is {tag} doing"), "the question is the same as that of line 1"),
    "any category": (item(id="a"), item(id="a", category="human", text="Who is {tag}?"), "the id is the same"),
    "category first": (item(id="a", category="human"), item(id="b"), "the question is the same as that of line 1"),
    "full width": (
        item(text="{tag}呢，咋样？"),
        item(text="{tag}呢咋样?"),
        "the question is the same as that of line 1",
    ),
}


@pytest.mark.parametrize(("first", "second", "reason"), SAME.values(), ids=SAME)
def test_one_row_never_gets_the_same_twice(tmp_path: Path, first: str, second: str, reason: str) -> None:
    assert told(tmp_path, f"{first}\n{second}\n").startswith(f"{tmp_path}/mine.jsonl, line 2: {reason}")


FILE_MISTAKES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "holds no question; write one on each line, with {tag} in it."),
    "blank": (b"\xef\xbb\xbf \r\n\n", "holds no question; write one on each line, with {tag} in it."),
    "another encoding": (
        "\n{tag}在做什么？".encode("gb18030"),
        "line 2: this is not UTF-8; save the file as UTF-8 text.",
    ),
    "UTF-16": ("What is {tag}?".encode("utf-16"), "line 1: this is not UTF-8; save the file as UTF-8 text."),
    "a video": (bytes(20_000_001), "is over 20 MB; give a file of questions."),
}


@pytest.mark.parametrize(("content", "end"), FILE_MISTAKES.values(), ids=FILE_MISTAKES)
def test_a_file_that_is_no_bank_is_told(tmp_path: Path, content: bytes, end: str) -> None:
    message = told(tmp_path, content)
    assert f"{tmp_path}/mine.jsonl" in message
    assert message.endswith(end)


def test_comments_alone_are_no_bank(tmp_path: Path) -> None:
    assert "holds no question" in told(tmp_path, "# nothing\n", "mine.txt")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_bank_file(tmp_path / "gone.jsonl")
    assert str(caught.value) == (
        f"There is no question bank {tmp_path}/gone.jsonl; give a category or the path of a file."
    )


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_bank_file(tmp_path)
    assert str(caught.value) == f"The question bank {tmp_path} is a folder; give a file."


def test_a_path_that_leads_through_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(SettingsError, match=r"a/b can't be read \(Not a directory\); give a file that can\.$"):
        read_bank_file(tmp_path / "a" / "b")


def test_a_name_that_no_file_can_have_is_told() -> None:
    with pytest.raises(
        SettingsError, match=r"^The question bank a\\x00b can't be read \(.*\); give a file that can\.$"
    ):
        read_bank_file(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.touch(mode=0o000)
    with pytest.raises(SettingsError, match=r"can't be read \(Permission denied\); give a file that can\.$"):
        read_bank_file(path)


def told(folder: Path, content: str | bytes, name: str = "mine.jsonl") -> str:
    with pytest.raises(SettingsError) as caught:
        bank(folder, content, name)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message
