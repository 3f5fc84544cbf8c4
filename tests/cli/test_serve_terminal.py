"""``persqa run --serve`` at a terminal: what is shown while the server starts, and a Ctrl-C that is typed there."""

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

ROWS = 300


class Terminal:
    """A command at a terminal of its own, its foreground group, as a shell would have it."""

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
            pass  # nobody has it open any more

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


def test_a_line_that_changes_tells_what_is_waited_for(folder: Path, mark: str) -> None:
    terminal = Terminal(serve_args("silent"), folder, mark)
    while len(set(re.findall(rb"to be ready, \d+ s \(Loading weights\)", terminal.seen))) < 2:
        assert terminal.process.poll() is None, terminal.seen
        time.sleep(0.02)
    terminal.type(b"\x03")
    code, seen = terminal.end()
    assert code == 130, seen
    assert "Stopped while the server was starting" in seen
    assert not find_marked(mark)


def test_a_typed_ctrl_c_drains_the_run_before_the_server_ends(folder: Path, mark: str) -> None:
    """The terminal sends it to the whole foreground group, and the server is not in it."""
    flags = ["--concurrency", "8", "--no-probes"]
    terminal = Terminal(serve_args("children", *flags, "--serve-args", '--sim="--latency 1 --slots 8"'), folder, mark)
    while requests(terminal) <= 8:
        assert terminal.process.poll() is None, terminal.seen
        time.sleep(0.02)
    terminal.type(b"\x03")
    code, seen = terminal.end()
    assert code == 130, seen
    assert "requests under way may finish" in seen
    assert not find_marked(mark)
    with run_simulator(SimSettings(models=(MODEL,), latency=0.0)) as server:
        elsewhere = ["run", "rows.jsonl", "-o", "qa.jsonl", "--base-url", server.base_url, "--model", MODEL]
        assert persqa(*elsewhere, *flags, cwd=folder).returncode == 0
        assert server.stats()["answered"] < ROWS - 8, "what was under way was answered: the server was still there"


def requests(terminal: Terminal) -> int:
    """How many have come to the server, which is there as soon as it is said where."""
    if (found := re.search(rb"(http://[0-9.:]+)/v1, process", terminal.seen)) is None:
        return 0
    with urllib.request.urlopen(f"{found[1].decode()}/sim/stats", timeout=10) as reply:
        return int(json.load(reply)["requests"])
