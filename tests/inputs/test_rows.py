"""Parsing lines into rows, or into bad rows with a code."""

from __future__ import annotations

import pytest

from persqa_client.inputs.rows import KEPT_BYTES, MAX_LINE_BYTES, parse_line
from persqa_client.types import BadRow, Row
from tests.support.cases import each_case


def parse(line: bytes) -> Row | BadRow:
    return parse_line(3, line, image_key="image", output_key="pers_qa")


@each_case(
    ("line", "images"),
    [
        pytest.param(b'{"image": ["./a.jpg"]}', ("./a.jpg",), id="list"),
        pytest.param(b'{"image": "a.jpg"}', ("a.jpg",), id="bare path"),
        pytest.param(b'{"image": ["a.jpg", "b.jpg"]}', ("a.jpg", "b.jpg"), id="several"),
        pytest.param('"照片/一.jpg"'.encode(), ("照片/一.jpg",), id="string"),
        pytest.param(b'{"image": "data:image/png;base64,AAAA"}', ("data:image/png;base64,AAAA",), id="data URI"),
        pytest.param(b'{"image": "caf\\udce9.jpg"}', ("caf\udce9.jpg",), id="a name that is not UTF-8"),
    ],
)
def test_image_references_are_kept_as_written(line: bytes, images: tuple[str, ...]) -> None:
    row = parse(line)
    assert isinstance(row, Row)
    assert row.images == images


def test_the_line_is_kept_byte_for_byte() -> None:
    line = b'{ "n":1.0e2,"image":["a.jpg"] , "t":"\\u4f60" }'
    row = parse(line)
    assert isinstance(row, Row)
    assert row.line == line


def test_a_bare_string_becomes_an_object() -> None:
    assert parse(b'"a.jpg"').line == b'{"image": "a.jpg"}'


def test_question_tag_and_id_are_read() -> None:
    row = parse(b'{"image": "a.jpg", "question": " What? ", "tag": "bo", "id": 7}')
    assert isinstance(row, Row)
    assert (row.question, row.tag, row.id) == ("What?", "<bo>", 7)


def test_category_and_language_may_be_aliases() -> None:
    row = parse(b'{"image": "a.jpg", "category": "Pet", "language": "zh-CN"}')
    assert isinstance(row, Row)
    assert (row.category, row.language) == ("animal", "zh")


def test_null_and_blank_fields_count_as_absent() -> None:
    row = parse(b'{"image": "a.jpg", "question": "  ", "tag": null, "id": null}')
    assert isinstance(row, Row)
    assert (row.question, row.tag, row.id) == (None, None, None)


@each_case(
    ("line", "code"),
    [
        pytest.param(b"not json", "bad_line", id="not JSON"),
        pytest.param(b'{"image": "a.jpg"', "bad_line", id="cut off"),
        pytest.param(b"[1, 2]", "bad_line", id="a list"),
        pytest.param(b"12", "bad_line", id="a number"),
        pytest.param(b"null", "bad_line", id="null"),
        pytest.param(b"[" * 100_000, "bad_line", id="nested too deeply"),
        pytest.param(b'{"image": "\xff.jpg"}', "bad_line", id="not UTF-8"),
        pytest.param(b'{"picture": "a.jpg"}', "no_image", id="no such field"),
        pytest.param(b'{"image": []}', "no_image", id="empty list"),
        pytest.param(b'{"image": [" "]}', "no_image", id="blank path"),
        pytest.param(b'{"image": null}', "bad_image_field", id="null image"),
        pytest.param(b'{"image": [1]}', "bad_image_field", id="a number for a path"),
        pytest.param(b'{"image": "a.jpg", "question": 5}', "bad_field", id="question is no text"),
        pytest.param(b'{"image": "a.jpg", "id": true}', "bad_field", id="id is a boolean"),
        pytest.param(b'{"image": "a.jpg", "category": "indoor"}', "bad_category", id="unknown category"),
        pytest.param(b'{"image": "a.jpg", "language": "fr"}', "bad_language", id="unknown language"),
        pytest.param(b'{"image": "a.jpg", "language": 1}', "bad_field", id="language is no text"),
        pytest.param(b'{"image": "a.jpg", "tag": "a b"}', "bad_tag", id="tag with a space"),
        pytest.param(b'{"image": "a.jpg", "tag": "image"}', "bad_tag", id="reserved tag"),
        pytest.param(b'{"image": "a.jpg", "pers_qa": "x"}', "output_key_taken", id="output key taken"),
        pytest.param(b'{"image": "a.jpg", "pers_qa": 1, "pers_qa": 2}', "output_key_taken", id="output key twice"),
        pytest.param(b'{"image": "a.jpg", "image": "b.jpg"}', "bad_line", id="image twice"),
        pytest.param(b'{"image": "a.jpg", "n": {"a": 1}, "im\\u0061ge": "b.jpg"}', "bad_line", id="escaped twice"),
        pytest.param(b'{"image": "a.jpg", "tag": "bo", "url": "http://x", "tag": "mam"}', "bad_line", id="tag twice"),
        pytest.param(b'{"image": "a.jpg", "n": ' + b"[" * 100 + b"]" * 100 + b"}", "bad_line", id="depth of 101"),
        pytest.param(b'{"image": "a.jpg", "n": %b}' % (b"7" * 4301), "bad_line", id="more digits than Python reads"),
        pytest.param(b'{"image": "a.jpg", "id": 1e30}', "bad_field", id="id with an exponent"),
    ],
)
def test_an_invalid_line_has_a_code_and_is_kept(line: bytes, code: str) -> None:
    row = parse(line)
    assert isinstance(row, BadRow)
    assert (row.code, row.line) == (code, line)
    assert row.message.startswith("Line 3: ")


def test_the_message_gives_the_reason_once() -> None:
    row = parse(b"not json")
    assert isinstance(row, BadRow)
    assert row.message.count("not JSON") == row.message.count("character 1") == 1


def test_the_error_of_a_failure_file_is_removed() -> None:
    original = b'{"image": "a.jpg", "n": 1.50}'
    error = b'"error": {"code": "no_tag", "message": "m", "attempts": 2, "raw": null, "row": 9}'
    row = parse(original[:-1] + b", " + error + b"}")
    assert isinstance(row, Row)
    assert row.line == original


@pytest.mark.parametrize(
    ("question", "only"),
    [
        pytest.param(b"", None, id="one question"),
        pytest.param(b', "question": 3', 3, id="several questions"),
        pytest.param(b', "question": true', None, id="a boolean"),
        pytest.param(b', "question": 1%s' % (b"0" * 400), None, id="larger than any float"),
        pytest.param(b', "question": NaN', None, id="not a number"),
    ],
)
def test_only_the_failed_question_is_asked_again(question: bytes, only: int | None) -> None:
    error = b'"error": {"code": "no_tag", "message": "m", "attempts": 2, "raw": null, "row": 9%s}' % question
    row = parse(b'{"image": "a.jpg", ' + error + b"}")
    assert isinstance(row, Row)
    assert row.only_question == only


def test_a_users_own_error_field_is_kept() -> None:
    line = b'{"image": "a.jpg", "error": {"code": 7}}'
    assert parse(line).line == line


def test_a_wrapped_line_of_a_failure_file_is_unwrapped() -> None:
    error = b'{"code": "bad_line", "message": "", "attempts": 0, "raw": null}'
    wrapped = b'{"line": "{\\"image\\": \\"a.jpg\\"}", "error": %b}' % error
    row = parse(wrapped)
    assert isinstance(row, Row)
    assert row.line == b'{"image": "a.jpg"}'


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"image": "a.jpg", "n": ' + b"[" * 99 + b"]" * 99 + b"}", id="depth of 100"),
        pytest.param(b'{"image": "a.jpg", "n": %b, "x": NaN, "y": 1e400}' % (b"7" * 4300), id="numbers"),
        pytest.param(b'{"image": "a.jpg", "note": 1, "note": 2, "o": {"image": "b.jpg", "image": 1}}', id="other key"),
        pytest.param(b'{"image": "a.jpg", "note": "image", "t": "\\"image\\": x, \\"image\\": y"}', id="texts"),
    ],
)
def test_unusual_rows_are_accepted(line: bytes) -> None:
    row = parse(line)
    assert isinstance(row, Row)
    assert (row.images, row.line) == (("a.jpg",), line)


@pytest.mark.parametrize("id", [2**63, 2**64, -(2**64), 10**400])
def test_an_id_may_be_any_whole_number(id: int) -> None:
    row = parse(b'{"image": "a.jpg", "id": %d}' % id)
    assert isinstance(row, Row)
    assert row.id == id


def test_byte_order_marks_before_a_row_are_removed() -> None:
    """As in files that were put together."""
    assert parse(b'\xef\xbb\xbf\xef\xbb\xbf{"image": "a.jpg"}').line == b'{"image": "a.jpg"}'


def test_the_key_of_the_details_is_taken_only_if_they_are_written() -> None:
    line = b'{"image": "a.jpg", "pers_qa_meta": 1}'
    assert isinstance(parse(line), Row)
    row = parse_line(3, line, image_key="image", output_key="pers_qa", details=True)
    assert isinstance(row, BadRow)
    assert (row.code, "'pers_qa_meta'" in row.message) == ("output_key_taken", True)


def test_images_may_be_in_the_field_line() -> None:
    """Though a failure file has it for what is no row."""
    error = b'"error": {"code": "image_missing", "message": "m", "attempts": 0, "raw": null, "row": 9}'
    row = parse_line(3, b'{"line": "a.jpg", %b}' % error, image_key="line", output_key="pers_qa")
    assert isinstance(row, Row)
    assert (row.images, row.line) == (("a.jpg",), b'{"line": "a.jpg"}')


def test_a_line_beyond_the_limit_is_kept_in_part() -> None:
    row = parse(b"x" * (MAX_LINE_BYTES + 1))
    assert isinstance(row, BadRow)
    assert (row.code, len(row.line), "longer than 256 MiB" in row.message) == ("bad_line", KEPT_BYTES, True)
