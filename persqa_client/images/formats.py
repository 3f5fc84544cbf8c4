"""What kind of file it is, by its first bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable

from persqa_client.images.containers import Stripped, check_bmp, check_gif, check_tiff
from persqa_client.images.heif import check_isobmff
from persqa_client.images.jpeg import read_jpeg
from persqa_client.images.png import read_png
from persqa_client.images.webp import read_webp

MAGIC = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Sizes of a BMP's second header; the two letters alone begin many a text."""
AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
"""By ISO/IEC 23008-12; mif1 and msf1 name the container and may hold either, so AVIF is looked for first."""

FOREIGN_PICTURES = (
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\1\0", "an icon"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"FUJIFILMCCD-RAW", "a raw photo"),
)
"""Pictures of kinds that are not read."""
OTHERS = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"%pdf", "a PDF"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1aE\xdf\xa3", "a video"),
)
KNOWN = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC can be read"


def detect_format(data: bytes) -> str | None:
    """Pillow's name of the format, or HEIC; None for what is no picture that can be read."""
    for magic, format in MAGIC.items():
        if data.startswith(magic):
            return format
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in BMP_HEADERS:
        return "BMP"
    if data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4], "big"), 512)]
        brands = {box[at : at + 4] for at in range(0, len(box), 4)}
        return "AVIF" if brands & AVIF_BRANDS else "HEIC" if brands & HEIC_BRANDS else None
    return None


def is_foreign_picture(data: bytes) -> bool:
    return any(data.startswith(mark) for mark, _ in FOREIGN_PICTURES)


def words_for(data: bytes) -> str:
    """What a file that can't be read as a picture seems to be."""
    for mark, words in FOREIGN_PICTURES:
        if data.startswith(mark):
            return words
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, words in OTHERS:
        if head.startswith(mark.lower()):
            return words
    if b"<svg" in head and head.startswith(b"<"):
        return "an SVG drawing"
    if data[4:8] == b"ftyp":
        return "a video or another kind of media file"
    return "of a kind not known here" if b"\0" in head else "text"


# Which walk goes with which kind of picture file: to cut its metadata, and to see whether it is whole. Pure.

READERS: dict[str, Callable[[bytes], Stripped]] = {"JPEG": read_jpeg, "PNG": read_png, "WEBP": read_webp}
"""The kinds that may go out as their own bytes; reading them finds what is cut off, too."""
CHECKS: dict[str, Callable[[bytes], None]] = {
    "GIF": check_gif,
    "BMP": check_bmp,
    "TIFF": check_tiff,
    "AVIF": check_isobmff,
    "HEIC": check_isobmff,
}
"""The kinds that are always drawn anew."""


def strip(data: bytes, format: str) -> Stripped | None:
    """Without metadata where the kind can go out as its own bytes, else None. Raises Truncated for cut-off files."""
    if format in READERS:
        return READERS[format](data)
    CHECKS[format](data)
    return None
