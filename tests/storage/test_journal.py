"""The journal takes what is whole and loses only what was torn; a full disk is one clear sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from persqa_client.errors import StorageError
from persqa_client.storage.durable import Appender, replace_file
from persqa_client.storage.journal import Entry, Journal, line_digest, replay
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId
from tests.storage.scenario import good, results, run_to_end

ENTRIES = [Entry(line_digest(b"%d" % row), good(TaskId(row))) for row in range(1, 7)]


def journalled(folder: Path) -> RunFiles:
    """Two generations: entries 1 to 3, then 4 to 6."""
    files = RunFiles.for_output(folder / "qa.jsonl")
    journal = Journal(files, 1)
    for entry in ENTRIES[:3]:
        journal.append(entry)
    journal.turn(ENTRIES[3:4])
    journal.extend(ENTRIES[4:])
    journal.close()
    return files


def test_the_digest_of_a_line_is_sixteen_hex_digits() -> None:
    assert line_digest(b'{"image": "a.jpg"}') == "7cd92c8a35237371"


def test_generations_are_replayed_in_order(tmp_path: Path) -> None:
    files = journalled(tmp_path)
    assert list(replay(files, 1)) == ENTRIES
    assert list(replay(files, 2)) == ENTRIES[3:]
    assert list(replay(files, 3)) == []


@pytest.mark.parametrize("lost", [1, 2, 30])
def test_a_torn_line_ends_its_generation_alone(lost: int, tmp_path: Path) -> None:
    """However few bytes are missing, the end of the line among them."""
    files = journalled(tmp_path)
    first = files.generation(1)
    first.write_bytes(first.read_bytes()[:-lost])
    assert list(replay(files, 1)) == ENTRIES[:2] + ENTRIES[3:]


@pytest.mark.parametrize("junk", [b"\0" * 64, b"\xff\n", b"{}\n", b'{"row": 1}\n', b"[]\n"])
def test_an_unreadable_line_ends_its_generation(junk: bytes, tmp_path: Path) -> None:
    """A power cut can leave zeros, or anything, where the last line was going to be."""
    files = journalled(tmp_path)
    with files.generation(2).open("ab") as file:
        file.write(junk)
    assert list(replay(files, 1)) == ENTRIES


def test_forgotten_generations_are_removed(tmp_path: Path) -> None:
    """Those left by an earlier process too; the one that is being written stays."""
    files = journalled(tmp_path)
    journal = Journal(files, 3)
    journal.turn([])
    journal.forget(4)
    journal.close()
    assert list(results(tmp_path)) == ["qa.jsonl.journal4"]


def test_a_later_generation_is_not_forgotten_with_an_earlier_checkpoint(tmp_path: Path) -> None:
    files = RunFiles.for_output(tmp_path / "qa.jsonl")
    journal = Journal(files, 1)
    journal.turn(ENTRIES[:1])
    journal.turn(ENTRIES[1:2])
    journal.forget(2)
    assert list(journal.past) == [2]
    journal.sync()
    journal.close()
    assert list(replay(files, 2)) == ENTRIES[:2]


LIMITED = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
from persqa_client.errors import StorageError
from tests.storage.scenario import run_to_end
try:
    run_to_end(Path(sys.argv[1]))
except StorageError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("room", [0, 100, 700, 1000, 1200])
def test_a_full_disk_stops_the_run_with_one_sentence_and_it_goes_on_later(room: int, tmp_path: Path) -> None:
    """The limit on a file's size stands for the disk: the first file to reach it, be it which it may, can't grow."""
    ended = subprocess.run(
        [sys.executable, "-B", "-c", LIMITED, str(tmp_path / "full"), str(room)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (2, "")
    assert "can't be written (" in ended.stdout
    assert ended.stdout.count("\n") == 1
    for name, data in results(tmp_path / "full").items():
        assert data == b"" or data.endswith(b"\n"), name
    run_to_end(tmp_path / "full")
    run_to_end(tmp_path / "roomy")
    assert results(tmp_path / "full") == results(tmp_path / "roomy")


def test_what_was_written_stays_whole_when_a_write_fails(tmp_path: Path) -> None:
    """/dev/full refuses every write, and being cut back as well."""
    with pytest.raises(StorageError, match="/dev/full can't be written"):
        Appender(Path("/dev/full")).append(b"x\n")
    with pytest.raises(StorageError, match=r"nowhere.* can't be written \(No such file or directory\)"):
        replace_file(tmp_path / "nowhere" / "a", b"x")
