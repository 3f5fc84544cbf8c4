"""From a row's picture reference to bytes: paths, file:// URLs and data: URIs. Reads files.

Errors are RowErrors that name the reference as written; a data: URI is named by its declared type and its length.
"""

from __future__ import annotations

import binascii
import errno
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import unquote, unquote_to_bytes

import pybase64

from persqa_client.errors import RowError, StorageError
from persqa_client.images.formats import detect_format

MAX_BYTES = 1_000_000_000
"""Files above this are not read into memory; a picture of 200 million pixels with 16 bits a channel just passes."""
SHOWN_PATH = 200
SHOWN_DATA_HEADER = 60
SHOWN_DATA = 20

DATA = re.compile(r"\s*data:", re.IGNORECASE)
BARE_DATA = re.compile(r"(?P<head>[\w/;:+.-]{0,60}base64,)?(?P<body>[A-Za-z0-9+/_\-\s]{100,}={0,2})")
MIXED = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{200}", re.DOTALL)
"""Text without a dot that is so long and so mixed is no path, and would be shown whole in two halves as one."""
FILE = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>/.*)", re.IGNORECASE | re.DOTALL)
REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
NOT_FOR_SHOW = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators and the surrogates that stand for bytes of names that are not UTF-8."""
OUT_OF_HANDLES = frozenset({errno.EMFILE, errno.ENFILE})

NOT_A_FILE = (
    (stat.S_ISDIR, "image_not_a_file", "a folder"),
    (stat.S_ISFIFO, "image_device", "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "image_device", "a socket"),
    (stat.S_ISCHR, "image_device", "a device"),
    (stat.S_ISBLK, "image_device", "a device"),
)


def read_reference(reference: str, roots: Sequence[Path]) -> bytes:
    """The bytes that the reference stands for, never none.

    Raises RowError with ``image_missing``, ``image_empty``, ``image_not_a_file`` (a folder), ``image_device`` (also a
    FIFO or a socket), ``image_link_loop``, ``image_unreadable``, ``image_too_large``, ``image_bad_data_uri`` or
    ``image_remote``; StorageError where it is this process that can open no more files.
    """
    if DATA.match(reference):
        data = read_data_uri(reference)
    elif is_bare_data(reference) and not estimate_reference_size(reference, roots):
        advice = "put data:image/jpeg;base64, in front"
        raise RowError(
            "image_bad_data_uri", f"{describe_reference(reference)} seems to be base64 and no path; {advice}."
        )
    else:
        data = read_file(local_path(reference), roots, describe_reference(reference))
    if not data:
        raise RowError("image_empty", f"{describe_reference(reference)} is empty; give a picture with content.")
    return data


def is_bare_data(reference: str) -> bool:
    """Whether it seems to be base64 that lacks the beginning of a data: URI; a path may look so, too."""
    found = BARE_DATA.fullmatch(reference.strip())
    if found is None:
        return False
    try:
        start = decode_base64(found["body"][:64])
    except (binascii.Error, ValueError):
        start = b""
    return bool(found["head"] or detect_format(start) or MIXED.match(found["body"]))


class FileState(NamedTuple):
    """Where a file is and what changes when it is written: two that are equal are one file that did not change."""

    path: str
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int
    """Of the inode: tools that set the time of a file's content back can't set this one."""


def file_state(reference: str, roots: Sequence[Path]) -> FileState | None:
    """The file that the reference stands for, as it is now; None for a data: URI and for what is no file at hand."""
    if (found := at_hand(reference, roots)) is None:
        return None
    path, at = found
    return FileState(path, at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)


def at_hand(reference: str, roots: Sequence[Path]) -> tuple[str, os.stat_result] | None:
    """The path of that file and what the system says of it."""
    if DATA.match(reference):
        return None
    try:
        found = find(local_path(reference), roots)
    except (RowError, OSError, ValueError):
        return None
    return found if found is not None and stat.S_ISREG(found[1].st_mode) else None


def estimate_reference_size(reference: str, roots: Sequence[Path]) -> int:
    """About how many bytes reading the reference will take: by stat, or the length of the data: URI; 0 if unknown."""
    if DATA.match(reference):
        return len(reference)
    found = at_hand(reference, roots)
    return found[1].st_size if found else 0


def local_path(reference: str) -> str:
    """The path that a plain path or a file:// URL means; raises RowError ``image_remote`` for anything elsewhere."""
    if file := FILE.fullmatch(reference):
        if (file["host"] or "localhost").lower() != "localhost":
            advice = "write a plain path, or file:/// with three slashes"
            raise RowError(
                "image_remote",
                f"{describe_reference(reference)} names {describe_reference(file['host'])!r} as a host; {advice}.",
            )
        return unquote(file["path"], errors="surrogateescape")
    if REMOTE.match(reference):
        raise RowError("image_remote", f"{describe_reference(reference)} is not on this machine; download it first.")
    return reference


def find(path: str, roots: Sequence[Path]) -> tuple[str, os.stat_result] | None:
    """The first candidate that exists; an error other than absence is raised, so no later root stands in unnoticed."""
    candidates = [path] if os.path.isabs(path) else [os.path.join(root, path) for root in roots]
    for candidate in candidates:
        try:
            return candidate, os.stat(candidate)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None


def read_file(path: str, roots: Sequence[Path], name: str) -> bytes:
    """Looks before it opens, since opening a FIFO waits for a writer and opening a device may act on it."""
    try:
        found = find(path, roots)
        if found is None:
            raise RowError("image_missing", missing(path, roots, name))
        located, status = found
        refuse_unfit(status, name)
        if status.st_size == 0:
            # Not opened either: files without a size under /proc may wait for something to happen.
            return b""
        with open(located, "rb") as file:
            return file.read()
    except OSError as error:
        refuse_unreadable(error, name)
    except ValueError as error:
        # os.stat says it so for a NUL, and for a surrogate that stands for no byte.
        advice = "the name holds a character that no file name can have"
        raise RowError("image_unreadable", f"{name} can't be opened: {advice}.") from error


def missing(path: str, roots: Sequence[Path], name: str) -> str:
    if os.path.isabs(path):
        return f"{name} does not exist."
    places = (
        ", ".join("the working directory" if root == Path() else describe_reference(str(root)) for root in roots)
        or "no folder"
    )
    return f"{name} does not exist; a relative path is looked up in: {places}."


def refuse_unfit(status: os.stat_result, name: str) -> None:
    """Raises RowError for what is no regular file, or one too big to be read whole."""
    if not stat.S_ISREG(status.st_mode):
        found = ((code, words) for is_kind, code, words in NOT_A_FILE if is_kind(status.st_mode))
        code, words = next(found, ("image_device", "something else"))
        raise RowError(code, f"{name} is {words}, not a file; name the picture itself.")
    if status.st_size > MAX_BYTES:
        size = f"{status.st_size / 1e9:.1f} GB, over the {MAX_BYTES / 1e9:.0f} GB that are read"
        raise RowError("image_too_large", f"{name} is {size}; make it smaller first.")


def refuse_unreadable(error: OSError, name: str) -> NoReturn:
    """Raises RowError, or StorageError where it is the process that lacks something, not the file."""
    if error.errno in OUT_OF_HANDLES:
        raise StorageError(
            "too many files are open at once: lower --concurrency or raise the limit (ulimit -n), "
            "then the same command goes on from here"
        ) from error
    if error.errno == errno.ELOOP:
        raise RowError("image_link_loop", f"{name} is a link that leads back to itself; mend the link.") from error
    if isinstance(error, FileNotFoundError):
        raise RowError("image_missing", f"{name} went away while it was being read.") from error
    reason = error.strerror or type(error).__name__
    raise RowError("image_unreadable", f"{name} can't be read: {reason}.") from error


def read_data_uri(reference: str) -> bytes:
    """The payload by RFC 2397; base64 may be wrapped, URL-safe, percent-encoded or without its padding."""
    head, comma, body = reference.lstrip()[len("data:") :].partition(",")
    if not comma:
        raise RowError(
            "image_bad_data_uri", f"{describe_reference(reference)} has no comma before its data; mend the data: URI."
        )
    try:
        if head.rstrip().lower().endswith(";base64"):
            return decode_base64(body)
        return unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        kind = "base64" if isinstance(error, binascii.Error) else "text of a data: URI"
        raise RowError(
            "image_bad_data_uri", f"{describe_reference(reference)} does not hold proper {kind}; mend it."
        ) from error


def decode_base64(body: str) -> bytes:
    """Raises binascii.Error or ValueError for letters that base64 does not have."""
    if "%" in body:
        body = unquote(body)
    if any(space in body for space in " \t\r\n"):
        body = "".join(body.split())
    if "-" in body or "_" in body:
        body = body.replace("-", "+").replace("_", "/")
    body = body.rstrip("=")
    return pybase64.b64decode(body + "=" * (-len(body) % 4), validate=True)


def describe_reference(reference: str) -> str:
    """The reference for a message: printable, short, without a picture's data and without what signs a URL."""
    if DATA.match(reference):
        head, comma, body = reference.lstrip().partition(",")
        known = comma and len(head) <= SHOWN_DATA_HEADER
        return f"{escaped(head)},… ({len(body):,} characters)" if known else "data:…"
    if is_bare_data(reference):
        return f"{escaped(reference[:SHOWN_DATA])}… ({len(reference):,} characters)"
    if REMOTE.match(reference) and not FILE.match(reference):
        path, query, _ = reference.partition("?")
        reference = path + (query and "?…")
    if len(reference) > SHOWN_PATH:
        reference = f"{reference[: SHOWN_PATH // 2]}…{reference[-SHOWN_PATH // 2 :]}"
    return escaped(reference)


def escaped(text: str) -> str:
    return NOT_FOR_SHOW.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
