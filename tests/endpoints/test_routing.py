"""Which endpoint a request goes to, as a function of how they stand."""

from __future__ import annotations

from collections import Counter

import pytest

from persqa_client.endpoints.routing import Homes, Load, choose, picture_key, preference
from persqa_client.types import EncodedImage


def picture(data: bytes) -> EncodedImage:
    return EncodedImage(data, "image/jpeg", 1, 1)


BUSY, IDLE = Load(8, 8), Load(0, 8)


@pytest.mark.parametrize(
    ("loads", "order", "chosen"),
    [
        pytest.param([BUSY, IDLE], [0, 1], 1, id="least outstanding"),
        pytest.param([Load(12, 64), Load(4, 8)], [1, 0], 0, id="relative to what each may have"),
        pytest.param([Load(3, 16), Load(2, 16)], [0, 1], 0, id="about alike: where the picture always goes"),
        pytest.param([Load(8, 8, "away"), Load(80, 8)], [0, 1], 1, id="not one that is away"),
        pytest.param([Load(0, 8, "held"), Load(80, 8)], [0, 1], 1, id="not one that asked for a pause"),
        pytest.param([Load(0, 8, "held"), Load(0, 8, "away")], [0, 1], 0, id="rather a pause than none"),
        pytest.param([Load(1, 8, "doubtful"), Load(6, 8)], [0, 1], 1, id="a doubtful one gets one at a time"),
        pytest.param([Load(0, 8, "doubtful"), Load(6, 8)], [1, 0], 0, id="but that one"),
        pytest.param([Load(0, 8, "away"), Load(0, 8, "away")], [0, 1], None, id="all away"),
    ],
)
def test_a_request_goes_where_least_is_outstanding(loads: list[Load], order: list[int], chosen: int | None) -> None:
    assert choose(loads, order) == chosen


@pytest.mark.parametrize(
    ("home", "other", "chosen"),
    [
        pytest.param(Load(4, 8), Load(0, 8), 0, id="somewhat busier"),
        pytest.param(Load(5, 8), Load(0, 8), 1, id="much busier, and a slot free elsewhere"),
        pytest.param(Load(15, 8), Load(8, 8), 0, id="busier, and no slot free anywhere"),
        pytest.param(Load(17, 8), Load(8, 8), 1, id="much busier, and no slot free anywhere"),
        pytest.param(Load(0, 8, "away"), Load(80, 8), 1, id="away"),
        pytest.param(Load(4, 8, "doubtful"), Load(1, 8), 1, id="doubtful"),
    ],
)
def test_a_picture_stays_where_it_was_unless_that_one_is_busier_or_away(home: Load, other: Load, chosen: int) -> None:
    assert choose([home, other], [1, 0], home=0) == chosen


def test_what_failed_at_one_goes_to_another_where_there_is_another() -> None:
    assert choose([IDLE, BUSY], [0, 1], home=0, avoid=0) == 1
    assert choose([IDLE, Load(0, 8, "away")], [0, 1], avoid=0) == 0


def test_a_picture_prefers_the_same_order_whichever_others_there_are() -> None:
    names = ["http://a/v1", "http://b/v1", "http://c/v1"]
    for key in range(50):
        three = [names[number] for number in preference(key, names)]
        two = [names[number] for number in preference(key, names[:2])]
        assert [name for name in three if name != "http://c/v1"] == two


def test_every_order_is_preferred_by_as_many_pictures() -> None:
    names = ["http://a/v1", "http://b/v1", "http://c/v1"]
    orders = Counter(tuple(preference(key, names)) for key in range(3000))
    assert len(orders) == 6
    assert min(orders.values()) > 400


def test_a_key_is_of_all_pictures_and_of_nothing_else() -> None:
    one, two = picture(b"one"), picture(b"two")
    keys = {picture_key(pictures) for pictures in ([one], [two], [one, two], [two, one])}
    assert len(keys) == 4
    assert picture_key([picture(b"one")]) == picture_key([one])
    assert picture_key([]) is None
    assert preference(None, ["a", "b"]) == [0, 1]


def test_the_latest_homes_are_remembered() -> None:
    homes = Homes(most=2)
    for key, number in ((1, 0), (2, 1), (1, 0), (3, 1)):
        homes.settle(key, number)
    assert [homes.of(key) for key in (1, 2, 3)] == [0, None, 1]
    homes.forget(0)
    assert [homes.of(key) for key in (1, 3)] == [None, 1]
    homes.settle(None, 0)
    assert homes.of(None) is None
