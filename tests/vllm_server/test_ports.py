"""Whose a port is, with real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.vllm_server.server import find_free_port, has_stranger, is_free, is_well

HOLD = """
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
print("listening", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(port: int) -> Iterator[int]:
    """A process that listens there and lets others listen there, too."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    yield process.pid
    process.communicate()


def test_a_free_port_is_free_until_somebody_listens() -> None:
    port = find_free_port()
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
    assert is_free(port)


def test_what_says_so_is_well_and_what_is_silent_or_away_is_not() -> None:
    with run_simulator(SimSettings()) as server:
        assert is_well(server.port)
    assert not is_well(server.port)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        threading.Timer(0.2, lambda: deaf.accept()[0].close()).start()
        assert not is_well(deaf.getsockname()[1])


def test_a_listener_that_is_none_of_ours_is_a_stranger() -> None:
    port = find_free_port()
    assert not has_stranger(port, [])
    with holder(port) as pid:
        assert has_stranger(port, [os.getpid()])
        assert not has_stranger(port, [pid])


def test_one_that_shares_a_port_with_ours_is_a_stranger_too() -> None:
    port = find_free_port()
    with holder(port) as ours, holder(port) as theirs:
        assert has_stranger(port, [ours])
        assert not has_stranger(port, [ours, theirs])
