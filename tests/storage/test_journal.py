"""The journal loses only an incomplete last line, and a full disk ends in one StorageError."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.errors import StorageError
from persqa_client.storage.durable import Appender, replace_file
from persqa_client.storage.journal import Journal, JournalEntry, digest_line, read_journal
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId
from tests.storage.scenario import make_record, read_folder, run_to_end
from tests.support.commands import python

ENTRIES = [JournalEntry(digest_line(b"%d" % row), make_record(TaskId(row))) for row in range(1, 7)]


def write_two_generations(folder: Path) -> RunFiles:
    """The first one has entries 1 to 3, the second 4 to 6."""
    files = RunFiles.for_output(folder / "qa.jsonl")
    journal = Journal(files, 1)
    for entry in ENTRIES[:3]:
        journal.append(entry)
    journal.start_generation(ENTRIES[3:4])
    journal.append(*ENTRIES[4:])
    journal.close()
    return files


def test_the_digest_of_a_line_is_sixteen_hex_digits() -> None:
    assert digest_line(b'{"image": "a.jpg"}') == "7cd92c8a35237371"


def test_generations_are_read_in_order(tmp_path: Path) -> None:
    files = write_two_generations(tmp_path)
    assert list(read_journal(files, 1)) == ENTRIES
    assert list(read_journal(files, 2)) == ENTRIES[3:]
    assert list(read_journal(files, 3)) == []


@pytest.mark.parametrize("lost", [1, 2, 30])
def test_an_incomplete_line_ends_its_generation_only(lost: int, tmp_path: Path) -> None:
    """Also if only the line break is missing."""
    files = write_two_generations(tmp_path)
    first = files.journal_generation(1)
    first.write_bytes(first.read_bytes()[:-lost])
    assert list(read_journal(files, 1)) == ENTRIES[:2] + ENTRIES[3:]


@pytest.mark.parametrize("junk", [b"\0" * 64, b"\xff\n", b"{}\n", b'{"row": 1}\n', b"[]\n"])
def test_an_unreadable_line_ends_its_generation(junk: bytes, tmp_path: Path) -> None:
    """A power failure can leave zeros, or anything else, in place of the last line."""
    files = write_two_generations(tmp_path)
    with files.journal_generation(2).open("ab") as file:
        file.write(junk)
    assert list(read_journal(files, 1)) == ENTRIES


def test_older_generations_are_removed(tmp_path: Path) -> None:
    """Also those of an earlier process. The current one stays."""
    files = write_two_generations(tmp_path)
    journal = Journal(files, 3)
    journal.start_generation([])
    journal.remove_before(4)
    journal.close()
    assert list(read_folder(tmp_path)) == ["qa.jsonl.journal4"]


def test_an_earlier_checkpoint_does_not_remove_a_later_generation(tmp_path: Path) -> None:
    files = RunFiles.for_output(tmp_path / "qa.jsonl")
    journal = Journal(files, 1)
    journal.start_generation(ENTRIES[:1])
    journal.start_generation(ENTRIES[1:2])
    journal.remove_before(2)
    assert list(journal.older) == [2]
    journal.sync()
    journal.close()
    assert list(read_journal(files, 2)) == ENTRIES[:2]


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
def test_a_run_stopped_by_a_full_disk_can_be_resumed(room: int, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    ended = python(LIMITED, tmp_path / "full", str(room))
    assert (ended.returncode, ended.stderr) == (2, "")
    assert "can't be written (" in ended.stdout
    assert ended.stdout.count("\n") == 1
    for name, data in read_folder(tmp_path / "full").items():
        assert data == b"" or data.endswith(b"\n"), name
    run_to_end(tmp_path / "full")
    run_to_end(tmp_path / "roomy")
    assert read_folder(tmp_path / "full") == read_folder(tmp_path / "roomy")


def test_failed_writes_raise_storage_error_with_the_path(tmp_path: Path) -> None:
    """/dev/full rejects every write, and ftruncate as well."""
    with pytest.raises(StorageError, match="/dev/full can't be written"):
        Appender(Path("/dev/full")).append(b"x\n")
    with pytest.raises(StorageError, match=r"nowhere.* can't be written \(No such file or directory\)"):
        replace_file(tmp_path / "nowhere" / "a", b"x")
