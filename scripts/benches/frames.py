"""How much DataFlow's operator costs beside ``persqa run`` on the same rows: frame, storage and columns come on top."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benches.common import MODEL, Figure, bare_server, different_pictures, persqa, run, serving, write_rows
from benches.hot_path import checked

AT_ONCE = 64
CPU_BAR, MEMORY_BAR = 1.25, 500
"""A frame is held in memory, and its rows with their answers beside it: some kilobytes a row."""

PROGRAM = """
from persqa_client.dataflow import FileStorage, OpenAIVLMServing, PersQAGenerator

serving = OpenAIVLMServing({url!r}, model_name={model!r}, max_workers={at_once}, temperature=0.7, max_tokens=512)
storage = FileStorage({input!r}, cache_path={cache!r}, file_name_prefix="qa")
PersQAGenerator(serving, probes=False).run(storage.step(), output_key="pers_qa")
"""


def measure(folder: Path, *, rows: int = 100_000, latency: float = 0.0) -> list[Figure]:
    input = write_rows(folder / "rows.jsonl", different_pictures(folder / "pictures", 64), rows)
    with serving(*bare_server(latency)) as url:
        plain = checked(run(command(url, input, folder)))
        first = checked(run(operator(url, input, folder, fresh=True)))
        again = checked(run(operator(url, input, folder, fresh=False)))
    peaks = f"{first.peak:.0f} MB ({plain.peak:.0f} MB)"
    cpu = first.cpu / plain.cpu
    seconds = f"{cpu:.2f} ({first.cpu:.0f} s / {plain.cpu:.0f} s; {first.wall:.0f} s / {plain.wall:.0f} s on the clock)"
    return [
        Figure(f"CPU over a frame of {rows:,} rows, times persqa run", seconds, f"≤ {CPU_BAR}", cpu <= CPU_BAR),
        Figure("its peak memory (that of persqa run)", peaks, f"< {MEMORY_BAR} MB", first.peak < MEMORY_BAR),
        Figure("the same call again, all answered", f"{again.wall:.1f} s", "–", None),
    ]


def command(url: str, input: Path, folder: Path) -> tuple[str | Path, ...]:
    words = persqa("run", input, "-o", folder / "out.jsonl", "--fresh", "--base-url", url, "--model", MODEL)
    return (*words, "--no-probes", "--concurrency", str(AT_ONCE))


def operator(url: str, input: Path, folder: Path, *, fresh: bool) -> tuple[str, ...]:
    cache = folder / "cache"
    if fresh:
        shutil.rmtree(cache, ignore_errors=True)
    code = PROGRAM.format(url=url, model=MODEL, at_once=AT_ONCE, input=str(input), cache=str(cache))
    return sys.executable, "-c", code
