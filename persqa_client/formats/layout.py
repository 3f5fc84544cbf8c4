"""The interface of a layout: how a record is written in it and read from it, and the limits of its consumer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self, get_args

from persqa_client.records.data_record import DataRecord
from persqa_client.types import Json

# copy: into the folder of the export. link: a hard link there. leave: the path of the original. embed: in the row.
PictureChoice = Literal["copy", "link", "leave", "embed"]
PICTURE_CHOICES: tuple[PictureChoice, ...] = get_args(PictureChoice)
FILE_CHOICES: tuple[PictureChoice, ...] = ("copy", "link", "leave")
# What consumers replace by a picture, a video or a sound, wherever it stands in a text.
MEDIA_MARKS = ("<image>", "<video>", "<audio>")


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Limits of the consumer; None for no limit."""

    media_types: frozenset[str] | None = None
    max_bytes: int | None = None
    max_count: int | None = None
    min_count: int = 0


class Character(NamedTuple):
    """A character with the picture that shows it, as the export names it. ``tag`` has brackets."""

    tag: str
    reference: str
    description: str | None
    category: str | None


class RowPicture(NamedTuple):
    """``name``: of the picture's file, perhaps with folders."""

    name: str
    data: bytes
    media_type: str


class ExportRow(NamedTuple):
    """A row to write. In a layout, the images of the record are the references in the row: paths or ``data:`` URIs.

    In a packed format, the images are ``pictures``.
    """

    record: DataRecord
    pictures: tuple[RowPicture, ...] = ()
    # The name of the file, if the layout chooses it.
    file: str = ""


class RowFiles(ABC):
    """The files of the parts of an export. They are complete after the context."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def append(self, part: str, row: ExportRow) -> None: ...

    @abstractmethod
    def count_rows(self) -> Mapping[str, int]:
        """The number of rows of each file, by name; complete after the context."""

    def list_entries(self) -> list[str]:
        """The names of all files that were written, after the context."""
        return list(self.count_rows())


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFormat:
    name: str
    # Whose data it is, for the help.
    consumer: str
    # The first one is the default.
    pictures: tuple[PictureChoice, ...] = FILE_CHOICES
    # Texts that a question or an answer must not have, because the consumer takes them for something else.
    marks: tuple[str, ...] = ()
    limits: PictureLimits = field(default=PictureLimits())
    # Whether the rows are the lines of the output, with their own members.
    keeps_lines: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout(DatasetFormat):
    """A row on each line, or one array.

    ``write`` gets a record whose images are written as they stand in the row: a path, or a ``data:`` URI.

    ``read`` raises ValueError for a row that is not of this layout. It returns what the layout keeps: the pictures,
    the question and the answer, and the id if there is one.
    """

    write: Callable[[DataRecord], bytes]
    read: Callable[[Json], DataRecord]
    # ".jsonl", or ".json" for one array.
    suffix: Literal[".jsonl", ".json"] = ".jsonl"
    # Further files of a folder, by name, for the names of the data files and the characters that have a picture.
    describe_files: Callable[[Sequence[str], Sequence[Character]], Mapping[str, Json]] | None = None
    # Whether rows have the picture that shows the character.
    takes_reference: bool = False
    # Rows are objects of lists, which are joined in a file for each character: its name below the folder of the part.
    # May raise RowError for a record that has no place.
    choose_file: Callable[[DataRecord], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFormat(DatasetFormat):
    """Files of many rows, which have the bytes of the pictures in them.

    ``open_files`` gets a folder, the names of the parts, and whether the details of the answers are written. It raises
    SettingsError if a package or a name of a part does not fit.
    """

    open_files: Callable[[Path, Sequence[str], bool], RowFiles]
    pictures: tuple[PictureChoice, ...] = ("embed",)
    # Whether there is a place for the details.
    has_details: bool = True
    # The text of README.md, for what is in the description of the export.
    write_card: Callable[[Json], str] | None = None
