"""The background loop in a forked child, which has no copy of its thread, and under Ctrl-C."""

from __future__ import annotations

import pytest

from tests.support.commands import python

USE_LOOP = """
import asyncio, atexit, multiprocessing, os, sys, warnings
from persqa_client.run.background import get_background_loop
warnings.simplefilter("ignore")  # newer versions of Python warn about a fork beside threads
double = lambda number: get_background_loop().submit(asyncio.sleep(0, 2 * number)).result()
print(double(1), flush=True)
"""
# Python 3.13 does what the third child does at the birth of each multiprocessing child.
CHILDREN = {
    "multiprocessing": """
child = multiprocessing.get_context("fork").Process(target=lambda: print(double(2), flush=True))
child.start()
child.join()
print("ended", child.exitcode)
""",
    "os.fork": """
if (child := os.fork()) == 0:
    print(double(2), flush=True)
    sys.exit(0)
print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    "without exit handlers": """
if (child := os.fork()) == 0:
    atexit._clear()
    print(double(2), flush=True)
    sys.exit(0)
print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
}


@pytest.mark.parametrize("how", CHILDREN)
def test_a_forked_child_uses_a_loop_of_its_own_and_ends(how: str) -> None:
    result = python(USE_LOOP + CHILDREN[how])
    assert (result.stdout.split("\n"), result.stderr) == (["2", "4", "ended 0", ""], "")


def test_ctrl_c_stops_a_call_that_blocks_a_coroutine() -> None:
    result = python("""
import asyncio, os, signal, threading
from persqa_client.run.background import call_blocking

async def work():
    await asyncio.sleep(5)
    print("ended")

async def main():
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        call_blocking(work())
    except KeyboardInterrupt:
        print("stopped")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
""")
    assert (result.stdout, result.stderr) == ("stopped\n", "")
