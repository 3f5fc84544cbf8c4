"""Makes image files of many kinds in memory."""

from __future__ import annotations

import io
import struct
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

import persqa_client
from persqa_client.types import EncodedImage

SAMPLES = sorted((Path(persqa_client.__file__).parent / "samples").glob("*.jpg"))

RED, BLUE, GREEN, WHITE = (254, 0, 0), (0, 0, 254), (0, 128, 0), (255, 255, 255)
ORIENTATION, MAKER, GPS_DIRECTORY = 0x0112, 0x010F, 0x8825

XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
# What some phones append to a photo: an MP4, which may hold bytes that look like the end of a JPEG.
MOTION_VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + b"\xff\xd8\xff\xd9 GPS 48N2E " * 20

METADATA_MARKERS = (
    b"Exif",
    b"GPS 48N2E",
    b"http://ns.adobe.com",
    b"Spy Camera",
    b"ICC_PROFILE",
    b"iCCP",
    b"Photoshop",
    b"secret note",
)

# 32 x 16 as stored, red on the left and blue on the right, to be rotated so that red is at the top; with an EXIF item.
HEIC = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAcdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAAAERA"
    "AAIAAQAAAAAB6wABAAAAAAAAAJ8AAgAAAAACigABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQAC"
    "AABFeGlmAAAAAA5waXRtAAAAAAABAAABBmlwcnAAAADlaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAA"
    "AAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAA"
    "AAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAIAAAAAEAAAAQAAAAAf///+AAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAACWlyb3QDAAAA"
    "GWlwbWEAAAAAAAAAAQABBoECAwWEhgAAABppcmVmAAAAAAAAAA5jZHNjAAIAAQABAAAAy21kYXQAAACbKAGvEyGdzRj4EPdn/+u8Ff+Vaz/zN7ls//HC"
    "p9+3LV/6zPekFHr6K3nCHJ23zwIIWbhSWJFCvRg/pvbnGHpl3jaE8xsXlDicGTpYUO6ouiAi9a8j5zvoqeqAp7mD3Vji5jGcbRINj6bXd87bk5EgLIwu"
    "gouAyxmpzrJanNeQSQgcAw1O+t8tQ7DWtFoogvjrIzHx2QaLNaipj2YAAAAGRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAA="
)


def has_no_metadata(data: bytes) -> bool:
    return not any(marker in data for marker in METADATA_MARKERS)


def red_and_blue(width: int = 48, height: int = 32) -> Image.Image:
    """Left half red, right half blue, which shows any rotation."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def encode(image: Image.Image, format: str, **settings: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **settings)
    return out.getvalue()


def decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def decode_rgb_bytes(data: bytes) -> bytes:
    return decode(data).convert("RGB").tobytes()


def make_exif(orientation: int | None = None) -> Image.Exif:
    """EXIF of a camera, with a location."""
    tags = Image.Exif()
    tags[MAKER] = "Spy Camera, GPS 48N2E"
    tags.get_ifd(GPS_DIRECTORY)[1] = "N"
    if orientation:
        tags[ORIENTATION] = orientation
    return tags


def make_jpeg_segment(code: int, body: bytes) -> bytes:
    return bytes((0xFF, code)) + struct.pack(">H", len(body) + 2) + body


def insert_after_jfif(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments after its JFIF header."""
    end = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:end] + b"".join(segments) + jpeg[end:]


def insert_before_last_scan(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments between two of its scans, which is rare but allowed."""
    scan = jpeg.rindex(b"\xff\xda")
    tables = jpeg.rindex(b"\xff\xc4", 0, scan)
    return jpeg[:tables] + b"".join(segments) + jpeg[tables:]


def jpeg_with_metadata(image: Image.Image, **settings: Any) -> bytes:
    """With EXIF and GPS, XMP, ICC, IPTC, a comment, a JFIF thumbnail, and a video after its end."""
    jpeg = encode(image, "JPEG", exif=make_exif(settings.pop("orientation", None)), **settings)
    thumbnail = b"JFXX\0\x10" + encode(Image.new("RGB", (8, 8)), "JPEG")
    more = (
        make_jpeg_segment(0xE0, thumbnail),
        make_jpeg_segment(0xE1, XMP),
        make_jpeg_segment(0xE2, b"ICC_PROFILE\0\x01\x01" + b"\xff\xd9" * 9),
        make_jpeg_segment(0xED, b"Photoshop 3.0\0" + b"GPS 48N2E"),
        make_jpeg_segment(0xFE, b"secret note"),
    )
    return insert_after_jfif(jpeg, *more) + MOTION_VIDEO


def make_png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def make_png(depth: int, colour: int, row: bytes, key: tuple[int, ...] | None = None, width: int = 64) -> bytes:
    """A PNG of 64 equal rows, with ``key`` as its transparent colour."""
    header = make_png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, 64, depth, colour, 0, 0, 0))
    transparency = make_png_chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    pixels = make_png_chunk(b"IDAT", zlib.compress((b"\0" + row) * 64))
    return b"\x89PNG\r\n\x1a\n" + header + transparency + pixels + make_png_chunk(b"IEND", b"")


def png_with_metadata(image: Image.Image, orientation: int | None = None) -> bytes:
    """With text, EXIF, a profile, a time, and an archive after its end."""
    text = PngInfo()
    text.add_text("Comment", "secret note, GPS 48N2E")
    text.add_itxt("XML:com.adobe.xmp", "http://ns.adobe.com/xap/1.0/")
    png = encode(image, "PNG", pnginfo=text, exif=make_exif(orientation))
    head, tail = png[:33], png[33:]
    profile = make_png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(b"GPS 48N2E"))
    return head + profile + make_png_chunk(b"tIME", bytes(7)) + tail + b"PK\x03\x04 GPS 48N2E"


def make_webp_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def make_webp(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def webp_with_metadata(image: Image.Image, orientation: int | None = None, **settings: Any) -> bytes:
    """With EXIF and GPS, XMP, a profile, an unknown chunk, and a video after its end."""
    profile = b"ICC_PROFILE, GPS 48N2E"
    webp = encode(image, "WEBP", exif=make_exif(orientation), xmp=XMP, icc_profile=profile, **settings)
    return make_webp(webp[12:] + make_webp_chunk(b"NOTE", b"secret note")) + MOTION_VIDEO


def make_png_bomb(width: int, height: int) -> bytes:
    """A PNG whose header has this size, with almost no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (
        make_png_chunk(b"IHDR", header) + make_png_chunk(b"IDAT", zlib.compress(b"\0")) + make_png_chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def check_and_decode(encoded: EncodedImage) -> Image.Image:
    """The decoded image, which must be as ``encoded`` says and have no metadata."""
    image = decode(encoded.data)
    assert encoded.media_type == f"image/{str(image.format).lower()}"
    assert (encoded.width, encoded.height) == image.size
    assert image.mode in ("L", "RGB")
    assert has_no_metadata(encoded.data)
    return image


def is_near(colour: object, expected: tuple[int, int, int], tolerance: int = 12) -> bool:
    values = colour if isinstance(colour, tuple) else (colour,) * 3
    return all(abs(int(a) - b) <= tolerance for a, b in zip(values, expected, strict=True))


def corner_colours(image: Image.Image) -> tuple[object, object]:
    """The colours at the top left and at the bottom right."""
    return image.getpixel((1, 1)), image.getpixel((image.width - 2, image.height - 2))
