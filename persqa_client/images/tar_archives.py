"""Opens tar archives so that a broken one is an error. ``tarfile`` treats a header that it can't read as the end."""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from itertools import chain
from typing import Any, BinaryIO, Self, cast

# OSError without a number if the archive is broken, and with one if the system can't read it.
TAR_ERRORS = (tarfile.TarError, EOFError, zlib.error, OSError)
# What tarfile raises for values in a header that it does not expect.
HEADER_ERRORS = (ValueError, ArithmeticError, LookupError, RecursionError)
CHUNK_BYTES = 1 << 20
# Headers that have another header, such as a long name, as their content. tarfile reads them as a whole.
HEADER_TYPES = frozenset(
    (
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    )
)
# Of one header, and of all that belong to one entry, with the places of the parts of a sparse file.
MAX_HEADER = 1 << 20
MAX_HEADERS = 4 << 20
# Of a file, and of a place in one. Larger ones, as in no archive, would not fit in a C integer.
MAX_SIZE = 1 << 60
# Of characters. Linux has 4,096 and Windows 32,767.
MAX_NAME = 1 << 15
# tarfile looks for numbers before words, from each digit anew. Python reads none of more digits than this.
MAX_DIGITS = 4_300
DIGITS = re.compile(rb"[0-9]+")


class StrictEntry(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Raises ReadError for what is neither an entry nor the end of the file."""
        source: Any = archive
        file = source.fileobj
        # It is called again for the entry behind a header of the HEADER_TYPES.
        source.fileobj = file if isinstance(file, HeaderReader) else HeaderReader(file)
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # as of the next two, typeshed lacks it
            check_rest(file)
            raise
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("it is cut off") from error
        except (tarfile.InvalidHeaderError, *HEADER_ERRORS) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"the entry at byte {archive.offset:,} is broken") from error
        finally:
            source.fileobj = file

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in HEADER_TYPES and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"the header at byte {self.offset:,} has {self.size:,} bytes")
        self._check_size(self.size)
        entry: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc] # typeshed lacks it
        self._check_size(entry.size)
        pieces: Any = entry.sparse
        for number in chain.from_iterable(pieces or ()):
            self._check_size(number)
        # Otherwise, the same entries would be read again and again.
        self._check_size(archive.offset - cast(BinaryIO, archive.fileobj).tell())
        if (length := max(len(entry.name), len(entry.linkname))) > MAX_NAME:
            raise tarfile.ReadError(f"the name at byte {self.offset:,} has {length:,} characters")
        if self.type == tarfile.XGLTYPE and sum(map(len, chain(*archive.pax_headers.items()))) > MAX_HEADERS:
            raise tarfile.ReadError(f"its global headers have more than {MAX_HEADERS >> 20} MiB")
        # Its values are members of the entry, which may be kept.
        entry.pax_headers = {}
        return entry

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= MAX_SIZE:
            raise tarfile.ReadError(f"the entry at byte {self.offset:,} has a size that can't be")


class HeaderReader:
    """Reads the headers of one entry, up to MAX_HEADERS: tarfile has no bound of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MAX_HEADERS

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise tarfile.ReadError(f"the headers of an entry have more than {MAX_HEADERS >> 20} MiB")
        data = self._file.read(size)
        if max(map(len, DIGITS.findall(data)), default=0) > MAX_DIGITS:
            raise tarfile.ReadError(f"a header has a number of more than {MAX_DIGITS:,} digits")
        return data

    def tell(self) -> int:
        return self._file.tell()


def check_rest(file: Any) -> None:
    """Raises ReadError for something behind the end, which would not be read."""
    while rest := file.read(CHUNK_BYTES):
        if rest.count(0) < len(rest):
            raise tarfile.ReadError(
                "it goes on after its end, as archives that were joined with cat do; give the archives themselves"
            )


def open_archive(file: BinaryIO) -> tarfile.TarFile:
    """Read forwards if it is compressed. Raises TAR_ERRORS, also when it is read. The file is not closed with it."""
    if not is_compressed_archive(file):
        return tarfile.open(fileobj=file, mode="r:", tarinfo=StrictEntry)
    # Unlike tarfile's own reader, gzip reads all members of the file, and notices its end.
    content = cast(BinaryIO, gzip.open(file))  # noqa: SIM115 # its file is the caller's
    return tarfile.open(fileobj=content, mode="r|", tarinfo=StrictEntry)


def is_compressed_archive(file: BinaryIO) -> bool:
    """Whether the file, which is at its beginning and stays there, is a compressed archive."""
    is_compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return is_compressed
