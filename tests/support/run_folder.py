"""A folder with an input, runs over it and a simulator for them. Writes files, listens on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from persqa_client.client.retry import Backoff
from persqa_client.config import RunSettings
from persqa_client.endpoints.credentials import make_endpoints
from persqa_client.endpoints.session import Session
from persqa_client.inputs.sources import FileSource
from persqa_client.run.run import Run
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, Simulator, run_simulator

FAST_BACKOFF = Backoff(initial=0.002, maximum=0.01)
MAX_ATTEMPTS = 3


@dataclass
class RunFolder:
    """A folder with an input of some rows, and the runs over it."""

    folder: Path

    def rows(self, count: int, *, pictures: int = 1, asked: bool = True) -> None:
        """An input of so many rows over so many pictures, each with a question of its own where ``asked``."""
        for number in range(pictures):
            Image.new("RGB", (32, 32), (200, number, 0)).save(self.folder / f"{number}.png")
        row = {"question": "What is <mam> wearing?"} if asked else {}
        lines = [json.dumps({"id": n, "image": [f"{n % pictures}.png"], **row}) + "\n" for n in range(count)]
        (self.folder / "in.jsonl").write_text("".join(lines), encoding="utf-8")

    def run(
        self,
        *base_urls: str,
        model: str = DEFAULT_MODEL,
        key: str | Sequence[str] = (),
        probes: bool = False,
        extra_body: dict[str, Any] | None = None,
        max_tokens: int = 512,
        questions: int = 1,
        details: bool = False,
        fresh: bool = False,
        **limits: Any,
    ) -> Run:
        """A run whose waits are tiny, one request at a time unless told otherwise. One key alone goes to all."""
        limits = {"concurrency": 1, "max_attempts": MAX_ATTEMPTS, "timeout": 5.0, **limits}
        keys = dict(enumerate([key] if isinstance(key, str) else key))
        environ = {f"KEY_{number}": value for number, value in keys.items()}
        endpoint, *further = make_endpoints(base_urls, model, list(environ), environ)
        settings = RunSettings.model_validate(
            {
                "input": self.folder / "in.jsonl",
                "output": self.folder / "out.jsonl",
                "endpoint": endpoint,
                "further_endpoints": tuple(further),
                "recipe": {"questions": questions, "details": details},
                "fresh": fresh,
                "sampling": {"extra_body": extra_body or {}, "max_tokens": max_tokens},
                "probes": probes,
                "limits": limits,
            }
        )
        sessions = [
            Session(one, sampling=settings.sampling, limits=settings.limits, backoff=FAST_BACKOFF, probes=FAST_BACKOFF)
            for one in settings.endpoints
        ]
        return Run(settings, FileSource(self.folder / "in.jsonl"), session=sessions)

    def lines(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    @property
    def good(self) -> list[int]:
        """The rows that were answered."""
        rows = self.lines("out.jsonl")
        assert all(row["pers_qa"] and "error" not in row for row in rows)
        return [row["id"] for row in rows]

    @property
    def failed(self) -> dict[int, str]:
        """The rows that failed, each with its code."""
        return {row["id"]: row["error"]["code"] for row in self.lines("out.failed.jsonl")}

    @property
    def untouched(self) -> bool:
        """Whether nothing was written as answered or failed, finished or not."""
        names = ("out.jsonl", "out.failed.jsonl", "out.jsonl.partial", "out.failed.jsonl.partial")
        return not any(self.lines(name) for name in names)


@contextmanager
def fast_simulator(port: int = 0, **settings: Any) -> Iterator[Simulator]:
    with run_simulator(SimSettings(**{"latency": 0.0, "retry_after": 0.02, **settings}), port) as running_server:
        yield running_server
