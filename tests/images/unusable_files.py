"""A table of what can't be used as a picture, and the code of each. Writes files where it is told to."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.images import pictures
from tests.images.picture_table import scene
from tests.images.pictures import HEIC, file_of


def part_of(data: bytes, part: float = 0.7) -> bytes:
    return data[: int(len(data) * part)]


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "image_empty"),
    "SVG": (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "image_not_a_picture"),
    "HTML": (b"<!DOCTYPE html><title>404 Not Found</title>", "image_not_a_picture"),
    "text": (b"GIF and BMP are formats of pictures.", "image_not_a_picture"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "image_not_a_picture"),
    "ZIP": (b"PK\x03\x04" + bytes(40), "image_not_a_picture"),
    "MP4": (pictures.MOTION_VIDEO, "image_not_a_picture"),
    "Photoshop": (b"8BPS\0\x01" + bytes(40), "image_unsupported"),
    "CIELAB TIFF": (file_of(Image.new("LAB", (70, 70)), "TIFF"), "image_unsupported"),
    "200:1": (file_of(Image.new("RGB", (1000, 5)), "PNG"), "image_extreme_ratio"),
    "1:300": (file_of(Image.new("L", (5, 1500)), "JPEG"), "image_extreme_ratio"),
    "PNG bomb": (pictures.bomb_png(60_000, 60_000), "image_bomb"),
    "GIF bomb": (
        b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"\x2c" + bytes(9) + b"\x02\x01\0\0\x3b",
        "image_bomb",
    ),
    **{
        f"{name}, cut off": (part_of(data), "image_truncated")
        for name, data in {
            "JPEG": file_of(scene(), "JPEG"),
            "PNG": file_of(scene(), "PNG"),
            "GIF": file_of(scene(), "GIF"),
            "WebP": file_of(scene(), "WEBP"),
            "BMP": file_of(scene(), "BMP"),
            "TIFF": file_of(scene(), "TIFF"),
            "AVIF": file_of(scene(), "AVIF"),
            "HEIC": HEIC,
        }.items()
    },
}
BAD_PLACES: dict[str, tuple[Callable[[Path], str], str]] = {
    "a folder": (lambda folder: made(folder / "folder.jpg", Path.mkdir), "image_not_a_file"),
    "a FIFO": (lambda folder: made(folder / "fifo.jpg", os.mkfifo), "image_device"),
    "a device": (lambda folder: "/dev/zero", "image_device"),
    "a socket": (lambda folder: made(folder / "socket.jpg", bound), "image_device"),
    "a link to itself": (
        lambda folder: made(folder / "loop.jpg", lambda path: path.symlink_to(path)),
        "image_link_loop",
    ),
    "nothing": (lambda folder: "gone.jpg", "image_missing"),
    "too big": (lambda folder: made(folder / "big.jpg", sparse), "image_too_large"),
    "elsewhere": (lambda folder: "https://a.example/1.jpg", "image_remote"),
    "bad base64": (lambda folder: "data:image/png;base64,iVBO*", "image_bad_data_uri"),
}


def made(path: Path, make: Callable[[Path], Any]) -> str:
    make(path)
    return path.name


def bound(path: Path) -> None:
    """By its name alone: the addresses of sockets are short."""
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1_100_000_000)
