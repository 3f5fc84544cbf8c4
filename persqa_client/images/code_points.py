"""ICC profiles for colours that a file names by code points, as PNG ("cICP"), AVIF and HEIC ("nclx") do.

By ITU-T H.273; PQ and HLG by BT.2100, shown as BT.2408 recommends for displays without high dynamic range: white paper
becomes white, and what is brighter is cut off. Profiles by ICC.1:2022.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

UNSPECIFIED = 2
# Colorants relative to D50, in columns of X, Y and Z.
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
BT2020 = ((0.6735, 0.2790, -0.0019), (0.1657, 0.6753, 0.0300), (0.1251, 0.0456, 0.7972))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0010), (0.2920, 0.6922, 0.0419), (0.1572, 0.0666, 0.7844))
# By their codes.
NEAR_SRGB = frozenset({1, 5, 6, 7, 22})  # those of television
WIDE_PRIMARIES = {9: BT2020, 11: DISPLAY_P3, 12: DISPLAY_P3}
D50 = (0.9642, 1.0, 0.8249)
PAPER_WHITE = 203 / 10_000  # of the brightest PQ
HLG_PAPER_WHITE = 0.265  # light at 75 % of the signal
HLG_SYSTEM_GAMMA = 1.2
CURVE_POINTS = 4096
# In the header of a profile.
CREATOR, CREATOR_OFFSET = b"cicp", 80
NO_TEXT = b"mluc" + struct.pack(">III", 0, 0, 12)


def linearize_srgb(signal: float) -> float:
    return signal / 12.92 if signal <= 0.04045 else ((signal + 0.055) / 1.055) ** 2.4


def linearize_pq(signal: float) -> float:
    power = signal ** (32 / 2523)
    light = max(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)
    return float(light ** (8192 / 1305)) / PAPER_WHITE


def linearize_hlg(signal: float) -> float:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light = signal**2 / 3 if signal <= 0.5 else (2.718281828459045 ** ((signal - c) / a) + b) / 12
    return float((light / HLG_PAPER_WHITE) ** HLG_SYSTEM_GAMMA)


# By their codes. Those of television are shown like sRGB's, by convention.
LIKE_SRGB = frozenset({1, 6, 7, 11, 12, 13, 14, 15})
LINEARIZERS: dict[int, Callable[[float], float]] = {
    4: lambda signal: signal**2.2,
    5: lambda signal: signal**2.8,
    8: lambda signal: signal,
    16: linearize_pq,
    18: linearize_hlg,
}


def are_known(primaries: int, transfer: int) -> bool:
    """Whether both name colours that ``make_profile`` describes: they may also be unspecified, or of film."""
    return (primaries in NEAR_SRGB or primaries in WIDE_PRIMARIES) and (
        transfer in LIKE_SRGB or transfer in LINEARIZERS
    )


@lru_cache(maxsize=64)
def make_profile(primaries: int, transfer: int) -> bytes:
    """Empty if the colours are sRGB or nearly so."""
    if primaries not in WIDE_PRIMARIES and transfer not in LINEARIZERS:
        return b""
    linearize = LINEARIZERS.get(transfer, linearize_srgb)
    levels = (min(1.0, linearize(point / (CURVE_POINTS - 1))) for point in range(CURVE_POINTS))
    curve = b"curv" + struct.pack(f">II{CURVE_POINTS}H", 0, CURVE_POINTS, *(round(65535 * level) for level in levels))
    contents = [encode_xyz(D50), *map(encode_xyz, WIDE_PRIMARIES.get(primaries, SRGB)), curve, NO_TEXT]
    names = (b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"desc")
    start = 128 + 4 + 12 * (len(names) + 3)
    places = {}
    for name, content in zip(names, contents, strict=True):
        places[name] = (start, len(content))
        start += len(content)
    places |= {b"gTRC": places[b"rTRC"], b"bTRC": places[b"rTRC"], b"cprt": places[b"desc"]}
    table = b"".join(struct.pack(">4sII", name, *place) for name, place in places.items())
    kind = (0x04400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    header = struct.pack(">I4xI4s4s4s12x4s28x12s4s44x", start, *kind, encode_xyz(D50)[8:], CREATOR)
    return header + struct.pack(">I", len(places)) + table + b"".join(contents)


def comes_from_code_points(profile: bytes) -> bool:
    """Such a profile describes greys, too: as equal red, green and blue."""
    return profile[CREATOR_OFFSET : CREATOR_OFFSET + 4] == CREATOR


def encode_xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *(round(65536 * value) for value in values))
