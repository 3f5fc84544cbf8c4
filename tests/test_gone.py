"""A run that is told that its server is gone: it ends at once, with that reason, and goes on another time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client import RunStopped, ServerFailed
from persqa_client.api import make_settings
from persqa_client.inputs.sources import open_source
from persqa_client.runs import Run
from persqa_client.simulator.server import Running, SimSettings, running

GONE = ServerFailed("server_died", "The server is gone.", ["its last words"])
ROWS = 40


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"image": "red.png", "n": {number}}}\n' for number in range(ROWS)))
    return path


def make_run(rows: Path, server: Running, *, probes: bool) -> Run:
    flags = {"probes": probes, "concurrency": 4}
    output = rows.with_name("qa.jsonl")
    return Run(
        make_settings(rows, output, server.base_url, "persqa-simulator", None, flags), open_source(rows, "image")
    )


async def refuse(run: Run, when: str) -> None:
    """Executes it, and refuses it while the server is asked what it can do, or when some rows are answered."""
    execution = asyncio.create_task(run.execute())
    while run.live.phase == "starting" or (when == "rows" and run.live.done < 8):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    run.refuse(GONE)
    # What is under way gets no time to finish.
    done, _ = await asyncio.wait({execution}, timeout=15)
    assert done
    await execution


def test_while_the_server_is_being_met(rows: Path) -> None:
    with running(SimSettings(latency=100.0)) as server, pytest.raises(RunStopped) as caught:
        asyncio.run(refuse(make_run(rows, server, probes=True), "meeting"))
    assert caught.value is GONE
    assert not list(rows.parent.glob("*qa*")), "a run that never began leaves nothing"


def test_in_mid_run_what_was_answered_is_kept(rows: Path) -> None:
    with running(SimSettings(script=["ok"] * 8, faults={"stall": 1.0}, latency=0.01)) as server:
        with pytest.raises(RunStopped) as caught:
            asyncio.run(refuse(make_run(rows, server, probes=False), "rows"))
        assert caught.value is GONE
    with running(SimSettings(latency=0.0)) as another:
        assert asyncio.run(make_run(rows, another, probes=False).execute()).state == "finished"
        assert another.stats()["answered"] == ROWS - 8
    assert [orjson.loads(line)["n"] for line in rows.with_name("qa.jsonl").read_bytes().splitlines()] == [*range(ROWS)]


def test_before_its_start_it_asks_nothing(rows: Path) -> None:
    with running(SimSettings()) as server:
        run = make_run(rows, server, probes=False)
        run.refuse(GONE)
        with pytest.raises(ServerFailed):
            asyncio.run(run.execute())
        assert server.stats()["answered"] == 0


def test_whether_there_is_work_is_read_from_the_files(rows: Path) -> None:
    with running(SimSettings(latency=0.0)) as server:
        assert make_run(rows, server, probes=False).has_work()
        assert not list(rows.parent.glob("*qa*")), "looking leaves nothing"
        asyncio.run(make_run(rows, server, probes=False).execute())
        assert not make_run(rows, server, probes=False).has_work()
        with rows.open("ab") as file:
            file.write(orjson.dumps({"image": "gone.png"}) + b"\n")
        assert make_run(rows, server, probes=False).has_work(), "a line was added"
