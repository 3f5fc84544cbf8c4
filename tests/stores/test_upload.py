"""Exports to an object store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import SettingsError, StorageError
from persqa_client.formats.export import ExportReport, ExportSettings, export_runs
from persqa_client.formats.export_target import hash_written_file
from persqa_client.formats.upload import MARKER, Present, UploadPlan, plan_upload, write_export
from persqa_client.stores.paths import ObjectPath
from tests.formats.examples import write_run

ROWS = [{"image": "a.png"}, {"image": "b.png"}]
TARGET = "memory://bucket/sets/data"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", ROWS)


def export(output: Path, target: str = TARGET, layout: str = "llava", **settings: Any) -> ExportReport:
    return write_export([output], ExportSettings(layout, Path(target), **settings))


def list_store(store: Any, start: str = "/bucket/sets/data/") -> dict[str, bytes]:
    return {name.removeprefix(start): store.cat_file(name) for name in store.find(start)}


def list_disk(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (Present({}), UploadPlan([], ["a", "b", "export.json"])),
        (
            Present({"a": 1, "b": 2, MARKER: 9}, marker={"digests": {"a": "x", "b": "y"}}),
            UploadPlan([], ["export.json"]),
        ),
        (
            # Of another size, of other content, and no longer there.
            Present({"a": 7, "b": 2, "c": 3, MARKER: 9}, marker={"digests": {"a": "x", "b": "z", "c": "c"}}),
            UploadPlan(["a", "b", "c"], ["a", "b", "export.json"]),
        ),
        (
            # A description says that an export is complete, so it is the first to go.
            Present({"a": 1, "b": 2, "export.json": 3}, description={"digests": {"a": "x"}}),
            UploadPlan(["export.json", "a", "b"], ["a", "b", "export.json"]),
        ),
    ],
)
def test_what_is_sent_and_what_stays(present: Present, expected: UploadPlan) -> None:
    sizes, digests = {"export.json": 3, "a": 1, "b": 2}, {"export.json": "e", "a": "x", "b": "y"}
    assert plan_upload(present, sizes, digests) == expected


def test_a_store_gets_the_same_files_as_a_disk(output: Path, tmp_path: Path, store: Any) -> None:
    report = export(output)
    assert str(report.target) == TARGET
    export_runs([output], ExportSettings("llava", tmp_path / "data"))
    assert list_store(store) == list_disk(tmp_path / "data")
    assert sorted(path.name for path in tmp_path.rglob("*uploading*")) == []


def test_an_earlier_export_is_replaced_with_force_only(output: Path, tmp_path: Path, store: Any) -> None:
    export(output)
    store.pipe_file(
        f"{TARGET}/export.json", store.cat_file(f"{TARGET}/export.json").replace(b'"licence": ""', b'"licence": "CC0"')
    )
    with pytest.raises(SettingsError, match=f"{TARGET} has an export: .* with --force"):
        export(output)
    shorter = write_run(tmp_path / "other", ROWS[:1])
    export(shorter, force=True)
    assert sorted(list_store(store)) == ["export.json", "images/a.png", "train.json"]
    assert json.loads(store.cat_file(f"{TARGET}/export.json"))["licence"] == "CC0"
    store.pipe_file(f"{TARGET}/notes.txt", b"mine")
    with pytest.raises(SettingsError, match=r"also has 'notes\.txt', which no export wrote"):
        export(output, force=True)


def test_an_export_goes_on_where_it_was_stopped(output: Path, tmp_path: Path, store: Any) -> None:
    export_runs([output], ExportSettings("llava", tmp_path / "whole"))
    whole = list_disk(tmp_path / "whole")
    # What a stopped one leaves: the marker, and some files. That of a is not sent again.
    export(output)
    store.rm_file(f"{TARGET}/export.json")
    store.rm_file(f"{TARGET}/images/b.png")
    digests = json.loads((tmp_path / "whole" / "export.json").read_text())["digests"]
    digests |= {f"images/{name}.png": hash_written_file(tmp_path / "whole" / "images" / f"{name}.png") for name in "ab"}
    marker = {"tool": "persqa_client", "digests": digests, "entries": sorted(whole)}
    store.pipe_file(f"{TARGET}/{MARKER}", json.dumps(marker).encode())
    before = store.info(f"{TARGET}/images/a.png")["created"]
    export(output)
    assert list_store(store) == whole
    assert store.info(f"{TARGET}/images/a.png")["created"] == before


def test_a_replacement_that_is_stopped_goes_on(
    output: Path, tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(output)
    shorter = write_run(tmp_path / "other", ROWS[:1])
    removed: list[str] = []

    def stop(path: str) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        type(store)._rm(store, path)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "rm_file", lambda _, path: stop(path))
        with pytest.raises(KeyboardInterrupt):
            export(shorter, force=True)
    assert removed == [f"{TARGET}/export.json"]
    export(shorter)
    assert sorted(list_store(store)) == ["export.json", "images/a.png", "train.json"]


def test_a_single_file(output: Path, store: Any) -> None:
    export(output, "memory://bucket/sets/train.jsonl")
    found = list_store(store, "/bucket/sets/")
    assert sorted(found) == ["train.jsonl", "train.jsonl.export.json"]
    assert found["train.jsonl"].count(b"\n") == 2
    with pytest.raises(SettingsError, match=r"train\.jsonl has an export"):
        export(output, "memory://bucket/sets/train.jsonl")
    export(output, "memory://bucket/sets/train.jsonl", force=True)
    # What a stopped one has sent.
    store.rm_file("memory://bucket/sets/train.jsonl")
    export(output, "memory://bucket/sets/train.jsonl")
    assert list_store(store, "/bucket/sets/") == found


@pytest.mark.parametrize(
    ("target", "settings", "words"),
    [
        ("memory://bucket", {}, "is a whole bucket"),
        ("memory://bucket/photos", {}, "has files that no export wrote"),
        ("memory://bucket/data", {"absolute": True}, "--paths absolute names folders of this machine"),
        ("memory://bucket/data.zip", {}, r"memory://bucket/data\.zip: \.zip files are not written"),
        ("az://bucket/data", {}, "az:// can't be used: Install adlfs"),
    ],
)
def test_what_can_not_be_written(target: str, settings: Any, words: str, output: Path, store: Any) -> None:
    store.pipe_file("memory://bucket/photos/1.png", b"photo")
    with pytest.raises(SettingsError, match=words):
        export(output, target, **settings)


@pytest.mark.slow
def test_s3_takes_an_export_and_a_missing_bucket_is_one_sentence(output: Path, tmp_path: Path, s3: Any) -> None:
    export(output, "s3://bucket/data", "parquet")
    export_runs([output], ExportSettings("parquet", tmp_path / "data"))
    found = {name.removeprefix("bucket/data/"): s3.cat_file(name) for name in s3.find("bucket/data")}
    assert found == list_disk(tmp_path / "data")
    with pytest.raises((SettingsError, StorageError), match="s3://none/data can't be"):
        export(output, "s3://none/data")


def test_the_text_of_a_path_is_its_url() -> None:
    path = ObjectPath("S3://bucket/rows/a.jsonl")
    assert str(path) == "s3://bucket/rows/a.jsonl"
    assert str(path.parent / "b") == "s3://bucket/rows/b"
    assert path.parent.join_reference("../../../photos/./1.png") == "s3://bucket/photos/1.png"
