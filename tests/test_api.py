"""The Python interface, as scripts and notebooks use it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

import persqa_client
from persqa_client import (
    Endpoint,
    Limits,
    PersQAClient,
    ProgressSnapshot,
    Recipe,
    Record,
    RowError,
    RunStopped,
    SettingsError,
    generate,
    stream,
)
from persqa_client.outcomes import Failure
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from persqa_client.types import BadRow
from tests.support.commands import Command, python
from tests.support.endpoints import completion_response, serve_handler


@pytest.fixture
def red(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def endpoint(server: Simulator) -> Endpoint:
    return Endpoint(base_url=server.base_url, model="persqa-simulator")


async def test_a_client_answers_a_question_about_an_image(simulator: Simulator, red: Path) -> None:
    async with PersQAClient(endpoint(simulator)) as client:
        record = await client.ask(red, question="What colour is <mam>?")
    assert record.answer.startswith("<mam> ")
    assert "red" in record.answer
    assert record.made_good_by == ("constraint",)


@pytest.mark.parametrize(
    ("simulated", "words"),
    [
        pytest.param({}, None, id="a server that sees"),
        pytest.param({"blind": True}, "does not show them to the model", id="images are dropped"),
        pytest.param({"image_use": "counted"}, "the same answer", id="images may be dropped"),
    ],
)
async def test_a_server_that_does_not_show_images_is_warned_about(
    red: Path, caplog: pytest.LogCaptureFixture, simulated: dict[str, Any], words: str | None
) -> None:
    with run_simulator(SimSettings(latency=0, **simulated)) as server:
        async with PersQAClient(endpoint(server)) as client:
            await client.ask(red, question="What colour is <mam>?")
            await client.ask(red, question="What is <mam> wearing?")
    warnings = [record.getMessage() for record in caplog.records if record.name == "persqa_client.api.client"]
    assert len(warnings) == (words is not None), "once, not for each question"
    assert all(str(words) in warning for warning in warnings)


async def test_concurrent_questions_share_one_probe(simulator: Simulator, red: Path) -> None:
    asked = []
    for count in (1, 10):
        before = simulator.stats()["requests"]
        async with PersQAClient(endpoint(simulator), recipe=Recipe(tag="bo")) as client:
            records = await asyncio.gather(*(client.ask(red, id=number) for number in range(count)))
        assert all(record.answer.startswith("<bo>") for record in records)
        asked.append(simulator.stats()["requests"] - before)
    assert asked[1] - asked[0] == 9


async def test_a_failed_row_is_an_exception_with_its_code(simulator: Simulator, tmp_path: Path) -> None:
    async with PersQAClient(endpoint(simulator)) as client:
        with pytest.raises(RowError) as caught:
            await client.ask(tmp_path / "missing.png")
        assert caught.value.code == "image_missing"
        with pytest.raises(RowError) as caught:
            await client.ask(tmp_path / "missing.png", tag="a b")
        assert caught.value.code == "bad_tag"


async def test_an_endpoint_that_rejects_the_key_stops_with_its_code(red: Path) -> None:
    with run_simulator(SimSettings(latency=0, api_key="secret")) as server:
        async with PersQAClient(endpoint(server)) as client:
            with pytest.raises(RunStopped) as caught:
                await client.ask(red)
    assert caught.value.code == "wrong_key"


async def test_a_stream_yields_every_row_with_its_outcome(simulator: Simulator, red: Path) -> None:
    def rows() -> Iterator[dict[str, object] | str]:
        yield str(red)
        yield {"image": "missing.png"}
        yield {"picture": 1}
        yield {"image": str(red), "question": "<mam>是什么颜色？"}

    outcomes = {row.number: outcome async for row, outcome in stream(rows(), endpoint(simulator))}
    assert sorted(outcomes) == [1, 2, 3, 4]
    assert isinstance(outcomes[1], Record)
    assert isinstance(outcomes[4], Record)
    codes = [outcome.code for outcome in outcomes.values() if isinstance(outcome, Failure)]
    assert sorted(codes) == ["image_missing", "no_image"]


async def test_a_stream_of_bad_rows_ends(simulator: Simulator) -> None:
    rows = [{"picture": number} for number in range(500)]
    given = [row async for row, _ in stream(rows, endpoint(simulator), limits=Limits(concurrency=2))]
    assert sorted(row.number for row in given) == list(range(1, 501))
    assert all(isinstance(row, BadRow) for row in given)


async def test_generate_works_inside_a_running_loop_as_in_a_notebook(simulator: Simulator, red: Path) -> None:
    summary = generate([str(red)], base_url=simulator.base_url, model="persqa-simulator")
    assert summary.records[0]["image"] == str(red)
    assert summary.state == "finished"


def test_an_empty_name_is_not_the_working_directory(simulator: Simulator) -> None:
    with pytest.raises(SettingsError, match="rows is empty"):
        generate("", base_url=simulator.base_url, model="persqa-simulator")


def test_credentials_are_given_by_name(red: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_simulator(SimSettings(latency=0, api_key="of-a-command")) as server:
        summary = generate(
            [str(red)], base_url=server.base_url, model="persqa-simulator", api_key_command="echo of-a-command"
        )
        assert summary.tally.succeeded == 1
        monkeypatch.setenv("WHOLE", "Bearer of-a-command")
        header = "authorization=@WHOLE"
        summary = generate([str(red)], base_url=server.base_url, model="persqa-simulator", header=header)
        assert summary.tally.succeeded == 1


WRONG_ROWS = "rows is of the type {}: give the path of a file or a folder as text, or rows in an iterable."


@pytest.mark.parametrize(
    ("rows", "flags", "words"),
    [
        (
            None,
            {},
            WRONG_ROWS.format("NoneType"),
        ),
        (5, {}, WRONG_ROWS.format("int")),
        ([], {}, "rows has no rows to ask about."),
        ("empty.csv", {}, "empty.csv has no rows to ask about."),
        (
            [{"image": object()}],
            {},
            "Row 1 cannot be written as JSON: image is of the type object, which",
        ),
        (
            ["a.png"],
            {"output": ""},
            "output: must not be empty; name a file, or a folder",
        ),
        (
            ["a.png"],
            {"output": "o.jsonl", "failed": "-"},
            "failed takes the name of a file; standard output",
        ),
        (["a.png"], {"temperature": 3}, "temperature: must be less than or equal to 2."),
        (["a.png"], {"max_tokens": "many"}, "max_tokens: must be a whole number."),
        (["a.png"], {"fresh": True, "retry_failed": True}, "fresh=True discards the rows that retry_failed=True would"),
        (["a.png"], {"base_url": "localhost"}, "base_url: must look like http://HOST:PORT/v1."),
        (["a.png"], {"base_url": ()}, "Give at least one endpoint: its address as base_url, or endpoint."),
        (["a.png"], {"api_key_env": "NO_SUCH"}, "api_key_env names NO_SUCH, but that variable is not set"),
        (["a.png"], {"bank": "animals"}, "The question bank animals does not exist (did you mean animal?)"),
        (["a.png"], {"tag": "a b"}, "tag: "),
        (["a.png"], {"without": "hairs"}, "without: 'hairs' is not a known need (did you mean hair?)"),
        (["a.png"], {"strategy": "constrained"}, "strategy: must be 'auto', "),
        (["a.png"], {"probes": False, "strategy": "prefill"}, 'strategy="prefill" needs the probes'),
    ],
)
def test_a_wrong_call_is_one_sentence(
    rows: Any, flags: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").write_text("image,n\n")
    with pytest.raises(SettingsError) as caught:
        generate(rows, **{"base_url": "http://127.0.0.1:1/v1", "model": "m", **flags})
    assert str(caught.value).startswith(words)
    assert os.listdir() == ["empty.csv"]


def test_the_home_folder_is_named_as_in_a_shell(
    simulator: Simulator, red: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "photos").mkdir(parents=True)
    (home / "photos" / "a.png").write_bytes(red.read_bytes())
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(home))
    inputs: list[Any] = ["~/photos", Path("~/photos/a.png"), ["~/photos", "~/photos/a.png"]]
    for number, rows in enumerate(inputs):
        summary = generate(rows, f"~/{number}.jsonl", base_url=simulator.base_url, model="persqa-simulator")
        assert (summary.tally.failed_total, summary.files and summary.files.output) == (0, home / f"{number}.jsonl")
    assert list(Path().iterdir()) == []
    Path("~").mkdir()
    generate(home / "photos", "~/own.jsonl", base_url=simulator.base_url, model="persqa-simulator")
    assert Path("~/own.jsonl").exists(), "a folder with this name comes first"


def test_a_process_exits_after_generate(simulator: Simulator, red: Path) -> None:
    code = (
        "from persqa_client import generate\n"
        f"print(generate([{str(red)!r}], base_url={simulator.base_url!r}, model='persqa-simulator').tally.succeeded)"
    )
    result = python(code)
    assert (result.returncode, result.stdout.strip()) == (0, "1"), result.stderr


def test_public_names_are_imported_when_they_are_used() -> None:
    for name in persqa_client.__all__:
        assert getattr(persqa_client, name).__name__ == name
    code = "import sys, persqa_client; print('openai' in sys.modules, persqa_client.__version__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", persqa_client.__version__]
    with pytest.raises(AttributeError):
        _ = persqa_client.nonsense


def test_repr_does_not_show_the_key() -> None:
    shown = repr(Endpoint(base_url="http://x/v1", model="m", api_key="sk-secret"))
    assert "sk-secret" not in shown


async def test_a_client_works_once_its_server_is_reachable(red: Path) -> None:
    with run_simulator(SimSettings(latency=0)) as server:
        pass
    async with PersQAClient(endpoint(server)) as client:
        with pytest.raises(RunStopped):
            await client.ask(red)
        with run_simulator(SimSettings(latency=0), port=server.port):
            assert (await client.ask(red)).answer.startswith("<mam>")


async def test_a_client_works_after_a_stream_was_stopped(red: Path) -> None:
    with run_simulator(SimSettings(latency=0, script=["payment"])) as server:
        async with PersQAClient(endpoint(server), probes=False) as client:
            with pytest.raises(RunStopped):
                assert [row async for row in client.stream([str(red)])]
            assert (await client.ask(red)).answer.startswith("<mam>")


async def test_a_client_works_after_an_outage(red: Path) -> None:
    down = False

    async def there(request: web.Request) -> web.StreamResponse:
        if down and request.transport is not None:
            request.transport.abort()
        return completion_response() if request.method == "POST" else web.Response()

    async with serve_handler(there) as url:
        limits = Limits(max_attempts=1, max_outage=0.1)
        async with PersQAClient(Endpoint(base_url=f"{url}/v1", model="m"), limits=limits, probes=False) as client:
            await client.ask(red)
            down = True
            with pytest.raises(RunStopped) as caught:
                await client.ask(red)
            assert caught.value.code == "server_away"
            down = False
            assert isinstance(await client.ask(red), Record)


async def test_a_stream_takes_rows_as_they_are_needed(simulator: Simulator) -> None:
    drawn = 0

    def rows() -> Iterator[dict[str, object]]:
        nonlocal drawn
        for number in range(2_000):
            drawn += 1
            yield {"picture": number}

    async for row, _ in stream(rows(), endpoint(simulator), limits=Limits(concurrency=2)):
        assert drawn < row.number + 50


async def test_a_stream_starts_as_many_rows_as_fit_the_memory_limit(tmp_path: Path) -> None:
    """An image counts with twice its file size until it is prepared, so that two would fill the budget of 0.75 MB."""
    noise = Image.effect_noise((500, 500), 100)
    noise.save(tmp_path / "a.jpg", quality=90)
    assert 180_000 < (tmp_path / "a.jpg").stat().st_size < 250_000
    with run_simulator(SimSettings(latency=0.3)) as server:
        rows = [{"image": str(tmp_path / "a.jpg"), "id": number} for number in range(6)]
        answers = stream(rows, endpoint(server), limits=Limits(max_inflight_mb=1), probes=False)
        outcomes = [outcome async for _, outcome in answers]
        assert server.stats()["max_in_flight"] >= 3
    assert all(isinstance(outcome, Record) for outcome in outcomes)


async def test_a_stream_tells_its_progress(red: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[ProgressSnapshot] = []
    threads: set[str] = set()

    def watch(snapshot: ProgressSnapshot) -> None:
        seen.append(snapshot)
        threads.add(threading.current_thread().name)

    rows = [{"image": str(red)}] * 3 + [{"image": "none.png"}]
    with run_simulator(SimSettings(latency=0.1)) as server:
        options: dict[str, Any] = {"price_in": 1_000_000, "price_out": 0}
        answers = stream(rows, endpoint(server), limits=Limits(**options), probes=False, on_progress=watch)
        assert len([answer async for answer in answers]) == 4
        last = seen[-1]
        assert (last.done, last.total, last.failed, last.in_flight, last.phase) == (4, 4, 1, 0, "ended")
        assert last.cost == last.prompt_tokens > 0
        assert {snapshot.phase for snapshot in seen} <= {"Testing what the server can do", "Answering", "ended"}
        assert threads == {threading.current_thread().name}
        seen.clear()
        summary = generate(rows, endpoint=endpoint(server), probes=False, on_progress=watch, progress=True)
    assert (seen[-1].done, seen[-1].failed, summary.tally.rows) == (4, 1, 4)
    assert threads == {threading.current_thread().name, "persqa"}
    with pytest.raises(SettingsError, match="without async"):
        generate(rows, endpoint=Endpoint(base_url="http://127.0.0.1:9/v1", model="m"), on_progress="bar")  # type: ignore[arg-type]


def test_ctrl_c_in_generate_stops_the_run(red: Path, tmp_path: Path) -> None:
    """The exception is caught, as in a notebook; nothing more is sent, and no answer is lost."""
    with run_simulator(SimSettings(latency=0.05, slots=4)) as server:
        rows = [{"image": str(red), "n": number} for number in range(60)]
        arguments: dict[str, Any] = {
            "base_url": server.base_url, "model": "persqa-simulator", "concurrency": 4, "probes": False
        }  # fmt: skip
        code = (
            "import sys, time\n"
            "from persqa_client import generate\n"
            f"try:\n    generate({rows!r}, 'qa.jsonl', **{arguments!r})\n"
            "except KeyboardInterrupt:\n    print('stopped', flush=True); sys.stdin.read()\n"
        )
        theirs, ours = os.pipe()
        process = Command(code, [], tmp_path, stdin=theirs)
        os.close(theirs)
        while server.stats()["answered"] < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopped\n"
        asked = server.stats()["requests"]
        time.sleep(0.3)
        assert server.stats()["requests"] == asked
        os.close(ours)
        process.communicate(timeout=20)
        assert generate(rows, tmp_path / "qa.jsonl", **arguments).tally.succeeded == len(rows)
        assert (server.stats()["requests"], asked < len(rows)) == (len(rows), True)


def test_a_forked_child_has_a_loop_of_its_own(simulator: Simulator, red: Path) -> None:
    code = (
        "import multiprocessing\nfrom persqa_client import generate\n"
        f"picture, args = {str(red)!r}, dict(base_url={simulator.base_url!r}, model='persqa-simulator')\n"
        "def go(n): return generate([picture], **args).tally.succeeded\n"
        "print(go(0), multiprocessing.get_context('fork').Pool(1).apply(go, (1,)))"
    )
    result = python(code)
    assert result.stdout.split() == ["1", "1"], result.stderr


@pytest.mark.parametrize("rows", ["photos", Path("photos"), {"image": "a.png"}, b"data", 5], ids=repr)
async def test_what_is_no_iterable_of_rows_is_refused(rows: Any) -> None:
    """The characters of a name would be taken for rows."""
    async with PersQAClient(Endpoint(base_url="http://127.0.0.1:9/v1", model="m")) as client:
        with pytest.raises(SettingsError, match="give an iterable of rows or pictures"):
            client.stream(rows)
