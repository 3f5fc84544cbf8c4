"""The process's limit of open files: raised as far as it is needed, then shared by the connections."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

from persqa_client.config import Limits
from persqa_client.errors import SettingsError

# Files for anything but connections: the run's own, images that are being read, name resolution, the event loop.
RESERVED_FILES = 64
# Connections of an endpoint that need no permit: /health, /metrics.
SPARE_CONNECTIONS = 8


def fit_open_files(limits: Limits, endpoints: int) -> Limits:
    """``limits`` with a concurrency for which files are left. Raises the soft limit towards the hard one if needed.

    Raises SettingsError if none are left.
    """
    others = count_open_files() + RESERVED_FILES
    allowed = raise_soft_limit(others + endpoints * (limits.concurrency_cap + SPARE_CONNECTIONS))
    return limits if allowed is None else lower_concurrency(limits, allowed, others, endpoints)


def lower_concurrency(limits: Limits, allowed: int, others: int, endpoints: int) -> Limits:
    """Of ``allowed`` files, ``others`` are for other purposes."""
    permits = (allowed - others) // endpoints - SPARE_CONNECTIONS
    if permits < 1:
        needed = others + endpoints * (SPARE_CONNECTIONS + 1)
        raise SettingsError(
            f"This process may open {allowed} files (ulimit -n), which leaves none for connections: raise the limit to "
            f"{needed} or more."
        )
    if permits >= limits.concurrency_cap:
        return limits
    name = "max_concurrency" if limits.concurrency == "auto" else "concurrency"
    return limits.model_copy(update={name: permits})


def raise_soft_limit(needed: int) -> int | None:
    """The number of files that this process may open; None without a limit. A limit that suffices is left as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if wanted > soft:
        # macOS has a lower limit than the one that it reports.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def count_open_files() -> int:
    return len(os.listdir("/dev/fd"))
