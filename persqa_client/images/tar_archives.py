"""Opens tar archives so that a broken one is an error. ``tarfile`` treats a header that it can't read as the end."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from typing import Any, BinaryIO, Self, cast

# OSError without a number if the archive is broken, and with one if the system can't read it.
TAR_ERRORS = (tarfile.TarError, EOFError, zlib.error, OSError)
CHUNK_BYTES = 1 << 20
# Headers that have another header, such as a long name, as their content. tarfile reads them as a whole.
HEADER_TYPES = frozenset(
    (
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    )
)
MAX_HEADER = 1 << 20


class StrictEntry(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Raises ReadError for what is neither an entry nor the end of the file."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # as of the next two, typeshed lacks it
            check_rest(archive.fileobj)
            raise
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("it is cut off") from error
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"the entry at byte {archive.offset:,} is broken") from error

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in HEADER_TYPES and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"the header at byte {self.offset:,} has {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return] # typeshed lacks it


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
