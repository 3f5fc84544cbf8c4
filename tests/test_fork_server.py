"""The forked programs of tests behave as those of ``python -c``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from persqa_client import __version__
from tests.support.commands import make_program, python


def test_a_program_has_only_what_it_imports(tmp_path: Path) -> None:
    result = python("print(sorted(name for name in globals() if name[:2] != '__')); json", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == "[]\n"
    assert "NameError: name 'json' is not defined" in result.stderr


def test_a_program_finds_the_modules_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WORD = 'here'\n")
    assert python("import beside; print(beside.WORD)", cwd=tmp_path).stdout == "here\n"


def test_a_program_ends_as_of_the_interpreter(tmp_path: Path) -> None:
    code = (
        "import atexit, sys, threading, time\n"
        "atexit.register(print, 'handler')\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\n"
        "sys.exit(7)"
    )
    result = python(code, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (7, "thread\nhandler\n", "")
    result = python("import sys; sys.exit('a reason')", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "a reason\n")


def test_a_script_runs_forks_by_their_name(tmp_path: Path) -> None:
    descriptor = make_program(tmp_path / "persqa")
    script = "./persqa --version | cat; ./persqa run --no-such-flag 2> errors || echo $?"
    result = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, pass_fds=[descriptor], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"persqa {__version__}\n2\n"
    assert "--no-such-flag" in (tmp_path / "errors").read_text()
