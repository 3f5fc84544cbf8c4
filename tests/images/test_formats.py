"""Detecting the format of a file by its first bytes."""

from __future__ import annotations

import pytest

from persqa_client.images.decode import OPENERS
from persqa_client.images.formats import SIGNATURES, SUPPORTED, describe_content, detect_format, is_unsupported_image
from persqa_client.images.prepare import COMPLETENESS_CHECKS, STRIPPERS
from tests.support.cases import each_case


def ftyp(*brands: bytes) -> bytes:
    """An ISO media file's first box: major brand, minor version, compatible brands."""
    body = b"ftyp" + brands[0] + b"\0\0\0\0" + b"".join(brands[1:])
    return (4 + len(body)).to_bytes(4, "big") + body + b"\0\0\0\x08free"


@each_case(
    ("data", "format"),
    [
        pytest.param(b"\xff\xd8\xff\xe1", "JPEG", id="JPEG"),
        pytest.param(b"\x89PNG\n\x1a\n", "PNG", id="PNG with converted line ends"),
        pytest.param(b"GIF87a", "GIF", id="GIF"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WEBP", id="WebP"),
        pytest.param(b"BM" + bytes(12) + b"\x28\0\0\0", "BMP", id="BMP"),
        pytest.param(b"MM\0*", "TIFF", id="TIFF"),
        pytest.param(ftyp(b"avif", b"mif1"), "AVIF", id="AVIF"),
        pytest.param(ftyp(b"mif1", b"avif"), "AVIF", id="AVIF by a compatible brand"),
        pytest.param(ftyp(b"heic", b"mif1"), "HEIC", id="HEIC"),
        pytest.param(ftyp(b"mif1", b"heic"), "HEIC", id="HEIC by a compatible brand"),
        pytest.param(ftyp(b"mp42", b"isom"), None, id="MP4"),
        pytest.param(ftyp(b"isom") + b"avif", None, id="a brand after the box"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_the_format_is_detected(data: bytes, format: str | None) -> None:
    assert detect_format(data) == format


@each_case(
    ("data", "description"),
    [
        pytest.param(b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "an SVG drawing", id="SVG"),
        pytest.param(b"\n<!DOCTYPE html><title>404</title>", "an HTML page", id="HTML"),
        pytest.param(b"BMW is a car, GIF is not.", "text", id="text"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the file itself", id="LFS"
        ),
        pytest.param(b"%PDF-1.7", "a PDF", id="PDF"),
        pytest.param(b"\x1aE\xdf\xa3", "a video", id="WebM"),
        pytest.param(ftyp(b"mp42"), "a video or another kind of media file", id="MP4"),
        pytest.param(b"RIFF\0\0\0\0WAVEfmt ", "of an unknown format", id="sound"),
        pytest.param(bytes(4096), "of an unknown format", id="zeros"),
    ],
)
def test_other_files_are_described(data: bytes, description: str) -> None:
    assert detect_format(data) is None
    assert describe_content(data) == description
    assert not is_unsupported_image(data)


@pytest.mark.parametrize(
    ("data", "description"),
    [
        pytest.param(b"8BPS\0\1", "a Photoshop file", id="PSD"),
        pytest.param(b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image", id="JPEG XL"),
        pytest.param(b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image", id="JPEG 2000"),
        pytest.param(b"\0\0\1\0\1\0", "an icon", id="ICO"),
    ],
)
def test_unsupported_images_are_described(data: bytes, description: str) -> None:
    assert detect_format(data) is None
    assert is_unsupported_image(data)
    assert describe_content(data) == description


def test_every_supported_format_can_be_decoded_and_is_checked() -> None:
    """A format without an entry in these tables would end a run with a KeyError."""
    formats = {*SIGNATURES.values(), "WEBP", "BMP", "AVIF", "HEIC"}
    assert OPENERS.keys() == formats
    assert STRIPPERS.keys() | COMPLETENESS_CHECKS.keys() == formats
    assert all(name.lower() in SUPPORTED.lower() for name in formats)
