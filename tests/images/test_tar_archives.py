"""Damaged tar archives, and such as would take too long or too much memory: each is one sentence."""

from __future__ import annotations

import gzip
import io
import tarfile
from itertools import islice

import pytest

from persqa_client.images.tar_archives import MAX_HEADERS, TAR_ERRORS, open_archive

END = bytes(1024)
# Later versions of tarfile find some of them, too.
IMPOSSIBLE = "(is broken|has a size that can't be)"
BIG_SIZE = b"\x80" + b"\xff" * 11


def make_header(name: str, kind: bytes, size: int, *, patch: tuple[int, bytes] = (0, b"")) -> bytes:
    """``patch``: a place in the header, and what stands there."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    data = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    place, value = patch
    data[place : place + len(value)] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def make_entry(name: str, data: bytes = b"hi", kind: bytes = tarfile.REGTYPE) -> bytes:
    return make_header(name, kind, len(data)) + data + bytes(-len(data) % 512)


def make_pax(kind: bytes = tarfile.XHDTYPE, **values: str) -> bytes:
    records = b""
    for key, value in values.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = next(each for each in range(len(rest), len(rest) + 9) if len(str(each)) + len(rest) == each)
        records += str(length).encode() + rest
    return make_entry("pax", records, kind)


def make_long_name(name: str) -> bytes:
    return make_entry("././@LongLink", name.encode() + b"\0", tarfile.GNUTYPE_LONGNAME)


def make_sparse(pieces: int, size: bytes = b"%011o\0" % 512) -> bytes:
    """The old header of GNU, with the places of ``pieces`` in blocks of their own."""
    blocks = [bytearray((b"%011o\0" % 1) * 42 + b"\1" + bytes(7)) for _ in range(pieces // 21)]
    blocks[-1][504] = 0
    places = (b"%011o\0" % 1) * 8 + b"\1" + size
    return make_header("s.txt", tarfile.GNUTYPE_SPARSE, 512, patch=(386, places)) + b"".join(blocks)


def read_names(data: bytes) -> list[str]:
    """The names of the first entries, whose contents are read."""
    names = []
    with open_archive(io.BytesIO(data)) as archive:
        for entry in islice(iter(archive.next, None), 20):
            assert entry is not None
            names.append(entry.name)
            if (content := archive.extractfile(entry)) is not None:
                content.read()
    return names


CASES = {
    "a negative size that leads back": (make_pax(size="-1536"), IMPOSSIBLE),
    "a negative size of a header": (make_header("x", tarfile.XHDTYPE, 0, patch=(124, b"\xff" * 12)), IMPOSSIBLE),
    "a negative size of a sparse file": (make_sparse(21, b"\xff" * 12), IMPOSSIBLE),
    "a place that no file has": (make_header("x", tarfile.REGTYPE, 0, patch=(124, BIG_SIZE)), IMPOSSIBLE),
    "many long names": (make_long_name("c.txt") * 1_500, "is broken"),
    "a map of pieces that is no list": (make_pax(GNU__sparse__map="1,x"), "is broken"),
    "a negative piece": (make_pax(GNU__sparse__map="-9,5,-700,600"), IMPOSSIBLE),
    "a size that is no number": (make_pax(GNU__sparse__realsize="x"), "is broken"),
    "a map without its lines": (make_pax(GNU__sparse__major="1", GNU__sparse__minor="0"), "is broken"),
    "a character set that is none": (make_entry("pax", b"15 hdrcharset=\xff\n", tarfile.XHDTYPE), "is broken"),
    "a long number": (make_entry("pax", b"1" * 200_000, tarfile.XHDTYPE), "a number of more than 4,300 digits"),
    "a name of many characters": (make_long_name("a" * 40_000), "the name at byte 1,024 has 40,000 characters"),
    "a path of many characters": (make_pax(path="a" * 40_000), "the name at byte 1,024 has 40,000 characters"),
    "many pieces": (make_sparse(21 * (1 + MAX_HEADERS // 512)), "the headers of an entry have more than 4 MiB"),
    "large headers before one entry": (
        b"".join(make_pax(comment="a" * 1_000_000) for _ in range(5)),
        "the headers of an entry have more than 4 MiB",
    ),
    "large headers for all entries": (
        b"".join(make_pax(tarfile.XGLTYPE, **{f"k{n}": "a" * 1_000_000}) + make_entry(f"{n}.txt") for n in range(5)),
        "its global headers have more than 4 MiB",
    ),
}


@pytest.mark.parametrize("is_compressed", [False, True], ids=["tar", "tar.gz"])
@pytest.mark.parametrize("case", CASES)
def test_a_header_that_can_not_be_is_one_sentence(case: str, is_compressed: bool) -> None:
    headers, problem = CASES[case]
    data = make_entry("b.txt") + headers + make_entry("a.txt") + END
    with pytest.raises(TAR_ERRORS, match=problem):
        read_names(gzip.compress(data, 1) if is_compressed else data)


@pytest.mark.parametrize("is_compressed", [False, True], ids=["tar", "tar.gz"])
def test_what_archives_have_in_their_headers_is_read(is_compressed: bool) -> None:
    """Long names, values for all entries, as git writes them, the places of sparse files, extended attributes."""
    long = "/".join(["é" * 60] * 60) + ".txt"
    entries = (
        *(make_pax(tarfile.XGLTYPE, comment="a" * 40), make_pax(path=long, mtime="1.5"), make_entry("1.txt")),
        *(make_long_name(long), make_entry("2.txt"), make_sparse(210), bytes(512)),
        *(make_pax(SCHILY__xattr__user__x="a" * 900_000, size="2"), make_entry("3.txt")),
        *(make_pax(GNU__sparse__map="0,1,7,1", GNU__sparse__size="9"), make_entry("4.txt")),
    )
    data = b"".join((*entries, END))
    names = read_names(gzip.compress(data, 1) if is_compressed else data)
    assert names == [long, long, "s.txt", "3.txt", "4.txt"]
