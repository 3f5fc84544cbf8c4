"""Starts clusters of Ray, and commands that use them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.commands import Command, start

# The checkout, where the workers find the package.
ROOT = Path(__file__).parents[2]


@contextmanager
def start_cluster(nodes: int) -> Iterator[Any]:
    """Of ``nodes`` nodes with one CPU each. Its processes end with the context."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), before)))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100_000_000})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def draw_pictures(folder: Path, count: int) -> Path:
    """One picture for each row, so that the simulator can count repeated requests."""
    folder.mkdir()
    for number in range(count):
        colour = (number % 251, number // 251 * 30 % 256, number * 7 % 256)
        Image.new("RGB", (32, 32), colour).save(folder / f"{number:04}.png")
    return folder


def run_words(cluster: Any, base_url: str, output: str = "qa.jsonl", *words: str) -> list[str]:
    return [
        *("run", "pictures", "-o", output, "--base-url", base_url, "--model", "persqa-simulator", "--no-probes"),
        *("--engine", "ray", "--ray-address", cluster.address, *words),
    ]


def start_run(cluster: Any, base_url: str, folder: Path, *words: str) -> Command:
    return start(*run_words(cluster, base_url, "qa.jsonl", *words), cwd=folder)
