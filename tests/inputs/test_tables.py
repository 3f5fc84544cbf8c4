"""Tables with a header: their rows, positions, and cells that hold lists."""

from __future__ import annotations

import json
import os
from pathlib import Path

import orjson
import pytest

from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import open_source
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.tables import TableSource
from persqa_client.types import START_POSITION, BadRow


def open_table(path: Path, content: str, encoding: str = "utf-8") -> TableSource:
    path.write_text(content, encoding=encoding, newline="")
    source = open_source(path, "image")
    assert isinstance(source, TableSource)
    return source


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param(
            "image,question,tag\na.jpg,What is it?,bo\nb.jpg,,\n",
            [{"image": "a.jpg", "question": "What is it?", "tag": "bo"}, {"image": "b.jpg", "question": "", "tag": ""}],
            id="commas",
        ),
        pytest.param(
            '\ufeffid;image\r\n1;"a;b.jpg"\r\n2;"say ""hi"".jpg"\r\n',
            [{"id": "1", "image": "a;b.jpg"}, {"id": "2", "image": 'say "hi".jpg'}],
            id="semicolons, byte order mark, CRLF, quotes",
        ),
        pytest.param("image\tquestion\na.jpg\tA, b?\n", [{"image": "a.jpg", "question": "A, b?"}], id="tabs"),
        pytest.param(
            'image,note\na.jpg,"two\nlines"\nb.jpg,x\n',
            [{"image": "a.jpg", "note": "two\nlines"}, {"image": "b.jpg", "note": "x"}],
            id="a cell of two lines",
        ),
        pytest.param('"id\nx",image\n1,a.jpg\n', [{"id\nx": "1", "image": "a.jpg"}], id="a name of two lines"),
        pytest.param('"id\n\nx",q,image\n1,,a.jpg\n', [{"id\n\nx": "1", "q": "", "image": "a.jpg"}], id="of three"),
        pytest.param("image\na.jpg\nb.jpg", [{"image": "a.jpg"}, {"image": "b.jpg"}], id="one column"),
        pytest.param("image,q\na.jpg\n", [{"image": "a.jpg"}], id="fewer cells"),
        pytest.param(
            'image,q,,\na.jpg,Who?,, \nb.jpg,"x\ny",,\nc.jpg\n',
            [{"image": "a.jpg", "q": "Who?"}, {"image": "b.jpg", "q": "x\ny"}, {"image": "c.jpg"}],
            id="empty columns of a spreadsheet",
        ),
        pytest.param(",image\n0,a.jpg\n", [{"": "0", "image": "a.jpg"}], id="the numbers of rows that pandas writes"),
        pytest.param(
            """image,q\n"[""a.jpg"", ""b.jpg""]",x\n"['c.jpg', 'd.jpg']",y\n[e].jpg,z\n""",
            [
                {"image": ["a.jpg", "b.jpg"], "q": "x"},
                {"image": ["c.jpg", "d.jpg"], "q": "y"},
                {"image": "[e].jpg", "q": "z"},
            ],
            id="lists of images, as JSON and as Python writes them",
        ),
    ],
)
def test_each_record_is_a_row(content: str, rows: list[object], tmp_path: Path) -> None:
    source = open_table(tmp_path / "rows.csv", content)
    assert [orjson.loads(line) for line, _ in source.lines(START_POSITION)] == rows


def test_text_below_an_empty_column_is_not_lost(tmp_path: Path) -> None:
    """Neither do empty columns change which record a quotation mark breaks."""
    source = open_table(tmp_path / "rows.csv", 'image,q,,\na.jpg,x,,y\nb.jpg,"x,,\nc.jpg,y,,\nd.jpg,z,,\n')
    rows = [parse_line(1, line, image_key="image", output_key="out") for line, _ in source.lines(START_POSITION)]
    assert [row.line if isinstance(row, BadRow) else row.images for row in rows] == [
        b"a.jpg,x,,y",
        b'b.jpg,"x,,',
        ("c.jpg",),
        ("d.jpg",),
    ]


def test_reading_resumes_after_any_record(tmp_path: Path) -> None:
    source = open_table(tmp_path / "rows.csv", '\ufeffimage,note\n\na.jpg,"1\n2"\nb.jpg,é\n"c.jpg",\n')
    whole = list(source.lines(START_POSITION))
    assert whole[-1][1].offset == source.progress_total()
    for number, (_, position) in enumerate(whole, 1):
        assert list(source.lines(position)) == whole[number:]
        assert source.digest_at(position) == position.digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "path,q\na.jpg,Who?\n", "no column 'image', only 'path', 'q'; add --image-key path", id="other name"
        ),
        pytest.param("Image,q\na.jpg,Who?\n", "add --image-key Image", id="capital"),
        pytest.param(
            "q,a\nWho?,I\n", "only 'q', 'a'; name the column of the pictures with --image-key", id="no images"
        ),
        pytest.param("a.jpg,Who?\nb.jpg,Where?\n", "without a header; .* such as image,question", id="no header"),
        pytest.param("path\na.jpg\nb.jpg\n", "only 'path'; add --image-key path", id="one column"),
        pytest.param("image,q,q\na.jpg,1,2\n", "two columns 'q'", id="two columns of a name"),
        pytest.param("| image | q |\n|---|---|\n| a.jpg | x |\n", "two columns without a name; name", id="Markdown"),
        pytest.param(
            "My table,\n\nimage,q\na.jpg,x\n",
            "a table whose header stands in line 3; remove the lines above",
            id="a title",
        ),
        pytest.param(
            "# exported\nimage;q\na.jpg;x\n",
            "a table whose header stands in line 2; remove the line above",
            id="a comment",
        ),
        pytest.param(
            "My table,\npicture,q\na.jpg,x\n",
            "only 'My table', ''; name the column of the pictures",
            id="an unknown header",
        ),
        pytest.param("my pictures,q\na.jpg,x\n", "add --image-key 'my pictures'", id="a name with a blank"),
        pytest.param('path,"a\nb"\na.jpg,x\n', r"only 'path', 'a\\nb'; add --image-key path", id="a name of two lines"),
    ],
)
def test_other_tables_are_refused_in_one_sentence(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(SettingsError, match=message) as caught:
        open_source(tmp_path / "rows.csv", "image")
    assert "\n" not in str(caught.value)


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("image,question\na.jpg,这是什么？\n", encoding="gb18030")
    with pytest.raises(SettingsError, match="not in UTF-8; save the table as CSV UTF-8"):
        open_source(tmp_path / "rows.csv", "image")


def test_bytes_that_are_no_text_fail_their_row(tmp_path: Path) -> None:
    """Names of files may have any bytes, and such a row fails if there is no such file."""
    rows = b"image,q\n" + b"a.jpg,x\n" * 30
    (tmp_path / "rows.csv").write_bytes(rows + b"b.jpg,\xe9t\xe9\nbild\xe9.jpg,z\n")
    source = open_source(tmp_path / "rows.csv", "image")
    [*_, (broken, _), (path, position)] = source.lines(START_POSITION)
    row = parse_line(31, broken, image_key="image", output_key="out", counted_as="row")
    assert isinstance(row, BadRow)
    assert (row.code, row.line) == ("bad_line", b"b.jpg,\xe9t\xe9")
    assert row.message == "Row 31: its cell 'q' is not in UTF-8; save the table as CSV UTF-8."
    # It counts as in earlier versions.
    assert row.given == rb'{"image": "b.jpg", "q": "\udce9t\udce9"}'
    assert source.digest_at(position) == position.digest
    assert json.loads(path)["image"] == os.fsdecode(b"bild\xe9.jpg")


def test_a_path_of_any_bytes_is_no_other_encoding_if_there_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"q,image\nx,bild\xe9.jpg\n")
    with pytest.raises(SettingsError, match="not in UTF-8"):
        open_source(tmp_path / "rows.csv", "image")
    try:
        (tmp_path / os.fsdecode(b"bild\xe9.jpg")).touch()
    except OSError:
        pytest.skip("the file system has names in UTF-8 alone")
    [(line, _)] = open_source(tmp_path / "rows.csv", "image").lines(START_POSITION)
    assert json.loads(line) == {"q": "x", "image": os.fsdecode(b"bild\xe9.jpg")}
    (tmp_path / "rows.csv").write_bytes(b"q,image\n\xe9,bild\xe9.jpg\n")
    with pytest.raises(SettingsError, match="not in UTF-8"):
        open_source(tmp_path / "rows.csv", "image")
