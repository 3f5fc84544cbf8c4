"""An interrupted or finished run is resumed only with the same input and settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from persqa_client.errors import SettingsError
from persqa_client.storage.checkpoint import RunDescription
from persqa_client.storage.ledger import Ledger
from persqa_client.storage.recovery import check_settings_unchanged
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId
from tests.storage.scenario import (
    FAILED,
    IDENTITY,
    LINES,
    SCENARIOS,
    STAMP,
    announce,
    answer_first_run,
    answer_lines,
    interrupt_extension,
    interrupt_first_run,
    interrupt_fresh_run,
    interrupt_retry,
    make_failure,
    make_lines,
    make_record,
    open_ledger,
    read_folder,
    render,
    run_to_end,
)
from tests.storage.test_ledger import TASK_IDS, expected


def interrupt_run(folder: Path) -> None:
    """Leaves a run with an outcome of one of two tasks of row 1, and of row 2."""
    with open_ledger(folder) as ledger:
        announce(ledger, LINES[:3])
        ledger.store_outcome(make_record(TaskId(1, 1)))
        ledger.store_outcome(make_failure(TaskId(2)))


def test_a_changed_line_is_refused_with_its_number(tmp_path: Path) -> None:
    interrupt_run(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.register_row(LINES[0].data, LINES[0].task_ids, LINES[0].position)
        with pytest.raises(SettingsError, match="the input changed at line 2"):
            ledger.register_row(b'{"image": "other.jpg"}', LINES[1].task_ids, LINES[1].position)
    run_to_end(tmp_path)
    assert (tmp_path / "qa.jsonl").read_bytes() == expected(LINES, failed=False)


def test_a_tag_is_the_same_with_its_brackets() -> None:
    check_settings_unchanged({"tag": "<mam>"}, {"tag": "mam "})
    with pytest.raises(SettingsError, match='the setting tag was "<mam>" in this run and is "bo" now'):
        check_settings_unchanged({"tag": "<mam>"}, {"tag": "bo"})


def test_a_change_that_is_cut_off_in_the_message_is_not_only_called_a_key() -> None:
    bodies = [with_body({"stop": ["<end>"] * 20, "top_k": number}) for number in (5, 6)]
    with pytest.raises(SettingsError, match="a possible key, or the end of a long value"):
        check_settings_unchanged(*bodies)


@pytest.mark.parametrize("prepare", [interrupt_run, run_to_end], ids=["unfinished", "finished"])
@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ({**IDENTITY, "seed": 8}, "the setting seed was 7 in this run and is 8 now"),
        ({"model": "qwen"}, "the setting seed was 7 in this run and is not set now"),
        ({**IDENTITY, "tag": "<mam>"}, 'the setting tag was not set in this run and is "<mam>" now'),
    ],
)
def test_a_changed_setting_is_refused_with_its_name(
    prepare: Callable[[Path], object], identity: dict[str, object], message: str, tmp_path: Path
) -> None:
    prepare(tmp_path)
    before = read_folder(tmp_path)
    with pytest.raises(SettingsError, match=f"{message}: .* -o, .* --fresh"):
        open_ledger(tmp_path, identity=identity)
    assert read_folder(tmp_path) == before
    with open_ledger(tmp_path, identity=identity, fresh=True) as ledger:
        assert (ledger.state, ledger.start.number, ledger.tally.tasks) == ("new", 0, 0)


def test_a_setting_is_compared_as_json(tmp_path: Path) -> None:
    identity = {"made_of": ("a", "b")}
    for state in ("new", "resumed"):
        with open_ledger(tmp_path, identity=identity) as ledger:
            assert ledger.state == state
            if state == "new":
                announce(ledger)
                ledger.store_outcome(make_record(TaskId(10)))


def test_a_run_without_outcomes_leaves_no_files(tmp_path: Path) -> None:
    with open_ledger(tmp_path, identity={"model": "wrong"}) as ledger:
        announce(ledger)
    assert list(tmp_path.iterdir()) == []
    with open_ledger(tmp_path, identity={"model": "wrong"}):
        copy = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name, content in copy.items():  # as after a kill
        (tmp_path / name).write_bytes(content)
    with open_ledger(tmp_path, identity={"model": "right"}) as ledger:
        assert ledger.state == "new"


def test_a_fresh_run_without_outcomes_keeps_the_finished_one(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with open_ledger(tmp_path, fresh=True, identity={"model": "other"}) as ledger:
        announce(ledger)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with open_ledger(tmp_path) as ledger:
        assert ledger.state == "finished"


def test_a_fresh_run_that_was_killed_without_outcomes_is_told_of(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert not ledger.dropped_fresh_start
    with open_ledger(tmp_path, fresh=True):
        copy = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name, content in copy.items():  # as after a kill, in the middle of the first line
        (tmp_path / name).write_bytes(b'{"li' if name.endswith(".journal1") else content)
    with open_ledger(tmp_path) as ledger:
        assert (ledger.state, ledger.dropped_fresh_start) == ("finished", True)
    with open_ledger(tmp_path) as ledger:
        assert not ledger.dropped_fresh_start


def test_a_fresh_run_keeps_the_finished_output_until_its_end(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    old = (tmp_path / "qa.jsonl").read_bytes()
    with open_ledger(tmp_path, fresh=True) as ledger:
        answer_lines(ledger, LINES[:5], make_record)
        assert (tmp_path / "qa.jsonl").read_bytes() == old
    with open_ledger(tmp_path) as ledger:
        assert ledger.state == "resumed"
        answer_lines(ledger, LINES[:5], make_record)
        ledger.finish({})
        assert ledger.kept_output == tmp_path / "qa.1.jsonl"
    assert len((tmp_path / "qa.jsonl").read_bytes().splitlines()) == 7
    assert not (tmp_path / "qa.failed.jsonl").exists()
    assert (tmp_path / "qa.1.jsonl").read_bytes() == old


def test_the_kept_files_of_an_earlier_run_are_a_run_of_their_own(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    before = {path.name.replace("qa.", "qa.1."): path.read_bytes() for path in tmp_path.iterdir()}
    with open_ledger(tmp_path, fresh=True) as ledger:
        answer_lines(ledger, LINES[:5], make_record)
        ledger.finish({})
    kept = RunFiles.for_output(tmp_path / "qa.1.jsonl")
    old_run = orjson.loads(before.pop("qa.1.run.json"))
    assert orjson.loads(kept.run.read_bytes()) == {**old_run, "output": "qa.1.jsonl"}
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    with Ledger(kept, RunDescription(IDENTITY, STAMP), render=render) as ledger:
        assert (ledger.state, ledger.tally.failed_total) == ("finished", len(FAILED))
        ledger.retry()
        answer_lines(ledger, LINES, make_record)
        ledger.finish({})
    assert not kept.failed.exists()


def test_a_fresh_run_over_an_extension_keeps_it_as_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    interrupt_extension(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "undisturbed")
    run_to_end(tmp_path / "undisturbed")
    with open_ledger(tmp_path, fresh=True) as ledger:
        assert (ledger.state, ledger.kept_output) == ("new", tmp_path / "qa.1.jsonl.partial")
        answer_lines(ledger, LINES[:2], make_record)
        ledger.finish({})
    assert len((tmp_path / "qa.jsonl").read_bytes().splitlines()) == 3
    kept = RunFiles.for_output(tmp_path / "qa.1.jsonl")
    with Ledger(kept, RunDescription(IDENTITY, STAMP), render=render, clock=lambda: 0.0) as ledger:
        assert (ledger.state, ledger.start) == ("resumed", LINES[5].position)
        log = answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({"note": "ours"})
    assert sorted(log.asked) == [TaskId(7, 1), TaskId(9, 1), TaskId(10)]
    for name in ("jsonl", "failed.jsonl", "details.jsonl"):
        assert (tmp_path / f"qa.1.{name}").read_bytes() == (tmp_path / "undisturbed" / f"qa.{name}").read_bytes()


@pytest.mark.parametrize("interrupt", [interrupt_first_run, interrupt_fresh_run, interrupt_retry, interrupt_extension])
def test_a_fresh_run_keeps_the_answers_of_an_unfinished_one(interrupt: Callable[[Path], None], tmp_path: Path) -> None:
    """The copy is resumed under its number, like the original. Decisions go with the answers they are about."""
    interrupt(folder := tmp_path / "run")
    shutil.copytree(folder, tmp_path / "undisturbed")
    is_beside_finished = interrupt is interrupt_fresh_run
    (folder / "qa.decisions.jsonl").write_text("decided")
    with open_ledger(folder, fresh=True) as ledger:
        assert (ledger.state, ledger.kept_output) == ("new", folder / "qa.1.jsonl.partial")
        assert (folder / "qa.jsonl").exists() is is_beside_finished
        answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({})
    assert (folder / f"qa.{1 + is_beside_finished}.decisions.jsonl").read_text() == "decided"
    assert (folder / "qa.2.jsonl").exists() is is_beside_finished
    with open_ledger(tmp_path / "undisturbed") as ledger:
        log = answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({})
    kept = RunFiles.for_output(folder / "qa.1.jsonl")
    with Ledger(kept, RunDescription(IDENTITY, STAMP), render=render, clock=lambda: 0.0) as ledger:
        assert ledger.state == "resumed"
        assert sorted(answer_lines(ledger, LINES, answer_first_run).asked) == sorted(log.asked)
        ledger.finish({})
    for name in ("jsonl", "failed.jsonl", "details.jsonl"):
        assert (folder / f"qa.1.{name}").read_bytes() == (tmp_path / "undisturbed" / f"qa.{name}").read_bytes()


def test_each_extension_that_a_fresh_run_replaces_gets_a_free_number(tmp_path: Path) -> None:
    (tmp_path / "qa.1.jsonl.journal2").write_text("foreign")
    for number in (2, 3):
        interrupt_extension(tmp_path)
        with open_ledger(tmp_path, fresh=True):
            pass
        assert (tmp_path / f"qa.{number}.jsonl.partial").exists()
    assert (tmp_path / "qa.1.jsonl.journal2").read_text() == "foreign"


@pytest.mark.parametrize(
    "taken",
    [
        "qa.1.jsonl",
        "qa.1.failed.jsonl",
        "qa.1.details.jsonl",
        "qa.1.run.json",
        "qa.1.jsonl.partial",
        ".qa.1.jsonl.lock",
    ],
)
def test_a_number_that_any_file_has_is_passed_over(taken: str, tmp_path: Path) -> None:
    run_to_end(tmp_path)
    (tmp_path / taken).write_text("foreign")
    for number in (2, 3):
        with open_ledger(tmp_path, fresh=True) as ledger:
            answer_lines(ledger, LINES, answer_first_run)
            ledger.finish({})
        assert (tmp_path / f"qa.{number}.jsonl").exists()
    assert (tmp_path / taken).read_text() == "foreign"
    assert (tmp_path / "qa.1.jsonl").exists() is (taken == "qa.1.jsonl")


def test_an_extension_and_a_retry_keep_no_numbered_files(tmp_path: Path) -> None:
    run_to_end(tmp_path, lines=LINES[:5])
    SCENARIOS["reopen"](tmp_path)
    SCENARIOS["retry"](tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "qa.details.jsonl",
        "qa.failed.jsonl",
        "qa.jsonl",
        "qa.run.json",
    ]


def test_a_fresh_run_ignores_the_unfinished_one(tmp_path: Path) -> None:
    interrupt_run(tmp_path)
    with open_ledger(tmp_path, fresh=True) as ledger:
        log = answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({})
    assert sorted(log.asked) == TASK_IDS


def test_the_new_stamp_replaces_the_old_one_with_the_next_checkpoint(tmp_path: Path) -> None:
    """Until then the old one is kept, in case the caller finds that the input changed."""
    interrupt_run(tmp_path)
    for _ in range(2):
        with open_ledger(tmp_path, stamp={"size": 9}) as ledger:
            assert ledger.stamp == {"size": 1, "mtime_ns": 2}
    with open_ledger(tmp_path, stamp={"size": 9}) as ledger:
        ledger.checkpoint()()
    with open_ledger(tmp_path, stamp={"size": 9}) as ledger:
        assert ledger.stamp == {"size": 9}


def test_seconds_add_up_over_resumes(tmp_path: Path) -> None:
    now = 0.0
    with open_ledger(tmp_path, clock=lambda: now) as ledger:
        announce(ledger)
        ledger.store_outcome(make_record(TaskId(10)))
        now = 10.0
        ledger.checkpoint()()
    now = 100.0
    with open_ledger(tmp_path, clock=lambda: now) as ledger:
        now = 105.0
        assert ledger.seconds == 15.0


def test_an_earlier_checkpoint_is_not_written_after_a_later_one(tmp_path: Path) -> None:
    """The journal that the earlier one needs is already removed."""
    with open_ledger(tmp_path) as ledger:
        announce(ledger)
        ledger.store_outcome(make_record(TaskId(10)))
        early = ledger.checkpoint()
        ledger.store_outcome(make_record(TaskId(9, 0)))
        late = ledger.checkpoint()
        late()
        early()
    with open_ledger(tmp_path) as ledger:
        assert set(ledger.buffer.journaled) == {TaskId(10), TaskId(9, 0)}
    late()
    assert (tmp_path / "qa.jsonl.checkpoint").exists()


def test_journaled_outcomes_survive_checkpoints_until_their_row_is_announced(tmp_path: Path) -> None:
    interrupt_run(tmp_path)
    open_ledger(tmp_path).close()
    with open_ledger(tmp_path) as ledger:
        ledger.checkpoint()()
        ledger.register_row(LINES[0].data, LINES[0].task_ids, LINES[0].position)
        ledger.checkpoint()()
    with open_ledger(tmp_path) as ledger:
        assert ledger.register_row(LINES[0].data, LINES[0].task_ids, LINES[0].position) == (TaskId(1, 0),)
        assert ledger.register_row(LINES[1].data, LINES[1].task_ids, LINES[1].position) == ()
        ledger.sync()


def test_a_missing_file_of_the_run_is_named(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    (tmp_path / "qa.jsonl").unlink()
    with pytest.raises(SettingsError, match=r"qa\.jsonl is missing.*--fresh"):
        open_ledger(tmp_path)
    with open_ledger(tmp_path, fresh=True) as ledger:
        assert ledger.state == "new"


def test_a_reopened_run_equals_a_run_in_one_go(tmp_path: Path) -> None:
    lines = make_lines(16)
    run_to_end(tmp_path / "parts", lines=lines[:7])
    with open_ledger(tmp_path / "parts") as ledger:
        assert (ledger.state, ledger.start) == ("finished", lines[6].position)
        ledger.reopen()
        assert ledger.start == lines[6].position
        log = answer_lines(ledger, lines, answer_first_run)
        ledger.finish({"note": "ours"})
    assert min(log.asked).row == 9
    run_to_end(tmp_path / "whole", lines=lines)
    assert read_folder(tmp_path / "parts") == read_folder(tmp_path / "whole")


def test_only_a_finished_run_is_reopened_or_retried(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        for method in (ledger.reopen, ledger.retry):
            with pytest.raises(RuntimeError, match="only a finished run"):
                method()


def test_a_resumed_run_starts_after_the_blank_lines_behind_the_last_row(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        answer_lines(ledger, LINES[:8], answer_first_run)
        ledger.checkpoint()()
    with open_ledger(tmp_path) as ledger:
        assert ledger.start == LINES[7].position


def with_body(body: dict[str, object]) -> dict[str, object]:
    return {**IDENTITY, "extra-body": body}


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_key_in_a_request_field_is_in_no_file_and_a_change_is_noticed(is_finished: bool, tmp_path: Path) -> None:
    body = {"api_key": "sk-proj-4Fq81", "top_k": 5}
    with open_ledger(tmp_path, identity=with_body(body)) as ledger:
        answer_lines(ledger, LINES if is_finished else LINES[:2], answer_first_run)
        if is_finished:
            ledger.finish({})
        else:
            ledger.checkpoint()()
    assert not [name for name, data in read_folder(tmp_path).items() if b"4Fq81" in data]
    for change, words in {"api_key": "a possible key", "top_k": '"top_k":5} in this run'}.items():
        with pytest.raises(SettingsError, match="the setting extra-body") as caught:
            open_ledger(tmp_path, identity=with_body({**body, change: "sk-proj-4Fq82"}))
        assert words in str(caught.value)
        assert "4Fq8" not in str(caught.value)
        assert "digest" not in str(caught.value)
    with open_ledger(tmp_path, identity=with_body(body)) as ledger:
        assert ledger.state == ("finished" if is_finished else "resumed")


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_run_that_kept_the_key_itself_is_resumed_and_loses_it(is_finished: bool, tmp_path: Path) -> None:
    body = {"api_key": "sk-proj-4Fq81", "top_k": 5}
    with open_ledger(tmp_path, identity=with_body(body)) as ledger:
        answer_lines(ledger, LINES if is_finished else LINES[:2], answer_first_run)
        if is_finished:
            ledger.finish({})
        else:
            ledger.checkpoint()()
    path = tmp_path / ("qa.run.json" if is_finished else "qa.jsonl.checkpoint")
    path.write_text(json.dumps({**json.loads(path.read_text()), "identity": with_body(body)}))
    with open_ledger(tmp_path, identity=with_body(body)) as ledger:
        assert ledger.state == ("finished" if is_finished else "resumed")
        if is_finished:
            ledger.reopen()
        ledger.checkpoint()()
    assert b"4Fq81" not in (tmp_path / "qa.jsonl.checkpoint").read_bytes()


def test_the_kept_run_file_of_an_earlier_version_loses_the_key(tmp_path: Path) -> None:
    run_to_end(tmp_path)
    path = tmp_path / "qa.run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "identity": with_body({"api_key": "sk-proj-4Fq81"})}))
    with open_ledger(tmp_path, fresh=True) as ledger:
        answer_lines(ledger, LINES, answer_first_run)
        ledger.finish({})
    assert "4Fq81" not in (tmp_path / "qa.1.run.json").read_text()
