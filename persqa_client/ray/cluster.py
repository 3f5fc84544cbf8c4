"""Connects to a Ray cluster, and starts work on its nodes."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, NamedTuple

from persqa_client import __version__
from persqa_client.errors import RunStopped, SettingsError
from persqa_client.extras import import_extra

# For `ray.init`: a user of this package has not been asked whether Ray may report its use.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
HOST_AND_PORT = re.compile(r"([\w.-]+):(\d+)")
# Seconds.
CONNECT_TIMEOUT = 5.0
# What a client of HTTP/2, and so of gRPC, sends first: a fixed text and its settings, which are empty.
HTTP2_SETTINGS = b"\x04"
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + HTTP2_SETTINGS + b"\0\0\0\0\0"


class Node(NamedTuple):
    id: str
    # Address of the cluster, for messages.
    name: str


def import_ray() -> Any:
    """Raises SettingsError if it is not installed."""
    return import_extra("ray", "ray", "--engine ray")


def check_ray_installed() -> None:
    """Checks this without an import of Ray, which takes a second. Raises SettingsError."""
    from importlib.util import find_spec

    if find_spec("ray") is None:
        import_ray()


class Cluster:
    """A connection to a cluster, which is closed with the context if it was opened here."""

    def __init__(self, address: str | None) -> None:
        """Starts a cluster on this machine if there is no address, in ``RAY_ADDRESS`` neither, and none runs here.

        Raises SettingsError if no cluster answers.
        """
        self.ray = import_ray()
        self._is_own = not self.ray.is_initialized()
        if not self._is_own:
            return
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        where = address or os.environ.get("RAY_ADDRESS") or "this machine"
        try:
            if "://" in where:
                raise ValueError("give the HOST:PORT that ray start prints, or auto, on one of the cluster's machines")
            if (place := HOST_AND_PORT.fullmatch(where)) is not None:
                check_port(place[1], int(place[2]))
            self.ray.init(address=address or None, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError, OverflowError, self.ray.exceptions.RayError) as error:
            reason = " ".join((getattr(error, "strerror", None) or str(error)).split()).rstrip(".")
            raise SettingsError(f"--ray-address: no Ray cluster can be used at {where} ({reason}).") from error

    def close(self) -> None:
        if self._is_own:
            self.ray.shutdown()

    def list_nodes(self) -> list[Node]:
        """The nodes that are alive and have a CPU for a task."""
        return [
            Node(each["NodeID"], each["NodeManagerAddress"])
            for each in self.ray.nodes()
            if each["Alive"] and each["Resources"].get("CPU", 0) >= 1
        ]

    @property
    def own_node(self) -> str:
        return str(self.ray.get_runtime_context().get_node_id())

    def start_actor(self, kind: type, *arguments: object) -> Any:
        """Starts the actor on the node of this process, so that the actor does not end before the process."""
        options = self.ray.remote(kind).options(num_cpus=0, max_restarts=0, scheduling_strategy=self._at(self.own_node))
        return options.remote(*arguments)

    def start_task(
        self, function: Callable[..., Any], *arguments: object, node: str, name: str
    ) -> tuple[Any, asyncio.Future[Any]]:
        """Its reference, and its result."""
        # On another node if all CPUs of this one are taken: a job of others may keep them for days.
        where = self._at(node, soft=True, _spill_on_unavailable=True)
        task = self.ray.remote(function).options(num_cpus=1, max_retries=0, name=name, scheduling_strategy=where)
        reference = task.remote(*arguments)
        return reference, asyncio.wrap_future(reference.future())

    def is_loss(self, error: Exception) -> bool:
        """Whether a task failed because its worker or node is lost, so that it may succeed elsewhere."""
        exceptions = self.ray.exceptions
        lost = (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.OutOfMemoryError)
        return isinstance(error, lost)

    def explain(self, error: Exception) -> Exception:
        """An error of the cluster as one that stops the run; an exception of the task is a bug, and stays."""
        kinds = self.ray.exceptions
        is_of_cluster, is_of_task = (isinstance(error, kind) for kind in (kinds.RayError, kinds.RayTaskError))
        if not is_of_cluster:
            return error
        if (missing := MISSING_MODULE.search(str(error))) is not None:
            return SettingsError(
                f"--engine ray: a node of the cluster lacks the module {missing[1]}: install persqa_client "
                f"{__version__} there, in the environment in which ray start is called"
            )
        if is_of_task:
            return error
        return RunStopped("cluster_lost", f"The Ray cluster can't work on the run ({describe_ray_error(error)}).")

    def cancel(self, reference: Any, *, force: bool = False) -> None:
        with suppress(Exception):  # it has ended, or its node is lost
            self.ray.cancel(reference, force=force)

    def _at(self, node: str, *, soft: bool = False, **options: bool) -> Any:
        strategies = import_extra("ray.util.scheduling_strategies", "ray", "--engine ray")
        return strategies.NodeAffinitySchedulingStrategy(node, soft=soft, **options)


@contextmanager
def discard_ray_messages() -> Iterator[None]:
    """Ray prints on standard output what happens to its nodes and workers; the results of the run stand there alone."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


def check_port(host: str, port: int) -> None:
    """Raises OSError if nothing listens there, or no server of gRPC. Ray itself would try for minutes."""
    with socket.create_connection((host, port), CONNECT_TIMEOUT) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return
        connection.sendall(HTTP2_PREFACE)
        # The first frame of an HTTP/2 server has its settings. The type follows after three bytes of length.
        if connection.recv(9)[3:4] != HTTP2_SETTINGS:
            raise OSError("another server listens there; ray start --head prints the port, by default 6379")


def describe_ray_error(error: Exception) -> str:
    """Without the identifiers and general advice that follow in further lines.

    >>> describe_ray_error(RuntimeError("The actor died.  \\n\\tactor_id: 7"))
    'The actor died'
    """
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return first.strip().rstrip(".")


def choose_node(nodes: Mapping[str, int], own: str) -> str:
    """The node with the fewest tasks; of equal ones another than that of the driver, which has work of its own.

    >>> choose_node({"a": 1, "b": 0, "c": 0}, own="b")
    'c'
    """
    return min(nodes, key=lambda node: (nodes[node], node == own, node))
