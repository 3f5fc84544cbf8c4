"""Stands in for ``vllm``: takes ``serve MODEL --port N …`` as that does, and then does as its first argument says.

sim        serves the simulator there
words      says why it can't, on stderr, and ends
silent     never listens, and ends when it is asked to
stubborn   never listens, and is deaf to SIGTERM
brief      is well for one look, and ends
sharing    is well and deaf to SIGTERM, and has shared memory, whose name it says
family     serves the simulator, beside a child in a session of its own and an orphan that was left by another
robbed     finds its port taken by a program that has just been started; serves where its --marker is there already
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

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="vllm serve")
    parser.add_argument("mode")
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name")
    parser.add_argument("--marker", type=Path)
    parser.add_argument("--sim", action="append", default=[])
    given, _ = parser.parse_known_args()
    MODES[given.mode](given)


def sim(given: argparse.Namespace) -> None:
    name = given.served_model_name or given.model
    words = ["sim", "--port", str(given.port), "--model", name, *(word for more in given.sim for word in more.split())]
    # vLLM takes its key from a variable of its own, and so does the simulator.
    environ = {**os.environ, "PERSQA_SIM_API_KEY": os.environ.get("VLLM_API_KEY", "")}
    os.execve(sys.executable, [sys.executable, "-m", "persqa_client", *words], environ)


def words(given: argparse.Namespace) -> None:
    print("(APIServer pid=7) INFO 11-24 10:00:00 [core.py:1] Loading weights", file=sys.stderr)
    print("(EngineCore pid=8) ValueError: No available memory for the cache blocks.", file=sys.stderr)
    print("(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.", file=sys.stderr)
    raise SystemExit(3)


def silent(given: argparse.Namespace) -> None:
    print("INFO 11-24 10:00:00 [loader.py:1] Loading weights", flush=True)
    time.sleep(600)


def stubborn(given: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(SLEEP, start_new_session=True)
    silent(given)


class Well(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def sharing(given: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    memory = SharedMemory(create=True, size=1_000_000)
    print(f"Shared memory: {memory.name}", flush=True)
    HTTPServer(("127.0.0.1", given.port), Well).serve_forever()


def brief(given: argparse.Namespace) -> None:
    HTTPServer(("127.0.0.1", given.port), Well).handle_request()
    raise SystemExit("MemoryError: that was all")


def family(given: argparse.Namespace) -> None:
    subprocess.Popen(SLEEP, start_new_session=True)
    # Two forks: the one between ends at once, and the orphan is nobody's child.
    orphan = f"import subprocess; subprocess.Popen({SLEEP!r}, start_new_session=True)"
    subprocess.run([sys.executable, "-c", orphan], check=True)
    sim(given)


def robbed(given: argparse.Namespace) -> None:
    if given.marker is not None and given.marker.exists():
        sim(given)
    if given.marker is not None:
        given.marker.touch()
    thief = socket.create_server(("127.0.0.1", given.port))
    print(f"The port {given.port} is taken.", file=sys.stderr)
    name = given.served_model_name or given.model
    told = subprocess.run([sys.executable, "-m", "persqa_client", "sim", "--port", str(given.port), "--model", name])
    thief.close()
    raise SystemExit(told.returncode)


MODES = {
    "sim": sim,
    "words": words,
    "silent": silent,
    "stubborn": stubborn,
    "sharing": sharing,
    "brief": brief,
    "family": family,
    "robbed": robbed,
}

if __name__ == "__main__":
    main()
