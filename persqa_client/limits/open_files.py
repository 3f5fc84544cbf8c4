"""The process's limit of open files: raised as far as needed, then divided among the connections.

During a run, a shortage lowers the permits for a while.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from persqa_client.config import Limits
from persqa_client.errors import SettingsError
from persqa_client.limits.controllers import Permit

# Files for other purposes than connections: files of the run, images being read, name resolution, the event loop.
RESERVED_FILES = 64
# Connections of an endpoint that need no permit: /health, /metrics.
SPARE_CONNECTIONS = 8
# A connection, and the file into which it is written.
FILES_OF_DOWNLOAD = 2


def fit_open_files(limits: Limits, endpoints: int, *, downloads: int = 0) -> Limits:
    """Lowers the concurrency to the files that are left. Raises the soft limit towards the hard one if needed.

    ``downloads``: of pictures, at the same time. Raises SettingsError if no files are left.
    """
    others = count_open_files() + RESERVED_FILES
    downloaded = downloads * FILES_OF_DOWNLOAD
    allowed = raise_soft_limit(others + downloaded + endpoints * (limits.concurrency_cap + SPARE_CONNECTIONS))
    if allowed is None:
        return limits
    return lower_concurrency(limits, allowed, others + min(downloaded, max(0, allowed - others) // 2), endpoints)


def lower_concurrency(limits: Limits, allowed: int, others: int, endpoints: int) -> Limits:
    """``others``: number of the ``allowed`` files that are for other purposes."""
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


@dataclass(slots=True)
class FileShortage:
    """A time in which no connection can be opened, from the first failure until a later request is answered.

    ``limit``: permits for which there are connections. A shortage lowers it once, to the requests in flight that have
    a connection. After as many answers as there are permits, it rises by 1, then by 2, 4, … permits.
    """

    limit: float = inf
    message: str | None = None
    _since: float = 0.0
    _sent: int = 0  # number of requests when the latest shortage began
    _answers: int = 0
    _step: int = 1

    def record_failure(self, permit: Permit, in_use: int, sent: int, message: str, now: float) -> float:
        """Returns how long the shortage has lasted. ``in_use`` includes this permit."""
        if self.message is None:
            self.message, self._since = message, now
            if permit.number > self._sent:
                self._sent = sent
        if permit.number <= self._sent:
            self.limit = max(1, min(self.limit, in_use - 1))
            self._answers, self._step = 0, 1
        return now - self._since

    def record_answer(self, permit: Permit, maximum: int) -> None:
        """``maximum``: number of permits without a shortage."""
        if permit.number <= self._sent:
            return
        self.message = None
        if self.limit < inf:
            self._answers += 1
            if self._answers >= self.limit:
                self.limit += self._step
                self._answers, self._step = 0, 2 * self._step
            if self.limit >= maximum:
                self.limit = inf
