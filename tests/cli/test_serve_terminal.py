"""``persqa run --serve`` at a terminal: what is shown while the server starts, and a Ctrl-C that is typed there."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.commands import PERSQA
from tests.serving.processes import MARK, command, marked


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
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"image": "red.png", "n": {n}}}\n' for n in range(300)))
    return tmp_path


def test_a_line_that_changes_tells_what_is_waited_for(folder: Path, mark: str) -> None:
    code, seen = Terminal(command("silent", "--serve-timeout", "3"), folder, mark).end()
    assert code == 3
    assert all(f"to be ready, {seconds} s (Loading weights)" in seen for seconds in (1, 2))
    assert not marked(mark)


def test_a_typed_ctrl_c_drains_the_run_before_the_server_ends(folder: Path, mark: str) -> None:
    """The terminal sends it to the whole foreground group, and the server is not in it."""
    flags = ["--serve-args", '--sim="--latency 0.5 --slots 8"', "--concurrency", "8", "--no-probes"]
    terminal = Terminal(command("family", *flags), folder, mark)
    partial = folder / "qa.jsonl.partial"
    while not partial.exists() or not partial.read_bytes():
        assert terminal.process.poll() is None, terminal.seen
        time.sleep(0.01)
    written = partial.read_bytes().count(b"\n")
    terminal.type(b"\x03")
    code, seen = terminal.end()
    assert code == 130, seen
    assert "requests under way may finish" in seen
    assert partial.read_bytes().count(b"\n") > written, "they did, so the server was still there"
    assert not marked(mark)
