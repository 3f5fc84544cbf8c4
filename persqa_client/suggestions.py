"""Suggests the name or path that was probably meant, for messages about an unknown one: for a hint, never to use it."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

# Letters of a name for which one may be wrong, left out, added or exchanged with the next.
LETTERS_PER_SLIP = 3
# A folder with more entries is not searched: its names would be read for each missing file.
MAX_ENTRIES = 20_000
KNOWN_FOLDERS = 32
NUMBER = re.compile(r"\d+")


def find_similar_name(text: str, names: Iterable[str]) -> str | None:
    """The nearest name with few slips, regardless of case, hyphens and underscores; else the only one that the text
    begins with, or that begins with the text.

    >>> find_similar_name("hooman", ["human", "animal"]), find_similar_name("teeth", ["text", "hair"])
    ('human', None)
    """
    # Imported here to keep --help fast (cli/run.py).
    from rapidfuzz.distance import OSA

    by_form = {_fold_name(name): name for name in names}
    form = _fold_name(text)
    if not form:
        return None
    distances = {other: OSA.distance(form, other) for other in by_form}
    slips = {other: max(1, max(len(form), len(other)) // LETTERS_PER_SLIP) for other in by_form}
    close = [other for other, distance in distances.items() if distance <= min(slips[other], len(form) - 1)]
    if close:
        return by_form[min(close, key=distances.__getitem__)]
    beginning = [name for other, name in by_form.items() if other.startswith(form) or form.startswith(other)]
    return beginning[0] if len(beginning) == 1 else None


def _fold_name(text: str) -> str:
    return text.strip().casefold().replace("_", "-").strip("-")


def find_similar_path(path: str) -> str | None:
    """The existing path that differs in case, spaces at the ends of names, percent-encoding, the form of accents, or
    backslashes; None if there is none, or several.
    """
    for form in dict.fromkeys((path, path.replace("\\", "/"))):
        found: str | None = "/" if form.startswith("/") else ""
        for name in filter(None, form.split("/")):
            found = _find_similar_entry(found, name) if found is not None else None
        if found and os.path.exists(found):
            return found
    return None


def _find_similar_entry(folder: str, name: str) -> str | None:
    exact = os.path.join(folder, name)
    try:
        if os.path.lexists(exact):
            return exact
        modified = os.stat(folder or ".").st_mtime_ns
        names = list_folded_names(os.path.abspath(folder), modified).get(_fold_file_name(name), ())
    except (OSError, ValueError):
        return None
    return os.path.join(folder, names[0]) if len(names) == 1 else None


def explain_read_error(path: str | os.PathLike[str], error: OSError) -> str:
    """``does not exist``, perhaps with the path that was meant, or ``can't be read`` with the reason."""
    if isinstance(error, FileNotFoundError):
        return f"does not exist{suggest_path(path)}"
    return f"can't be read ({error.strerror or error})"


def suggest_path(path: str | os.PathLike[str]) -> str:
    """For a message about a path that does not exist: `` (did you mean photos/?)``, or an empty text.

    The existing path is one of ``find_similar_path``, or differs by few slips in one of its names.
    """
    similar = find_similar_path(os.fspath(path)) or find_mistyped_path(os.fspath(path))
    if similar is None or os.path.lexists(path):
        return ""
    return f" (did you mean {os.path.join(similar, '') if os.path.isdir(similar) else similar}?)"


def find_mistyped_path(path: str) -> str | None:
    """The existing path with few slips in one of its names; None if there is none."""
    found, has_slips = "/" if path.startswith("/") else "", False
    for name in filter(None, path.split("/")):
        entry = _find_similar_entry(found, name)
        if entry is None and not has_slips:
            entry, has_slips = _find_mistyped_entry(found, name), True
        if entry is None:
            return None
        found = entry
    return found if os.path.exists(found) else None


def _find_mistyped_entry(folder: str, name: str) -> str | None:
    try:
        modified = os.stat(folder or ".").st_mtime_ns
        known = list_folded_names(os.path.abspath(folder), modified)
    except (OSError, ValueError):
        return None
    others = [names[0] for names in known.values() if len(names) == 1 and not names[0].startswith(".")]
    same = [other for other in others if _fold_stem(other) == _fold_stem(name)]
    similar = find_similar_name(name, same or (other for other in others if _has_similar_stem(name, other)))
    return None if similar is None else os.path.join(folder, similar)


def _fold_stem(name: str) -> str:
    return _fold_name(os.path.splitext(name)[0])


def _has_similar_stem(name: str, other: str) -> bool:
    """The same ending does not make names similar. Another number is no slip: ``qa-1.jsonl`` is not ``qa-2.jsonl``."""
    stem, other_stem = _fold_stem(name), _fold_stem(other)
    if NUMBER.findall(stem) != NUMBER.findall(other_stem):
        return False
    return min(len(stem), len(other_stem)) > 2 and find_similar_name(stem, [other_stem]) is not None


@lru_cache(KNOWN_FOLDERS)
def list_folded_names(folder: str, modified_ns: int) -> dict[str, tuple[str, ...]]:
    """``modified_ns`` makes a folder that changed another one. Empty for a folder with too many entries."""
    names: dict[str, tuple[str, ...]] = {}
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= MAX_ENTRIES:
                return {}
            key = _fold_file_name(entry.name)
            names[key] = (*names.get(key, ()), entry.name)
    return names


def _fold_file_name(name: str) -> str:
    return unicodedata.normalize("NFC", unquote(name)).casefold().strip()
