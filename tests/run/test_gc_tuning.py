"""Garbage-collector settings in the command's own process and inside another program."""

from __future__ import annotations

import gc

import pytest

from persqa_client.run.background import GC_THRESHOLD, infrequent_gc
from tests.support.commands import python

PROGRAM = """
import gc
gc.unfreeze()  # of what the process to fork from has frozen
from persqa_client.cli import execute
before = gc.get_threshold()
execute.tune_gc()
assert gc.isenabled() and gc.get_threshold()[0] > before[0], gc.get_threshold()
assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()
"""


def test_passes_are_rare_and_skip_imported_objects() -> None:
    done = python(PROGRAM)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("theirs", [(700, 10, 10), (0, 10, 10), (50_000, 5, 5)])
def test_a_run_inside_another_program_restores_its_thresholds(theirs: tuple[int, int, int]) -> None:
    before = gc.get_threshold()
    gc.set_threshold(*theirs)
    try:
        with infrequent_gc():
            assert gc.get_threshold() == (GC_THRESHOLD if 0 < theirs[0] < GC_THRESHOLD else theirs[0], *theirs[1:])
        assert gc.get_threshold() == theirs
    finally:
        gc.set_threshold(*before)
