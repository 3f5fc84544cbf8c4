"""Bodies in parts: what is sent piece by piece is what would be sent at once, as often as it is sent."""

from __future__ import annotations

import weakref
from base64 import b64encode

import pytest

from persqa_client.chat.bodies import PIECE, Body, Upload
from persqa_client.types import Picture


def picture(size: int) -> Picture:
    return Picture((bytes(range(251)) * (size // 251 + 1))[:size], "image/jpeg", 1, 1)


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2])
async def test_the_pieces_are_the_whole(size: int) -> None:
    own = picture(size)
    body = Body((b'{"a":"', own, b'","b":"', own, b'"}'))
    text = b64encode(own.data)
    whole = b'{"a":"' + text + b'","b":"' + text + b'"}'
    assert bytes(body) == whole
    assert len(body) == len(whole)
    for _ in range(2):
        with Upload(body) as upload:
            assert len(upload) == len(whole)
            assert b"".join([piece async for piece in upload]) == whole


def test_what_was_sent_holds_no_picture() -> None:
    own = picture(100)
    kept = weakref.ref(own)
    with Upload(Body((b"{", own, b"}"))) as upload:
        del own
        assert kept() is not None
    assert len(upload) == 2 + 136
    assert kept() is None


def test_no_piece_is_large() -> None:
    assert max(map(len, Body((b"{", picture(10 * PIECE), b"}")).pieces())) <= PIECE * 4 / 3
