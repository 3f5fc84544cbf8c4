"""Rate limit headers, and the estimate of a request's tokens."""

from __future__ import annotations

import pytest

from persqa_client.images.tokens import estimate_image_tokens
from persqa_client.limits.rate_limit import estimate_tokens, parse_reset, seconds_until_available
from persqa_client.types import EncodedImage, Request, Turn
from tests.support.cases import each_case

NOW = 1_795_564_800.0  # 2026-11-25T00:00:00Z


@each_case(
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
def test_resets_are_parsed(text: str, seconds: float) -> None:
    assert parse_reset(text, NOW) == pytest.approx(seconds)


@each_case("text", [None, "", "soon", "1x", "2026-11-25T00:00:30", "-5", "nan"])
def test_other_values_are_no_reset(text: str | None) -> None:
    assert parse_reset(text, NOW) is None


def remaining_headers(kind: str, remaining: str, reset: str, limit: str | None = None) -> dict[str, str]:
    headers = {f"x-ratelimit-remaining-{kind}": remaining, f"x-ratelimit-reset-{kind}": reset}
    return headers if limit is None else {**headers, f"x-ratelimit-limit-{kind}": limit}


@each_case(
    ("headers", "seconds"),
    [
        pytest.param({}, 0.0, id="no headers"),
        pytest.param(remaining_headers("requests", "12", "30s"), 0.0, id="requests left"),
        pytest.param(remaining_headers("requests", "0", "30s"), 30.0, id="no request left"),
        pytest.param(remaining_headers("tokens", "900", "30s"), 0.0, id="enough tokens left"),
        pytest.param(remaining_headers("tokens", "0", "30s"), 30.0, id="no token left"),
        pytest.param(remaining_headers("tokens", "300", "30s"), 30.0, id="too few tokens left"),
        pytest.param(remaining_headers("tokens", "300", "50s", "10300"), 2.5, id="too few, which come back gradually"),
        pytest.param(
            remaining_headers("requests", "0", "1s") | remaining_headers("tokens", "0", "1m"),
            60.0,
            id="the longer of both",
        ),
        pytest.param(remaining_headers("requests", "0", "soon"), 0.0, id="an unreadable reset"),
        pytest.param(remaining_headers("requests", "none", "30s"), 0.0, id="no number"),
        pytest.param({"x-ratelimit-remaining-requests": "0"}, 0.0, id="no reset"),
        pytest.param(remaining_headers("requests", "0", "60s", "0"), 0.0, id="0 where there is no limit"),
        pytest.param(remaining_headers("tokens", "-1", "60s", "-1"), 0.0, id="-1 where there is no limit"),
        pytest.param(remaining_headers("requests", "0", "60s", "-1"), 0.0, id="a limit of -1 alone"),
        pytest.param(remaining_headers("tokens", "0", "60s", "unlimited"), 0.0, id="a limit in words"),
    ],
)
def test_requests_wait_until_there_is_capacity_for_one(headers: dict[str, str], seconds: float) -> None:
    assert seconds_until_available(headers, NOW, tokens=800) == pytest.approx(seconds)


def test_the_estimate_counts_text_images_and_the_longest_answer() -> None:
    picture = EncodedImage(b"", "image/jpeg", 280, 280)
    request = Request("x" * 30, (picture, picture), "y" * 60, seed=0, turns=(Turn("assistant", "z" * 9),))
    assert estimate_tokens(request, 512, lambda _: 100) == 33 + 200 + 512
    assert estimate_tokens(request, 512) == 33 + 2 * estimate_image_tokens(picture) + 512


def test_a_requests_own_max_tokens_come_first() -> None:
    assert estimate_tokens(Request("", (), "", seed=0, max_tokens=16), 512) == 16
