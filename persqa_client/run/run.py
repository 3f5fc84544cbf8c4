"""One run: opens the files, probes the servers, answers the rows, finishes the files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from persqa_client.config import Endpoint
from persqa_client.endpoints.pool import Pool
from persqa_client.engines.budget import within_budget
from persqa_client.engines.engine import AnswerFunction
from persqa_client.engines.row_feed import has_more_rows
from persqa_client.engines.row_loop import RowLoop, RunProgress
from persqa_client.errors import Interrupted, RunStopped
from persqa_client.images.changed_files import ChangeReport, PictureFiles, PictureWatch
from persqa_client.inputs.listed import ListedSource
from persqa_client.inputs.opening import SpooledSource, read_as_before
from persqa_client.inputs.sources import Source
from persqa_client.probing.capabilities import explain_unusable_vision
from persqa_client.probing.probe import ProbeDepth
from persqa_client.questions.tasks import place_message
from persqa_client.run.compose import Composition, ignore_warning
from persqa_client.run.image_roots import (
    PathWriters,
    choose_style,
    describe_folders,
    make_path_writers,
)
from persqa_client.run.pacing import announce_pace, describe_probe_phase, plan_probes
from persqa_client.run.pipeline import leave_unwrapped
from persqa_client.run.run_input import (
    PictureSurvey,
    connect_listing,
    describe_input,
    find_answered_row,
    listing_identity,
    plan_for_source,
    refuse_changed_input,
    refuse_output_as_input,
    rows_left,
)
from persqa_client.run.settings import RunSettings
from persqa_client.run.summary import NOT_RESUMABLE, RunState, Summary, describe_resuming, describe_run, summarize
from persqa_client.run.timeline import Timeline
from persqa_client.storage.checkpoint import RunDescription
from persqa_client.storage.ledger import AnyLedger, Ledger
from persqa_client.storage.previous import PictureChecks
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.transient_ledgers import MemoryLedger, StreamLedger, TransientLedger, check_failed_file
from persqa_client.types import Json

# File descriptor of standard output.
STANDARD_OUTPUT = 1


class Run:
    """A run, which can be executed once. ``progress`` and ``pool`` show its state. Raises SettingsError.

    ``pool`` overrides the settings' endpoints; ``warn`` gets warnings for users; ``wrap_answer`` changes the pipeline.
    ``joins``: it is a part of a run that has answers, so an endpoint that can't be used is left out.
    """

    def __init__(
        self,
        settings: RunSettings,
        source: Source,
        *,
        pool: Pool | None = None,
        warn: Callable[[str], None] = ignore_warning,
        clock: Callable[[], float] = monotonic,
        wrap_answer: Callable[[AnswerFunction], AnswerFunction] = leave_unwrapped,
        joins: bool = False,
    ) -> None:
        self.settings = settings
        self.source = source
        self.plan = plan_for_source(settings, source)
        self.folders = describe_folders(
            settings.recipe.paths, self.plan.image_roots, source, is_stream=settings.is_stream
        )
        self._make_path_writers(self.folders)  # reports a choice that does not fit the output
        if settings.failed is not None:
            check_failed_file(settings.failed)
        self._changes = ChangeReport(warn, place_message)
        self._watch = PictureWatch(self._changes)
        self._picture_files = PictureFiles(self.plan.picture_roots)
        self.composition = Composition(self.plan, pool=pool, warn=warn, note_image=self._watch.note)
        self.progress, self._retried = RunProgress(), False
        self._probing: asyncio.Task[None] | None = None
        self._row_loop: RowLoop | None = None
        # Whether the pictures of finished rows were checked, or need no check; number of answers to ask again because
        # their pictures changed.
        self._pictures_seen = settings.recheck_pictures == "off"
        self._changed_answers = 0
        self._stopped = False
        self._ledger: Ledger | None = None
        self._warn = warn
        self._clock, self._wrap_answer, self._joins = clock, wrap_answer, joins
        self._started_at: float | None = None
        self._timeline = Timeline(self._elapsed, warn)
        # None until there are files or rows to report.
        self.summary: Summary | None = None

    def _make_path_writers(self, folders: Json) -> PathWriters:
        output = None if self.settings.is_stream else self.settings.output
        return make_path_writers(choose_style(folders, self.folders), self.plan.image_roots, output)

    @property
    def pool(self) -> Pool:
        return self.composition.pool

    def describe_resuming(self) -> str:
        """Advice on how to continue the run after a stop."""
        return describe_resuming(
            self.settings,
            has_outcomes=self.progress.done > 0,
            reads_standard_input=isinstance(self.source, SpooledSource),
        )

    def stop(self) -> None:
        """Requests in flight may finish; a second call aborts them."""
        if self._probing is not None:
            self._probing.cancel()
        if self._row_loop is None:
            self.pool.drain()
        elif self._stopped:
            self._row_loop.engine.abort()
        else:
            self._row_loop.engine.stop()
        self._stopped = True

    @contextmanager
    def hold_files(self) -> Iterator[bool]:
        """Opens and locks the run's files, and yields whether there is anything to do. Call ``execute`` inside.

        Raises like ``execute``.
        """
        if self.settings.output is None or self.settings.is_stream:
            yield True
            return
        with self._open_ledger(self.settings.output) as ledger:
            self._ledger = ledger
            try:
                self._look_at_pictures(ledger)
                yield self._has_work(ledger)
            finally:
                self._ledger = None

    def use_endpoint(self, endpoint: Endpoint, *further: Endpoint) -> None:
        """Replaces the endpoints of the settings, before ``execute``. Raises SettingsError if a price is not known."""
        self.settings = self.settings.model_copy(update={"endpoint": endpoint, "further_endpoints": further})
        self.plan = self.plan.with_settings(self.settings)
        self.composition = Composition(self.plan, warn=self._warn, note_image=self._watch.note)

    async def execute(self) -> Summary:
        """Runs until the end or until it is stopped.

        Raises SettingsError before anything is sent. After RunStopped and StorageError the run can be resumed.
        """
        self._started_at = self._clock()
        for warning in (*self.plan.warnings(), *announce_pace(self.settings)):
            self._warn(warning)
        if self.settings.output is None:
            self._warn_of_source()
            memory = MemoryLedger(self.plan.make_renderer())
            async with self.composition:
                summary = await self._work(memory, None)
            return replace(summary, records=memory.get_rows(failed=False), failures=memory.get_rows(failed=True))
        if self.settings.is_stream:
            return await self._execute_stream()
        with self._open_ledger_unless_held(self.settings.output) as ledger:
            # After the opening, which lists the files of a folder.
            self._warn_of_source()
            async with self.composition:
                await asyncio.to_thread(self._look_at_pictures, ledger)
                if not self._has_work(ledger):
                    self.summary = summarize(self.composition, ledger, ledger.files, state="already")
                    return self.summary
                return await self._work(ledger, ledger.files)

    def _warn_of_source(self) -> None:
        for warning in self.source.warnings():
            self._warn(warning)

    async def _execute_stream(self) -> Summary:
        assert self.settings.failed is not None
        self._warn(NOT_RESUMABLE)
        self._warn_of_source()
        ledger = StreamLedger(self.plan.make_renderer(), STANDARD_OUTPUT, self.settings.failed)
        try:
            async with self.composition:
                return await self._work(ledger, None)
        finally:
            await asyncio.to_thread(ledger.close)  # waits for a slow reader

    async def _work(self, ledger: AnyLedger, files: RunFiles | None) -> Summary:
        self.progress.spending.begin(ledger)
        state: RunState = "interrupted"
        try:
            with within_budget(self.plan.limits, self.progress.spending, self._warn):
                state = "finished" if await self._answer_rows(ledger) else state
        finally:
            # Also of a run that an error stops.
            self.summary = summarize(self.composition, ledger, files, state=state)
        return self.summary

    async def _answer_rows(self, ledger: AnyLedger) -> bool:
        finished = await self._probe()
        if finished and ledger.state != "finished":
            finished = await self._run_row_loop(ledger)
        while finished and (begin := await asyncio.to_thread(self._plan_next_pass, ledger)) is not None:
            begin()
            finished = await self._run_row_loop(ledger)
        self._changes.finish()
        return finished

    def _has_work(self, ledger: Ledger) -> bool:
        return ledger.state != "finished" or self._next_pass(ledger) is not None

    def _next_pass(self, ledger: AnyLedger) -> Callable[[], None] | None:
        """The ledger method that reopens a finished run; None if nothing is left to do.

        Failed rows and changed pictures are asked again first, then added rows are processed.
        """
        if isinstance(ledger, TransientLedger):
            return None
        failed = self.settings.retry_failed and not self._retried and ledger.tally.failed_total > 0
        changed = self.settings.recheck_pictures == "ask" and self._changed_answers > 0
        if failed or changed:
            return partial(ledger.retry, failed=failed, changed=changed)
        more = rows_left(ledger, self.settings, self.source) != 0 and self._finds_more_rows(ledger)
        return ledger.reopen if more else None

    def _finds_more_rows(self, ledger: Ledger) -> bool:
        if has_more_rows(self.source, ledger.start):
            return True
        is_extended = isinstance(self.source, ListedSource) and self.source.extend_listing() > 0
        return is_extended and has_more_rows(self.source, ledger.start)

    def _plan_next_pass(self, ledger: AnyLedger) -> Callable[[], None] | None:
        if isinstance(ledger, Ledger):
            self._look_at_pictures(ledger)
        return self._next_pass(ledger)

    def _look_at_pictures(self, ledger: Ledger) -> None:
        """Once, when the rows of earlier processes are finished."""
        if self._pictures_seen or ledger.state != "finished":
            return
        self._pictures_seen = True
        self.progress.phase = "Looking at the pictures"
        survey = PictureSurvey(self._picture_files, self._warn, asks=self.settings.recheck_pictures == "ask")
        survey.look(ledger, self.source, self.plan.make_row_reader(), lambda: self._stopped)
        self._changed_answers = survey.answers

    def _open_ledger_unless_held(self, output: Path) -> AbstractContextManager[Ledger]:
        return self._open_ledger(output) if self._ledger is None else nullcontext(self._ledger)

    def _open_ledger(self, output: Path) -> Ledger:
        files = RunFiles.for_output(output)
        if self.settings.retry_failed and not (files.run.exists() or files.checkpoint.exists()):
            # A script may always give the flag, so this is not an error.
            self._warn(f"There is no run with the output {output} yet, so --retry-failed starts one.")
        refuse_output_as_input(self.source, files)
        identity = {**self.plan.identity(), **self.plan.digests(), **listing_identity(self.source)}
        ledger = Ledger(
            files,
            RunDescription(identity, self.source.fingerprint(), self.folders),
            render=self.plan.make_renderer(),
            fresh=self.settings.fresh,
            clock=self._elapsed,
            pictures=PictureChecks(self._picture_files.has_changed, self._watch.expect),
        )
        if ledger.dropped_fresh_start:
            self._warn(
                "A start with --fresh ended before its first answer, so this is the finished run from before it; give "
                "--fresh again to start over."
            )
        if (kept := ledger.kept_output) is not None:
            self._warn(f"The unfinished run is kept: -o {kept.with_suffix('')}, without --fresh, resumes it.")
        # All pictures of a new run are those that it asks about.
        self._pictures_seen = self._pictures_seen or ledger.state == "new"
        try:
            self.source = connect_listing(self.source, lambda: ledger.listing, ledger.start.number)
            self.source = read_as_before(self.source, ledger.stamp, ledger.start, self.settings.recipe.image_key)
            refuse_changed_input(self.source, ledger)
            if isinstance(self.source, ListedSource):
                if ledger.state == "finished":
                    self.source.restore_listing()
                else:
                    self.source.extend_listing()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def _elapsed(self) -> float:
        return 0.0 if self._started_at is None else self._clock() - self._started_at

    async def _probe(self) -> bool:
        wanted: ProbeDepth = "all" if self.settings.probes else "identity"
        depth, warning = plan_probes(self.settings, wanted)
        self.progress.phase = describe_probe_phase(depth, self.settings)
        if warning is not None:
            self._warn(warning)
        uuid = self.settings.uuid != "off" and depth == wanted
        self._probing = asyncio.ensure_future(self.composition.probe(depth, uuid=uuid, leaves_out=self._joins))
        try:
            await self._probing
        except (asyncio.CancelledError, Interrupted):
            if not self._stopped:
                raise
        finally:
            self._probing = None
        problems = map(explain_unusable_vision, self.composition.servers)
        if (problem := next(filter(None, problems), None)) is not None and not self._stopped:
            raise RunStopped("no_pictures", problem)  # the probes of a strategy alone do not raise it
        return not self._stopped

    async def _run_row_loop(self, ledger: AnyLedger) -> bool:
        if self._stopped:
            return False
        self._retried = self._retried or ledger.retries_failed
        self._changed_answers = 0
        reader = self.composition.make_row_reader(self._make_path_writers(ledger.folders or self.folders))
        self._row_loop = RowLoop(
            self.source,
            ledger,
            reader,
            self._wrap_answer(self.composition.make_pipeline().answer),
            self.plan.limits,
            self.progress,
            self.pool,
            lambda: find_answered_row(ledger.files, reader, self.source) if isinstance(ledger, Ledger) else None,
        )
        try:
            rows = await asyncio.to_thread(rows_left, ledger, self.settings, self.source)
            async with self._timeline.record(ledger, self.progress, self.pool):
                finished = await self._row_loop.run(rows, is_part=self.settings.has_other_rows)
        finally:
            self._row_loop = None
        if finished:
            self.progress.phase = "Finishing the files"
            described = {**describe_input(self.source), **describe_run(self.composition)}
            described["notes"] += self._changes.notes
            await asyncio.to_thread(ledger.finish, described)
        return finished
