"""``persqa run --serve`` on a terminal: the status line while the server starts, and Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import subprocess
import termios
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.simulator.server import SimSettings, run_simulator
from tests.support.commands import PERSQA, persqa
from tests.vllm_server.processes import MARK, MODEL, find_marked, serve_args

pytestmark = pytest.mark.slow

ROWS = 300


class Terminal:
    """A command in the foreground process group of a terminal of its own, as a shell starts it."""

    def __init__(self, arguments: list[str], folder: Path, mark: str) -> None:
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*PERSQA, *arguments],
            cwd=folder,
            env={**os.environ, MARK: mark, "COLUMNS": "300", "TERM": "xterm", "TMPDIR": str(folder)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.seen = b""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        try:
            while more := os.read(self.ours, 4096):
                self.seen += more
        except OSError:
            pass  # The command has closed it.

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def end(self) -> tuple[int, str]:
        """Exit code, and all that was shown."""
        code = self.process.wait(60)
        self.reader.join(10)
        os.close(self.ours)
        return code, self.seen.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"image": "red.png", "n": {n}}}\n' for n in range(ROWS)))
    return tmp_path


def test_a_status_line_shows_what_the_server_is_doing(folder: Path, mark: str) -> None:
    terminal = Terminal(serve_args("silent"), folder, mark)
    while len(set(re.findall(rb"to be ready, \d+ s \(Loading weights\)", terminal.seen))) < 2:
        assert terminal.process.poll() is None, terminal.seen
        time.sleep(0.02)
    terminal.type(b"\x03")
    code, seen = terminal.end()
    assert code == 130, seen
    assert "Stopped while the server was starting" in seen
    assert not find_marked(mark)


def test_ctrl_c_lets_requests_finish_before_the_server_stops(folder: Path, mark: str) -> None:
    """The terminal sends SIGINT to the foreground process group, to which the server does not belong."""
    flags = ["--concurrency", "8", "--no-probes"]
    terminal = Terminal(serve_args("children", *flags, "--serve-args", '--sim="--latency 1 --slots 8"'), folder, mark)
    while requests(terminal) <= 8:
        assert terminal.process.poll() is None, terminal.seen
        time.sleep(0.02)
    terminal.type(b"\x03")
    code, seen = terminal.end()
    assert code == 130, seen
    assert "Stopping" in seen
    assert not find_marked(mark)
    with run_simulator(SimSettings(models=(MODEL,), latency=0.0)) as server:
        elsewhere = ["run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", server.base_url, "--model", MODEL]
        assert persqa(*elsewhere, *flags, cwd=folder).returncode == 0
        assert server.stats()["answered"] < ROWS - 8, "requests in flight were answered"


def requests(terminal: Terminal) -> int:
    """Requests that the server has received; 0 before its address is printed."""
    if (found := re.search(rb"(http://[0-9.:]+)/v1, process", terminal.seen)) is None:
        return 0
    with urllib.request.urlopen(f"{found[1].decode()}/sim/stats", timeout=10) as reply:
        return int(json.load(reply)["requests"])
