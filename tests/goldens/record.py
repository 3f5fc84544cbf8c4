"""Records the goldens anew: ``python -m tests.goldens.record [inputs] [requests] [runs] [surfaces]``.

They freeze the behaviour of commit 57bc344, the last one before the package was laid out anew. A refactoring never
records them again: where one of these tests fails, the code is wrong. A change of behaviour that is meant (a prompt, a
question bank, a format) records the part that it changes, and its commit says what differs and why. ``runs`` are files
that an old version left, so they are only ever added to: a new version must continue them as they are.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.goldens import killed, rows, scenarios, surfaces


def record_inputs() -> None:
    rows.write_pictures(scenarios.PICTURES)
    scenarios.INPUTS.joinpath("rows.jsonl").write_text(
        "".join(f"{row}\n" for row in rows.make_rows(scenarios.PICTURES))
    )


def record_requests() -> None:
    scenarios.REQUESTS.mkdir(exist_ok=True)
    for scenario in scenarios.SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            scenarios.prepare(Path(folder))
            server, parts = scenarios.play(scenario, Path(folder))
        rejected = scenarios.rejected(parts)
        assert scenario.rejected <= rejected, f"{scenario.name} lacks {sorted(scenario.rejected - rejected)}"
        for part, data in parts.items():
            scenarios.write_golden(scenario.name, part, data)
        print(f"{scenario.name}: {len(server.bodies)} requests")


def record_runs() -> None:
    for case in killed.CASES:
        with tempfile.TemporaryDirectory() as folder:
            killed.make(case, Path(folder))
        print(case.name)


def record_surfaces() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(surfaces.collect(Path(folder)), indent=1, ensure_ascii=False)
    surfaces.GOLDEN.write_text(text + "\n")


PARTS = {"inputs": record_inputs, "requests": record_requests, "runs": record_runs, "surfaces": record_surfaces}

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
