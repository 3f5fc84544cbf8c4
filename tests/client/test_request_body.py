"""Bodies in parts: what is sent piece by piece is what would be sent at once, as often as it is sent."""

from __future__ import annotations

from base64 import b64encode

import pytest

from persqa_client.client.request import PIECE, Body
from persqa_client.types import EncodedImage


def picture(size: int) -> EncodedImage:
    return EncodedImage((bytes(range(251)) * (size // 251 + 1))[:size], "image/jpeg", 1, 1)


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2])
async def test_the_pieces_are_the_whole(size: int) -> None:
    own = picture(size)
    body = Body((b'{"a":"', own, b'","b":"', own, b'"}'))
    text = b64encode(own.data)
    whole = b'{"a":"' + text + b'","b":"' + text + b'"}'
    assert bytes(body) == whole
    assert len(body) == len(whole)
    for _ in range(2):
        assert b"".join([piece async for piece in body]) == whole


def test_no_piece_is_large() -> None:
    assert max(map(len, Body((b"{", picture(10 * PIECE), b"}")).pieces())) <= PIECE * 4 / 3
