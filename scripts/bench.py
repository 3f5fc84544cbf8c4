#!/usr/bin/env python3
"""Measures the toolkit's performance, mostly as ratios within one run, and prints each figure at once beside its bar.

usage: scripts/bench.py [NAME …] [--folder DIR]    all benches, or those named
"""

from __future__ import annotations

import argparse
import compileall
import sys
import tempfile
from pathlib import Path

from benches import (
    ceiling,
    concurrency,
    endpoints,
    estimates,
    frames,
    hot_path,
    packed,
    pictures,
    questions,
    ray_nodes,
    startup,
)
from benches.common import measure_in_process

import persqa_client

BENCHES = {
    "hot-path": hot_path.measure,
    "pictures": pictures.measure,
    "startup": startup.measure,
    "admission": concurrency.measure,
    "ceiling": ceiling.measure,
    "questions": questions.measure,
    "endpoints": endpoints.measure,
    "frames": frames.measure,
    "packed": packed.measure,
    "ray": ray_nodes.measure,
    "estimates": estimates.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "persqa-bench")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHES]:
        parser.error(f"no bench is named {unknown[0]!r}; choose from {', '.join(BENCHES)}")
    # As an installation does, so that no start includes compilation.
    compileall.compile_dir(Path(persqa_client.__file__).parent, quiet=1)
    all_met = True
    print("| what | measured | bar | |\n| --- | --- | --- | --- |", flush=True)
    for name in options.names or BENCHES:
        folder = options.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        for figure in measure_in_process(BENCHES[name], folder):
            print(figure.line(), flush=True)
            all_met = all_met and figure.met is not False
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
