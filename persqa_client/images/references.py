"""Image references: paths, file:// URLs, data: URIs, and URLs whose pictures were downloaded.

Error messages have no subject; `NamedErrors` adds it.
"""

from __future__ import annotations

import binascii
import errno
import os
import re
import stat
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from itertools import filterfalse
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import unquote

from persqa_client.errors import RowError, StorageError
from persqa_client.images.confined_roots import ConfinedRoots
from persqa_client.images.data_uris import decode_base64, read_data_uri
from persqa_client.images.fetched_files import find_fetched, is_fetchable, is_fetched_folder
from persqa_client.images.formats import detect_format
from persqa_client.images.members import ASSUMED_BYTES, MAX_FILE_BYTES, large_file_error, load_member, parse_member
from persqa_client.stores.paths import OBJECT_STARTS, has_store, join_root
from persqa_client.suggestions import find_similar_path

# Characters shown in a message: of a path, of a data: URI's header, and of bare base64.
SHOWN_PATH, SHOWN_DATA_HEADER, SHOWN_BASE64 = 200, 60, 20

# Name of a picture that is no file (inputs/memory_pictures.py).
PLACE = re.compile(r"data:;place=([\w%]+);")
DATA_URI = re.compile(r"\s*data:", re.IGNORECASE)
BARE_BASE64 = re.compile(r"(?P<header>[\w/;:+.-]{0,60}base64,)?(?P<body>[A-Za-z0-9+/_\-\s]{100,}={0,2})")
# A longer text without a dot, but with capitals, lower-case letters and digits, is not a path.
MIXED_TEXT = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{200}", re.DOTALL)
FILE_URL = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>/.*)", re.IGNORECASE | re.DOTALL)
ANY_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
USER_INFO = re.compile(r"(?<=://)[^/?#@]*@")
# Control characters, also those of the direction, line separators, and surrogates for bytes of names that are no UTF-8.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
TOO_MANY_OPEN_FILES = frozenset({errno.EMFILE, errno.ENFILE})

NOT_REGULAR_FILES = (
    (stat.S_ISDIR, "image_not_a_file", "a folder"),
    (stat.S_ISFIFO, "image_device", "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "image_device", "a socket"),
    (stat.S_ISCHR, "image_device", "a device"),
    (stat.S_ISBLK, "image_device", "a device"),
)


def read_reference(reference: str, roots: Sequence[Path]) -> bytes:
    """Relative paths are looked up in each of ``roots``.

    Raises RowError (see the codes in README.md), and StorageError if the process has too many open files.
    """
    if DATA_URI.match(reference):
        data = read_data_uri(reference)
    elif is_bare_base64(reference) and not estimate_reference_size(reference, roots):
        advice = "put data:image/jpeg;base64, in front of it"
        raise RowError("image_bad_data_uri", f"seems to be base64, not a path; {advice}.")
    else:
        data = read_image_file(locate_reference(reference, roots), roots)
    if not data:
        raise RowError("image_empty", "is empty; provide a file with content.")
    return data


def is_bare_base64(reference: str) -> bool:
    """Some paths look like base64, too."""
    found = BARE_BASE64.fullmatch(reference.strip())
    if found is None:
        return False
    try:
        start = decode_base64(found["body"][:64])
    except (binascii.Error, ValueError):
        start = b""
    return bool(found["header"] or detect_format(start) or MIXED_TEXT.match(found["body"]))


class FileVersion(NamedTuple):
    path: str
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int  # of the inode; programs cannot reset it, unlike the modification time


def get_file_version(reference: str, roots: Sequence[Path]) -> FileVersion | None:
    """The current version of the file; None for a data: URI, and if there is no such regular file."""
    if DATA_URI.match(reference):
        return None
    try:
        found = find_path(locate_reference(reference, roots), roots)
    except (RowError, OSError, ValueError):
        return None
    if found is None or not stat.S_ISREG(found[1].st_mode):
        return None
    path, status = found
    return FileVersion(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def estimate_reference_size(reference: str, roots: Sequence[Path]) -> int:
    if DATA_URI.match(reference):
        return len(reference)
    version = get_file_version(reference, roots)
    if version is None and (is_fetchable(reference) or parse_member(reference) is not None or has_store(roots)):
        return ASSUMED_BYTES
    return version.size if version else 0


def parse_local_path(reference: str) -> str:
    """Raises RowError ``image_remote`` for other URLs."""
    if ":" not in reference:  # as in most rows, for each of which this is called several times
        return reference
    if url := FILE_URL.fullmatch(reference):
        if (url["host"] or "localhost").lower() != "localhost":
            host = describe_reference(url["host"])
            advice = "use a plain path, or file:/// with three slashes"
            raise RowError("image_remote", f"names the host {host!r}; {advice}.")
        return unquote(url["path"], errors="surrogateescape")
    if ANY_URL.match(reference):
        advice = "download it first, or give --fetch" if is_fetchable(reference) else "download it first"
        raise RowError("image_remote", f"is not a local file; {advice}.")
    return reference


def locate_reference(reference: str, roots: Sequence[Path]) -> str:
    """The path of a local file, or of the picture that was downloaded from the URL. Raises RowError."""
    try:
        return parse_local_path(reference)
    except RowError:
        if (found := find_fetched(reference, roots)) is None:
            raise
        return found[0]


def make_reference(path: str) -> str:
    """The path, with ``./`` in front if it would be read as a ``data:`` URI, another URL or base64."""
    while not _is_path(path):
        path = f"/.{path}" if os.path.isabs(path) else f"./{path}"
    return path


def _is_path(reference: str) -> bool:
    try:
        is_url = DATA_URI.match(reference) or parse_local_path(reference) != reference
    except RowError:
        return False
    return not is_url and not is_bare_base64(reference)


def find_path(path: str, roots: Sequence[Path]) -> tuple[str, os.stat_result] | None:
    """The first existing candidate.

    Raises OSError for other errors than absence, so that a file in a later root does not replace an unreadable one, and
    RowError for a path that leaves ConfinedRoots.
    """
    return find_candidate(path, roots) or find_other_form(path, roots)


def find_candidate(path: str, roots: Sequence[Path]) -> tuple[str, os.stat_result] | None:
    for candidate in list_candidates(path, roots):
        if candidate.startswith(OBJECT_STARTS):
            if (fetched := find_fetched(candidate, roots)) is None:
                continue
            candidate = fetched[0]
        if isinstance(roots, ConfinedRoots):
            roots.check(candidate)
        try:
            return candidate, os.stat(candidate)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None


def list_candidates(path: str, roots: Sequence[Path]) -> list[str]:
    """The candidates for a reference. Those in object stores are URLs; their downloads are found by the URL."""
    return [path] if os.path.isabs(path) else [join_root(root, path) for root in roots]


def expand_absent(path: str) -> str:
    """The path at which a missing file is expected: ``~`` is the home folder."""
    return os.path.expanduser(path) if path.startswith("~") else path


def find_other_form(path: str, roots: Sequence[Path]) -> tuple[str, os.stat_result] | None:
    """The same name in the home folder (``~``), or with its accents composed or decomposed otherwise (Unicode's NFC and
    NFD), as when files come from a Mac. Does nothing for most paths.
    """
    forms = [os.path.expanduser(path)] if path.startswith("~") else []
    if not path.isascii():
        forms += [unicodedata.normalize(form, path) for form in ("NFC", "NFD")]
    found = (find_candidate(form, roots) for form in forms if form != path)
    return next(filter(None, found), None)


def read_image_file(path: str, roots: Sequence[Path]) -> bytes:
    """Checks the kind of file before opening it: opening a FIFO blocks, and opening a device may affect it."""
    try:
        found = find_path(path, roots)
        if found is None:
            if parse_member(path) is not None:
                return read_member_file(path, roots)
            raise missing_file_error(path, roots)
        return read_found_file(*found)
    except OSError as error:
        raise_read_error(error)
    except ValueError as error:
        # os.stat raises it for a NUL or an invalid surrogate.
        reason = "its name has an invalid character"
        raise RowError("image_unreadable", f"cannot be opened: {reason}.") from error


def read_found_file(path: str, status: os.stat_result) -> bytes:
    """Raises RowError and OSError."""
    if not stat.S_ISREG(status.st_mode):
        kinds = ((code, kind) for is_kind, code, kind in NOT_REGULAR_FILES if is_kind(status.st_mode))
        code, kind = next(kinds, ("image_device", "not a regular file"))
        raise RowError(code, f"is {kind}; give the path of the image file.")
    if status.st_size > MAX_FILE_BYTES:
        raise large_file_error(status.st_size)
    if status.st_size == 0:
        # Not opened: reading files of unknown size under /proc may block.
        return b""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def read_member_file(path: str, roots: Sequence[Path]) -> bytes:
    """Reads a picture of a file of many rows. Raises RowError and OSError."""
    member = parse_member(path)
    assert member is not None
    found = find_path(member.file, roots)
    if found is None or not stat.S_ISREG(found[1].st_mode):
        raise missing_file_error(member.file, roots)
    picture = load_member(*found, member)
    if picture.data is None and picture.path:
        # The file only names another one. That is read once: the path of a path would be read without end.
        folder = Path(os.path.dirname(found[0]))
        searched = roots.after(folder) if isinstance(roots, ConfinedRoots) else (folder, *roots)
        try:
            other = find_path(picture.path, searched)
            if other is None:
                raise missing_file_error(picture.path, roots)
            return read_found_file(*other)
        except RowError as error:
            named = f"names {describe_reference(picture.path)!r} in place of its bytes, which {error.message}"
            raise RowError(error.code, named) from error
    return picture.data or b""


def missing_file_error(path: str, roots: Sequence[Path]) -> RowError:
    similar = next(filter(None, (find_similar_path(each) for each in list_candidates(path, roots))), None)
    hint = "" if similar is None else f", but {describe_reference(similar)!r} does; correct the path"
    if os.path.isabs(path):
        return RowError("image_missing", f"does not exist{hint}.")
    if (home := expand_absent(path)) != path:
        return RowError("image_missing", f"does not exist; it would be {describe_reference(home)}{hint}.")
    searched = " or ".join(name_folders(roots)) or "any folder"
    return RowError("image_missing", f"does not exist in {searched}{hint}.")


def name_folders(roots: Sequence[Path]) -> list[str]:
    """Each folder once, however many paths lead to it."""
    names: dict[str, str] = {}
    for root in filterfalse(is_fetched_folder, roots):
        # For a relative path, this works only if the working directory exists.
        with suppress(OSError):
            place = os.path.realpath(root)
            is_here = place == os.path.realpath(os.curdir)
            names.setdefault(place, "the working directory" if is_here else describe_reference(str(root)))
    return list(names.values())


def raise_read_error(error: OSError) -> NoReturn:
    """Raises RowError, or StorageError if this process has reached a limit."""
    if error.errno in TOO_MANY_OPEN_FILES:
        raise StorageError("too many open files: lower --concurrency or raise the limit (ulimit -n)") from error
    if error.errno == errno.ELOOP:
        raise RowError("image_link_loop", "is a symbolic link to itself; correct the link.") from error
    if isinstance(error, FileNotFoundError):
        raise RowError("image_missing", "was deleted while it was being read.") from error
    reason = error.strerror or type(error).__name__
    raise RowError("image_unreadable", f"cannot be read: {reason}.") from error


class NamedErrors:
    """Puts the reference at the beginning of a RowError's message. A class, which costs less than a generator."""

    __slots__ = ("reference",)

    def __init__(self, reference: str) -> None:
        self.reference = reference

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, RowError):
            message = f"{describe_reference(self.reference)} {error.message}"
            raise RowError(error.code, message) from error.__cause__


def describe_reference(reference: str) -> str:
    """Short, printable text for messages, without image data and without a URL's query and password."""
    if DATA_URI.match(reference):
        reference = reference.lstrip()
        if place := PLACE.match(reference):
            return escape_unprintable(unquote(place[1]))
        comma = reference.find(",")
        if not 0 <= comma <= SHOWN_DATA_HEADER:
            return "data:…"
        return f"{escape_unprintable(reference[:comma])},… ({len(reference) - comma - 1:,} characters)"
    if is_bare_base64(reference):
        return f"{escape_unprintable(reference[:SHOWN_BASE64])}… ({len(reference):,} characters)"
    if ANY_URL.match(reference) and not FILE_URL.match(reference):
        path, query, _ = USER_INFO.sub("…@", reference).partition("?")
        reference = path + (query and "?…")
    if len(reference) > SHOWN_PATH:
        reference = f"{reference[: SHOWN_PATH // 2]}…{reference[-SHOWN_PATH // 2 :]}"
    return escape_unprintable(reference)


def escape_unprintable(text: str) -> str:
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
