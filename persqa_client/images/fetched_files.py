"""The paths of pictures that were downloaded from the web or from an object store: ``persqa-fetched/3f/9a…`` in one of
the roots.

The name is a digest of the URL, so the same row finds the same file in each later run, export and report. A folder of
pictures that is an input does not count such files among its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from persqa_client.images.members import parse_member
from persqa_client.stores.paths import SCHEMES, ObjectPath

FETCHED_FOLDER = "persqa-fetched"
# With the blanks around it that a cell of a table may have.
WEB_URL = re.compile(r"\s*https?://", re.IGNORECASE)
FETCHABLE_URL = re.compile(rf"\s*https?://|(?:{'|'.join(SCHEMES)})://", re.IGNORECASE)


def is_fetchable(reference: str) -> bool:
    """Whether it is a URL of the web, or of a file in an object store."""
    return FETCHABLE_URL.match(reference) is not None


def is_web_url(reference: str) -> bool:
    return WEB_URL.match(reference) is not None


def name_fetched(url: str) -> str:
    """Relative to the folder of the downloaded pictures. Those of one file of many rows have a folder of their own."""
    if not is_web_url(url) and (member := parse_member(url)) is not None:
        return os.path.join(name_digest(member.file), name_digest(member.name))
    return name_digest(url)


def name_digest(text: str) -> str:
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return os.path.join(digest[:2], digest[2:40])


def is_fetched_folder(root: Path) -> bool:
    return root.name == FETCHED_FOLDER


def list_fetched_candidates(url: str, roots: Sequence[Path]) -> Iterator[str]:
    """A root is the folder of the downloaded pictures itself, or the folder in which that lies."""
    name = name_fetched(url)
    for root in roots:
        if isinstance(root, ObjectPath):
            continue
        yield os.path.join(root, name) if is_fetched_folder(root) else os.path.join(root, FETCHED_FOLDER, name)


def find_fetched(url: str, roots: Sequence[Path]) -> tuple[str, os.stat_result] | None:
    """The absolute path of the downloaded picture. None if there is none, and if the reference is no such URL."""
    if is_fetchable(url):
        for candidate in list_fetched_candidates(url, roots):
            with suppress(OSError):
                # An empty one is what a power failure left: nothing empty is kept.
                if (status := os.stat(candidate)).st_size:
                    return os.path.abspath(candidate), status
    return None


def name_of_url(url: str) -> str:
    """The last part of its path, which may be empty."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return unquote(path).rstrip("/").rpartition("/")[2]
