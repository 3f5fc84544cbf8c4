"""Where a run goes on that was broken off, or that is given more: how much of its input is done, and left. Reads."""

from __future__ import annotations

from persqa_client.errors import SettingsError
from persqa_client.inputs.sources import FileSource, Source
from persqa_client.storage.ledger import Ledger
from persqa_client.storage.memory import MemoryLedger


def refuse_changed_input(source: Source, ledger: Ledger) -> None:
    """Raises SettingsError where what is done already is not what it was; more may have been added behind it."""
    if ledger.start.number == 0 or (ledger.stamp is not None and ledger.stamp == source.stamp()):
        return
    if source.digest_at(ledger.start) != ledger.start.digest:
        done = f"{ledger.start.number} {'lines' if isinstance(source, FileSource) else 'rows'}"
        raise SettingsError(
            f"The input {source.name} changed in its first {done}, which are done already: "
            "make it what it was, choose another -o, or start again with --fresh."
        )


def rows_left(ledger: Ledger | MemoryLedger, limit: int | None) -> int | None:
    """How many more rows ``limit`` allows; None for as many as there are, which a retry always takes."""
    return None if limit is None or ledger.until is not None else max(0, limit - ledger.tally.rows)


def last_paid(ledger: Ledger | MemoryLedger) -> int:
    """The last line that the journal holds an answer for: a smaller ``--limit`` must not throw it away."""
    if isinstance(ledger, MemoryLedger) or ledger.books is None:
        return 0
    return max((unit.row for unit in ledger.books.replayed), default=0)
