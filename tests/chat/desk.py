"""A folder with an input, runs over it and a simulator for them. Writes files, listens on loopback."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from persqa_client.chat.retries import Backoff
from persqa_client.chat.sessions import Session
from persqa_client.config import RunSettings, find_key
from persqa_client.inputs.sources import FileSource
from persqa_client.runs import Run
from persqa_client.simulator.server import DEFAULT_MODEL, Running, SimSettings, running

QUICK = Backoff(first=0.002, longest=0.01)
ATTEMPTS = 3


@dataclass
class Desk:
    """A folder with an input of some rows, and the runs over it."""

    folder: Path

    def rows(self, count: int) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), "red").save(buffer, "PNG")
        (self.folder / "red.png").write_bytes(buffer.getvalue())
        row = {"image": ["red.png"], "question": "What is <mam> wearing?"}
        lines = [json.dumps({"id": number, **row}) + "\n" for number in range(count)]
        (self.folder / "in.jsonl").write_text("".join(lines), encoding="utf-8")

    def run(
        self,
        base_url: str,
        *,
        model: str = DEFAULT_MODEL,
        key: str | None = None,
        probes: bool = False,
        extra_body: dict[str, Any] | None = None,
        max_tokens: int = 512,
        **limits: Any,
    ) -> Run:
        """A run whose waits are tiny, one request at a time unless told otherwise."""
        limits = {"concurrency": 1, "max_attempts": ATTEMPTS, "timeout": 5.0, **limits}
        environ = {"KEY": key} if key else {}
        settings = RunSettings.model_validate(
            {
                "input": self.folder / "in.jsonl",
                "output": self.folder / "out.jsonl",
                "endpoint": {
                    "base_url": base_url,
                    "model": model,
                    "api_key": find_key(base_url, "KEY" if key else None, environ),
                },
                "sampling": {"extra_body": extra_body or {}, "max_tokens": max_tokens},
                "probes": probes,
                "limits": limits,
            }
        )
        session = Session(
            settings.endpoint, sampling=settings.sampling, limits=settings.limits, backoff=QUICK, probes=QUICK
        )
        return Run(settings, FileSource(self.folder / "in.jsonl"), session=session)

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
def server(port: int = 0, **settings: Any) -> Iterator[Running]:
    with running(SimSettings(**{"latency": 0.0, "retry_after": 0.02, **settings}), port) as running_server:
        yield running_server
