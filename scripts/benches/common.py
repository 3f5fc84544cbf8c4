"""What the measurements share: a bare server, processes and their cost, pictures that differ, figures with bars."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

MODEL = "bench-model"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``bar`` is what it must reach, in words; ``met`` whether it does, None: not measured."""

    what: str
    value: str
    bar: str
    met: bool | None

    def line(self) -> str:
        said = {True: "met", False: "MISSED", None: "–"}[self.met]
        return f"| {self.what} | {self.value} | {self.bar} | {said} |"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds on the clock, seconds of CPU, peak memory in MB."""

    wall: float
    cpu: float
    peak: float
    code: int
    said: str


def run(command: Sequence[str | Path]) -> Cost:
    """A command from start to end, alone."""
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, process.returncode, text)


@contextmanager
def serving(*command: str | Path) -> Iterator[str]:
    """A server in a process of its own; gives its base URL, which is the first line that it prints."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


@contextmanager
def in_memory(folder: Path) -> Iterator[None]:
    """Keeps a folder's files in memory: a client is measured, not the disk that it may wait for. In a process of its
    own, because one that is started counts its parent's memory as its own peak."""
    with serving(sys.executable, Path(__file__).parent / "in_memory.py", folder):
        yield


def bare_server(latency: float = 0.2) -> tuple[str | Path, ...]:
    """The command of a server that reads a request, waits and gives always the same answer."""
    return sys.executable, Path(__file__).parent / "bare_server.py", str(latency)


def persqa(*words: str | Path) -> tuple[str | Path, ...]:
    return sys.executable, "-m", "persqa_client", *words


def picture_bytes(kilobytes: int = 390) -> bytes:
    """A JPEG of about this size, noisy enough to have it, of fewer pixels than the budget."""
    noise = Image.frombytes("RGB", (1000, 900), random.Random(0).randbytes(2_700_000))
    smooth = noise.resize((500, 450)).resize((1000, 900))
    for quality in range(95, 20, -1):
        buffer = io.BytesIO()
        smooth.save(buffer, "JPEG", quality=quality)
        if len(buffer.getvalue()) <= kilobytes * 1024:
            return buffer.getvalue()
    raise RuntimeError("no such picture")


def different_pictures(folder: Path, count: int) -> list[Path]:
    """Files of one picture that differ in some bytes of its scan, so that no two are alike; kept from run to run."""
    folder.mkdir(parents=True, exist_ok=True)
    data = bytearray(picture_bytes())
    middle = len(data) // 2
    paths = []
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        if not path.exists():
            data[middle : middle + 8] = f"{number:08}".encode()
            path.write_bytes(data)
        paths.append(path)
    return paths


def write_rows(path: Path, pictures: Sequence[Path], count: int | None = None) -> Path:
    """Rows with an id each; the pictures come again in turn where there are more rows."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(len(pictures) if count is None else count):
            file.write(json.dumps({"id": number, "image": [str(pictures[number % len(pictures)])]}) + "\n")
    return path
