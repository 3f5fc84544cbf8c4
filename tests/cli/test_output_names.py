"""Names of files that say something else than what a command writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from persqa_client.cli.output_names import page_file, rows_file, settings_file
from persqa_client.cli.usage import path


@pytest.mark.parametrize("name", ["qa.jsonl", "QA.JSONL", "out/qa.json", "-", "qa", "qa.v2", "qa.2026-01-01", "qa.txt"])
def test_names_of_rows_and_unknown_endings_are_taken(name: str) -> None:
    assert rows_file(name) == Path(name)


@pytest.mark.parametrize(
    ("parse", "name", "other"),
    [
        (rows_file, "qa.csv", "qa.jsonl"),
        (rows_file, "out/QA.Parquet", "out/QA.jsonl"),
        (rows_file, "qa.jsonl.gz", "qa.jsonl"),
        (page_file, "r.pdf", "r.html"),
        (page_file, "qa.jsonl", "qa.html"),
        (settings_file, "persqa.yaml", "persqa.toml"),
    ],
)
def test_another_kind_of_file_is_refused_with_a_better_name(parse: object, name: str, other: str) -> None:
    assert callable(parse)
    with pytest.raises(typer.BadParameter, match=rf"name it {other}, not {name}\."):
        parse(name)


def test_the_name_of_a_folder_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match=r"^out/ is the name of a folder; .* such as out/qa\.html\.$"):
        page_file("out/")


def test_the_output_of_a_run_that_exists_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "old.csv.partial").touch()
    assert rows_file(str(tmp_path / "old.csv")) == tmp_path / "old.csv"
    (tmp_path / "cat.jpg").touch()
    for name in ("cat.jpg", "."):
        with pytest.raises(typer.BadParameter):
            settings_file(str(tmp_path / name))


def test_a_picture_as_the_output_is_named_as_such(tmp_path: Path) -> None:
    """An input that got behind -o by mistake must not end in advice to move the picture."""
    picture = tmp_path / "cat.jpg"
    picture.touch()
    with pytest.raises(typer.BadParameter, match=r"cat\.jpg exists and is no output of a run; give it as an input"):
        rows_file(str(picture))
    (tmp_path / "cat.jpg.checkpoint").touch()
    assert rows_file(str(picture)) == picture


@pytest.mark.parametrize(
    ("name", "reason"), [("new", "has no suffix"), ("new.json", "ends in .json, whose readers expect one value")]
)
def test_an_unusual_name_of_a_new_output_is_told(
    name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    for usual in ("-", str(tmp_path / "new.jsonl"), str(tmp_path / "new.v2")):
        rows_file(usual)
    assert capsys.readouterr().err == ""
    assert rows_file(str(file)) == file
    told = " ".join(capsys.readouterr().err.split())
    assert reason in told
    assert told.endswith("the ending .jsonl is usual.")
    (tmp_path / f"{name}.checkpoint").touch()
    rows_file(str(file))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("parse", [path, rows_file, page_file, settings_file])
@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800"])
def test_a_path_that_no_file_can_have_is_refused(parse: object, name: str) -> None:
    assert callable(parse)
    with pytest.raises(
        typer.BadParameter,
        match=r"^it (is too long for the name of a file|has a character that no file name can have)\.$",
    ):
        parse(name)
