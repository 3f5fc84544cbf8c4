"""A vLLM server of one's own: started, waited for, watched and ended. Starts a process and talks to it."""

from __future__ import annotations

import atexit
import http.client
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from persqa_client.config import Endpoint, build_settings
from persqa_client.endpoints.credentials import read_api_key
from persqa_client.errors import ServerFailed
from persqa_client.vllm_server.command import (
    API_KEY_VARIABLE,
    CONTEXT,
    HOST,
    PICTURES,
    Device,
    ServeOptions,
    find_vllm,
    serve_command,
    serve_environment,
    takes_cpu,
)
from persqa_client.vllm_server.guardian import PROC, parents
from persqa_client.vllm_server.logs import (
    ServerLog,
    died,
    outrun,
    port_was_taken,
    printer,
    stopped,
    taken,
    too_slow,
    waiting,
)
from persqa_client.vllm_server.process import ManagedProcess

# Ports of this machine: a free one, whose a taken one is, whether a server is well there. Talks to it, reads /proc.

LISTENING = "0A"


def find_free_port() -> int:
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


STARTUP_TIMEOUT = 1800.0
"""Seconds in which a model of some gigabytes is fetched, loaded and compiled."""
GRACE = 15.0
"""Seconds that a server gets to end by itself."""
LOOK_EVERY = 0.2
TELL_EVERY = 1.0
PORTS = 3
"""So many are tried where none was asked for."""


class VLLMServer(AbstractContextManager["VLLMServer"]):
    """``vllm serve MODEL``, for this machine alone, from ``start()`` to ``stop()``.

    >>> with VLLMServer("Qwen/Qwen2.5-VL-3B-Instruct") as server:
    ...     generate("photos/", "qa.jsonl", endpoint=server.endpoint)

    With all its children it ends when it is stopped, and when this process ends in whatever way. ``device`` is ``auto``
    (the CPU where there is no accelerator), ``cpu`` or ``cuda`` (what vLLM finds). ``extra_args`` are further words of
    the command line, ``env`` further variables. The log goes to ``log_path``, or to a temporary file that is removed
    when all went well. ``on_progress`` gets a line each second until the server is up; without it, one is printed to
    stderr every ten seconds. It has ``startup_timeout`` seconds to be ready and ``shutdown_timeout`` to end by itself.

    Raises SettingsError for options that can't be. So does ``start`` where vllm is missing or ``port`` is taken; it
    raises ServerFailed where the server ends, or is not ready in time.
    """

    def __init__(
        self,
        model: str,
        *,
        served_model_name: str | None = None,
        vllm_command: str | Sequence[str] | None = None,
        port: int | None = None,
        device: Device = "auto",
        tensor_parallel_size: int = 1,
        max_model_len: int | None = CONTEXT,
        gpu_memory_utilization: float | None = None,
        limit_mm_per_prompt: Mapping[str, Any] | None = PICTURES,
        dtype: str | None = None,
        seed: int | None = None,
        trust_remote_code: bool = False,
        extra_args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        startup_timeout: float = STARTUP_TIMEOUT,
        shutdown_timeout: float = GRACE,
        log_path: str | os.PathLike[str] | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self.model_name_or_path = model
        """A model's name, or its folder."""
        self.model = served_model_name or model
        """The name that requests use."""
        self.port = port
        self._wanted_port = port
        self._options = ServeOptions(
            served_model_name=served_model_name,
            tensor_parallel_size=tensor_parallel_size,
            max_model_len=max_model_len,
            gpu_memory_utilization=gpu_memory_utilization,
            limit_mm_per_prompt=limit_mm_per_prompt,
            dtype=dtype,
            seed=seed,
            trust_remote_code=trust_remote_code,
            extra_args=extra_args,
        )
        # What can't be is said now, and not when everything else has been done.
        serve_command((), model, 0, self._options, cpu=False)
        self._vllm = vllm_command
        self._device: Device = device
        self._env = dict(env or {})
        self._timeout = startup_timeout
        self._grace = shutdown_timeout
        self.on_progress = on_progress or printer()
        self._log = ServerLog(log_path)
        self._running: ManagedProcess | None = None
        self._ready = False

    @property
    def base_url(self) -> str:
        """With ``/v1``, as clients take it; known once it is started."""
        if self.port is None:
            raise RuntimeError("A server has no address before it is started.")
        return f"http://{HOST}:{self.port}/v1"

    @property
    def pid(self) -> int | None:
        """Of ``vllm serve`` itself; None before it is started and after it was stopped."""
        return None if self._running is None else self._running.pid

    @property
    def log_path(self) -> Path | None:
        """None where there is no file at the moment."""
        return self._log.path

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers, with its key, known once it is started. Whoever asks there hears of its end at once."""
        key, gone = self._key(), partial(self._gone, self.port)
        return build_settings(Endpoint, base_url=self.base_url, model=self.model, api_key=key, exit_error=gone)

    def _key(self) -> SecretStr | None:
        """What vLLM takes from the environment, too. Raises SettingsError where it can't be sent."""
        environ = {**os.environ, **self._env}
        return read_api_key(API_KEY_VARIABLE, environ) if environ.get(API_KEY_VARIABLE) else None

    def _gone(self, port: int | None) -> ServerFailed | None:
        """Why nobody answers at that port any more; None while it is to be hoped for."""
        running = self._running
        return stopped(self.model_name_or_path) if running is None or self.port != port else self.failure()

    def is_alive(self) -> bool:
        running = self._running
        return running is not None and running.poll() is None

    def failure(self, wait: float = 0.0) -> ServerFailed | None:
        """Why it is gone, where it ended without being asked; None while it is there. Looks for ``wait`` seconds."""
        deadline = time.monotonic() + wait
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        running = self._running
        if running is None or running.code is None:
            return None
        return died(self.model_name_or_path, running.code, self._log.said(), self.log_path, ready=self._ready)

    def start(self) -> Self:
        """Returns when the server answers; does nothing where it does already."""
        if self.is_alive():
            return self
        self.stop()
        vllm = find_vllm(self._vllm, os.environ, shutil.which, Path(sys.executable))
        self._key()
        began = time.monotonic()
        for _ in range(PORTS):
            try:
                self._launch(vllm)
                if self._comes_up(began):
                    return self
            except ServerFailed:
                self._end()
                raise
            except BaseException:
                self._drop()
                raise
            self._drop()
            if self._wanted_port is not None:
                raise taken(self._wanted_port)
        raise outrun(PORTS)

    def _launch(self, vllm: list[str]) -> None:
        self.port = self._wanted_port or find_free_port()
        if not is_free(self.port):
            raise taken(self.port)
        self._ready = False
        cpu = takes_cpu(self._device, {**os.environ, **self._env})
        command = serve_command(vllm, self.model_name_or_path, self.port, self._options, cpu=cpu)
        environ = serve_environment(os.environ, vllm, self._env, cpu=cpu)
        with self._log.open() as log:
            self._running = ManagedProcess(command, environ, log, grace=self._grace)
        # It would end without this, too; but then this process would not wait for its end.
        atexit.register(self.stop)

    def _comes_up(self, began: float) -> bool:
        """Whether it did; False where another program took its port. Raises ServerFailed."""
        assert self.port is not None
        told = began
        while not (self.is_alive() and is_well(self.port)):
            if (failure := self.failure()) is not None:
                if self._lost_its_port():
                    return False
                raise failure
            now = time.monotonic()
            if now - began > self._timeout:
                raise too_slow(self.model_name_or_path, self._timeout, self._log.said(), self.log_path)
            if now - told >= TELL_EVERY:
                told = now
                self.on_progress(waiting(self.model_name_or_path, now - began, self._log.said()))
            time.sleep(LOOK_EVERY)
        assert self._running is not None
        self._ready = not has_stranger(self.port, self._running.family())
        return self._ready

    def _lost_its_port(self) -> bool:
        """A server has other ports, too, which may have been the taken one."""
        wanted = self._wanted_port
        return port_was_taken(self._log.said()) and (wanted is None or not is_free(wanted))

    def stop(self) -> None:
        """Ends it with all its children, and returns when they are gone. Harmless where it is not there."""
        if self._running is not None and self._running.is_ours:
            (self._drop if self.is_alive() else self._end)()

    def _drop(self) -> None:
        """Ends it where its log tells nothing that anybody should know."""
        try:
            self._end()
        finally:
            self._log.discard()

    def _end(self) -> None:
        """Ends it and leaves its log, which says why."""
        atexit.unregister(self.stop)
        running, self._running = self._running, None
        if running is not None:
            running.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()
