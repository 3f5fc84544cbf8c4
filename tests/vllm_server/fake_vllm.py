"""Stands in for the program ``vllm``: takes ``serve MODEL --port N …`` and behaves as its first argument says.

sim             serves the simulator
fail            prints an error to stderr and exits
silent          never listens
ignore_sigterm  never listens, ignores SIGTERM, and has a child
crash           answers one /health, and exits
shared_memory   answers /health, ignores SIGTERM, and prints the name of its shared memory
healthy         answers /health, and has a child in another session and an orphaned grandchild
children        serves the simulator, and has a child in another session and an orphaned grandchild
port_taken      finds its port taken by a program that was just started; serves if its --marker exists already
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

# Without the modules of the site, it starts several times as fast.
PYTHON = [sys.executable, "-IS"]
SLEEP = [*PYTHON, "-c", "import time; time.sleep(600)"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="vllm serve")
    parser.add_argument("mode")
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name")
    parser.add_argument("--marker", type=Path)
    parser.add_argument("--sim", action="append", default=[])
    options, _ = parser.parse_known_args()
    MODES[options.mode](options)


def sim(options: argparse.Namespace) -> None:
    name = options.served_model_name or options.model
    flags = [word for text in options.sim for word in text.split()]
    words = ["sim", "--port", str(options.port), "--model", name, *flags]
    # vLLM reads its key from a variable, and so does the simulator.
    environ = {**os.environ, "PERSQA_SIM_API_KEY": os.environ.get("VLLM_API_KEY", "")}
    os.execve(sys.executable, [sys.executable, "-m", "persqa_client", *words], environ)


def fail(options: argparse.Namespace) -> None:
    print("(APIServer pid=7) INFO 11-24 10:00:00 [core.py:1] Loading weights", file=sys.stderr)
    print("(EngineCore pid=8) ValueError: No available memory for the cache blocks.", file=sys.stderr)
    print("(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.", file=sys.stderr)
    raise SystemExit(3)


def silent(options: argparse.Namespace) -> None:
    print("INFO 11-24 10:00:00 [loader.py:1] Loading weights", flush=True)
    time.sleep(600)


def ignore_sigterm(options: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(SLEEP, start_new_session=True)
    silent(options)


class HealthHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def shared_memory(options: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    memory = SharedMemory(create=True, size=1_000_000)
    print(f"Shared memory: {memory.name}", flush=True)
    HTTPServer(("127.0.0.1", options.port), HealthHandler).serve_forever()


def crash(options: argparse.Namespace) -> None:
    HTTPServer(("127.0.0.1", options.port), HealthHandler).handle_request()
    raise SystemExit("MemoryError: that was all")


def children(options: argparse.Namespace) -> None:
    start_children()
    sim(options)


def healthy(options: argparse.Namespace) -> None:
    start_children()
    HTTPServer(("127.0.0.1", options.port), HealthHandler).serve_forever()


def start_children() -> None:
    subprocess.Popen(SLEEP, start_new_session=True)
    # The process in between ends at once.
    code = f"import subprocess; subprocess.Popen({SLEEP!r}, start_new_session=True)"
    subprocess.run([*PYTHON, "-c", code], check=True)


def port_taken(options: argparse.Namespace) -> None:
    if options.marker is not None and options.marker.exists():
        sim(options)
    if options.marker is not None:
        options.marker.touch()
    with socket.create_server(("127.0.0.1", options.port)):
        print(f"The port {options.port} is taken.", file=sys.stderr)
        HTTPServer(("127.0.0.1", options.port), HealthHandler)


MODES = {
    "sim": sim,
    "fail": fail,
    "silent": silent,
    "ignore_sigterm": ignore_sigterm,
    "shared_memory": shared_memory,
    "crash": crash,
    "healthy": healthy,
    "children": children,
    "port_taken": port_taken,
}

if __name__ == "__main__":
    main()
