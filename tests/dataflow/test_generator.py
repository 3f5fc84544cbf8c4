"""The operator over our own serving and storage, against the simulator."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas
import pytest

from persqa_client import RunStopped, SettingsError
from persqa_client.dataflow import OpenAIVLMServing, PersQAGenerator
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from persqa_client.storage.records import warn_of_added_questions
from persqa_client.types import OutputStyle
from tests.dataflow.conftest import MODEL, HeldStorage, storage_of, written

ROWS: list[dict[str, Any]] = [
    {"n": 1, "image": ["red.png"], "long": 2**60 + 1, "conversation": [{"from": "human", "value": "x"}]},
    {"n": 2, "image": "gone.png", "long": 0.12345678901234567, "conversation": [{"from": "human", "value": "y"}]},
    {"n": 3, "image": ["green.png", "blue.png"], "long": None, "conversation": None},
]


def serving(server: Simulator, **arguments: Any) -> OpenAIVLMServing:
    return OpenAIVLMServing(server.base_url, model_name=MODEL, **arguments)


def test_all_rows_stay_in_order_with_the_documented_answer(folder: Path, simulator: Simulator) -> None:
    storage = storage_of(ROWS)
    assert PersQAGenerator(serving(simulator)).run(storage, output_key="pers_qa") == ["pers_qa"]
    rows = written()
    assert [{key: row[key] for key in ROWS[0]} for row in rows] == ROWS
    assert rows[0]["pers_qa"].startswith("Question: ")
    assert ", Answer: <mam> " in rows[0]["pers_qa"]
    assert "red" in rows[0]["pers_qa"]
    assert "blue and green" in rows[2]["pers_qa"]
    assert rows[1]["pers_qa"] is None
    assert rows[1]["pers_qa_error"].startswith("image_missing: gone.png does not exist")
    assert rows[0]["pers_qa_error"] is rows[2]["pers_qa_error"] is None


def test_without_a_failure_there_is_no_column_of_errors(folder: Path, simulator: Simulator) -> None:
    PersQAGenerator(serving(simulator)).run(storage_of(ROWS[:1]), output_key="pers_qa")
    assert list(written()[0]) == [*ROWS[0], "pers_qa"]


def test_nothing_is_asked_twice_and_what_failed_is_asked_again(folder: Path, simulator: Simulator) -> None:
    operator = PersQAGenerator(serving(simulator), probes=False)
    operator.run(storage_of(ROWS))
    first, asked = written(), simulator.stats()["requests"]
    operator.run(storage_of(ROWS))
    assert written() == first
    assert simulator.stats()["requests"] == asked
    (folder / "gone.png").write_bytes((folder / "red.png").read_bytes())
    operator.run(storage_of(ROWS))
    assert simulator.stats()["requests"] == asked + 1
    assert "red" in written()[1]["output"]
    assert [written()[number]["output"] for number in (0, 2)] == [first[number]["output"] for number in (0, 2)]


def test_a_stopped_run_goes_on_where_it_was(folder: Path) -> None:
    rows = [{"image": ["red.png"], "id": number} for number in range(30)]
    unpaid = SimSettings(latency=0, script=["ok"] * 12, faults={"payment": 1.0})
    with run_simulator(unpaid) as server, run_simulator(SimSettings(latency=0)) as other:
        with pytest.raises(RunStopped):
            PersQAGenerator(serving(server, max_workers=1), probes=False).run(storage_of(rows))
        assert not Path("cache/qa_step1.jsonl").exists()
        PersQAGenerator(serving(other, max_workers=1), probes=False).run(storage_of(rows))
        assert server.stats()["answered"] + other.stats()["answered"] == 30
    assert all(", Answer: <mam> " in row["output"] for row in written())


def test_a_model_that_refuses_everything_stops_the_run_until_the_rows_may_fail(folder: Path) -> None:
    rows = [{"image": ["red.png"], "id": number} for number in range(30)]
    with run_simulator(SimSettings(latency=0, faults={"refusal": 1.0})) as server:
        with pytest.raises(RunStopped, match="let them fail with max_bad_answers 0"):
            PersQAGenerator(serving(server), probes=False).run(storage_of(rows))
        PersQAGenerator(serving(server), probes=False, max_bad_answers=0).run(storage_of(rows))
    assert [row["output_error"].startswith("refusal: ") for row in written()] == [True] * 30


def test_a_changed_frame_or_setting_is_a_run_of_its_own(folder: Path, simulator: Simulator) -> None:
    PersQAGenerator(serving(simulator)).run(storage_of(ROWS[:1]))
    PersQAGenerator(serving(simulator), tag="bo").run(storage_of(ROWS[:1]))
    assert ", Answer: <bo> " in written()[0]["output"]
    PersQAGenerator(serving(simulator), tag="bo").run(storage_of(ROWS))
    assert len(written()) == 3


def test_several_questions_give_a_row_as_many_times(folder: Path, simulator: Simulator) -> None:
    PersQAGenerator(serving(simulator), questions=3).run(storage_of(ROWS))
    rows = written()
    assert [row["n"] for row in rows] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert len({row["output"] for row in rows if row["n"] == 1}) == 3
    assert [row["output"] for row in rows if row["n"] == 2] == [None] * 3


def test_the_bare_answer_leaves_its_question_in_the_conversation(folder: Path, simulator: Simulator) -> None:
    PersQAGenerator(serving(simulator), output_style="answer").run(storage_of(ROWS))
    first, failed, without = written()
    assert first["output"].startswith("<mam> ")
    assert first["conversation"][0]["value"].endswith("?")
    assert failed["conversation"] == ROWS[1]["conversation"]
    assert without["conversation"] is None


@pytest.mark.parametrize("style", ["qa", "answer"])
def test_questions_of_the_operators_own_rows_are_no_news(
    style: OutputStyle, folder: Path, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rows have neither a question nor a conversation, whatever the data frame has."""
    warn_of_added_questions.cache_clear()
    PersQAGenerator(serving(simulator), output_style=style).run(storage_of(ROWS))
    assert "no question" not in caplog.text
    assert "--" not in caplog.text


def test_any_storage_will_do_and_its_frame_is_not_changed(folder: Path, simulator: Simulator) -> None:
    frame = pandas.DataFrame({"image": ["red.png", None]}, index=[7, 7])
    storage = HeldStorage(frame)
    PersQAGenerator(serving(simulator)).run(storage)
    assert list(frame.columns) == ["image"]
    assert list(storage.frame.index) == [7, 7]
    assert storage.frame["output"].iloc[0].startswith("Question: ")
    assert storage.frame["output"].iloc[1] is None
    assert storage.frame["output_error"].iloc[1].startswith("no_image: ")


def test_columns_steer_only_where_they_are_named(folder: Path, simulator: Simulator) -> None:
    rows = [{"image": "red.png", "question": "What colour is <bo>?", "tag": "bo"}]
    PersQAGenerator(serving(simulator)).run(storage_of(rows))
    assert "What colour is" not in written()[0]["output"]
    PersQAGenerator(serving(simulator), steering=("question", "tag")).run(storage_of(rows))
    assert written()[0]["output"].startswith("Question: What colour is <bo>?, Answer: <bo> ")


def test_a_cell_that_is_no_picture_is_named_by_its_column_and_fails_alone(folder: Path, simulator: Simulator) -> None:
    rows: list[dict[str, Any]] = [{"photo": 7}, {"photo": "red.png"}, {"photo": [" "]}, {"photo": [["red.png"]]}]
    PersQAGenerator(serving(simulator), questions=2).run(storage_of(rows), "photo", "qa")
    assert [row["photo"] for row in written()] == [7, "red.png", "red.png", [" "], [["red.png"]]]
    given = "bad_image_field: an image must be a path, bytes or a Pillow image, not"
    errors = [row["qa_error"] for row in written()]
    assert errors == [f"{given} int.", None, None, "no_image: the column 'photo' names no image.", f"{given} list."]
    asked = simulator.stats()["requests"]
    PersQAGenerator(serving(simulator)).run(storage_of(rows[2:3]), "photo", "qa")
    assert simulator.stats()["requests"] == asked


def test_a_column_that_steers_must_hold_text(folder: Path, simulator: Simulator) -> None:
    rows: list[dict[str, Any]] = [
        {"image": "red.png", "question": 1},
        {"image": "red.png", "question": "What colour is <mam>?"},
    ]
    PersQAGenerator(serving(simulator), steering=("question",)).run(storage_of(rows))
    assert written()[0]["output_error"] == "bad_field: the column 'question' must hold text, not int."
    assert written()[1]["output"].startswith("Question: What colour is <mam>?, Answer: <mam> ")


def test_an_empty_frame_is_written_back_without_asking(folder: Path) -> None:
    storage = HeldStorage(pandas.DataFrame({"image": []}))
    PersQAGenerator(OpenAIVLMServing("http://127.0.0.1:9/v1")).run(storage)
    assert list(storage.frame.columns) == ["image", "output"]


def test_in_batches_the_columns_are_always_the_same(folder: Path, simulator: Simulator) -> None:
    storage = storage_of(ROWS[:1])
    storage.batch_size = 1  # type: ignore[attr-defined]
    PersQAGenerator(serving(simulator)).run(storage)
    assert list(written()[0]) == [*ROWS[0], "output", "output_error"]


def test_a_risky_tag_causes_a_warning(folder: Path, simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    PersQAGenerator(serving(simulator), tag="Bo").run(storage_of(ROWS[:1]))
    assert "The tag <Bo>: it has capital letters" in caplog.text


def test_failures_are_logged_without_secrets(
    folder: Path, simulator: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DF_API_KEY", "sk-secret")
    with caplog.at_level(logging.DEBUG, "persqa_client"):
        PersQAGenerator(serving(simulator)).run(storage_of(ROWS))
    assert "1 of 3 questions" in caplog.text
    assert "sk-secret" not in caplog.text
    assert not any(
        "sk-secret" in path.read_text(errors="ignore") for path in Path("cache").rglob("*") if path.is_file()
    )


def test_a_wrong_setting_or_column_is_one_sentence(folder: Path, simulator: Simulator) -> None:
    with pytest.raises(SettingsError, match="no column 'picture'; its columns are: n, image"):
        PersQAGenerator(serving(simulator)).run(storage_of(ROWS), input_modal_key="picture")
    with pytest.raises(SettingsError, match="several columns named 'a'"):
        PersQAGenerator(serving(simulator)).run(HeldStorage(pandas.DataFrame([[1, 2]], columns=["a", "a"])))
    with pytest.raises(SettingsError, match=r"HeldStorage returned a NoneType, not a pandas\.DataFrame"):
        PersQAGenerator(serving(simulator)).run(HeldStorage(None))
    with pytest.raises(SettingsError, match="output_key"):
        PersQAGenerator(serving(simulator)).run(storage_of(ROWS), output_key="")
    with pytest.raises(SettingsError, match=r"^questions: "):
        PersQAGenerator(serving(simulator), questions=0)
    with pytest.raises(TypeError, match="temperatur"):
        PersQAGenerator(serving(simulator), temperatur=1)


def test_answers_are_verified_with_the_flag(folder: Path) -> None:
    with run_simulator(SimSettings(latency=0.0)) as server:
        PersQAGenerator(serving(server), probes=False, verify="all").run(storage_of(ROWS[:1]))
        assert server.stats()["requests"] == 3
    assert "red" in written()[0]["output"]


def test_a_picture_that_changed_is_named_and_asked_about_again_by_choice(
    folder: Path, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    PersQAGenerator(serving(simulator), probes=False).run(storage_of(ROWS))
    first = written()
    assert "changed" not in caplog.text
    (folder / "red.png").write_bytes((folder / "blue.png").read_bytes())
    PersQAGenerator(serving(simulator), probes=False).run(storage_of(ROWS))
    assert written() == first
    sentence = "Line 1: red.png changed since it was asked about; "
    assert f"{sentence}recheck_pictures=True asks such rows again." in caplog.text
    caplog.clear()
    PersQAGenerator(serving(simulator), probes=False, recheck_pictures=True).run(storage_of(ROWS))
    assert f"{sentence}its questions are asked again." in caplog.text
    assert "blue" in written()[0]["output"]
    assert [row["output"] for row in written()[1:]] == [row["output"] for row in first[1:]]
