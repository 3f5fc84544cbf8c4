"""Runs on one, two and three nodes of a Ray cluster on this machine, beside the local engine and Ray's own processor.

Each worker has a few permits only, so that the figures show how the work is divided, and not the cores of this machine.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from benches.common import (
    SIMULATED_MODEL,
    Figure,
    fetch,
    make_images,
    measure_success,
    persqa,
    run_simulator,
    write_new_rows,
    write_rows,
)

# Settings of the runs on several nodes: permits of each worker, seconds of an answer, rows for each node.
PERMITS, LATENCY, ROWS = 8, 0.2, 600
BARS = {2: 1.9, 3: 2.8}
BALANCED_ROWS, UNBALANCED = 1200, 0.1
# Rows of the comparison of costs: the second run has so many more.
FEW, MORE = 200, 1200
COST_FLAGS = ("--slots", 64, "--latency", 0.02)
PICTURES, PICTURE_PERMITS = 300, 16


def measure(folder: Path) -> Iterator[Figure]:
    if find_spec("ray") is None:
        print("Ray is not installed: its figures are left out.", file=sys.stderr)
        return
    yield from measure_nodes(folder)
    yield from measure_balance(folder)
    yield from measure_cost(folder)
    yield from measure_processor(folder)


@contextmanager
def run_cluster(nodes: int, cpus: int = 1) -> Iterator[str]:
    """Gives its address. Each node has ``cpus`` CPUs."""
    from ray.cluster_utils import Cluster

    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, "object_store_memory": 200_000_000})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=cpus, object_store_memory=200_000_000)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


def words(rows: Path, output: Path, urls: list[str], permits: int, *flags: str) -> tuple[str | Path, ...]:
    for path in output.parent.glob(f"*{output.stem}.*"):
        path.unlink()
    endpoints = [word for url in urls for word in ("--base-url", url)]
    common = ("--model", SIMULATED_MODEL, "--no-probes", "--no-uuid", "--concurrency", str(permits), "-q")
    return persqa("run", rows, "-o", output, *endpoints, *common, *flags)


def count_answers(url: str) -> int:
    return int(json.loads(fetch(f"{url.removesuffix('/v1')}/sim/stats"))["answered"])


class Pace(threading.Thread):
    """Watches a simulator: rows per second between a tenth and nine tenths of the rows."""

    def __init__(self, url: str, rows: int) -> None:
        super().__init__(daemon=True)
        self._url, self._rows = url, rows
        self.rate = 0.0

    def run(self) -> None:
        began: tuple[float, int] | None = None
        while True:
            now, answers = time.perf_counter(), count_answers(self._url)
            if began is None and answers >= 0.1 * self._rows:
                began = now, answers
            if began is not None and answers >= 0.9 * self._rows:
                self.rate = (answers - began[1]) / (now - began[0])
                return
            time.sleep(0.05)


def measure_nodes(folder: Path) -> Iterator[Figure]:
    rates: dict[int, float] = {}
    for nodes in (1, 2, 3):
        count = ROWS * nodes
        rows = write_new_rows(folder, count)
        with run_cluster(nodes) as address, run_simulator("--slots", 256, "--latency", LATENCY) as (url, _):
            pace = Pace(url, count)
            pace.start()
            measure_success(
                words(rows, folder / "nodes.jsonl", [url], PERMITS * nodes, "--engine", "ray", "--ray-address", address)
            )
            pace.join(10)
            rates[nodes] = pace.rate
        if nodes == 1:
            ideal = PERMITS / LATENCY
            yield Figure("one node, rows/s relative to what its permits allow", f"{rates[1] / ideal:.2f}", "–", None)
            continue
        gain = rates[nodes] / rates[1]
        yield Figure(f"{nodes} nodes, rows/s relative to one", f"{gain:.2f}", f"≥ {BARS[nodes]}", gain >= BARS[nodes])


def measure_balance(folder: Path) -> Iterator[Figure]:
    rows = write_new_rows(folder, BALANCED_ROWS)
    with run_cluster(3) as address:
        for count in (2, 4):
            with ExitStack() as stack:
                flags = ("--slots", 256, "--latency", LATENCY)
                urls = [stack.enter_context(run_simulator(*flags))[0] for _ in range(count)]
                engine = ("--engine", "ray", "--ray-address", address)
                measure_success(words(rows, folder / "balance.jsonl", urls, 24 // count, *engine))
                answers = [count_answers(url) for url in urls]
            spread = (max(answers) - min(answers)) * count / sum(answers)
            what = f"{count} endpoints on 3 nodes, difference in answers between the most and the least"
            yield Figure(what, f"{spread:.1%}", f"≤ {UNBALANCED:.0%}", spread <= UNBALANCED)


@dataclass
class RayProcesses:
    """CPU seconds and the largest memory of the workers of Ray, by their process."""

    cpu: dict[int, float] = field(default_factory=dict)
    peak: dict[int, int] = field(default_factory=dict)

    @contextmanager
    def watched(self, title: str) -> Iterator[None]:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.1):
                for process in psutil.process_iter(["cmdline", "cpu_times"]):
                    if " ".join(process.info["cmdline"] or ()).startswith(title) and process.info["cpu_times"]:
                        times = process.info["cpu_times"]
                        self.cpu[process.pid] = times.user + times.system
                        try:
                            # Without what is shared, such as the object store.
                            used = process.memory_full_info().uss
                        except psutil.Error:
                            continue
                        self.peak[process.pid] = max(self.peak.get(process.pid, 0), used)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @property
    def megabytes(self) -> float:
        return sum(self.peak.values()) / 1e6


def measure_cost(folder: Path) -> Iterator[Figure]:
    """CPU time of a row: that of a run with more rows less that of one with few, so that no start is counted."""
    local: list[float] = []
    on_ray: list[float] = []
    peaks: list[float] = []
    with run_simulator(*COST_FLAGS) as (url, _), run_cluster(1) as address:
        for count in (FEW, FEW + MORE):
            rows = write_new_rows(folder, count)
            cost = measure_success(words(rows, folder / "local.jsonl", [url], 32))
            local.append(cost.cpu)
            processes = RayProcesses()
            engine = ("--engine", "ray", "--ray-address", address, "--shards", "4")
            with processes.watched("ray::persqa"):
                measure_success(words(rows, folder / "on_ray.jsonl", [url], 32, *engine))
            on_ray.append(sum(processes.cpu.values()))
            peaks += [cost.peak, processes.megabytes]
    per_row = [1000 * (times[1] - times[0]) / MORE for times in (local, on_ray)]
    yield Figure("local engine, CPU per row", f"{per_row[0]:.2f} ms", "–", None)
    yield Figure("worker on Ray, CPU per row", f"{per_row[1]:.2f} ms", "–", None)
    yield Figure("local engine, memory (resident)", f"{peaks[2]:.0f} MB", "–", None)
    yield Figure("worker on Ray, memory of its own", f"{peaks[3]:.0f} MB", "–", None)


def measure_processor(folder: Path) -> Iterator[Figure]:
    """The same pictures by ``ray.data.llm``. Its stages need a CPU each, and on a single one they wait for ever."""
    images = make_images(folder / "large", PICTURES)
    rows = write_rows(folder / "large.jsonl", images)
    with run_simulator("--slots", 64, "--latency", 0.1) as (url, _), run_cluster(1, cpus=3) as address:
        ours = RayProcesses()
        began = time.perf_counter()
        with ours.watched("ray::persqa"):
            engine = ("--engine", "ray", "--ray-address", address, "--shards", "1")
            measure_success(words(rows, folder / "ours.jsonl", [url], PICTURE_PERMITS, *engine))
        seconds = time.perf_counter() - began
        yield Figure(f"{PICTURES} pictures of 390 KB, this engine", describe(seconds, ours), "–", None)
        import ray

        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            theirs = RayProcesses()
            began = time.perf_counter()
            with theirs.watched("ray::Map"):
                answered = run_processor(images, url)
            seconds = time.perf_counter() - began
            what = f"{answered} pictures of 390 KB, ray.data.llm"
            yield Figure(what, describe(seconds, theirs), "–", None)
            try:
                answered = run_processor([*images[:20], folder / "missing.jpg"], url)
                outcome = f"{answered} of 21 answered"
            except Exception as error:
                outcome = f"the job ends ({type(error).__name__})"
            yield Figure("one picture of 21 is missing, ray.data.llm", outcome, "–", None)
        finally:
            ray.shutdown()


def describe(seconds: float, processes: RayProcesses) -> str:
    return f"{seconds:.0f} s with the start, {processes.megabytes:.0f} MB in the workers"


def run_processor(images: list[Path], url: str) -> int:
    """How many are answered."""
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    def preprocess(row: dict[str, Any]) -> dict[str, Any]:
        data = base64.b64encode(Path(row["image"]).read_bytes()).decode()
        content = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
            {"type": "text", "text": "What is <mam> doing?"},
        ]
        message = {"role": "user", "content": content}
        return {"payload": {"model": SIMULATED_MODEL, "messages": [message], "max_tokens": 512}}

    def postprocess(row: dict[str, Any]) -> dict[str, Any]:
        return {"answer": row["http_response"]["choices"][0]["message"]["content"]}

    config = HttpRequestProcessorConfig(url=f"{url}/chat/completions", batch_size=PICTURE_PERMITS, concurrency=1)
    processor = build_processor(config, preprocess=preprocess, postprocess=postprocess)
    dataset = processor(ray.data.from_items([{"image": str(path)} for path in images]))
    return sum(bool(row["answer"]) for row in dataset.take_all())
