"""Ports and their listeners, with real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.vllm_server.server import find_free_port, is_free, is_healthy, is_port_used_by_others

LISTEN_CODE = """
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
print("listening", flush=True)
sys.stdin.read()
"""


@contextmanager
def start_listener(port: int) -> Iterator[int]:
    """A process that listens at the port and lets others share it."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN_CODE, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    yield process.pid
    process.communicate()


def test_a_port_is_free_while_no_program_listens() -> None:
    port = find_free_port()
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
    assert is_free(port)


def test_only_a_server_that_answers_health_is_healthy() -> None:
    with run_simulator(SimSettings()) as server:
        assert is_healthy(server.port)
    assert not is_healthy(server.port)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Timer(0.2, lambda: silent.accept()[0].close()).start()
        assert not is_healthy(silent.getsockname()[1])


def test_a_port_of_another_process_is_shared() -> None:
    port = find_free_port()
    assert not is_port_used_by_others(port, [])
    with start_listener(port) as pid:
        assert is_port_used_by_others(port, [os.getpid()])
        assert not is_port_used_by_others(port, [pid])


def test_two_listeners_share_a_port() -> None:
    port = find_free_port()
    with start_listener(port) as ours, start_listener(port) as other:
        assert is_port_used_by_others(port, [ours])
        assert not is_port_used_by_others(port, [ours, other])
