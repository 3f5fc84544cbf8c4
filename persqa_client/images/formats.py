"""Detects image formats by their first bytes, and describes other files.

The package `filetype` (1.2) misses BigTIFF and every HEIC brand but "heic", and takes text that starts with "BM" for a
BMP.
"""

from __future__ import annotations

SUPPORTED = "supported formats are JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC"

# Names of files that count as images in a folder, and as references in DataFlow's prompts.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)

# Raw photos of cameras. Most are TIFFs whose first page is a thumbnail.
RAW_SUFFIXES = frozenset(
    {".nef", ".nrw", ".arw", ".sr2", ".srf", ".cr2", ".cr3", ".crw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw"}
    | {".3fr", ".fff", ".iiq", ".erf", ".kdc", ".dcr", ".mos", ".mrw", ".rwl", ".x3f"}
)
RAW_PHOTO = "a raw photo"

SIGNATURES = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
# Possible sizes of a BMP's second header; text may also begin with "BM".
BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
# By ISO/IEC 23008-12. mif1 and msf1 are containers for either format, so AVIF is tried first.
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})

UNSUPPORTED_IMAGES = (
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\1\0", "an icon"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"#?RGBE", "a Radiance HDR image"),
    (b"P7\n", "a PAM image"),
    (b"PF\n", "a PFM image"),
    (b"II\xbc\x01", "a JPEG XR image"),
    (b"\x8aMNG", "an MNG animation"),
    (b"\x8bJNG", "a JNG image"),
    (b"farbfeld", "a farbfeld image"),
    (b"gimp xcf", "a GIMP image"),
    (b"AT&TFORM", "a DjVu document"),
    (b"BPG\xfb", "a BPG image"),
    (b"FLIF", "a FLIF image"),
    (b"FUJIFILMCCD-RAW", RAW_PHOTO),
    (b"IIU\0", RAW_PHOTO),
    (b"IIRO", RAW_PHOTO),
    (b"IIRS", RAW_PHOTO),
    (b"MMOR", RAW_PHOTO),
)
# Compared with the file's beginning in lower case.
OTHER_FILES = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"%pdf", "a PDF"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1ae\xdf\xa3", "a video"),
)


def detect_format(data: bytes) -> str | None:
    """Pillow's name of the format, or ``HEIC``; None for other files. Needs the first 512 bytes."""
    for signature, format in SIGNATURES.items():
        if data.startswith(signature):
            return format
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in BMP_HEADER_SIZES:
        return "BMP"
    if data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4], "big"), 512)]
        brands = {box[offset : offset + 4] for offset in range(0, len(box), 4)}
        return "AVIF" if brands & AVIF_BRANDS else "HEIC" if brands & HEIC_BRANDS else None
    return None


def is_unsupported_image(data: bytes) -> bool:
    return is_dicom(data) or any(data.startswith(signature) for signature, _ in UNSUPPORTED_IMAGES)


def is_dicom(data: bytes) -> bool:
    return data[128:132] == b"DICM"


def describe_content(data: bytes) -> str:
    """Describes what the file seems to be, for a message after "is"."""
    for signature, description in UNSUPPORTED_IMAGES:
        if data.startswith(signature):
            return description
    if is_dicom(data):
        return "a DICOM image"
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for signature, description in OTHER_FILES:
        if head.startswith(signature):
            return description
    if b"<svg" in head and head.startswith(b"<"):
        return "an SVG drawing"
    if data[4:8] == b"ftyp":
        return "a video or another kind of media file"
    return "of an unknown format" if b"\0" in head else "text"
