"""A table of files and references that cannot be used, with the code of each."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.images import image_files
from tests.images.image_files import HEIC, encode
from tests.images.valid_files import draw_scene


def truncate(data: bytes, part: float = 0.7) -> bytes:
    return data[: int(len(data) * part)]


INVALID_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "image_empty"),
    "SVG": (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "image_not_a_picture"),
    "HTML": (b"<!DOCTYPE html><title>404 Not Found</title>", "image_not_a_picture"),
    "text": (b"GIF and BMP are image formats.", "image_not_a_picture"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "image_not_a_picture"),
    "ZIP": (b"PK\x03\x04" + bytes(40), "image_not_a_picture"),
    "MP4": (image_files.MOTION_VIDEO, "image_not_a_picture"),
    "Photoshop": (b"8BPS\0\x01" + bytes(40), "image_unsupported"),
    "200:1": (encode(Image.new("RGB", (1000, 5)), "PNG"), "image_extreme_ratio"),
    "1:300": (encode(Image.new("L", (5, 1500)), "JPEG"), "image_extreme_ratio"),
    "PNG bomb": (image_files.make_png_bomb(60_000, 60_000), "image_bomb"),
    "GIF bomb": (
        b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"\x2c" + bytes(9) + b"\x02\x01\0\0\x3b",
        "image_bomb",
    ),
    "GIF bomb in a frame": (
        b"GIF89a"
        + struct.pack("<HHBBB", 16, 16, 128, 0, 0)
        + bytes(6)
        + b"\x2c"
        + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0)
        + b"\x02\x02\x44\x01\0\x3b",
        "image_bomb",
    ),
    "200:1 in a TIFF": (encode(Image.new("RGB", (1000, 5)), "TIFF"), "image_extreme_ratio"),
    **{
        f"{name}, cut off": (truncate(data), "image_truncated")
        for name, data in {
            "JPEG": encode(draw_scene(), "JPEG"),
            "PNG": encode(draw_scene(), "PNG"),
            "GIF": encode(draw_scene(), "GIF"),
            "WebP": encode(draw_scene(), "WEBP"),
            "BMP": encode(draw_scene(), "BMP"),
            "TIFF": encode(draw_scene(), "TIFF"),
            "AVIF": encode(draw_scene(), "AVIF"),
            "HEIC": HEIC,
        }.items()
    },
}
INVALID_PATHS: dict[str, tuple[Callable[[Path], str], str]] = {
    "a folder": (lambda folder: make_entry(folder / "folder.jpg", Path.mkdir), "image_not_a_file"),
    "a FIFO": (lambda folder: make_entry(folder / "fifo.jpg", os.mkfifo), "image_device"),
    "a device": (lambda folder: "/dev/zero", "image_device"),
    "a socket": (lambda folder: make_entry(folder / "socket.jpg", make_socket), "image_device"),
    "a link to itself": (
        lambda folder: make_entry(folder / "loop.jpg", lambda path: path.symlink_to(path)),
        "image_link_loop",
    ),
    "no such file": (lambda folder: "missing.jpg", "image_missing"),
    "too large": (lambda folder: make_entry(folder / "big.jpg", make_sparse_file), "image_too_large"),
    "remote URL": (lambda folder: "https://a.example/1.jpg", "image_remote"),
    "invalid base64": (lambda folder: "data:image/png;base64,iVBO*", "image_bad_data_uri"),
}


def make_entry(path: Path, make: Callable[[Path], Any]) -> str:
    make(path)
    return path.name


def make_socket(path: Path) -> None:
    """Binds the bare name, since the addresses of sockets are short."""
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def make_sparse_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1_100_000_000)
