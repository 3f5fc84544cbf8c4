"""Which event loop a run from the command line gets."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from persqa_client.cli.execute import run_coroutine

WITHOUT = "import sys; sys.modules['uvloop'] = None"
ASK = """
import asyncio
from persqa_client.cli.execute import run_coroutine

async def loop():
    return type(asyncio.get_running_loop()).__module__

print(run_coroutine(loop()))
"""


@pytest.mark.parametrize(("before", "loop"), [("", "uvloop"), (WITHOUT, "asyncio.unix_events")])
def test_it_is_uvloop_where_there_is_one(before: str, loop: str) -> None:
    done = subprocess.run([sys.executable, "-c", before + ASK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == loop


def test_what_is_raised_comes_out_and_nothing_stays_behind() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run_coroutine(fail())
    assert asyncio.run(asyncio.sleep(0, "another loop")) == "another loop"
