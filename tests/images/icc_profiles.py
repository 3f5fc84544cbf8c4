"""ICC profiles for tests (ICC.1:2022, version 2 profiles of matrices and tables)."""

from __future__ import annotations

import struct

# Colorants relative to D50, in columns of X, Y and Z, of Display P3 and Adobe RGB (1998).
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
ADOBE_RGB = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
D50 = (0.9642, 1.0, 0.8249)


def make_profile(space: bytes, connection: bytes, tags: dict[bytes, bytes], device: bytes = b"mntr") -> bytes:
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x3i48x", 0, b"none", 0x02400000, device, space, connection, b"acsp", *D50_FIXED
    )
    table, data = struct.pack(">I", len(tags)), b""
    start = len(header) + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content
    profile = header + table + data
    return struct.pack(">I", len(profile)) + profile[4:]


def fixed(*numbers: float) -> tuple[int, ...]:
    return tuple(round(number * 65536) for number in numbers)


D50_FIXED = fixed(*D50)
DESCRIPTION = b"desc" + struct.pack(">II5sII", 0, 5, b"test\0", 0, 0) + bytes(2 + 1 + 67)
TEXT = b"text" + bytes(4) + b"none\0"


def make_xyz(*numbers: float) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *fixed(*numbers))


def make_gamma(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def rgb_profile(colorants: tuple[tuple[float, ...], ...], gamma: float = 2.2) -> bytes:
    tags = {b"desc": DESCRIPTION, b"cprt": TEXT, b"wtpt": make_xyz(*D50)}
    for name, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
        tags |= {name + b"XYZ": make_xyz(*colorant), name + b"TRC": make_gamma(gamma)}
    return make_profile(b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    tags = {b"desc": DESCRIPTION, b"cprt": TEXT, b"wtpt": make_xyz(*D50), b"kTRC": make_gamma(gamma)}
    return make_profile(b"GRAY", b"XYZ ", tags)


def cmyk_profile(cyan: tuple[int, int, int]) -> bytes:
    """Paper is white, cyan has the colour ``cyan`` in 8-bit L*a*b*, all other inks are black."""
    white, black = (255, 128, 128), (0, 128, 128)
    corners = [white if inks == 0 else cyan if inks == 0b1000 else black for inks in range(16)]
    identity = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", *fixed(1, 0, 0, 0, 1, 0, 0, 0, 1))
    table += identity * 4 + bytes(level for corner in corners for level in corner) + identity * 3
    tags = {b"desc": DESCRIPTION, b"cprt": TEXT, b"wtpt": make_xyz(*D50), b"A2B0": table}
    return make_profile(b"CMYK", b"Lab ", tags, b"prtr")
