"""The same worlds over loopback and in real time, with runs that are killed: every row ends in exactly one place."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from tests.simulation.loopback import draw_hasty_world
from tests.simulation.replies import good_text
from tests.simulation.world import World
from tests.support.commands import persqa, start

KILLS = 4
MAX_RUNS = 30
PICTURES = 10
# Worlds of two endpoints that fail in several ways.
SEEDS = [5, 18, 20]


@contextmanager
def serve_world(seed: int) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "tests.simulation.loopback", str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        yield [f"http://127.0.0.1:{port}/v1" for port in ports]
        process.communicate()


def write_rows(folder: Path, world: World) -> None:
    for number in range(PICTURES):
        Image.new("RGB", (32, 32), (20 * number, 90, 40)).save(folder / f"{number}.png")
    rows = [
        {
            "id": row,
            "image": [f"{row % PICTURES}.png"],
            "question": f"What does <mam> wear in the picture of row {row}?",
        }
        for row in world.rows
    ]
    (folder / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def run_command(base_urls: list[str]) -> list[str]:
    flags = {"--model": "qwen", "--concurrency": "8", "--timeout": "2", "--max-outage": "8", "-o": "out.jsonl"}
    urls = [word for url in base_urls for word in ("--base-url", url)]
    return ["run", "rows.jsonl", "--no-probes", *urls, *(word for flag in flags.items() for word in flag)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_runs_put_each_row_in_one_place(seed: int, tmp_path: Path) -> None:
    world, rng = draw_hasty_world(seed), random.Random(seed)
    write_rows(tmp_path, world)
    with serve_world(seed) as base_urls:
        command = run_command(base_urls)
        for _ in range(KILLS):
            process = start(*command, cwd=tmp_path)
            time.sleep(rng.uniform(0.8, 2.0))
            process.kill()
            process.communicate()
        codes = [persqa(*command, cwd=tmp_path).returncode]
        # 3: stopped because all endpoints refuse, or are away for longer than --max-outage.
        while codes[-1] == 3 and len(codes) < MAX_RUNS:
            time.sleep(1)
            codes.append(persqa(*command, cwd=tmp_path).returncode)
    assert codes[-1] in (0, 1), codes
    assert_each_row_is_in_one_place(world, tmp_path)


def assert_each_row_is_in_one_place(world: World, folder: Path) -> None:
    answered = {row["id"]: row["pers_qa"] for row in read_lines(folder / "out.jsonl")}
    failed = {row["id"]: row["error"]["code"] for row in read_lines(folder / "out.failed.jsonl")}
    ids = [row["id"] for name in ("out.jsonl", "out.failed.jsonl") for row in read_lines(folder / name)]
    assert sorted(ids) == sorted(world.rows)
    assert {row: code for row, code in failed.items() if row not in world.bad_rows} == {}
    assert set(failed) == world.bad_rows
    assert [row for row, text in answered.items() if not text.endswith(good_text(row))] == []


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
