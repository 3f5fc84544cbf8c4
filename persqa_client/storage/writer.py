"""The open files of a run that goes on: whole rows, journal, checkpoints. Writes and syncs files."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial

from persqa_client.storage.checkpoint import Checkpoint, Phase, write_checkpoint
from persqa_client.storage.journal import Entry, Journal, by_unit, next_generation, replay
from persqa_client.storage.merge import OldRun
from persqa_client.storage.partials import Partials
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.storage.window import Slot
from persqa_client.types import Failure, Json, Outcome

Render = Callable[[bytes, Outcome], bytes]
"""The line that an outcome leaves, from the input line and the outcome, its end included."""


class Books:
    """Opened at a checkpoint: cuts the partial files to it, and reads the journal since then into ``replayed``."""

    def __init__(self, files: RunFiles, checkpoint: Checkpoint, clock: Callable[[], float]) -> None:
        self.files = files
        self.opened = checkpoint
        self.clock = clock
        self.began = clock()
        self.stamp = checkpoint.stamp
        self.position = checkpoint.position
        """After the last row that is written whole."""
        self.tally = Tally.from_json(checkpoint.tally) if checkpoint.tally else Tally()
        self.disk = threading.Lock()
        self.committed = 0
        with ExitStack() as undo:
            self.partials = Partials(files, checkpoint.lengths)
            undo.callback(self.partials.close)
            self.old = OldRun(files, checkpoint.before) if checkpoint.before else None
            if self.old is not None:
                undo.callback(self.old.close)
            self.replayed = by_unit(replay(files, checkpoint.generation))
            self.journal = Journal(files, next_generation(files, checkpoint.generation))
            undo.callback(self.journal.close)
            self.journal.extend(self.replayed.values())
            self.commit(self.snapshot("running"))
            undo.pop_all()

    @property
    def closed(self) -> bool:
        return self.committed == sys.maxsize

    @property
    def seconds(self) -> float:
        return self.opened.seconds + self.clock() - self.began

    def write(self, slot: Slot, render: Render) -> None:
        """Writes all lines of a complete row, or none of them if one can't be."""
        try:
            for unit in slot.units:
                outcome = slot.outcomes.get(unit)
                if outcome is None:
                    self.carry(1)
                elif isinstance(outcome, Failure):
                    self.partials.failed.append(render(slot.line, outcome))
                else:
                    self.partials.output.append(render(slot.line, outcome))
            self.carry(slot.trailing)
        except BaseException:
            self.roll_back()
            raise
        self.mark(slot)

    def carry(self, count: int) -> None:
        if self.old is not None and count:
            for lines in self.old.carry(count):
                self.partials.output.append(lines)

    def mark(self, slot: Slot) -> None:
        self.partials.mark()
        self.position = slot.position
        for unit, outcome in slot.outcomes.items():
            if self.old is not None:
                self.tally.take_back(slot.asked[unit])
            self.tally.add(outcome)
        if self.old is None:
            self.tally.rows += bool(slot.units)
        else:
            self.old.mark(slot.failed_read)

    def roll_back(self) -> None:
        self.partials.roll_back()
        if self.old is not None:
            self.old.roll_back()

    def snapshot(self, phase: Phase, run: Json | None = None) -> Checkpoint:
        return Checkpoint(
            identity=self.opened.identity,
            stamp=self.stamp,
            phase=phase,
            mode=self.opened.mode,
            position=self.position,
            lengths=self.partials.whole,
            generation=self.journal.generation,
            tally=self.tally.to_json(),
            seconds=round(self.seconds, 3),
            before=self.old.note() if self.old is not None else None,
            run=run,
        )

    def checkpoint(self, ahead: Iterable[Entry]) -> Callable[[], None]:
        """Begins a generation of the journal with what is ``ahead`` of the head; the callable makes it count."""
        self.journal.turn([*self.replayed.values(), *ahead])
        return partial(self.commit, self.snapshot("running"))

    def commit(self, checkpoint: Checkpoint) -> None:
        """Runs in any thread. Does nothing where a later checkpoint has been made, or the run was closed."""
        with self.disk:
            if checkpoint.generation > self.committed:
                self.partials.sync()
                self.journal.sync()
                write_checkpoint(self.files, checkpoint)
                self.committed = checkpoint.generation
                self.journal.forget(checkpoint.generation)

    def sync(self) -> None:
        """Runs in any thread."""
        with self.disk:
            if not self.closed:
                self.journal.sync()

    def seal(self, run: Json) -> Checkpoint:
        """Notes that all rows are written and only the last steps are left; nothing can be written any more."""
        with self.disk:
            self.partials.sync()
            sealed = self.snapshot("finishing", run)
            write_checkpoint(self.files, sealed)
        self.close()
        return sealed

    def close(self) -> None:
        """Closes the files; a commit that comes later does nothing. Harmless when done twice."""
        with self.disk:
            if self.closed:
                return
            self.committed = sys.maxsize
            self.partials.close()
            self.journal.close()
            if self.old is not None:
                self.old.close()
