"""Makes picture files of many kinds in memory, for tests. Pure, but for reading the package's samples."""

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
MOTION_VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + b"\xff\xd8\xff\xd9 GPS 48N2E " * 20
"""What some phones append to a photo: an MP4, which may well hold bytes that look like a JPEG's end."""

SECRETS = (
    b"Exif",
    b"GPS 48N2E",
    b"http://ns.adobe.com",
    b"Spy Camera",
    b"ICC_PROFILE",
    b"iCCP",
    b"Photoshop",
    b"secret note",
)

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
"""32 x 16 as stored, red on the left and blue on the right, to be turned so that red is on top; with an EXIF item."""


def silent(data: bytes) -> bool:
    """Whether no secret is left in the bytes."""
    return not any(secret in data for secret in SECRETS)


def two_halves(width: int = 32, height: int = 16) -> Image.Image:
    """Left half red, right half blue: any turning shows."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def file_of(image: Image.Image, format: str, **settings: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **settings)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(data: bytes) -> bytes:
    return opened(data).convert("RGB").tobytes()


def exif(orientation: int | None = None) -> Image.Exif:
    """A camera's EXIF with a place in it."""
    tags = Image.Exif()
    tags[MAKER] = "Spy Camera, GPS 48N2E"
    tags.get_ifd(GPS_DIRECTORY)[1] = "N"
    if orientation:
        tags[ORIENTATION] = orientation
    return tags


def jpeg_segment(code: int, body: bytes) -> bytes:
    return bytes((0xFF, code)) + struct.pack(">H", len(body) + 2) + body


def after_start(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments put in behind its JFIF header."""
    behind = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:behind] + b"".join(segments) + jpeg[behind:]


def before_last_scan(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments between two of its scans, which is allowed and rare."""
    behind = jpeg.rindex(b"\xff\xda")
    tables = jpeg.rindex(b"\xff\xc4", 0, behind)
    return jpeg[:tables] + b"".join(segments) + jpeg[tables:]


def talkative_jpeg(image: Image.Image, **settings: Any) -> bytes:
    """With EXIF and GPS, XMP, ICC, IPTC, a comment, a JFIF thumbnail, and a video behind its end."""
    jpeg = file_of(image, "JPEG", exif=exif(settings.pop("orientation", None)), **settings)
    thumbnail = b"JFXX\0\x10" + file_of(Image.new("RGB", (8, 8)), "JPEG")
    more = (
        jpeg_segment(0xE0, thumbnail),
        jpeg_segment(0xE1, XMP),
        jpeg_segment(0xE2, b"ICC_PROFILE\0\x01\x01" + b"\xff\xd9" * 9),
        jpeg_segment(0xED, b"Photoshop 3.0\0" + b"GPS 48N2E"),
        jpeg_segment(0xFE, b"secret note"),
    )
    return after_start(jpeg, *more) + MOTION_VIDEO


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def raw_png(depth: int, colour: int, row: bytes, key: tuple[int, ...] | None = None, width: int = 64) -> bytes:
    """64 rows that are all the same, with a transparent colour if one is given."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, 64, depth, colour, 0, 0, 0))
    hole = png_chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    pixels = png_chunk(b"IDAT", zlib.compress((b"\0" + row) * 64))
    return b"\x89PNG\r\n\x1a\n" + header + hole + pixels + png_chunk(b"IEND", b"")


def talkative_png(image: Image.Image, orientation: int | None = None) -> bytes:
    """With text, EXIF, a profile, a time and an archive behind its end."""
    text = PngInfo()
    text.add_text("Comment", "secret note, GPS 48N2E")
    text.add_itxt("XML:com.adobe.xmp", "http://ns.adobe.com/xap/1.0/")
    png = file_of(image, "PNG", pnginfo=text, exif=exif(orientation))
    head, tail = png[:33], png[33:]
    time = png_chunk(b"tIME", bytes(7))
    return (
        head + png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(b"GPS 48N2E")) + time + tail + b"PK\x03\x04 GPS 48N2E"
    )


def webp_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def talkative_webp(image: Image.Image, orientation: int | None = None, **settings: Any) -> bytes:
    """With EXIF and GPS, XMP, a profile, a chunk of nobody's, and a video behind its end."""
    profile = b"ICC_PROFILE, GPS 48N2E"
    webp = file_of(image, "WEBP", exif=exif(orientation), xmp=XMP, icc_profile=profile, **settings)
    return riff(webp[12:] + webp_chunk(b"NOTE", b"secret note")) + MOTION_VIDEO


def bomb_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0")) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def shows(picture: EncodedImage) -> Image.Image:
    """Decoded, once it has been held to its own word."""
    image = opened(picture.data)
    assert picture.media_type == f"image/{str(image.format).lower()}"
    assert (picture.width, picture.height) == image.size
    assert image.mode in ("L", "RGB")
    assert silent(picture.data)
    return image


def near(color: object, expected: tuple[int, int, int], tolerance: int = 12) -> bool:
    values = color if isinstance(color, tuple) else (color,) * 3
    return all(abs(int(a) - b) <= tolerance for a, b in zip(values, expected, strict=True))


def corners(image: Image.Image) -> tuple[object, object]:
    """The colours at the top left and at the bottom right."""
    return image.getpixel((1, 1)), image.getpixel((image.width - 2, image.height - 2))
