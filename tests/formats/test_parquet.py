"""Exports to Parquet: by the rules of its readers, which ``formats/parquet.py`` names, and in files of bounded size."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pyarrow import parquet

from persqa_client.errors import SettingsError
from persqa_client.formats.dataset_card import name_size, write_parquet_card
from persqa_client.formats.export import ExportReport, ExportSettings, export_runs
from persqa_client.formats.layout import ExportRow, RowPicture
from persqa_client.formats.parquet_files import ParquetFiles
from persqa_client.formats.splits import Split, parse_parts
from persqa_client.images.references import read_reference
from persqa_client.inputs.opening import open_inputs
from persqa_client.records.data_record import DataRecord
from persqa_client.types import START_POSITION
from tests.formats.examples import EXAMPLES, draw_picture, list_files, make_rows, write_run
from tests.report.runs import make_record

GOLDENS = Path(__file__).parent / "goldens"


def export(output: Path, target: Path, **settings: Any) -> ExportReport:
    return export_runs([output], ExportSettings("parquet", target, **settings))


def write_examples(folder: Path, records: tuple[DataRecord, ...] = EXAMPLES, **limits: Any) -> ParquetFiles:
    """The examples, each picture with its name as its bytes."""
    with ParquetFiles(folder, ["train"], **({"details": False} | limits)) as files:
        for record in records:
            pictures = tuple(RowPicture(name, name.encode(), "image/jpeg") for name in record.images)
            files.append("train", ExportRow(record, pictures))
    return files


def load_as_datasets(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    """As ``datasets.load_dataset(folder)``: the features of the schema's metadata turn structs into pictures."""
    rows: list[dict[str, Any]] = []
    for path in sorted((folder / "data").glob(f"{split}-*.parquet")):
        file = parquet.ParquetFile(path)
        features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
        assert list(features) == file.schema_arrow.names
        assert features["images"] == [{"_type": "Image"}]
        for row in file.read().to_pylist():
            row["images"] = [Image.open(io.BytesIO(picture["bytes"])).size for picture in row["images"]]
            rows.append(row)
    return rows


def test_the_rows_and_columns_are_as_in_the_golden_file(tmp_path: Path) -> None:
    write_examples(tmp_path, details=True)
    file = parquet.ParquetFile(tmp_path / "data" / "train-00000-of-00001.parquet")
    lines = [json.dumps({name: str(file.schema_arrow.field(name).type) for name in file.schema_arrow.names})]
    lines += [json.dumps(row, ensure_ascii=False, default=bytes.decode) for row in file.read().to_pylist()]
    assert "\n".join([*lines, ""]) == (GOLDENS / "parquet.jsonl").read_text(encoding="utf-8")


def test_a_folder_is_loaded_with_its_pictures(tmp_path: Path) -> None:
    draw_picture(tmp_path / "run" / "wide.png", 1, (120, 40))
    output = write_run(tmp_path / "run", [{"image": "wide.png"}, {"image": ["wide.png", "b/2.jpg"], "id": "two"}])
    assert export(output, tmp_path / "data").files == {"data/train-00000-of-00001.parquet": 2}
    first, second = load_as_datasets(tmp_path / "data")
    assert (first["id"], first["images"], first["answer"]) == ("qa-1", [(120, 40)], "<mam> holds 1 cups.")
    assert (second["id"], second["images"], second["tags"]) == ("two", [(120, 40), (96, 72)], ["<mam>"])
    asked, answered = second["messages"]
    assert [block["type"] for block in asked["content"]] == ["image", "image", "text"]
    assert answered == {"role": "assistant", "content": [{"type": "text", "text": second["answer"]}]}


def test_what_is_written_is_read_again_and_exported_again(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", [{"image": "a.png"}, {"image": ["a.png", "b.png"]}])
    export(output, tmp_path / "one")
    source = open_inputs([tmp_path / "one"], "images")
    rows = [json.loads(line) for line, _ in source.lines(START_POSITION)]
    assert [(row["id"], row["answer"]) for row in rows] == [
        ("qa-1", "<mam> holds 1 cups."),
        ("qa-2", "<mam> holds 2 cups."),
    ]
    folder = tmp_path / "one" / "data"
    pictures = [[read_reference(each, [folder]) for each in row["images"]] for row in rows]
    first, second = ((tmp_path / "run" / name).read_bytes() for name in ("a.png", "b.png"))
    assert pictures == [[first], [first, second]]
    again = write_run(folder, [{"image": row["images"]} for row in rows])
    export_runs([again], ExportSettings("llava", tmp_path / "two"))
    (copied,) = {path.read_bytes() for path in (tmp_path / "two" / "images").glob("*-00001-1-1.png")}
    assert copied == first


def test_the_details_are_columns_where_they_are_wanted(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(1), outcomes=[make_record(1, question_id="cup", doubts=("place",))])
    export(output, tmp_path / "plain")
    export(output, tmp_path / "full", details=True)
    (plain,), (full,) = load_as_datasets(tmp_path / "plain"), load_as_datasets(tmp_path / "full")
    assert "raw" not in plain
    assert plain.items() <= full.items()
    known = {name: full[name] for name in ("raw", "seed", "question_id", "doubts", "prompt_tokens", "row", "model")}
    expected = {"raw": "<mam> holds a cup.", "seed": 3, "question_id": "cup", "doubts": ["place"]}
    assert known == expected | {"prompt_tokens": 100, "row": 1, "model": "m"}


def test_row_groups_and_files_are_bounded_by_bytes(tmp_path: Path) -> None:
    records = tuple(replace(EXAMPLES[0], id=str(number), answer="x" * 900) for number in range(10))
    files = write_examples(tmp_path, records, group_bytes=2_000, file_bytes=3_000)
    paths = sorted((tmp_path / "data").iterdir())
    assert [f"data/{path.name}" for path in paths] == list(files.count_rows())
    assert [path.name[-23:] for path in paths] == [
        f"-{number:05}-of-{len(paths):05}.parquet" for number in range(len(paths))
    ]
    assert len(paths) > 1
    groups = [parquet.ParquetFile(path).metadata for path in paths]
    sizes = [group.row_group(number).num_rows for group in groups for number in range(group.num_row_groups)]
    assert (max(sizes), sum(sizes)) == (3, 10)
    rows = [row["id"] for path in paths for row in parquet.read_table(path, columns=["id"]).to_pylist()]
    assert rows == [record.id for record in records]


def test_every_part_of_a_split_has_a_file_and_a_line_in_the_card(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(2))
    report = export(output, tmp_path / "data", split=Split(parse_parts("train=0.99,val=0.01"), by="row", seed=1))
    assert report.files == {"data/train-00000-of-00001.parquet": 2, "data/val-00000-of-00001.parquet": 0}
    assert load_as_datasets(tmp_path / "data", "val") == []
    card = (tmp_path / "data" / "README.md").read_text()
    assert (
        '  - split: train\n    path: "data/train-*.parquet"\n  - split: val\n    path: "data/val-*.parquet"\n' in card
    )


def test_an_export_is_the_same_bytes_again_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(4))
    for target in ("one", "two"):
        export(output, tmp_path / target, details=True)
    assert list_files(tmp_path / "one") == list_files(tmp_path / "two")
    export(output, tmp_path / "two", force=True)
    (tmp_path / "two" / "README.md").write_text("mine")
    with pytest.raises(SettingsError, match=r"README\.md was changed since it was exported"):
        export(output, tmp_path / "two", force=True)


def test_half_of_a_surrogate_pair_is_written_as_an_escape(tmp_path: Path) -> None:
    write_examples(tmp_path, (replace(EXAMPLES[0], answer="<mam> holds \ud83d."),))
    (row,) = parquet.read_table(tmp_path / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert row["answer"] == row["messages"][1]["content"][0]["text"] == r"<mam> holds \ud83d."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": Path("rows.jsonl")}, "several files: give -o a folder, not rows.jsonl"),
        ({"target": Path("rows.parquet")}, "several files: give -o a folder, not rows.parquet"),
        ({"pictures": "copy"}, "the format parquet has embed only"),
        ({"split": Split(parse_parts("train=0.5,val-1=0.5"))}, "'val-1' can't be the name of a split"),
        (
            {"layout": "llava", "details": True},
            "has no columns for them, only parquet and webdataset have",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    output = write_run(tmp_path / "run", make_rows(1))
    given = {"layout": "parquet", "target": Path("data"), **settings}
    given["target"] = tmp_path / given["target"]
    with pytest.raises(SettingsError, match=message):
        export_runs([output], ExportSettings(**given))
    assert not given["target"].exists()


RUN = {"settings": {"model": "a/b", "language": "en"}}
DESCRIPTION: dict[str, Any] = {
    "version": "1",
    "files": {"data/train-00000-of-00001.parquet": 3},
    "counts": {"rows": 3},
    "licence": "",
    "runs": [RUN, RUN],
}


@pytest.mark.parametrize(
    ("licence", "lines"),
    [
        ("", "---\ntask_categories:"),
        ("CC-BY-4.0", "---\nlicense: cc-by-4.0\ntask_categories:"),
        ("My: own", '---\nlicense: other\nlicense_name: "My: own"\ntask_categories:'),
    ],
)
def test_the_card_names_the_licence_as_the_hub_does(licence: str, lines: str) -> None:
    assert write_parquet_card(DESCRIPTION | {"licence": licence}).startswith(lines)


def test_the_card_names_languages_and_models_once() -> None:
    card = write_parquet_card(DESCRIPTION)
    assert 'language:\n- "en"\ntags:' in card
    assert "answers of `a/b` that passed" in card


@pytest.mark.parametrize(
    ("rows", "name"), [(999, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**9, "n>1B")]
)
def test_the_size_is_a_step_of_the_hubs_list(rows: int, name: str) -> None:
    assert name_size(rows) == name
