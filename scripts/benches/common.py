"""Shared by the benches: figures with their bars, processes and their cost, servers, images and rows."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image

MODEL = "bench-model"
SIMULATED_MODEL = "persqa-simulator"

# The model that tests/live/tiny_vllm serves.
TINY_MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"
TINY_SCRIPT = Path(__file__).parents[2] / "tests" / "live" / "tiny_vllm" / "serve.sh"
TINY_HOME = Path(os.environ.get("TINY_VLLM_HOME", Path.home() / ".cache" / "tiny-vllm"))
TINY_START_SECONDS = 900
# A run has 30 seconds for its requests in flight.
END_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``bar``: the required value, in words. ``met`` is None if it was not measured."""

    what: str
    value: str
    bar: str
    met: bool | None

    def line(self) -> str:
        state = {True: "met", False: "MISSED", None: "–"}[self.met]
        return f"| {self.what} | {self.value} | {self.bar} | {state} |"


def measure_in_process(measure: Callable[[Path], Iterable[Figure]], folder: Path) -> Iterator[Figure]:
    """The figures of a bench, each as soon as it is measured. Raises RuntimeError if the bench fails.

    In a separate process, since a child counts its parent's memory as its own peak.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_figures, args=(measure, folder, sender))
    process.start()
    # The child has the only other end, so that its end is that of the figures.
    sender.close()
    with suppress(EOFError):
        while True:
            yield receiver.recv()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"The bench in {folder} failed, with exit code {process.exitcode}; its error is above.")


def send_figures(measure: Callable[[Path], Iterable[Figure]], folder: Path, sender: Connection) -> None:
    for figure in measure(folder):
        sender.send(figure)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a process: wall and CPU time in seconds, peak memory in MB."""

    wall: float
    cpu: float
    peak: float
    exit_code: int
    output: str


def measure_command(command: Sequence[str | Path]) -> Cost:
    """Run a command and measure it."""
    with tempfile.TemporaryFile() as file:
        began = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        file.seek(0)
        output = file.read().decode(errors="replace")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, process.returncode, output)


def measure_success(command: Sequence[str | Path]) -> Cost:
    """Measures like ``measure_command``. The command must succeed."""
    cost = measure_command(command)
    assert cost.exit_code == 0, cost.output
    return cost


def persqa(*words: str | Path) -> tuple[str | Path, ...]:
    """The words of a ``persqa`` command."""
    return sys.executable, "-m", "persqa_client", *words


def call_persqa(*words: str | Path) -> dict[str, Any]:
    """The object of a ``persqa`` command with ``--json``; some of its rows may fail."""
    result = subprocess.run([str(word) for word in persqa(*words)], capture_output=True, text=True, check=False)
    assert result.returncode in (0, 1), result.stderr
    return dict(json.loads(result.stdout))


@contextmanager
def run_process(*words: str | Path, stdout: int) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended after the block, together with its children."""
    command = [str(word) for word in words]
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    try:
        yield process
    finally:
        end_group(process)
        if process.stdout is not None:
            process.stdout.close()


def end_group(process: subprocess.Popen[str], seconds: float = END_SECONDS) -> None:
    """By SIGTERM, and after some seconds by SIGKILL: a vLLM that is still starting may wait for its engine for ever."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def run_script(name: str, *words: str | Path) -> Iterator[str]:
    """A script of this folder that prints one line when it is ready; gives the line."""
    command = [sys.executable, Path(__file__).parent / name, *words]
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def run_bare_server(latency: float = 0.2, *record: Path) -> Iterator[str]:
    """A server that always gives the same answer, after ``latency`` seconds; gives its base URL.

    ``record``: file for the bodies of the requests.
    """
    with run_script("bare_server.py", str(latency), *record) as url:
        yield url


@contextmanager
def hold_in_memory(folder: Path) -> Iterator[None]:
    """Keep a folder's files in memory, so that the client is measured and not the disk.

    In a separate process, since a process counts its parent's memory at its start as its own peak.
    """
    with run_script("hold_in_memory.py", folder):
        yield


@contextmanager
def run_simulator(*flags: str | int | float) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A simulator; gives its base URL and its process."""
    words = persqa("sim", "--port", "0", *map(str, flags))
    with run_process(*words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line))), process


@contextmanager
def run_tiny_vllm(port: int, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The tiny vLLM of the live tests; gives its base URL and its process. Wait with ``wait_for_health``."""
    with run_process(TINY_SCRIPT, str(port), *flags, stdout=subprocess.DEVNULL) as process:
        yield f"http://127.0.0.1:{port}/v1", process


def has_tiny_vllm() -> bool:
    """Whether the tiny vLLM is installed; prints a note if it is not."""
    installed = (TINY_HOME / "model" / ".made-by").exists()
    if not installed:
        print("No tiny vLLM is installed: its figures are left out.", file=sys.stderr)
    return installed


def wait_for_health(url: str) -> None:
    for _ in range(TINY_START_SECONDS):
        try:
            fetch(f"{url.removesuffix('/v1')}/health")
            return
        except OSError:
            time.sleep(1)
    raise RuntimeError(f"{url} did not start")


def sum_counter(metrics: str, name: str) -> float:
    """Of vLLM's /metrics, over all labels."""
    return sum(float(value) for value in re.findall(rf"^vllm:{name}_total\S* (\S+)", metrics, re.MULTILINE))


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return bytes(response.read())


def make_jpeg(kilobytes: int = 390) -> bytes:
    """A JPEG of about this size: noise, with fewer pixels than the client's limit."""
    noise = Image.frombytes("RGB", (1000, 900), random.Random(0).randbytes(2_700_000))
    smooth = noise.resize((500, 450)).resize((1000, 900))
    for quality in range(95, 20, -1):
        buffer = io.BytesIO()
        smooth.save(buffer, "JPEG", quality=quality)
        if len(buffer.getvalue()) <= kilobytes * 1024:
            return buffer.getvalue()
    raise RuntimeError(f"no quality gives a JPEG of {kilobytes} KB")


def make_images(folder: Path, count: int) -> list[Path]:
    """Different JPEG files that differ in a few bytes only. Files of an earlier run are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    data = bytearray(make_jpeg())
    middle = len(data) // 2
    paths = []
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        if not path.exists():
            data[middle : middle + 8] = f"{number:08}".encode()
            path.write_bytes(data)
        paths.append(path)
    return paths


def write_rows(path: Path, images: Sequence[Path], count: int | None = None) -> Path:
    """Write rows with ids; the images repeat if there are more rows."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(len(images) if count is None else count):
            file.write(json.dumps({"id": number, "image": [str(images[number % len(images)])]}) + "\n")
    return path


def write_new_rows(folder: Path, count: int, side: int = 224) -> Path:
    """Write rows of small new images, which are in no server's cache. ``side``: of an image, in pixels."""
    rng = random.Random(time.time_ns())
    smooth = Image.frombytes("RGB", (8, 8), rng.randbytes(192)).resize((side, side))
    (folder / "small").mkdir(parents=True, exist_ok=True)
    paths = [folder / "small" / f"{number:05}.jpg" for number in range(count)]
    for path in paths:
        image = smooth.copy()
        image.paste(Image.frombytes("RGB", (16, 16), rng.randbytes(768)), (96, 96))
        image.save(path, "JPEG", quality=85)
    return write_rows(folder / "rows.jsonl", paths)
