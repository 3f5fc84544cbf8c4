"""What an account has left, by the headers of answers, and what a request takes of it."""

from __future__ import annotations

import pytest

from persqa_client.images.tokens import estimate_image_tokens
from persqa_client.limits.rate_limit import read_reset, seconds_to_hold, weight_of
from persqa_client.types import EncodedImage, Request, Turn

NOW = 1_795_564_800.0
"""2026-11-25T00:00:00Z."""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6ms", 0.006),
        ("1s", 1.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1m30s", 90.0),
        ("6m0s", 360.0),
        ("7m12.5s", 432.5),
        ("1h2m3s", 3723.0),
        ("1d1h", 90000.0),
        ("1s250ms", 1.25),
        ("20", 20.0),
        ("0.5", 0.5),
        ("1795564812", 12.0),
        ("2026-11-25T00:00:30Z", 30.0),
        ("2026-11-25T01:00:30+01:00", 30.0),
        ("2026-11-24T23:00:00Z", 0.0),
        ("0s", 0.0),
    ],
)
def test_a_reset_is_read(text: str, seconds: float) -> None:
    assert read_reset(text, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [None, "", "soon", "1x", "2026-11-25T00:00:30", "-5", "nan"])
def test_what_is_no_reset_is_none(text: str | None) -> None:
    assert read_reset(text, NOW) is None


def left(kind: str, remaining: str, reset: str, limit: str | None = None) -> dict[str, str]:
    headers = {f"x-ratelimit-remaining-{kind}": remaining, f"x-ratelimit-reset-{kind}": reset}
    return headers if limit is None else {**headers, f"x-ratelimit-limit-{kind}": limit}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, 0.0, id="nothing told"),
        pytest.param(left("requests", "12", "30s"), 0.0, id="requests left"),
        pytest.param(left("requests", "0", "30s"), 30.0, id="no request left"),
        pytest.param(left("tokens", "900", "30s"), 0.0, id="enough tokens left"),
        pytest.param(left("tokens", "0", "30s"), 30.0, id="no token left"),
        pytest.param(left("tokens", "300", "30s"), 30.0, id="too few tokens left"),
        pytest.param(left("tokens", "300", "50s", "10300"), 2.5, id="too few, and they come back bit by bit"),
        pytest.param(left("requests", "0", "1s") | left("tokens", "0", "1m"), 60.0, id="the longer of both"),
        pytest.param(left("requests", "0", "soon"), 0.0, id="no reset that can be read"),
        pytest.param(left("requests", "none", "30s"), 0.0, id="no number"),
        pytest.param({"x-ratelimit-remaining-requests": "0"}, 0.0, id="no reset"),
    ],
)
def test_sending_is_held_until_there_is_room_for_one_more(headers: dict[str, str], seconds: float) -> None:
    assert seconds_to_hold(headers, NOW, tokens=800) == pytest.approx(seconds)


def test_a_request_weighs_its_text_its_pictures_and_its_longest_answer() -> None:
    picture = EncodedImage(b"", "image/jpeg", 280, 280)
    request = Request("x" * 30, (picture, picture), "y" * 60, seed=0, turns=(Turn("assistant", "z" * 9),))
    assert weight_of(request, 512, lambda _: 100) == 33 + 200 + 512
    assert weight_of(request, 512) == 33 + 2 * estimate_image_tokens(picture) + 512


def test_its_own_room_for_the_answer_goes_first() -> None:
    assert weight_of(Request("", (), "", seed=0, max_tokens=16), 512) == 16
