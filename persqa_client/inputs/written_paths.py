"""How the image paths of rows are written: as given, absolute, or relative to the folder of the output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from persqa_client.errors import RowError
from persqa_client.images.members import parse_member
from persqa_client.images.references import (
    DATA_URI,
    estimate_reference_size,
    expand_absent,
    find_path,
    is_bare_base64,
    list_candidates,
    make_reference,
    parse_local_path,
)
from persqa_client.inputs.rows import parse_images
from persqa_client.json_members import replace_texts
from persqa_client.jsonl import load_object
from persqa_client.stores.paths import has_store, is_object_url
from persqa_client.types import BadRow, Row

# What a user chooses; "resolvable" is for rows that are not the user's own: as "relative", but absolute paths stay.
PathChoice = Literal["as-given", "absolute", "relative"]
PathStyle = Literal["as-given", "absolute", "relative", "resolvable"]

KNOWN_DIRECTORIES = 1024


@dataclass(frozen=True, slots=True)
class PathWriter:
    """``folder`` is that of the output, without symbolic links."""

    style: PathStyle
    roots: tuple[Path, ...]
    folder: str

    def rewrite(self, row: Row | BadRow, image_key: str, reference_key: str | None = None) -> Row | BadRow:
        """Replaces only the paths in the line; the other bytes stay, and so do the row's own values."""
        row = self._rewrite_field(row, image_key, row.images if isinstance(row, Row) else None)
        if reference_key is None or (isinstance(row, Row) and row.reference is None):
            return row
        return self._rewrite_field(row, reference_key, None)

    def _rewrite_field(self, row: Row | BadRow, key: str, references: Sequence[str] | None) -> Row | BadRow:
        try:
            references = references or parse_images(load_object(row.line), key)
            written = [self.write(reference) for reference in references]
            if written == list(references):
                return row
            line = replace_texts(row.line, key, references, written)
        except (RowError, ValueError):
            return row  # nothing in it can be read as a path
        given = row.line if row.given is None else row.given
        return replace(row, line=line, given=given) if isinstance(row, BadRow) else row._replace(line=line, given=given)

    def write(self, reference: str) -> str:
        """A path that does not exist is taken to be in the first root. Data and URLs stay."""
        if DATA_URI.match(reference) or self._is_base64(reference):
            return reference
        try:
            path = parse_local_path(reference)
        except RowError:
            return reference
        if self.style == "resolvable" and os.path.isabs(path):
            return reference
        if has_store(self.roots) and not os.path.isabs(path):
            return next(filter(is_object_url, list_candidates(path, self.roots)))
        found, inside = self._find(path), ""
        if found is None:
            member = parse_member(path)
            file, inside = (path, "") if member is None else (member.file, f"#{member.name}")
            found = (member and self._find(file)) or list_candidates(expand_absent(file), self.roots)[0]
        directory, name = os.path.split(found)
        base = None if self.style == "absolute" else self.folder
        return make_reference(os.path.join(write_directory(directory, base, os.getcwd()), name) + inside)

    def _is_base64(self, reference: str) -> bool:
        return is_bare_base64(reference) and not estimate_reference_size(reference, self.roots)

    def _find(self, path: str) -> str | None:
        try:
            found = find_path(path, self.roots)
        except (OSError, ValueError):
            found = None
        return None if found is None else found[0]

    def resolve(self, references: Sequence[str]) -> tuple[str, ...]:
        """Changes paths that ``write`` wrote to paths that can be read from the working directory."""
        if self.style not in ("relative", "resolvable"):
            return tuple(references)
        return tuple([self._resolve_one(reference) for reference in references])

    def _resolve_one(self, reference: str) -> str:
        try:
            is_path = not DATA_URI.match(reference) and parse_local_path(reference) == reference
        except RowError:
            return reference
        return os.path.join(self.folder, reference) if is_path else reference


@lru_cache(KNOWN_DIRECTORIES)
def write_directory(directory: str, folder: str | None, working_directory: str) -> str:
    """Absolute, or relative to ``folder``. Cached, because most images have their directory in common."""
    directory = os.path.join(working_directory, directory)
    if os.pardir in directory.split(os.sep):
        # After a symbolic link, ".." is not the folder before it in the path.
        directory = os.path.realpath(directory)
    absolute = os.path.normpath(directory)
    if folder is None:
        return absolute
    relative = os.path.relpath(absolute, folder)
    return "" if relative == os.curdir else relative
