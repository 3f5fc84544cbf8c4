"""Bodies in pieces: the same bytes as a whole, as often as they are sent."""

from __future__ import annotations

from base64 import b64encode

import pytest

from persqa_client.client.request import PIECE_SIZE, Body
from persqa_client.types import EncodedImage


def picture(size: int) -> EncodedImage:
    return EncodedImage((bytes(range(251)) * (size // 251 + 1))[:size], "image/jpeg", 1, 1)


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE + 2])
async def test_the_pieces_make_the_whole(size: int) -> None:
    own = picture(size)
    body = Body((b'{"a":"', own, b'","b":"', own, b'"}'))
    text = b64encode(own.data)
    whole = b'{"a":"' + text + b'","b":"' + text + b'"}'
    assert bytes(body) == whole
    assert len(body) == len(whole)
    for _ in range(2):
        assert b"".join([piece async for piece in body]) == whole


async def test_pieces_are_small() -> None:
    body = Body((b"{", picture(10 * PIECE_SIZE), b"}"))
    assert max([len(piece) async for piece in body]) <= PIECE_SIZE * 4 / 3
