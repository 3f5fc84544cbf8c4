"""Ports of this machine: a free one, whose a taken one is, whether a server is well there. Talks to it, reads /proc."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from persqa_client.vllm_server.command import HOST
from persqa_client.vllm_server.processes import PROC, parents

LISTENING = "0A"


def free_port() -> int:
    """One that nobody has at the moment; somebody may take it in the next."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def is_well(port: int) -> bool:
    """Whether what listens there says that it is ready."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def has_stranger(port: int, ours: Collection[int]) -> bool:
    """Whether a process that is none of ``ours`` listens there, as far as can be seen: a container's can't be.

    vLLM may share a port with another server of the same person without a word (SO_REUSEPORT), and then each gets
    some of the requests.
    """
    sockets = listeners(port)
    return any(sockets & held_sockets(pid) for pid in parents().keys() - set(ours)) if sockets else False


def listeners(port: int) -> set[str]:
    """The sockets that listen at a port on this machine, as ``socket:[INODE]``."""
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found


def held_sockets(pid: int) -> set[str]:
    """What a process holds open, as far as we may see it."""
    found = set()
    with suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            # One that is closed meanwhile is none.
            with suppress(OSError):
                found.add(str(Path(entry).readlink()))
    return found
