"""Beside the real open-dataflow: its types, storages, operators and servings together with ours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas
import pytest
from dataflow.core import LLMServingABC, OperatorABC
from dataflow.operators.core_vision import PromptedVQAGenerator
from dataflow.pipeline import BatchedPipelineABC, PipelineABC
from dataflow.serving.api_vlm_serving_openai import APIVLMServing_openai
from dataflow.utils.storage import BatchedFileStorage, DataFlowStorage, DummyStorage, FileStorage

from persqa_client import dataflow as ours
from persqa_client.dataflow import LocalModelVLMServing_vllm, OpenAIVLMServing, PersQAGenerator
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.dataflow.conftest import MODEL

ROWS: list[dict[str, Any]] = [
    {"n": 1, "image": ["red.png"], "conversation": [{"from": "human", "value": "x"}], "note": "NA"},
    {"n": 2, "image": ["gone.png"], "conversation": [{"from": "human", "value": "y"}], "note": "2024-01-01"},
    {"n": 3, "image": ["green.png", "blue.png"], "conversation": [{"from": "human", "value": "z"}], "note": ""},
]


def their_storage(cache_type: str, rows: list[dict[str, Any]] = ROWS) -> FileStorage:
    """At its second step, so that the operator reads what DataFlow itself has written in that type."""
    Path("in.json").write_text(json.dumps(rows))
    storage = FileStorage("in.json", cache_path="cache", file_name_prefix="qa", cache_type=cache_type)
    first = storage.step()
    first.write(first.read("dataframe"))
    return storage.step()


def serving(server: Simulator) -> OpenAIVLMServing:
    return OpenAIVLMServing(server.base_url, model_name=MODEL)


def test_our_classes_are_theirs(folder: Path, simulator: Simulator) -> None:
    assert isinstance(serving(simulator), LLMServingABC)
    assert issubclass(LocalModelVLMServing_vllm, LLMServingABC)
    assert isinstance(PersQAGenerator(serving(simulator)), OperatorABC)
    assert isinstance(ours.FileStorage("in.json"), DataFlowStorage)


@pytest.mark.parametrize("cache_type", ["json", "jsonl", "csv", "parquet", "pickle"])
def test_their_storage_keeps_all_rows_in_every_cache_type(folder: Path, simulator: Simulator, cache_type: str) -> None:
    storage = their_storage(cache_type)
    before = storage.read("dataframe")
    assert PersQAGenerator(serving(simulator)).run(storage, "image", "pers_qa") == ["pers_qa"]
    after = storage.step().read("dataframe")
    assert list(after.columns) == ["n", "image", "conversation", "note", "pers_qa", "pers_qa_error"]
    for key in before.columns:
        # Through text, because Parquet gives arrays for the lists that were written.
        assert [plain(cell) for cell in after[key]] == [plain(cell) for cell in before[key]]
    assert after["pers_qa"][0].startswith("Question: ")
    assert ", Answer: <mam> " in after["pers_qa"][0]
    assert "blue and green" in after["pers_qa"][2]
    assert pandas.isna(after["pers_qa"][1])
    assert after["pers_qa_error"][1].startswith("image_missing: ")


def plain(cell: Any) -> str:
    return json.dumps(cell, default=lambda array: array.tolist())


class Dummy(DummyStorage):  # type: ignore[misc]
    """DataFlow's own lacks a method that its base class asks for, and can't be made as it is (1.0.13)."""

    def get_keys_from_dataframe(self) -> list[str]:
        return list(self.read().columns)


def test_a_dummy_storage_holds_what_it_is_given(folder: Path, simulator: Simulator) -> None:
    storage = Dummy()
    storage.set_data(pandas.DataFrame(ROWS[:1]))
    PersQAGenerator(serving(simulator)).run(storage)
    assert storage.read()["output"][0].startswith("Question: ")


def test_their_operator_asks_our_serving(folder: Path, simulator: Simulator) -> None:
    """PromptedVQAGenerator gives paths as inputs and its own system prompt as the question."""
    rows = [{"raw_content": "red.png"}, {"raw_content": "gone.png"}, {"raw_content": "blue.png"}]
    storage = their_storage("jsonl", rows)
    asked = PromptedVQAGenerator(serving(simulator), system_prompt="What colours are in the picture?")
    asked.run(storage)
    red, gone, blue = storage.step().read("dataframe")["generated_content"]
    assert "red" in red
    assert "blue" in blue
    assert pandas.isna(gone)


def test_our_operator_asks_their_serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DF_API_KEY", "any")
    with run_simulator(SimSettings(latency=0)) as server:
        theirs = APIVLMServing_openai(server.base_url, model_name=MODEL, timeout=20)
        storage = their_storage("jsonl")
        PersQAGenerator(theirs).run(storage)
        rows = storage.step().read("dataframe")
        assert ", Answer: <mam> " in rows["output"][0]
        assert "red" in rows["output"][0]
        assert "blue" in rows["output"][2]
        assert "green" in rows["output"][2]
        assert rows["output_error"][1].startswith("image_missing: ")
        asked = server.stats()["requests"]
        PersQAGenerator(theirs).run(their_storage("jsonl"))
        assert server.stats()["requests"] == asked
    assert os.environ["DF_API_KEY"] == "any"


def test_a_pipeline_of_theirs_compiles_and_runs_with_our_operator(folder: Path, simulator: Simulator) -> None:
    class Pipeline(PipelineABC):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            Path("in.json").write_text(json.dumps(ROWS))
            self.storage = FileStorage("in.json", cache_path="cache", file_name_prefix="qa", cache_type="json")
            self.operator = PersQAGenerator(serving(simulator))

        def forward(self) -> None:
            self.operator.run(storage=self.storage.step(), input_modal_key="image", output_key="pers_qa")

    pipeline = Pipeline()
    pipeline.compile()
    pipeline.forward()
    assert json.loads(Path("cache/qa_step1.json").read_text())[0]["pers_qa"].startswith("Question: ")


def test_a_pipeline_of_theirs_checks_the_keys_of_our_operator_and_cleans_up_our_serving(
    folder: Path, simulator: Simulator
) -> None:
    """Two steps, the second about another column; a column that is not there is found when it is compiled."""

    class Pipeline(PipelineABC):  # type: ignore[misc]
        def __init__(self, second: str) -> None:
            super().__init__()
            self.second = second
            Path("in.json").write_text(json.dumps([{**row, "other": "blue.png"} for row in ROWS]))
            self.storage = FileStorage("in.json", cache_path="cache", file_name_prefix="qa", cache_type="jsonl")
            self.serving = serving(simulator)
            self.one = PersQAGenerator(self.serving)
            self.two = PersQAGenerator(self.serving, tag="bo")

        def forward(self) -> None:
            self.one.run(self.storage.step(), "image", "first")
            self.two.run(storage=self.storage.step(), input_modal_key=self.second, output_key="second")

    with pytest.raises(KeyError, match="no_such_column"):
        Pipeline("no_such_column").compile()
    pipeline = Pipeline("other")
    asked = simulator.stats()["requests"]
    pipeline.compile()
    assert simulator.stats()["requests"] == asked
    assert pipeline.final_keys == ["n", "image", "conversation", "note", "other", "first", "second"]
    pipeline.forward()
    rows = [json.loads(line) for line in Path("cache/qa_step2.jsonl").read_text().splitlines()]
    assert [row["first"] is None for row in rows] == [False, True, False]
    assert all(", Answer: <bo> " in row["second"] and "blue" in row["second"] for row in rows)
    assert pipeline.active_llm_serving is None


@pytest.mark.parametrize("cache_type", ["jsonl", "csv"])
def test_a_pipeline_in_batches_has_the_same_columns_in_each(
    folder: Path, simulator: Simulator, cache_type: str
) -> None:
    class Pipeline(BatchedPipelineABC):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in [ROWS[0], *ROWS]))
            self.storage = BatchedFileStorage("in.jsonl", "cache", "qa", cache_type)
            self.operator = PersQAGenerator(serving(simulator), probes=False)

        def forward(self) -> None:
            self.operator.run(self.storage.step(), "image", "pers_qa")

    pipeline = Pipeline()
    pipeline.compile()
    # Compiling has put another method in its place, which takes this.
    pipeline.forward(batch_size=1)  # type: ignore[call-arg]
    path = f"cache/qa_step1.{cache_type}"
    frame = pandas.read_csv(path) if cache_type == "csv" else pandas.read_json(path, lines=True)
    assert list(frame.columns) == ["n", "image", "conversation", "note", "pers_qa", "pers_qa_error"]
    assert [pandas.isna(text) for text in frame["pers_qa"]] == [False, False, True, False]
    assert frame["pers_qa_error"][2].startswith("image_missing: ")


def test_our_storage_takes_what_theirs_reads_from_parquet(folder: Path) -> None:
    pandas.DataFrame({"image": [["a.png", "b.png"], []]}).to_parquet("in.parquet")
    frame = FileStorage("in.parquet").step().read()
    for cache_type in ("json", "jsonl"):
        ours.FileStorage("", "cache", "qa", cache_type).step().write(frame)
        storage = ours.FileStorage("", "cache", "qa", cache_type)
        storage.step()
        assert list(storage.step().read()["image"]) == [["a.png", "b.png"], []]


@pytest.mark.parametrize("cache_type", ["jsonl", "csv", "parquet"])
def test_a_picture_that_their_storage_wrote_as_text_is_asked_about_again(
    folder: Path, simulator: Simulator, cache_type: str
) -> None:
    held = {"bytes": (folder / "red.png").read_bytes(), "path": "any.png"}
    pandas.DataFrame({"image": [held]}).to_parquet("in.parquet")
    storage = FileStorage("in.parquet", cache_path="cache", file_name_prefix="qa", cache_type=cache_type)
    for output_key in ("first", "second"):
        PersQAGenerator(serving(simulator)).run(storage.step(), "image", output_key)
    (row,) = storage.step().read("dict")
    assert "red" in row["first"]
    assert row["second"] == row["first"]
    assert len(list(Path("cache/persqa_runs/pictures").iterdir())) == 1
