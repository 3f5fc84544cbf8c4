"""Sources of rows: a JSONL file, a folder of images, or rows in memory."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.images.references import make_reference
from persqa_client.inputs.folders import (
    count_folder_images,
    count_other_files,
    describe_skipped_files,
    find_folder_names,
    has_images,
    join_name,
)
from persqa_client.inputs.listed import (
    ListedSource,
    NamedLine,
    NamedSource,
    encode_name,
    is_never_known,
    is_never_left_out,
)
from persqa_client.inputs.rows import MAX_LINE_BYTES
from persqa_client.inputs.source import Source, advance, extend_digest, key_of
from persqa_client.jsonl import BYTE_ORDER_MARK, dump_spaced, load_value
from persqa_client.types import START_POSITION, Position

BUFFER_SIZE = 1 << 20
LINE_ENDS = (b"\r\n", b"\n")

logger = logging.getLogger(__name__)


class FileSource:
    r"""Lines of a JSONL file, which may start with a byte order mark and have line ends ``\r\n``.

    The file may grow while it is read. A last line that is being written meanwhile is left to a later run.
    """

    # What a row is called in messages.
    row_name: ClassVar[str] = "line"
    # How the file is read; see ``detect.Kind``.
    kind: ClassVar[str] = "lines"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._first_size: int | None = None
        self._is_growth_reported = False

    def fingerprint(self) -> dict[str, Any]:
        status = self.path.stat()
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "kind": self.kind}

    def progress_total(self) -> int:
        return self.path.stat().st_size

    def progress_at(self, position: Position) -> int:
        return position.offset

    def warnings(self) -> tuple[str, ...]:
        return ()

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        with self.path.open("rb", buffering=BUFFER_SIZE) as file:
            number, digest = start.number, start.digest
            offset = self._begin(file, start)
            read_line = partial(file.readline, MAX_LINE_BYTES + 1)
            for raw in iter(read_line, b""):
                start_of_line, offset, number = offset, offset + len(raw), number + 1
                line = strip_line(raw, first=start_of_line == 0)
                is_ended = raw.endswith(b"\n")
                digest = extend_digest(digest, line)
                while len(raw) > MAX_LINE_BYTES and not is_ended and (more := read_line()):
                    offset, digest, is_ended = offset + len(more), extend_digest(digest, more), more.endswith(b"\n")
                if not is_ended and self._has_grown_to(offset) and not is_complete(line):
                    self._report_growth(number)
                    return
                yield line, Position(offset, number, digest)
                # What is written behind it by now may be its own end.
                if not is_ended:
                    return

    def _begin(self, file: BinaryIO, start: Position) -> int:
        """The offset of the first row from ``start`` on. Raises SettingsError if the row before it had no line end, and
        has become another.
        """
        if self._first_size is None:
            self._first_size = os.fstat(file.fileno()).st_size
        offset = self._seek(file, start.offset)
        if offset is None:
            raise SettingsError(
                f"The input {self.name} has changed: {self.row_name} {start.number} was its last one, had no line end, "
                "and goes on now. Restore it, choose another -o, or start again with --fresh."
            )
        return offset

    def _seek(self, file: BinaryIO, offset: int) -> int | None:
        return seek_line(file, offset)

    def _has_grown_to(self, offset: int) -> bool:
        """Whether what ends there was written after the file was first opened."""
        return self._first_size is not None and offset > self._first_size

    def _report_growth(self, number: int) -> None:
        if not self._is_growth_reported:
            self._is_growth_reported = True
            logger.warning(
                "The input %s is still being written: its last %s, %d, is not complete and was not read. "
                "A later start reads it.",
                self.name,
                self.row_name,
                number,
            )

    def digest_at(self, position: Position) -> str:
        # The last line is read whole, so that one without line end that has become another one counts.
        at = START_POSITION
        if position.number > 0:
            for _, at in self.lines(START_POSITION):
                if at.number >= position.number:
                    break
        return at.digest


def is_complete(line: bytes) -> bool:
    try:
        load_value(line)
    except ValueError:
        return False
    return True


def seek_line(file: BinaryIO, offset: int) -> int | None:
    """Seeks to the line at ``offset`` and returns its start; None if the line before it goes on there.

    If the line before it has got a line end since then, that line end is skipped.
    """
    if offset == 0:
        return 0
    file.seek(offset - 1)
    if file.read(1) != b"\n":
        following = file.read(2)
        end = next((end for end in LINE_ENDS if following.startswith(end)), b"")
        if following and not end:
            return None
        offset += len(end)
    file.seek(offset)
    return offset


def strip_line(raw: bytes, *, first: bool) -> bytes:
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    return line.removeprefix(BYTE_ORDER_MARK) if first else line


def count_lines(path: Path, end: int) -> int:
    """The lines of the file before an offset."""
    count = 0
    with path.open("rb", buffering=0) as file:
        while end > 0 and (chunk := file.read(min(end, BUFFER_SIZE))):
            count += chunk.count(b"\n")
            end -= len(chunk)
    return count


class GeneratedSource(ABC):
    """Generated lines. The offset of a position counts their bytes."""

    @abstractmethod
    def generate_lines(self) -> Iterator[bytes]: ...

    def fingerprint(self) -> None:
        return None

    def progress_total(self) -> int | None:
        return None

    def progress_at(self, position: Position) -> int:
        return position.number

    def warnings(self) -> tuple[str, ...]:
        return ()

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        position = start
        for number, line in enumerate(self.generate_lines(), 1):
            if number > start.number:
                position = advance(position, key_of(line))
                yield line, position

    def digest_at(self, position: Position) -> str:
        digest = ""
        for number, line in enumerate(self.generate_lines(), 1):
            if number > position.number:
                break
            digest = extend_digest(digest, line)
        return digest


class GeneratedRow(NamedTuple):
    """See ``NamedLine``."""

    line: bytes
    path: str | None = None
    name: str | None = None


class LocatedSource(NamedSource, GeneratedSource):
    """Generated lines, each with the file and the name of its row, if it has any."""

    @abstractmethod
    def generate_rows(self) -> Iterator[GeneratedRow]: ...

    def generate_lines(self) -> Iterator[bytes]:
        return (row.line for row in self.generate_rows())

    def named_lines(self, start: Position) -> Iterator[NamedLine]:
        position = start
        for line, path, name in islice(self.generate_rows(), start.number, None):
            position = advance(position, line if name is None else encode_name(name))
            yield NamedLine(line, position, name, path)

    def digest_at(self, position: Position) -> str:
        reached = START_POSITION
        for each in islice(self.named_lines(START_POSITION), position.number):
            reached = each.position
        return reached.digest


class InMemorySource(GeneratedSource):
    name = "rows"

    def __init__(self, rows: Iterable[object] = ()) -> None:
        self._rows = rows

    def generate_lines(self) -> Iterator[bytes]:
        for number, row in enumerate(self._rows, 1):
            try:
                yield dump_spaced(row)
            except ValueError as error:
                raise SettingsError(f"Row {number} cannot be written as JSON: {error}.") from error


class FolderSource(ListedSource):
    """Images as rows ``{image_key: [path]}``, named as seen from the folder."""

    def __init__(self, folder: Path, image_key: str, leave_out: Callable[[Path], bool] = is_never_left_out) -> None:
        """``leave_out``: which files are not reported as skipped."""
        super().__init__()
        self.folder = folder
        self._leave_out = leave_out
        self.name = str(folder)
        self._image_key = image_key
        # Counted by the last complete walk.
        self._others: Counter[str] | None = None

    @property
    def root(self) -> str:
        return os.path.realpath(self.folder)

    def find_names(self, is_known: Callable[[str], bool]) -> Iterator[str]:
        others = Counter[str]()
        yield from find_folder_names(self.folder, is_known, others, self._leave_out)
        self._others = others

    def has_names(self) -> bool:
        return has_images(self.folder)

    def render_line(self, name: str) -> bytes:
        return dump_spaced({self._image_key: [make_reference(join_name(self.folder, name))]})

    def written_lines(self) -> Iterator[tuple[str, bytes]]:
        """Names, and lines as earlier versions wrote them."""
        for name in self.find_names(is_never_known):
            yield name, dump_spaced({self._image_key: [join_name(self.folder, name)]})

    def find_name(self, reference: str) -> str | None:
        relative = os.path.relpath(os.path.abspath(reference), os.path.abspath(self.folder))
        return None if relative.split(os.sep)[0] == os.pardir else relative.replace(os.sep, "/")

    def count_names(self) -> int:
        return count_folder_images(self.folder)

    def warnings(self) -> tuple[str, ...]:
        if self._others is None:
            self._others = count_other_files(self.folder, self._leave_out)
        skipped = describe_skipped_files(self.folder, self._others)
        return () if skipped is None else (skipped,)

    def as_written(self) -> Source:
        return WrittenFolderSource(self)


class WrittenFolderSource(LocatedSource):
    """A folder in a run of an earlier version: sorted, and named as written in the rows."""

    def __init__(self, folder: FolderSource) -> None:
        self._folder = folder
        self.name = folder.name

    def progress_total(self) -> int:
        return self._folder.count_names()

    def warnings(self) -> tuple[str, ...]:
        return self._folder.warnings()

    def generate_rows(self) -> Iterator[GeneratedRow]:
        root = self._folder.root
        for name, line in self._folder.written_lines():
            yield GeneratedRow(line, os.path.join(root, name))
