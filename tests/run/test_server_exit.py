"""A server started by this program exits: requests fail at once, and the run can be resumed."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client import Endpoint, Limits, PersQAClient, RunStopped, ServerFailed, SettingsError, generate
from persqa_client.config import Recipe
from persqa_client.inputs.opening import open_source
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings, make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator

MODEL = "persqa-simulator"
FAILED = ServerFailed("server_died", "The server has exited.", ["the end of its log"])
ROWS = 40
FOR_EVER = 3600.0
# Six answers, then none.
STALLING = SimSettings(script=["ok"] * 6, faults={"stall": 1.0}, latency=0.01)


class OwnedServer:
    """A simulator in the role of a server started by this program."""

    def __init__(self, settings: SimSettings) -> None:
        self.life = ExitStack()
        self.server = self.life.enter_context(run_simulator(settings))
        self.failed: ServerFailed | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(base_url=self.server.base_url, model=MODEL, exit_error=lambda: self.failed)

    def end(self, *, seen_after: float = 0.0) -> None:
        """Stops listening. The exit is visible ``seen_after`` seconds later."""
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


async def execute_and_end_servers(run: Run, done: int, *owned: OwnedServer) -> Summary:
    """Executes the run, and ends the servers after ``done`` rows."""
    execution = asyncio.create_task(run.execute())
    while run.progress.done < done:
        await asyncio.sleep(0.01)
    for one in owned:
        await asyncio.to_thread(one.end)
    return await execution


@pytest.mark.parametrize("seen_after", [0.0, 1.0])
def test_an_exit_before_the_first_answer_is_the_reason_of_the_stop(rows: Path, seen_after: float) -> None:
    """Connections may be refused before the exit is visible."""
    owned = OwnedServer(SimSettings())
    owned.end(seen_after=seen_after)
    with pytest.raises(RunStopped) as caught:
        asyncio.run(make_run(rows, owned.endpoint, probes=True).execute())
    assert caught.value is FAILED
    assert not list(rows.parent.glob("*qa*")), "a run that never began leaves no files"


def test_a_rejection_by_a_running_server_keeps_its_code(rows: Path) -> None:
    owned = OwnedServer(SimSettings(api_key="secret"))
    with owned.life, pytest.raises(RunStopped) as caught:
        asyncio.run(make_run(rows, owned.endpoint, probes=True).execute())
    assert caught.value.code == "wrong_key"


def test_an_exit_in_mid_run_stops_the_run_and_keeps_its_answers(rows: Path) -> None:
    owned = OwnedServer(STALLING)
    with pytest.raises(RunStopped) as caught:
        asyncio.run(execute_and_end_servers(make_run(rows, owned.endpoint), 6, owned))
    assert caught.value is FAILED
    with run_simulator(SimSettings(latency=0.0)) as another:
        assert asyncio.run(make_run(rows, of(another)).execute()).state == "finished"
        assert another.stats()["answered"] == ROWS - 6
    assert [orjson.loads(line)["n"] for line in rows.with_name("qa.jsonl").read_bytes().splitlines()] == [*range(ROWS)]


def test_the_run_continues_at_another_endpoint(rows: Path) -> None:
    owned = OwnedServer(STALLING)
    with run_simulator(SimSettings(latency=0.05)) as other:
        run = make_run(rows, owned.endpoint, of(other))
        summary = asyncio.run(execute_and_end_servers(run, 8, owned))
    assert summary.tally.succeeded == ROWS
    assert run.pool.warnings == [f"{owned.server.base_url} is left out from now on: The server has exited."]


def test_the_run_stops_at_once_if_all_servers_have_exited(rows: Path) -> None:
    one, other = OwnedServer(STALLING), OwnedServer(STALLING)
    with pytest.raises(RunStopped) as caught:
        asyncio.run(execute_and_end_servers(make_run(rows, one.endpoint, other.endpoint), 8, one, other))
    assert caught.value is FAILED


async def test_a_client_raises_server_failed(rows: Path) -> None:
    owned = OwnedServer(SimSettings(latency=0.0))
    limits = Limits(max_outage=FOR_EVER)
    async with PersQAClient(owned.endpoint, limits=limits) as client:
        await client.ask(rows.with_name("red.png"))
        await asyncio.to_thread(owned.end)
        with pytest.raises(ServerFailed):
            await client.ask(rows.with_name("red.png"))


def test_generate_accepts_an_endpoint(rows: Path) -> None:
    with run_simulator(SimSettings(latency=0.0)) as server:
        assert generate(rows, endpoint=of(server)).tally.succeeded == ROWS
        with pytest.raises(SettingsError, match="either endpoint, or base_url"):
            generate(rows, endpoint=of(server), model=MODEL)
    with pytest.raises(SettingsError, match="at least one endpoint"):
        generate(rows)


def test_exit_error_is_not_shown_and_not_dumped() -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:1/v1", model=MODEL, exit_error=lambda: FAILED)
    assert "gone" not in repr(endpoint)
    assert "gone" not in endpoint.model_dump()


def test_a_held_run_locks_its_files(rows: Path) -> None:
    """Before its server is started, so that no second server is started for the same output."""
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


def test_a_held_run_that_never_starts_leaves_no_files(rows: Path) -> None:
    with make_run(rows, Endpoint(base_url="http://127.0.0.1:1/v1", model=MODEL)).hold_files():
        assert list(rows.parent.glob("*qa*"))
    assert not list(rows.parent.glob("*qa*"))


def test_the_start_of_a_server_does_not_count_as_run_time(rows: Path) -> None:
    now = 0.0
    settings = make_run(rows, Endpoint(base_url="http://127.0.0.1:1/v1", model=MODEL)).settings
    run = Run(settings, open_source(rows, "image"), clock=lambda: now)
    with run.hold_files(), run_simulator(SimSettings(latency=0.0)) as server:
        now = 100.0
        run.use_endpoint(of(server))
        assert asyncio.run(run.execute()).seconds == 0.0


def test_files_of_the_settings_are_read_once(rows: Path, tmp_path: Path) -> None:
    """The server may take half an hour to start; the run's identity holds the digests of the files as they were."""
    names = tmp_path / "names.txt"
    names.write_text("Alice\n")
    settings = RunSettings(
        input=rows,
        output=rows.with_name("qa.jsonl"),
        endpoint=Endpoint(base_url="http://127.0.0.1:1/v1", model=MODEL),
        recipe=Recipe(names=names),
    )
    run = Run(settings, open_source(rows, "image"))
    with run.hold_files(), run_simulator(SimSettings(latency=0.0)) as server:
        names.unlink()
        run.use_endpoint(of(server))
        assert run.plan.names == ("Alice",)
        assert asyncio.run(run.execute()).tally.succeeded > 0
