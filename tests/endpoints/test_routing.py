"""Which endpoint a request goes to, by the load and health of each."""

from __future__ import annotations

from collections import Counter

import pytest

from persqa_client.endpoints.routing import EndpointLoad as Load
from persqa_client.endpoints.routing import choose_endpoint, image_key, rank_endpoints
from persqa_client.types import EncodedImage
from tests.support.cases import each_case

BUSY, IDLE = Load(8, 8), Load(0, 8)
URLS = ["http://a/v1", "http://b/v1", "http://c/v1"]


def image(data: bytes) -> EncodedImage:
    return EncodedImage(data, "image/jpeg", 1, 1)


@each_case(
    ("loads", "order", "chosen"),
    [
        pytest.param([BUSY, IDLE], [0, 1], 1, id="fewest outstanding requests"),
        pytest.param([Load(12, 64), Load(4, 8)], [1, 0], 0, id="relative to the permits"),
        pytest.param([Load(3, 16), Load(2, 16)], [0, 1], 0, id="about equal: first preference"),
        pytest.param([BUSY, Load(7, 8)], [0, 1], 1, id="about equal: not one that is full"),
        pytest.param([Load(8, 8, "unavailable"), Load(80, 8)], [0, 1], 1, id="not an unavailable one"),
        pytest.param([Load(0, 8, "paused"), Load(80, 8)], [0, 1], 1, id="not a paused one"),
        pytest.param([Load(0, 8, "paused"), Load(0, 8, "unavailable")], [0, 1], 0, id="a paused one if none other"),
        pytest.param([Load(1, 8, "doubtful"), Load(6, 8)], [0, 1], 1, id="a doubtful one has its request"),
        pytest.param([Load(0, 8, "doubtful"), Load(6, 8)], [1, 0], 0, id="a doubtful one gets one request"),
        pytest.param([Load(0, 8, "unavailable"), Load(0, 8, "unavailable")], [0, 1], None, id="all unavailable"),
    ],
)
def test_the_least_loaded_endpoint_is_chosen(loads: list[Load], order: list[int], chosen: int | None) -> None:
    assert choose_endpoint(loads, order) == chosen


@each_case(
    ("known", "other", "chosen"),
    [
        pytest.param(Load(4, 8), Load(0, 8), 0, id="somewhat busier"),
        pytest.param(Load(5, 8), Load(0, 8), 1, id="much busier, and a free permit elsewhere"),
        pytest.param(Load(7, 8), Load(6, 8), 0, id="free permits at both"),
        pytest.param(BUSY, Load(7, 8), 1, id="full, and a free permit elsewhere"),
        pytest.param(Load(400, 336), Load(3, 4), 1, id="full, and the last free permit of a low limit elsewhere"),
        pytest.param(Load(15, 8), Load(8, 8), 0, id="busier, and no free permit anywhere"),
        pytest.param(Load(17, 8), Load(8, 8), 1, id="much busier, and no free permit anywhere"),
        pytest.param(Load(0, 8, "unavailable"), Load(80, 8), 1, id="unavailable"),
        pytest.param(Load(4, 8, "doubtful"), Load(1, 8), 1, id="doubtful"),
    ],
)
def test_an_endpoint_that_knows_the_image_is_preferred_up_to_a_bound(known: Load, other: Load, chosen: int) -> None:
    assert choose_endpoint([known, other], [1, 0], known_at=0) == chosen


def test_the_endpoint_where_a_request_failed_is_avoided() -> None:
    assert choose_endpoint([IDLE, BUSY], [0, 1], known_at=0, avoid=0) == 1
    assert choose_endpoint([IDLE, Load(0, 8, "unavailable")], [0, 1], avoid=0) == 0


def test_the_order_of_two_endpoints_does_not_depend_on_a_third() -> None:
    for key in range(50):
        three = [URLS[index] for index in rank_endpoints(key, URLS)]
        two = [URLS[index] for index in rank_endpoints(key, URLS[:2])]
        assert [url for url in three if url != URLS[2]] == two


def test_every_order_is_equally_frequent() -> None:
    orders = Counter(tuple(rank_endpoints(key, URLS)) for key in range(3000))
    assert len(orders) == 6
    assert min(orders.values()) > 400


def test_the_key_depends_on_all_images_and_nothing_else() -> None:
    one, two = image(b"one"), image(b"two")
    assert len({image_key(images) for images in ([one], [two], [one, two], [two, one])}) == 4
    assert image_key([image(b"one")]) == image_key([one])
    assert image_key([]) is None
    assert rank_endpoints(None, ["a", "b"]) == [0, 1]
