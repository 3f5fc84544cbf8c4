"""Works on one shard of a run, in a process on a node of the cluster."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import os
import pickle
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persqa_client import __version__
from persqa_client.errors import MaskedError, SettingsError
from persqa_client.inputs.opening import expand_existing, open_inputs
from persqa_client.inputs.shards import Shard
from persqa_client.inputs.sources import Source
from persqa_client.ray.reports import Instructions, ShardEnd, describe_error_end, describe_shard
from persqa_client.ray.shared_limit import SharedSession
from persqa_client.run.background import execute_with_monitors, infrequent_gc
from persqa_client.run.run import Run
from persqa_client.run.run_input import has_listing, is_file_of
from persqa_client.run.settings import RunSettings
from persqa_client.run.summary import Summary
from persqa_client.storage.run_files import RunInUse

# Seconds between reports.
REPORT_INTERVAL = 0.5
# Seconds in which a worker that was cut off from the cluster should have ended, and let go of the shard's files.
LOCK_PATIENCE, LOCK_INTERVAL = 120.0, 0.5

SHARED = "With --engine ray, the input, its images and the folder of the output must be on storage that all nodes see"


@dataclass(frozen=True, slots=True)
class ShardTask:
    """The task of a worker. Relative paths start at ``working_directory``."""

    settings: RunSettings
    inputs: tuple[str, ...]
    working_directory: str
    # A file in the folder of the output with this text, by which a worker sees that it has the same folder.
    marker: Path
    mark: str
    # Whether other shards have answers of this start.
    joins: bool = False

    @property
    def shard(self) -> Shard:
        assert self.settings.shard is not None
        return self.settings.shard


def run_shard(shard: Shard, version: str, pickled: bytes, coordinator: Any) -> ShardEnd:
    """The task of Ray. Errors that end a run are part of the result; others are bugs.

    ``pickled``: a ShardTask of this version of the package; another one may not be readable.
    """
    where = f"on the node {os.uname().nodename}"
    try:
        check_version(version)
        task: ShardTask = pickle.loads(pickled)
        check_node(task)
        with infrequent_gc(), asyncio.Runner(loop_factory=find_event_loop()) as runner:
            summary = runner.run(work_on_shard(task, coordinator))
    except MaskedError as error:
        return describe_error_end(shard, error, where)
    return ShardEnd(
        shard,
        is_finished=summary.state != "interrupted",
        tally=summary.tally,
        seconds=summary.seconds,
        endpoints=summary.endpoints,
        notes=summary.notes,
        # The limit is the same for all workers.
        findings=tuple(finding for finding in summary.findings if "(--concurrency auto)" not in finding),
    )


def find_event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop of uvloop, if it is installed, which saves 5 % of CPU time."""
    with suppress(ImportError):
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
        return factory
    return asyncio.new_event_loop


def check_version(version: str) -> None:
    """Raises SettingsError if this node has another one."""
    if version != __version__:
        raise SettingsError(
            f"persqa_client is {__version__} here, and {version} where the run was started: install one version on all "
            "nodes"
        )


def check_node(task: ShardTask) -> None:
    """Raises SettingsError if this node does not see the files."""
    try:
        os.chdir(task.working_directory)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"the folder {task.working_directory} can't be used ({reason}). {SHARED}.") from error
    found = ""
    with suppress(OSError):
        found = task.marker.read_text()
    if found != task.mark:
        raise SettingsError(f"the folder {task.marker.parent.absolute()} is another one here. {SHARED}.")


def open_shard_input(settings: RunSettings, inputs: Sequence[str]) -> Source:
    """Raises SettingsError."""
    return open_inputs(
        list(map(expand_existing, inputs)),
        settings.recipe.image_key,
        leave_out=is_file_of(settings),
        lists_images=has_listing(settings),
        row_layout=settings.recipe.row_layout,
        fetches=settings.fetch,
    )


async def work_on_shard(task: ShardTask, coordinator: Any) -> Summary:
    """Waits for the files if another process still has them: the worker before, on a node that was lost."""
    deadline, name = time.monotonic() + LOCK_PATIENCE, uuid.uuid4().hex
    while True:
        warnings: list[str] = []
        try:
            source = open_shard_input(task.settings, task.inputs)
            run = Run(task.settings, source, warn=warnings.append, joins=task.joins)
        except SettingsError as error:
            raise SettingsError(f"{str(error).rstrip('.')}. {SHARED}.") from error
        reporter = Reporter(run, task.shard, name, coordinator, warnings)
        try:
            return await execute_with_monitors(run, reporter.watch)
        except RunInUse:
            if time.monotonic() > deadline:
                raise
        finally:
            await reporter.tell(has_ended=True)
        await asyncio.sleep(LOCK_INTERVAL)


class Reporter:
    """Tells the coordinator how the run proceeds, and the run what the coordinator says."""

    def __init__(self, run: Run, shard: Shard, name: str, coordinator: Any, warnings: list[str]) -> None:
        self._run = run
        self._shard = shard
        self._coordinator = coordinator
        self._warnings = warnings
        self._name = name
        self._stops = 0
        self._sessions = [SharedSession(session, run.settings.limits) for session in run.pool.sessions]

    async def watch(self, run: Run) -> None:
        """Watches until it is cancelled. The run stops if the coordinator is lost: its process has ended, or is cut
        off.
        """
        while True:
            instructions = await self.tell()
            if instructions is None:
                run.stop()
                return
            self._obey(instructions)
            await asyncio.sleep(REPORT_INTERVAL)

    async def tell(self, *, has_ended: bool = False) -> Instructions | None:
        """None if the coordinator is lost."""
        endpoints = () if has_ended else tuple(session.report() for session in self._sessions)
        report = describe_shard(self._run, self._name, self._shard, tuple(self._warnings), endpoints)
        try:
            told = dataclasses.replace(report, has_ended=has_ended)
            instructions: Instructions = await self._coordinator.report.remote(told)
        except Exception:
            return None
        return instructions

    def _obey(self, instructions: Instructions) -> None:
        for session, grant in zip(self._sessions, instructions.grants, strict=True):
            session.take(grant)
        while self._stops < instructions.stops:
            self._stops += 1
            self._run.stop()
