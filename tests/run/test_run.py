"""Whole runs against the simulator: their files, resuming, retrying, and errors."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client import Endpoint, RunStopped, SettingsError, generate
from persqa_client.inputs.opening import open_source
from persqa_client.run.background import execute_blocking
from persqa_client.run.run import Run
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from persqa_client.storage.checkpoint import RunDescription
from persqa_client.storage.ledger import Ledger
from persqa_client.storage.run_files import RunFiles

MODEL = "persqa-simulator"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (("red", (200, 0, 0)), ("green", (0, 160, 0)), ("blue", (0, 0, 200))):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{name}.png")
    return tmp_path


def write_rows(folder: Path, *lines: str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def endpoint(server: Simulator) -> Endpoint:
    return Endpoint(base_url=server.base_url, model=MODEL)


def go(rows: Path | list[Any], output: Path | None, server: Simulator, **flags: Any) -> Summary:
    return generate(rows, output, base_url=server.base_url, model=MODEL, **flags)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".png"}


def test_every_row_ends_in_one_place_in_input_order(folder: Path, simulator: Simulator) -> None:
    lines = [
        '{"image": ["red.png"], "n": 1.50}',
        "",
        '{"image": "missing.png", "n": 2}',
        "not json",
        '{ "n":3,"image":["blue.png","green.png"] }',
        '"green.png"',
    ]
    summary = go(write_rows(folder, *lines), folder / "qa.jsonl", simulator)
    assert (summary.state, summary.tally.succeeded, dict(summary.tally.failed)) == (
        "finished",
        3,
        {"image_missing": 1, "bad_line": 1},
    )
    written = (folder / "qa.jsonl").read_text().splitlines()
    assert [line.partition(', "pers_qa"')[0] for line in written] == [
        '{"image": ["red.png"], "n": 1.50',
        '{ "n":3,"image":["blue.png","green.png"] ',
        '{"image": "green.png"',
    ]
    assert all("Question: " in line and ", Answer: <mam> " in line for line in written)
    missing, wrong = read_rows(folder / "qa.failed.jsonl")
    assert (missing["n"], missing["error"]["code"], missing["error"]["row"]) == (2, "image_missing", 3)
    assert (wrong["line"], wrong["error"]["code"], wrong["error"]["row"]) == ("not json", "bad_line", 4)
    run_file = orjson.loads((folder / "qa.run.json").read_bytes())
    assert run_file["server"]["constraint"] == "structured_outputs"
    assert run_file["counts"]["units"] == 5
    assert {path.name for path in folder.iterdir() if path.suffix != ".png"} == {
        *("rows.jsonl", "qa.jsonl", "qa.failed.jsonl", "qa.details.jsonl", "qa.timeline.jsonl", "qa.run.json")
    }


def test_answers_are_about_the_right_images(folder: Path, simulator: Simulator) -> None:
    summary = go(
        write_rows(folder, *(f'{{"image": "{name}.png"}}' for name in ("red", "green", "blue"))), None, simulator
    )
    answers = [record["pers_qa"] for record in summary.records]
    assert [colour in answer for colour, answer in zip(("red", "green", "blue"), answers, strict=True)] == [True] * 3


def test_repeating_a_finished_run_does_nothing(folder: Path, simulator: Simulator) -> None:
    input = write_rows(folder, '{"image": "red.png"}')
    go(input, folder / "qa.jsonl", simulator)
    before, asked = read_files(folder), simulator.stats()["requests"]
    assert go(input, folder / "qa.jsonl", simulator).state == "already"
    assert (read_files(folder), simulator.stats()["requests"]) == (before, asked)


def test_a_run_continues_with_added_lines_and_a_larger_limit(folder: Path, simulator: Simulator) -> None:
    lines = [f'{{"image": "red.png", "n": {n}}}' for n in range(5)]
    input, output = write_rows(folder, *lines[:3]), folder / "qa.jsonl"
    assert go(input, output, simulator, limit=2).tally.tasks == 2
    assert len(read_rows(output)) == 2
    assert go(input, output, simulator).tally.tasks == 3
    write_rows(folder, *lines)
    assert go(input, output, simulator).tally.tasks == 5
    assert [row["n"] for row in read_rows(output)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("flag", "value"),
    [("temperature", 0.1), ("tag", "bo"), ("seed", 3), ("output_style", "answer"), ("details", True)],
)
def test_a_changed_setting_is_rejected_by_name(folder: Path, simulator: Simulator, flag: str, value: object) -> None:
    input = write_rows(folder, '{"image": "red.png"}')
    go(input, folder / "qa.jsonl", simulator)
    before = read_files(folder)
    with pytest.raises(SettingsError, match=flag.replace("_", "-")):
        go(input, folder / "qa.jsonl", simulator, **{flag: value})
    assert read_files(folder) == before
    assert go(input, folder / "qa.jsonl", simulator, fresh=True, **{flag: value}).state == "finished"


@pytest.mark.parametrize("name", ["bank-digest", "prompts-digest"])
@pytest.mark.parametrize("finished", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_changed_built_in_texts_are_rejected_by_the_name_of_their_digest(
    folder: Path, simulator: Simulator, name: str, finished: bool
) -> None:
    input, output = write_rows(folder, '{"image": "red.png"}', '{"image": "blue.png"}'), folder / "qa.jsonl"
    leave_run(input, output, simulator, finished=finished)
    edit_identity(folder, {name: "0123456789abcdef"})
    before = read_files(folder)
    with pytest.raises(SettingsError, match=name):
        go(input, output, simulator, probes=False)
    assert read_files(folder) == before
    assert go(input, output, simulator, probes=False, fresh=True).tally.succeeded == 2


@pytest.mark.parametrize("finished", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_of_a_version_without_digests_is_resumed(folder: Path, simulator: Simulator, finished: bool) -> None:
    input, output = write_rows(folder, '{"image": "red.png"}', '{"image": "blue.png"}'), folder / "qa.jsonl"
    leave_run(input, output, simulator, finished=finished)
    edit_identity(folder, {"bank-digest": None, "prompts-digest": None})
    summary = go(input, output, simulator, probes=False)
    assert (summary.state, summary.tally.succeeded) == ("already" if finished else "finished", 2)


def leave_run(input: Path, output: Path, simulator: Simulator, *, finished: bool) -> None:
    """Leaves the files of a finished run, or of one that was stopped after its first row."""
    if finished:
        go(input, output, simulator, probes=False)
        return
    settings = SimSettings(latency=0, script=["ok"], faults={"payment": 1.0})
    with run_simulator(settings) as server, pytest.raises(RunStopped):
        go(input, output, server, probes=False, concurrency=1)


def edit_identity(folder: Path, values: dict[str, str | None]) -> None:
    """Changes or removes values of the identity in the run file and the checkpoint."""
    for path in (folder / "qa.run.json", folder / "qa.jsonl.checkpoint"):
        if path.exists():
            noted = orjson.loads(path.read_bytes())
            identity = {**noted["identity"], **values}
            noted["identity"] = {name: value for name, value in identity.items() if value is not None}
            path.write_bytes(orjson.dumps(noted))


def test_limits_and_endpoint_can_change(folder: Path, simulator: Simulator) -> None:
    input = write_rows(folder, '{"image": "red.png"}', '{"image": "blue.png"}')
    go(input, folder / "qa.jsonl", simulator, limit=1, concurrency=1)
    with run_simulator(SimSettings(latency=0)) as other:
        summary = go(input, folder / "qa.jsonl", other, concurrency=9, timeout=7, max_attempts=2, rps=50)
    assert (summary.state, summary.tally.tasks) == ("finished", 2)


def test_a_changed_input_is_rejected(folder: Path, simulator: Simulator) -> None:
    go(write_rows(folder, '{"image": "red.png"}'), folder / "qa.jsonl", simulator)
    with pytest.raises(SettingsError, match="changed in its first 1 lines"):
        go(write_rows(folder, '{"image": "blue.png"}', '{"image": "red.png"}'), folder / "qa.jsonl", simulator)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_foreign_file_is_never_overwritten(folder: Path, simulator: Simulator, fresh: bool) -> None:
    (folder / "qa.jsonl").write_text("precious\n")
    with pytest.raises(SettingsError, match=r"qa\.jsonl"):
        go(write_rows(folder, '{"image": "red.png"}'), folder / "qa.jsonl", simulator, fresh=fresh)
    assert (folder / "qa.jsonl").read_text() == "precious\n"


def test_the_input_cannot_be_the_output(folder: Path, simulator: Simulator) -> None:
    input = write_rows(folder, '{"image": "red.png"}')
    with pytest.raises(SettingsError, match="one of the files"):
        go(input, input, simulator)


def test_retried_rows_go_to_their_places_in_the_output(folder: Path, simulator: Simulator) -> None:
    names = ["red", "late", "green", "never", "blue"]
    input = write_rows(folder, *(f'{{"image": "{name}.png"}}' for name in names))
    assert go(input, folder / "qa.jsonl", simulator, probes=False).tally.failed_total == 2
    asked = simulator.stats()["requests"]
    Image.new("RGB", (40, 30), (250, 250, 250)).save(folder / "late.png")
    summary = go(input, folder / "qa.jsonl", simulator, probes=False, retry_failed=True)
    assert (summary.tally.succeeded, summary.tally.failed_total) == (4, 1)
    assert [row["image"] for row in read_rows(folder / "qa.jsonl")] == ["red.png", "late.png", "green.png", "blue.png"]
    assert [row["image"] for row in read_rows(folder / "qa.failed.jsonl")] == ["never.png"]
    assert simulator.stats()["requests"] - asked == 1, "only the failed row was asked"


def test_a_failure_file_can_be_the_input(folder: Path, simulator: Simulator) -> None:
    input = write_rows(folder, '{"image": "late.png", "n": 1.0}', "not json", '{"image": "red.png"}')
    go(input, folder / "qa.jsonl", simulator)
    Image.new("RGB", (40, 30)).save(folder / "late.png")
    summary = go(folder / "qa.failed.jsonl", folder / "again.jsonl", simulator)
    assert summary.tally.succeeded == 1
    assert (folder / "again.jsonl").read_text().startswith('{"image": "late.png", "n": 1.0, "pers_qa": ')
    assert read_rows(folder / "again.failed.jsonl")[0]["line"] == "not json"


def test_a_second_run_with_the_same_output_is_rejected(folder: Path, simulator: Simulator) -> None:
    input = write_rows(folder, '{"image": "red.png"}')
    first = Ledger(RunFiles.for_output(folder / "qa.jsonl"), RunDescription({}), render=lambda line, outcome: line)
    with first, pytest.raises(SettingsError, match="another run"):
        go(input, folder / "qa.jsonl", simulator)


def test_a_stopped_run_is_resumed_without_asking_twice(folder: Path) -> None:
    input = write_rows(folder, *(f'{{"image": "red.png", "n": {n}}}' for n in range(200)))
    with run_simulator(SimSettings(latency=0.02, slots=8)) as server:
        flags = {"probes": False, "concurrency": 8}
        settings = make_run_settings([endpoint(server)], flags, input=input, output=folder / "qa.jsonl")

        async def stop_run() -> Summary:
            run = Run(settings, open_source(input, "image"))
            going = asyncio.create_task(run.execute())
            while run.progress.done < 40:
                await asyncio.sleep(0.005)
            run.stop()
            return await going

        summary = asyncio.run(stop_run())
        assert summary.state == "interrupted"
        assert 40 <= summary.tally.tasks < 200
        assert not (folder / "qa.jsonl").exists()
        assert go(input, folder / "qa.jsonl", server, probes=False, concurrency=8).tally.tasks == 200
        assert server.stats()["answered"] == 200, "each row was asked once"
    assert [row["n"] for row in read_rows(folder / "qa.jsonl")] == list(range(200))


def test_rows_in_memory_can_be_written_to_a_file(folder: Path, simulator: Simulator) -> None:
    made = [{"image": str(folder / "red.png"), "n": n} for n in range(3)]
    assert go(made[:2], folder / "qa.jsonl", simulator).tally.tasks == 2
    assert go(made, folder / "qa.jsonl", simulator).tally.tasks == 3
    assert [row["n"] for row in read_rows(folder / "qa.jsonl")] == [0, 1, 2]


def test_styles_and_details(folder: Path, simulator: Simulator) -> None:
    line = '{"image": "red.png", "conversation": [{"from": "human", "value": ""}], "question": "What is <mam>?"}'
    input = write_rows(folder, line)
    [bare] = go(input, None, simulator, output_style="answer").records
    assert bare["conversation"] == [{"from": "human", "value": "What is <mam>?"}]
    assert bare["pers_qa"].startswith("<mam> ")
    [detailed] = go(input, None, simulator, details=True).records
    assert detailed["conversation"][0]["value"] == ""
    assert detailed["pers_qa_meta"]["made_good_by"] == ["constraint"]
    assert detailed["pers_qa"] == f"Question: What is <mam>?, Answer: {detailed['pers_qa_meta']['answer']}"


def test_chinese_questions_get_chinese_answers(folder: Path, simulator: Simulator) -> None:
    [row] = go([{"image": str(folder / "red.png"), "question": "<mam>是什么颜色？"}], None, simulator).records
    assert "红" in row["pers_qa"]


def test_no_file_of_a_run_holds_the_key_or_base64(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apart from the ``data:`` URLs of input rows, which are copied unchanged."""
    key = "sk-very-secret-key-0123456789"
    monkeypatch.setenv("SIM_KEY", key)
    input = write_rows(
        folder, '{"image": "red.png"}', '{"image": "red.png", "question": "again"}', '{"image": "missing"}'
    )
    with run_simulator(SimSettings(latency=0, api_key=key, script=["ok", "unprocessable", "500"])) as server:
        summary = go(input, folder / "qa.jsonl", server, api_key_env="SIM_KEY", details=True)
    assert summary.tally.tasks == 3
    encoded = base64.b64encode((folder / "red.png").read_bytes())[:40]
    for name, content in read_files(folder).items():
        assert key.encode() not in content, name
        assert encoded not in content, name
        assert b";base64," not in content, name


@pytest.mark.parametrize("rows", [pytest.param(3, marks=pytest.mark.slow), 40])
def test_an_endpoint_that_refuses_all_rows_stops_the_run_and_fails_none(folder: Path, rows: int) -> None:
    input = write_rows(folder, *(f'{{"image": "red.png", "n": {n}}}' for n in range(rows)))
    with run_simulator(SimSettings(latency=0, faults={"too_large": 1.0})) as server:
        with pytest.raises(RunStopped, match="refuses every request") as caught:
            go(input, folder / "qa.jsonl", server, probes=False)
        assert caught.value.code == "too_large"
    assert not list(folder.glob("qa*")), "no row has an outcome"
    with run_simulator(SimSettings(latency=0)) as server:
        assert go(input, folder / "qa.jsonl", server, probes=False).tally.succeeded == rows


def test_equal_failures_do_not_stop_a_run_that_has_answers(folder: Path) -> None:
    """Neither when it is resumed nor when failed rows are retried."""
    fine = [f'{{"image": "red.png", "n": {n}}}' for n in range(3)]
    many = '["red.png", "red.png", "red.png"]'
    input = write_rows(folder, *fine, *(f'{{"image": {many}, "n": {n}}}' for n in range(25)))
    with run_simulator(SimSettings(latency=0, limit_images=2)) as server:
        assert go(input, folder / "qa.jsonl", server, limit=3).tally.succeeded == 3
        for retry_failed in (False, True):
            summary = go(input, folder / "qa.jsonl", server, retry_failed=retry_failed)
            assert (summary.tally.succeeded, summary.tally.failed) == (3, {"too_many_images": 25})


def test_a_retry_continues_with_added_lines(folder: Path, simulator: Simulator) -> None:
    go(write_rows(folder, '{"image": "late.png"}'), folder / "qa.jsonl", simulator)
    Image.new("RGB", (40, 30)).save(folder / "late.png")
    input = write_rows(folder, '{"image": "late.png"}', '{"image": "red.png"}')
    assert go(input, folder / "qa.jsonl", simulator, retry_failed=True).tally.succeeded == 2
    assert [row["image"] for row in read_rows(folder / "qa.jsonl")] == ["late.png", "red.png"]


def test_rows_in_memory_are_asked_once_with_retry_failed(folder: Path, simulator: Simulator) -> None:
    summary = go(write_rows(folder, '{"image": "red.png"}', '{"image": "no.png"}'), None, simulator, retry_failed=True)
    assert (summary.tally.tasks, summary.tally.attempts, len(summary.failures)) == (2, 1, 1)


def test_a_retry_without_an_earlier_run_says_that_it_starts_one(folder: Path, simulator: Simulator) -> None:
    input, output, warnings = write_rows(folder, '{"image": "red.png"}'), folder / "new.jsonl", list[str]()
    settings = make_run_settings(
        [endpoint(simulator)], {"probes": False, "retry_failed": True}, input=input, output=output
    )
    for _ in range(2):
        execute_blocking(Run(settings, open_source(input, "image"), warn=warnings.append))
    assert warnings == [f"There is no run with the output {output} yet, so --retry-failed starts one."]


def test_a_smaller_limit_keeps_journalled_answers(folder: Path) -> None:
    """The first row is never answered, so that the other answers are only in the journal when the run is aborted."""
    input = write_rows(folder, *(f'{{"image": "red.png", "n": {n}}}' for n in range(40)))
    output = folder / "qa.jsonl"
    with run_simulator(SimSettings(latency=0, script=["stall"])) as server:
        settings = make_run_settings(
            [endpoint(server)], {"probes": False, "concurrency": 8}, input=input, output=output
        )

        async def abort_run() -> None:
            run = Run(settings, open_source(input, "image"))
            going = asyncio.create_task(run.execute())
            while run.progress.done < 39:
                await asyncio.sleep(0.005)
            run.stop()
            run.stop()
            await going

        asyncio.run(abort_run())
        assert go(input, output, server, probes=False, limit=5).tally.tasks == 40
        assert server.stats()["answered"] == 40


def test_a_stop_ends_the_probe_at_once(folder: Path) -> None:
    input = write_rows(folder, '{"image": "red.png"}')
    with run_simulator(SimSettings(script=["stall"])) as server:
        settings = make_run_settings([endpoint(server)], {}, input=input, output=folder / "qa.jsonl")

        async def stop_run() -> Summary:
            run = Run(settings, open_source(input, "image"))
            going = asyncio.create_task(run.execute())
            while not server.stats()["in_flight"] and not server.stats()["requests"]:
                await asyncio.sleep(0.005)
            run.stop()
            return await asyncio.wait_for(going, 5)

        assert asyncio.run(stop_run()).state == "interrupted"
    assert not list(folder.glob("qa*"))


def test_a_cut_last_line_that_is_completed_later_is_a_changed_input(folder: Path, simulator: Simulator) -> None:
    input, output = folder / "rows.jsonl", folder / "qa.jsonl"
    input.write_bytes(b'{"image": "red.png"}\n{"image": "gre')
    assert dict(go(input, output, simulator).tally.failed) == {"bad_line": 1}
    before = read_files(folder)
    input.write_bytes(b'{"image": "red.png"}\n{"image": "green.png"}\n{"image": "blue.png"}\n')
    with pytest.raises(SettingsError, match=r"has changed in its first 2 lines"):
        go(input, output, simulator)
    assert {name: content for name, content in read_files(folder).items() if name != "rows.jsonl"} == {
        name: content for name, content in before.items() if name != "rows.jsonl"
    }
