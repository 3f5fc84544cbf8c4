"""What the client's tests share."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.client.local_proxy import HOST


@pytest.fixture
def host_is_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives ``HOST``, whose name does not say so, the address of this machine."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host in (HOST, HOST.encode()) else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
