#!/usr/bin/env python3
"""Measures what this toolkit promises, as ratios within one run, and prints each figure beside its bar.

usage: scripts/bench.py [NAME …] [--folder DIR]    all of them, or those named
"""

from __future__ import annotations

import argparse
import compileall
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benches import admission, endpoints, frames, hot_path, pictures, questions, startup
from benches.common import Figure

import persqa_client

BENCHES = {
    "hot-path": hot_path.measure,
    "pictures": pictures.measure,
    "startup": startup.measure,
    "admission": admission.measure,
    "questions": questions.measure,
    "endpoints": endpoints.measure,
    "frames": frames.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], default=[])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "persqa-bench")
    options = parser.parse_args()
    # As installing does, so that no start is measured with a compilation in it.
    compileall.compile_dir(Path(persqa_client.__file__).parent, quiet=1)
    met = True
    print("| what | measured | bar | |\n| --- | --- | --- | --- |", flush=True)
    for name in options.names or BENCHES:
        folder = options.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        for figure in on_its_own(name, folder):
            print(figure.line(), flush=True)
            met = met and figure.met is not False
    return 0 if met else 1


def on_its_own(name: str, folder: Path) -> list[Figure]:
    """Measured in a process of its own: what the measurements before have left in memory would be told as the peak of
    every process that is started after them."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(BENCHES[name], folder).result()


if __name__ == "__main__":
    sys.exit(main())
