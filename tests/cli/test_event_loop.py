"""The event loop of the command line."""

from __future__ import annotations

import asyncio

import pytest

from persqa_client.cli.execute import run_coroutine
from tests.support.commands import python

WITHOUT = "import sys; sys.modules['uvloop'] = None; del sys.modules['persqa_client.cli.execute']  # imported already"
ASK = """
import asyncio
from persqa_client.cli.execute import run_coroutine

async def loop():
    return type(asyncio.get_running_loop()).__module__

print(run_coroutine(loop()))
"""


@pytest.mark.parametrize(("before", "loop"), [("", "uvloop"), (WITHOUT, "asyncio.unix_events")])
def test_it_is_uvloop_if_installed(before: str, loop: str) -> None:
    done = python(before + ASK)
    assert (done.returncode, done.stdout.strip()) == (0, loop), done.stderr


def test_errors_are_passed_on_and_the_loop_is_closed() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run_coroutine(fail())
    assert asyncio.run(asyncio.sleep(0, "another loop")) == "another loop"
