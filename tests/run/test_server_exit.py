"""A server of one's own that is gone: whoever asks there is told so at once, and a run goes on another time."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client import Endpoint, Limits, PersQAClient, RunStopped, ServerFailed, SettingsError, generate
from persqa_client.config import make_run_settings
from persqa_client.inputs.sources import open_source
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator

MODEL = "persqa-simulator"
FAILED = ServerFailed("server_died", "The server is gone.", ["its last words"])
ROWS = 40
FOR_EVER = 3600.0
BROKEN_OFF = SimSettings(script=["ok"] * 6, faults={"stall": 1.0}, latency=0.01)
"""Some are answered, and then no more."""


class Owned:
    """A simulator that somebody has started for themselves, and that can be ended."""

    def __init__(self, settings: SimSettings) -> None:
        self.life = ExitStack()
        self.server = self.life.enter_context(run_simulator(settings))
        self.failed: ServerFailed | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(base_url=self.server.base_url, model=MODEL, exit_error=lambda: self.failed)

    def end(self, *, seen_after: float = 0.0) -> None:
        """It no longer listens; that it has ended may be seen some seconds later."""
        threading.Timer(seen_after, self.admit).start() if seen_after else self.admit()
        self.life.close()

    def admit(self) -> None:
        self.failed = FAILED


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"image": "red.png", "n": {number}}}\n' for number in range(ROWS)))
    return path


def make_run(rows: Path, *endpoints: Endpoint, probes: bool = False) -> Run:
    flags = {"probes": probes, "concurrency": 4, "max_outage": FOR_EVER}
    settings = make_run_settings(endpoints, flags, input=rows, output=rows.with_name("qa.jsonl"))
    return Run(settings, open_source(rows, "image"))


def of(server: Simulator) -> Endpoint:
    return Endpoint(base_url=server.base_url, model=MODEL)


async def execute_until(run: Run, done: int, *owned: Owned) -> Summary:
    """Executes it, and ends these servers when so many rows are answered."""
    execution = asyncio.create_task(run.execute())
    while run.progress.done < done:
        await asyncio.sleep(0.01)
    for one in owned:
        await asyncio.to_thread(one.end)
    return await execution


@pytest.mark.parametrize("seen_after", [0.0, 1.0])
def test_before_the_first_answer_it_is_told_by_its_own_words(rows: Path, seen_after: float) -> None:
    """That nothing listens any more is heard before it is seen that the server has ended."""
    owned = Owned(SimSettings())
    owned.end(seen_after=seen_after)
    with pytest.raises(RunStopped) as caught:
        asyncio.run(make_run(rows, owned.endpoint, probes=True).execute())
    assert caught.value is FAILED
    assert not list(rows.parent.glob("*qa*")), "a run that never began leaves nothing"


def test_a_refusal_of_one_that_is_there_stays_what_it_is(rows: Path) -> None:
    owned = Owned(SimSettings(api_key="secret"))
    with owned.life, pytest.raises(RunStopped) as caught:
        asyncio.run(make_run(rows, owned.endpoint, probes=True).execute())
    assert caught.value.code == "wrong_key"


def test_in_mid_run_it_ends_the_run_and_what_was_answered_is_kept(rows: Path) -> None:
    owned = Owned(BROKEN_OFF)
    with pytest.raises(RunStopped) as caught:
        asyncio.run(execute_until(make_run(rows, owned.endpoint), 6, owned))
    assert caught.value is FAILED
    with run_simulator(SimSettings(latency=0.0)) as another:
        assert asyncio.run(make_run(rows, of(another)).execute()).state == "finished"
        assert another.stats()["answered"] == ROWS - 6
    assert [orjson.loads(line)["n"] for line in rows.with_name("qa.jsonl").read_bytes().splitlines()] == [*range(ROWS)]


def test_where_another_endpoint_is_left_that_one_goes_on(rows: Path) -> None:
    owned = Owned(BROKEN_OFF)
    with run_simulator(SimSettings(latency=0.05)) as other:
        run = make_run(rows, owned.endpoint, of(other))
        summary = asyncio.run(execute_until(run, 8, owned))
    assert summary.tally.succeeded == ROWS
    assert run.pool.warnings == [f"{owned.server.base_url} is left out from now on: The server is gone."]


def test_where_all_are_gone_nobody_waits(rows: Path) -> None:
    one, other = Owned(BROKEN_OFF), Owned(BROKEN_OFF)
    with pytest.raises(RunStopped) as caught:
        asyncio.run(execute_until(make_run(rows, one.endpoint, other.endpoint), 8, one, other))
    assert caught.value is FAILED


async def test_a_client_is_told_too(rows: Path) -> None:
    owned = Owned(SimSettings(latency=0.0))
    limits = Limits(max_outage=FOR_EVER)
    async with PersQAClient(owned.endpoint, limits=limits) as client:
        await client.ask(rows.with_name("red.png"))
        await asyncio.to_thread(owned.end)
        with pytest.raises(ServerFailed):
            await client.ask(rows.with_name("red.png"))


def test_generate_takes_an_endpoint_in_place_of_its_parts(rows: Path) -> None:
    with run_simulator(SimSettings(latency=0.0)) as server:
        assert generate(rows, endpoint=of(server)).tally.succeeded == ROWS
        with pytest.raises(SettingsError, match="either endpoint, or base_url"):
            generate(rows, endpoint=of(server), model=MODEL)
    with pytest.raises(SettingsError, match="at least one endpoint"):
        generate(rows)


def test_who_is_told_of_the_end_is_shown_nowhere() -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:1/v1", model=MODEL, exit_error=lambda: FAILED)
    assert "gone" not in repr(endpoint)
    assert "gone" not in endpoint.model_dump()


def test_a_run_that_is_held_has_its_files_for_itself(rows: Path) -> None:
    """From before its server is started, so that nobody starts another one for the same output."""
    with run_simulator(SimSettings(latency=0.0)) as server:
        run = make_run(rows, of(server))
        with run.hold_files() as has_work:
            assert has_work
            with pytest.raises(SettingsError, match="another run"), make_run(rows, of(server)).hold_files():
                pass
            asyncio.run(run.execute())
        assert not list(rows.parent.glob("*.lock"))
        with make_run(rows, of(server)).hold_files() as has_work:
            assert not has_work
        with rows.open("ab") as file:
            file.write(orjson.dumps({"image": "gone.png"}) + b"\n")
        with make_run(rows, of(server)).hold_files() as has_work:
            assert has_work, "a line was added"


def test_a_run_that_was_held_in_vain_leaves_nothing(rows: Path) -> None:
    with make_run(rows, Endpoint(base_url="http://127.0.0.1:1/v1", model=MODEL)).hold_files():
        assert list(rows.parent.glob("*qa*"))
    assert not list(rows.parent.glob("*qa*"))


def test_the_start_of_a_server_is_none_of_the_runs_time(rows: Path) -> None:
    now = 0.0
    settings = make_run(rows, Endpoint(base_url="http://127.0.0.1:1/v1", model=MODEL)).settings
    run = Run(settings, open_source(rows, "image"), clock=lambda: now)
    with run.hold_files(), run_simulator(SimSettings(latency=0.0)) as server:
        now = 100.0
        run.use_endpoint(of(server))
        assert asyncio.run(run.execute()).seconds == 0.0
