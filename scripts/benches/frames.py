"""The cost of DataFlow's operator, with its frame and storage, beside ``persqa run`` on the same rows."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benches.common import MODEL, Figure, make_images, measure_success, persqa, run_bare_server, write_rows

CONCURRENCY = 64
# The frame and its answers are in memory: some kilobytes per row.
CPU_BAR, MEMORY_BAR = 1.25, 500

PROGRAM = """
from persqa_client.dataflow import FileStorage, OpenAIVLMServing, PersQAGenerator

serving = OpenAIVLMServing({url!r}, model_name={model!r}, max_workers={concurrency}, temperature=0.7, max_tokens=512)
storage = FileStorage({input!r}, cache_path={cache!r}, file_name_prefix="qa")
PersQAGenerator(serving, probes=False).run(storage.step(), output_key="pers_qa")
"""


def measure(folder: Path, *, rows: int = 100_000, latency: float = 0.0) -> Iterator[Figure]:
    input = write_rows(folder / "rows.jsonl", make_images(folder / "pictures", 64), rows)
    with run_bare_server(latency) as url:
        plain = measure_success(persqa_command(url, input, folder))
        first = measure_success(operator_command(url, input, folder, fresh=True))
        cpu = first.cpu / plain.cpu
        clock = f"{first.wall:.0f} s / {plain.wall:.0f} s on the clock"
        seconds = f"{cpu:.2f} ({first.cpu:.0f} s / {plain.cpu:.0f} s; {clock})"
        yield Figure(f"CPU over a frame of {rows:,} rows, times persqa run", seconds, f"≤ {CPU_BAR}", cpu <= CPU_BAR)
        peaks = f"{first.peak:.0f} MB ({plain.peak:.0f} MB)"
        yield Figure("its peak memory (that of persqa run)", peaks, f"< {MEMORY_BAR} MB", first.peak < MEMORY_BAR)
        again = measure_success(operator_command(url, input, folder, fresh=False))
    yield Figure("the same call again, all answered", f"{again.wall:.1f} s", "–", None)


def persqa_command(url: str, input: Path, folder: Path) -> tuple[str | Path, ...]:
    words = persqa("run", input, "-o", folder / "out.jsonl", "--fresh", "--base-url", url, "--model", MODEL)
    return (*words, "--no-probes", "--concurrency", str(CONCURRENCY))


def operator_command(url: str, input: Path, folder: Path, *, fresh: bool) -> tuple[str, ...]:
    cache = folder / "cache"
    if fresh:
        shutil.rmtree(cache, ignore_errors=True)
    code = PROGRAM.format(url=url, model=MODEL, concurrency=CONCURRENCY, input=str(input), cache=str(cache))
    return sys.executable, "-c", code
