"""A folder with an input file, runs on it, and a fast simulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from persqa_client.client.retry import Backoff
from persqa_client.endpoints.credentials import Credentials, make_endpoints
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.inputs.files import FileSource
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, Simulator, run_simulator

FAST_BACKOFF = Backoff(initial=0.002, maximum=0.01)
MAX_ATTEMPTS = 3


@dataclass
class RunFolder:
    """A folder with an input file, and the runs on it."""

    path: Path

    def write_rows(self, count: int, *, images: int = 1, with_question: bool = True) -> None:
        """Writes an input file of ``count`` rows that share ``images`` images."""
        for number in range(images):
            Image.new("RGB", (32, 32), (200, number, 0)).save(self.path / f"{number}.jpg")
        row = {"question": "What is <mam> wearing?"} if with_question else {}
        lines = [json.dumps({"id": n, "image": [f"{n % images}.jpg"], **row}) + "\n" for n in range(count)]
        (self.path / "in.jsonl").write_text("".join(lines), encoding="utf-8")

    def make_run(
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
        joins: bool = False,
        warn: Callable[[str], None] = lambda warning: None,
        **limits: Any,
    ) -> Run:
        """A run with short waits and, by default, one request at a time. A single key is for all endpoints."""
        limits = {"concurrency": 1, "max_attempts": MAX_ATTEMPTS, "timeout": 5.0, **limits}
        keys = dict(enumerate([key] if isinstance(key, str) else key))
        environ = {f"KEY_{number}": value for number, value in keys.items()}
        endpoint, *further = make_endpoints(base_urls, model, Credentials(list(environ)), environ)
        settings = RunSettings.model_validate(
            {
                "input": self.path / "in.jsonl",
                "output": self.path / "out.jsonl",
                "endpoint": endpoint,
                "further_endpoints": tuple(further),
                "recipe": {"questions": questions, "details": details},
                "fresh": fresh,
                "sampling": {"extra_body": extra_body or {}, "max_tokens": max_tokens},
                "probes": probes,
                "limits": limits,
            }
        )
        return Run(settings, FileSource(self.path / "in.jsonl"), pool=make_fast_pool(settings, warn), joins=joins)

    def read_lines(self, name: str) -> list[dict[str, Any]]:
        path = self.path / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    @property
    def answered_ids(self) -> list[int]:
        """The ids of the answered rows, in output order."""
        rows = self.read_lines("out.jsonl")
        assert all(row["pers_qa"] and "error" not in row for row in rows)
        return [row["id"] for row in rows]

    @property
    def failure_codes(self) -> dict[int, str]:
        """The code of each failed row, by id."""
        return {row["id"]: row["error"]["code"] for row in self.read_lines("out.failed.jsonl")}

    @property
    def is_empty(self) -> bool:
        """Whether no row was written as answered or failed, in partial files either."""
        names = ("out.jsonl", "out.failed.jsonl", "out.jsonl.partial", "out.failed.jsonl.partial")
        return not any(self.read_lines(name) for name in names)


def make_fast_pool(settings: RunSettings, warn: Callable[[str], None]) -> Pool:
    """The sessions of a run, with short waits."""
    sessions = [
        Session(
            endpoint,
            sampling=settings.sampling,
            limits=settings.limits,
            backoff=FAST_BACKOFF,
            probe_backoff=FAST_BACKOFF,
        )
        for endpoint in settings.endpoints
    ]
    return Pool(sessions, warn=warn)


@contextmanager
def fast_simulator(port: int = 0, **settings: Any) -> Iterator[Simulator]:
    """A simulator without latency, and with short waits in its refusals."""
    with run_simulator(SimSettings(**{"latency": 0.0, "retry_after": 0.02, **settings}), port) as running_server:
        yield running_server
