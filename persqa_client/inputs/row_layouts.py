"""Rows in the layout of another program, made into rows of a run as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from persqa_client.errors import RowError
from persqa_client.inputs.conversations import ConversationRows
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.layouts import iter_objects
from persqa_client.inputs.question_rows import MarkedRows, NumberedRows, PackedRows, RewardRows
from persqa_client.inputs.rows import MAX_LINE_BYTES, find_wrapped_line
from persqa_client.inputs.sources import BrokenLine, SeveralSource, Source
from persqa_client.jsonl import load_value, strip_marks
from persqa_client.types import Json, Position


class RowLayout(Protocol):
    """Runs keep the name, by which a resumed run reads its input as before."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str:
        """The kind of the rows, for messages. Empty if they have the questions of a run under their own name."""
        ...

    def reads(self, fields: Json, image_key: str) -> bool:
        """Whether the row is of this layout, and has pictures."""
        ...

    def convert(self, line: bytes, fields: Json, image_key: str) -> bytes:
        """The line of the row. Raises RowError with what is wrong with it."""
        ...


# In the order in which they were added: a resumed run may be one of a version without the last of them.
ALL_LAYOUTS: tuple[RowLayout, ...] = (ConversationRows(), RewardRows(), MarkedRows(), NumberedRows(), PackedRows())
ROW_LAYOUTS = {layout.name: layout for layout in ALL_LAYOUTS}


def find_row_layout(source: FileSource, image_key: str) -> RowLayout | None:
    """By the first row that has pictures, in some layout or under the image key; None for a row of a run."""
    for _, _, fields in iter_objects(source, image_key):
        for layout in ROW_LAYOUTS.values():
            if layout.reads(fields, image_key):
                return layout
        if image_key in fields:
            return None
    return None


class LayoutSource(FileSource):
    """The rows of a file, each made into a row of a run. A row that is not of the layout stays as it is."""

    def __init__(self, source: FileSource, layout: RowLayout, image_key: str) -> None:
        super().__init__(source.path)
        self.source, self.layout = source, layout
        self.kind, self.row_name = source.kind, source.row_name
        self._image_key = image_key

    def fingerprint(self) -> dict[str, Any]:
        return {**self.source.fingerprint(), "layout": self.layout.name}

    def warnings(self) -> tuple[str, ...]:
        """Rows with pictures under the image key would be asked the questions of the bank without their layout."""
        first = next((fields for _, _, fields in iter_objects(self.source, self._image_key)), {})
        if self._image_key not in first or not self.layout.description:
            return self.remarks + self.source.warnings()
        own = f"The rows of {self.name} are {self.layout.description}: each is asked its own first question."
        return (f"{own} --row-layout fields asks those of the bank instead.", *self.remarks, *self.source.warnings())

    def progress_total(self) -> int | None:
        return self.source.progress_total()

    def progress_at(self, position: Position) -> int:
        return self.source.progress_at(position)

    def lines(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        for line, position in self.source.lines(start):
            yield self._convert(line), position

    def digest_at(self, position: Position) -> str:
        return self.source.digest_at(position)

    def _convert(self, line: bytes) -> bytes:
        if isinstance(line, BrokenLine) or not line.strip() or len(line) > MAX_LINE_BYTES:
            return line
        try:
            fields = load_value(line := strip_marks(line))
            if isinstance(fields, dict) and (wrapped := find_wrapped_line(fields)) is not None:
                fields = load_value(line := wrapped)
            return self.layout.convert(line, fields, self._image_key) if isinstance(fields, dict) else line
        except RowError as error:
            return BrokenLine.make(line, error.message)
        except ValueError:
            return line


def read_several_as_before(source: SeveralSource, reached: Position) -> Source:
    """Runs over several inputs keep no fingerprints, but the digest of their rows as they were read.

    Each earlier version has read the layouts that were there then.
    """
    own = {each.layout.name for each in source.sources if isinstance(each, LayoutSource)}
    added = [name for name in ROW_LAYOUTS if name in own]
    for count in range(len(added), -1, -1):
        before = source.replace(
            [
                each.source if isinstance(each, LayoutSource) and each.layout.name in added[count:] else each
                for each in source.sources
            ]
        )
        if not added or before.digest_at(reached) == reached.digest:
            return before
    return source
