"""What is said of a run when it has ended: to the person who gave it, and in its run file. Pure."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from persqa_client import __version__
from persqa_client.config import RunSettings
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.traffic import EndpointStats, collect_endpoint_stats, collect_findings, collect_notes
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import Strategy


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a run. ``records`` and ``failures`` are filled where no output was named, in input order."""

    state: str
    """``finished``, ``interrupted`` (resumable), or ``already`` when there was nothing left to do."""
    tally: Tally
    seconds: float
    files: RunFiles | None = None
    server: ServerCapabilities | None = None
    """The first, where there are several."""
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    """How many requests at once the run came to, how often a picture went by its name."""
    endpoints: tuple[EndpointStats, ...] = ()
    """What each did since this start, where there are several."""
    records: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)


def facts_of(
    settings: RunSettings,
    pool: Pool,
    servers: Sequence[ServerCapabilities],
    strategy: Strategy,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """What the run file says beside the ledger's own and the input. ``servers`` is empty where none was looked at."""
    return {
        **endpoints_of(settings, pool, servers),
        "limits": settings.limits.model_dump(),
        "strategy": strategy,
        "warnings": list(warnings),
        "notes": collect_notes(pool),
        "found": collect_findings(pool),
        "versions": {
            "persqa_client": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("openai", "aiohttp", "pillow")},
        },
    }


def endpoints_of(settings: RunSettings, pool: Pool, servers: Sequence[ServerCapabilities]) -> dict[str, Any]:
    found: list[dict[str, Any] | None] = [server.to_json() for server in servers]
    found = found or [None for _ in pool.members]
    if len(pool.members) == 1:
        return {"base_url": settings.endpoint.base_url, "server": found[0]}
    accounts = map(asdict, collect_endpoint_stats(pool))
    return {"endpoints": [{**account, "server": server} for account, server in zip(accounts, found, strict=True)]}
