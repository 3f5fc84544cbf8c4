"""Finds what a path probably means if there is no such file: for a hint, never to use it."""

from __future__ import annotations

import os
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

# A folder with more entries is not searched: its names would be read for each missing file.
MAX_ENTRIES = 20_000
KNOWN_FOLDERS = 32


def find_similar_path(path: str) -> str | None:
    """The existing path that differs in case, spaces at the ends of names, percent-encoding, the form of accents, or
    backslashes; None if there is none, or several.
    """
    for form in dict.fromkeys((path, path.replace("\\", "/"))):
        found: str | None = "/" if form.startswith("/") else ""
        for name in filter(None, form.split("/")):
            found = find_similar_name(found, name) if found is not None else None
        if found and os.path.exists(found):
            return found
    return None


def find_similar_name(folder: str, name: str) -> str | None:
    exact = os.path.join(folder, name)
    try:
        if os.path.lexists(exact):
            return exact
        modified = os.stat(folder or ".").st_mtime_ns
        names = list_folded_names(os.path.abspath(folder), modified).get(fold_name(name), ())
    except (OSError, ValueError):
        return None
    return os.path.join(folder, names[0]) if len(names) == 1 else None


@lru_cache(KNOWN_FOLDERS)
def list_folded_names(folder: str, modified_ns: int) -> dict[str, tuple[str, ...]]:
    """``modified_ns`` makes a folder that changed another one. Empty for a folder with too many entries."""
    names: dict[str, tuple[str, ...]] = {}
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= MAX_ENTRIES:
                return {}
            key = fold_name(entry.name)
            names[key] = (*names.get(key, ()), entry.name)
    return names


def fold_name(name: str) -> str:
    return unicodedata.normalize("NFC", unquote(name)).casefold().strip()
