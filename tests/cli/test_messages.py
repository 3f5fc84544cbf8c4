"""Messages: on stderr, fewer with ``--quiet``, and in the file of ``--log-file``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.cli.messages import configure_messages, log_message, print_message
from persqa_client.errors import SettingsError
from persqa_client.simulator.server import DEFAULT_MODEL, Simulator
from tests.support.commands import persqa

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"


def test_a_log_has_the_time_of_each_message_and_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "logs" / "run.log"
    configure_messages(log_file=log)
    try:
        print_message("Error: two\nlines", 40)
        log_message("the key sk-proj-Ab3dE5fGh1jKlMn0pQr5t7v9 \x1b[2J")
        configure_messages(log_file=log)  # as a second command does
        print_message("more")
    finally:
        configure_messages()
    print_message("not in the file")
    lines = log.read_text().splitlines()
    assert re.fullmatch(f"{STAMP} ERROR   two", lines[0])
    assert lines[1] == "    lines"
    assert re.fullmatch(f"{STAMP} INFO    the key … " + r"\\x1b\[2J", lines[2])
    assert re.fullmatch(f"{STAMP} INFO    more", lines[3])
    assert len(lines) == 4
    assert capsys.readouterr().err == "Error: two\nlines\nmore\nnot in the file\n"


def test_only_a_log_is_appended_to(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"image": "a.png"}\n')
    with pytest.raises(SettingsError, match="is no log of persqa"):
        configure_messages(log_file=tmp_path / "rows.jsonl")
    with pytest.raises(SettingsError, match="can't be written"):
        configure_messages(log_file=tmp_path)
    assert (tmp_path / "rows.jsonl").read_text() == '{"image": "a.png"}\n'


def test_a_full_disk_ends_the_log_but_not_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    configure_messages(log_file=Path("/dev/full"))
    print_message("one")
    print_message("two")
    configure_messages()
    warning = "Warning: --log-file: /dev/full can't be written any more (No space left on device).\n"
    assert sorted(capsys.readouterr().err.splitlines(keepends=True)) == sorted(["one\n", warning, "two\n"])


def test_a_quiet_run_prints_warnings_and_errors_only(tmp_path: Path, simulator: Simulator) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("not an image")
    words = ("-o", "out/qa.jsonl", "--base-url", simulator.base_url, "--model", DEFAULT_MODEL, "--no-probes", "-q")
    result = persqa("run", ".", *words, "--log-file", "run.log", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    assert [line[:9] for line in result.stderr.splitlines()] == ["Warning: "]
    log = (tmp_path / "run.log").read_text()
    assert re.search(f"^{STAMP} INFO    answered      1$", log, re.MULTILINE)
    assert log.endswith("INFO    The exit code is 0.\n")
    again = persqa("run", ".", *words, cwd=tmp_path)
    assert (again.returncode, again.stdout, "already" in again.stderr) == (0, "", False)
    named = persqa("run", ".", *words, "--log-file", "out/qa.jsonl", cwd=tmp_path)
    assert (named.returncode, "is one of the files of the output" in named.stderr) == (2, True)
