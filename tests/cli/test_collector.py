"""The garbage collector of the command line: in a process of its own, which it changes."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from persqa_client.cli import running
before = gc.get_threshold()
running.look_seldom()
assert gc.isenabled() and gc.get_threshold()[0] > before[0], gc.get_threshold()
assert gc.get_freeze_count() > 10_000, gc.get_freeze_count()
"""


def test_it_looks_seldom_and_at_nothing_that_stays() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
