"""Our file storage: DataFlow's steps, in every type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from persqa_client import SettingsError
from persqa_client.dataflow import FileStorage
from persqa_client.dataflow.storage import iter_json_values
from persqa_client.errors import StorageError
from tests.support.commands import python

ROWS: list[dict[str, Any]] = [
    {"id": 2**60 + 1, "image": ["a.jpg"], "date": "2024-01-01", "x": 0.12345678901234567, "text": "é\n"},
    {"id": None, "image": ["b.jpg", "c.jpg"], "date": "", "x": 1.0, "text": "NA"},
]


@pytest.mark.parametrize("cache_type", ["json", "jsonl", "parquet", "pickle", "csv"])
def test_a_step_is_read_by_the_next_as_it_was_written(tmp_path: Path, cache_type: Any) -> None:
    (tmp_path / "in.json").write_text(json.dumps(ROWS))
    storage = FileStorage(str(tmp_path / "in.json"), str(tmp_path / "cache"), "p", cache_type)
    first = storage.step()
    path = first.write(first.read())
    assert path == str(tmp_path / "cache" / f"p_step1.{cache_type}")
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [f"p_step1.{cache_type}"]
    rows = storage.step().read("dict")
    assert [list(map(str, row["image"])) if cache_type != "csv" else row["image"] for row in rows] == [
        row["image"] if cache_type != "csv" else str(row["image"]) for row in ROWS
    ]
    if cache_type in ("json", "jsonl", "pickle"):
        assert rows == ROWS


def test_steps_are_counted_as_dataflow_counts_them(tmp_path: Path) -> None:
    storage = FileStorage("in.json", str(tmp_path))
    with pytest.raises(SettingsError, match="step\\(\\)"):
        storage.read()
    held = storage.step()
    storage.step()
    assert (held.operator_step, storage.operator_step) == (0, 1)
    assert storage.reset().operator_step == -1
    assert FileStorage("").step().read().empty


def test_what_can_not_be_read_or_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{"a"\n')
    (tmp_path / "list.json").write_text("[1, 2]")
    for name, reason in (
        ("gone.json", "gone.json does not exist"),
        ("bad.jsonl", "line 2 is not JSON"),
        ("list.json", "objects"),
        ("a.txt", "data frame"),
    ):
        with pytest.raises(SettingsError, match=reason):
            FileStorage(str(tmp_path / name)).step().read()
    with pytest.raises(SettingsError, match="cache_type"):
        FileStorage("in.json", cache_type="xml")  # type: ignore[arg-type]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't be written"):
        FileStorage("in.json", str(tmp_path / "file")).step().write(pandas.DataFrame(ROWS))


def test_a_hub_is_read_by_its_own_package(tmp_path: Path) -> None:
    """A stand-in for the package ``datasets``, in a process of its own; and none."""
    (tmp_path / "datasets.py").write_text(
        "import pandas\n"
        "class Loaded:\n"
        "    def __init__(self, *names): self.names = names\n"
        "    def to_pandas(self): return pandas.DataFrame({'names': [str(self.names)]})\n"
        "def load_dataset(*names, split):\n"
        "    if split == 'gone': raise RuntimeError('Unknown split.\\nMore of that')\n"
        "    return Loaded(*names, split)\n"
    )
    code = (
        "from persqa_client.dataflow import FileStorage\n"
        "for source in ('hf:a/b:main:test', 'hf:a/b:test', 'hf:a/b'):\n"
        "    print(FileStorage(source).step().read()['names'][0])\n"
        "try: FileStorage('hf:a/b:gone').step().read()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    result = python(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    *read, failed = result.stdout.splitlines()
    assert read == ["('a/b', 'main', 'test')", "('a/b', 'test')", "('a/b', 'train')"]
    assert failed == "SettingsError hf:a/b:gone can't be read by datasets: Unknown split."
    with pytest.raises(SettingsError, match="pip install modelscope"):
        FileStorage("ms:a/b").step().read()


def test_a_carriage_return_inside_a_line_is_white_space(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"a":\r1}\r\n{"a": 2}\n')
    assert list(iter_json_values(tmp_path / "in.jsonl")) == [{"a": 1}, {"a": 2}]
