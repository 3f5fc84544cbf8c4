"""Starts, watches and stops a vLLM server on this machine."""

from __future__ import annotations

import atexit
import http.client
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil
from pydantic import SecretStr

from persqa_client.config import Endpoint, build_settings
from persqa_client.endpoints.credentials import read_api_key
from persqa_client.errors import ServerFailed
from persqa_client.vllm_server.command import (
    API_KEY_VARIABLE,
    DEFAULT_CONTEXT,
    DEFAULT_LIMITS,
    HOST,
    Device,
    ServeOptions,
    find_vllm,
    serve_command,
    serve_environment,
    uses_cpu,
)
from persqa_client.vllm_server.logs import (
    ServerLog,
    exit_error,
    format_progress,
    has_port_conflict,
    make_progress_printer,
    no_free_port_error,
    port_in_use_error,
    startup_timeout_error,
    stopped_error,
)
from persqa_client.vllm_server.process import ManagedProcess

# Seconds to download, load and compile a model.
STARTUP_TIMEOUT = 1800.0
# Seconds between SIGTERM and SIGKILL.
SHUTDOWN_TIMEOUT = 15.0
POLL_INTERVAL = 0.2
PROGRESS_INTERVAL = 1.0
# Number of free ports to try if no port is given.
MAX_PORT_TRIES = 3


class VLLMServer(AbstractContextManager["VLLMServer"]):
    """``vllm serve MODEL`` on a port of 127.0.0.1, from ``start()`` to ``stop()`` or the end of this process.

    >>> with VLLMServer("Qwen/Qwen2.5-VL-3B-Instruct") as server:
    ...     generate("photos/", "qa.jsonl", endpoint=server.endpoint)

    ``device``: ``auto`` (the CPU if there is no accelerator), ``cpu`` or ``cuda`` (the accelerator found by vLLM).
    ``extra_args`` are appended to the command line. The log goes to ``log_path``, or to a temporary file that is
    removed unless the server fails. ``on_progress`` gets a line per second until the server is ready.

    Raises SettingsError for invalid options. ``start`` raises SettingsError if vllm is not found or ``port`` is in use,
    and ServerFailed if the server exits or is not ready in time.
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
        max_model_len: int | None = DEFAULT_CONTEXT,
        gpu_memory_utilization: float | None = None,
        limit_mm_per_prompt: Mapping[str, Any] | None = DEFAULT_LIMITS,
        dtype: str | None = None,
        seed: int | None = None,
        trust_remote_code: bool = False,
        extra_args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        startup_timeout: float = STARTUP_TIMEOUT,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
        log_path: str | os.PathLike[str] | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self.model_name_or_path = model
        # Model name in requests.
        self.model = served_model_name or model
        self.port = port
        self._given_port = port
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
        # Reports invalid options now, not at the start.
        serve_command((), model, 0, self._options, cpu=False)
        self._vllm_command = vllm_command
        self._device: Device = device
        self._env = dict(env or {})
        self._startup_timeout = startup_timeout
        self._shutdown_timeout = shutdown_timeout
        self.on_progress = on_progress or make_progress_printer()
        self._log = ServerLog(log_path)
        self._process: ManagedProcess | None = None
        self._ready = False

    @property
    def base_url(self) -> str:
        """The URL with ``/v1``. Raises RuntimeError before the start, unless ``port`` was given."""
        if self.port is None:
            raise RuntimeError("A server has no address before it is started.")
        return f"http://{HOST}:{self.port}/v1"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def log_path(self) -> Path | None:
        return self._log.path

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint, with the key. After the server has exited, requests fail with ServerFailed."""
        check_exit = partial(self._exit_error, self.port)
        return build_settings(
            Endpoint, base_url=self.base_url, model=self.model, api_key=self._read_api_key(), exit_error=check_exit
        )

    def _read_api_key(self) -> SecretStr | None:
        environ = {**os.environ, **self._env}
        return read_api_key(API_KEY_VARIABLE, environ) if environ.get(API_KEY_VARIABLE) else None

    def _exit_error(self, port: int | None) -> ServerFailed | None:
        if self._process is None or self.port != port:
            return stopped_error(self.model_name_or_path)
        return self.failure()

    def is_alive(self) -> bool:
        process = self._process  # another thread may stop it
        return process is not None and process.poll() is None

    def failure(self, wait: float = 0.0) -> ServerFailed | None:
        """Why the server exited without ``stop()``, or None. Waits up to ``wait`` seconds for its exit."""
        deadline = time.monotonic() + wait
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
        process = self._process
        if process is None or process.exit_code is None:
            return None
        log = self._log.read_tail()
        return exit_error(self.model_name_or_path, process.exit_code, log, self.log_path, ready=self._ready)

    def check(self) -> list[str]:
        """The words that call vllm. Raises SettingsError if it is not found, and for a key that can't be sent."""
        self._read_api_key()
        return find_vllm(self._vllm_command, os.environ, shutil.which, Path(sys.executable))

    def start(self) -> Self:
        """Returns when the server is ready. Does nothing if it is running."""
        if self.is_alive():
            return self
        self.stop()
        vllm = self.check()
        began = time.monotonic()
        for _ in range(MAX_PORT_TRIES):
            try:
                self._launch(vllm)
                if self._wait_until_ready(began):
                    return self
            except ServerFailed:
                self._stop_process()
                raise
            except BaseException:
                self._stop_and_discard_log()
                raise
            self._stop_and_discard_log()
            if self._given_port is not None:
                raise port_in_use_error(self._given_port)
        raise no_free_port_error(MAX_PORT_TRIES)

    def _launch(self, vllm: list[str]) -> None:
        self.port = self._given_port or find_free_port()
        if not is_free(self.port):
            raise port_in_use_error(self.port)
        self._ready = False
        cpu = uses_cpu(self._device, {**os.environ, **self._env})
        command = serve_command(vllm, self.model_name_or_path, self.port, self._options, cpu=cpu)
        environ = serve_environment(os.environ, vllm, self._env, cpu=cpu)
        with self._log.open() as log:
            self._process = ManagedProcess(command, environ, log, grace=self._shutdown_timeout)
        # The guardian would also stop the server, but this process would not wait for it.
        atexit.register(self.stop)

    def _wait_until_ready(self, began: float) -> bool:
        """False if another program has the port. Raises ServerFailed."""
        assert self.port is not None
        assert self._process is not None
        last_progress = began
        while not (self.is_alive() and is_healthy(self.port)):
            if (failure := self.failure()) is not None:
                if self._lost_port():
                    return False
                raise failure
            now = time.monotonic()
            log = self._log.read_tail()
            if now - began > self._startup_timeout:
                raise startup_timeout_error(self.model_name_or_path, self._startup_timeout, log, self.log_path)
            if now - last_progress >= PROGRESS_INTERVAL:
                last_progress = now
                self.on_progress(format_progress(self.model_name_or_path, now - began, log))
            time.sleep(POLL_INTERVAL)
        self._ready = not is_port_used_by_others(self.port, self._process.find_pids())
        return self._ready

    def _lost_port(self) -> bool:
        """Whether the server exited because its main port is in use, not one of its other ports."""
        given = self._given_port
        return has_port_conflict(self._log.read_tail()) and (given is None or not is_free(given))

    def stop(self) -> None:
        """Returns when no child is left. Does nothing if not running."""
        if self._process is not None and self._process.is_ours:
            (self._stop_and_discard_log if self.is_alive() else self._stop_process)()

    def _stop_and_discard_log(self) -> None:
        try:
            self._stop_process()
        finally:
            self._log.discard()

    def _stop_process(self) -> None:
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()


def find_free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_port_used_by_others(port: int, own_pids: Collection[int]) -> bool:
    """Whether a process other than ``own_pids`` listens on the port: with SO_REUSEPORT, two servers can share one."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # on macOS, except for root
        return False
    # An address is a tuple of IP and port.
    listeners = {c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr[1:] == (port,)}
    return bool(listeners - {None, *own_pids})
