"""Which fields and folders of rows say who the main character is."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.errors import RowError
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.subjects import NO_FIELDS, SubjectFields, find_folder_tag
from persqa_client.types import BadRow, Row
from tests.support.cases import each_case


def parse(line: bytes, fields: SubjectFields) -> Row | BadRow:
    return parse_line(3, line, image_key="image", output_key="pers_qa", subject=fields)


def test_the_tag_is_read_from_the_field_that_is_named() -> None:
    line = b'{"image": "a.jpg", "tag": ["blurred"], "character": "bo"}'
    row = parse(line, SubjectFields(tag="character"))
    assert isinstance(row, Row)
    assert row.tag == "<bo>"
    assert isinstance(parse(line, NO_FIELDS), Row)
    bad = parse(line, SubjectFields())
    assert isinstance(bad, BadRow)
    assert (bad.code, "'tag'" in bad.message) == ("bad_field", True)


def test_a_field_that_is_read_may_not_be_there_twice() -> None:
    bad = parse(b'{"image": "a.jpg", "who": "bo", "who": "al"}', SubjectFields(tag="who"))
    assert isinstance(bad, BadRow)
    assert (bad.code, bad.message) == ("bad_line", "Line 3: the field 'who' is in the row twice; keep one of them.")


@each_case(
    ("folder", "tag"),
    [
        ("anna", "<anna>"),
        ("Anna Maria (2)", "<Anna-Maria-2>"),
        ("小满", "<小满>"),
        ("Ame\u0301lie", "<Amélie>"),
        ("_hidden_", "<hidden>"),
        ("a" * 40, "<" + "a" * 40 + ">"),
    ],
)
def test_a_folder_is_made_a_tag_by_the_rules_of_tags(folder: str, tag: str, tmp_path: Path) -> None:
    image = tmp_path / folder / "1.jpg"
    image.parent.mkdir()
    image.touch()
    assert find_folder_tag(str(image), ()) == tag
    assert find_folder_tag(f"{folder}/1.jpg", (tmp_path,)) == find_folder_tag("1.jpg", (image.parent,)) == tag
    assert find_folder_tag(image.as_uri(), ()) == tag


@each_case(
    ("reference", "message"),
    [
        ("photos/image/1.jpg", "the folder 'image' of the image can't name the tag: 'image' can't be a tag: models"),
        ("photos/()/1.jpg", "the folder '()' of the image can't name the tag: '' can't be a tag: use"),
        (f"photos/{'a' * 41}/1.jpg", f"the folder '{'a' * 41}' of the image can't name the tag: '{'a' * 41}' can't be"),
        ("data:image/png;base64,AAAA", "the image is a data: URI, which lies in no folder"),
    ],
)
def test_a_folder_that_is_no_tag_is_named(reference: str, message: str) -> None:
    with pytest.raises(RowError) as caught:
        find_folder_tag(reference, ())
    assert caught.value.code == "bad_tag"
    assert caught.value.message.startswith(message)


def test_the_folder_of_a_missing_image_is_that_of_its_path(tmp_path: Path) -> None:
    assert find_folder_tag("anna/none.jpg", (tmp_path,)) == "<anna>"


def test_of_folders_that_name_one_tag_a_single_one_gets_it(tmp_path: Path) -> None:
    for name in ("Anna Maria", "Anna (Maria)", "Anna-Maria", "bo.", "bo (2)", "bo 2", "empty"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    (tmp_path / "photos" / "bo").touch()  # no folder
    roots = (tmp_path / "none", tmp_path)
    for name, tag in (("Anna-Maria", "<Anna-Maria>"), ("bo.", "<bo>"), ("bo (2)", "<bo-2>")):
        assert find_folder_tag(f"photos/{name}/1.jpg", roots) == tag
        assert find_folder_tag("1.jpg", (tmp_path / "photos" / name,)) == tag
    for name, other, tag in (("Anna Maria", "Anna-Maria", "<Anna-Maria>"), ("bo 2", "bo (2)", "<bo-2>")):
        for reference in (f"photos/{name}/1.jpg", f"{tmp_path}/photos/{name}/1.jpg", f"photos/empty/../{name}/1.jpg"):
            with pytest.raises(RowError) as caught:
                find_folder_tag(reference, roots)
            assert caught.value.code == "bad_tag"
            assert caught.value.message.startswith(
                f"the folders {other!r} and {name!r} both name the tag {tag}; rename"
            )


def test_an_image_that_is_no_file_is_named() -> None:
    with pytest.raises(RowError) as caught:
        find_folder_tag("http://example.org/y.jpg", ())
    assert caught.value.code == "image_remote"
    advice = "download it first, or give --fetch"
    assert caught.value.message == f"the image http://example.org/y.jpg is not a local file; {advice}"
