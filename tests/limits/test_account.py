"""How processes divide the limits of an account: permits in use never exceed the whole, and no rate is exceeded."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.limits.account import SILENCE, Account, ProcessNeeds, divide_fairly
from tests.support.cases import each_case


@each_case(
    ("wanted", "total", "shares"),
    [
        ({"a": 9, "b": 9}, 8, {"a": 4, "b": 4}),
        ({"a": 1, "b": 9}, 8, {"a": 1, "b": 7}),
        ({"a": 0, "b": 9}, 8, {"a": 0, "b": 8}),
        ({"a": 9, "b": 9, "c": 9}, 8, {"a": 3, "b": 3, "c": 2}),
        ({"a": 1, "b": 1}, 8, {"a": 1, "b": 1}),
        ({}, 8, {}),
    ],
)
def test_permits_go_to_those_that_want_them(wanted: dict[str, int], total: int, shares: dict[str, int]) -> None:
    assert divide_fairly(wanted, total) == shares


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 20)), st.integers(0, 40), st.integers(0, 10**6))
def test_no_permit_is_given_twice_or_kept_from_one_that_wants_it(wanted: dict[str, int], total: int, turn: int) -> None:
    shares = divide_fairly(wanted, total, turn)
    assert all(0 <= shares[name] <= wanted[name] for name in wanted)
    assert sum(shares.values()) == min(total, sum(wanted.values()))
    # Whoever has less than it wants has as much as any other, but for one that can't be divided.
    lacking = [shares[name] for name in wanted if shares[name] < wanted[name]]
    assert not lacking or max(shares.values()) <= min(lacking) + 1


def test_too_few_permits_go_round() -> None:
    wanted = dict.fromkeys("abc", 5)
    had = [name for turn in range(3) for name, share in divide_fairly(wanted, 2, turn).items() if share]
    assert sorted(had) == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize("seed", range(20))
def test_processes_never_hold_more_than_all_permits(seed: int) -> None:
    """They report at random moments, and give back permits late. Once all are hungry, each gets its part."""
    rng, account, now = random.Random(seed), Account(), 0.0
    total, granted = rng.randrange(1, 12), dict.fromkeys("abcd", 0)
    in_use = dict.fromkeys("abcd", 0)
    for step in range(400):
        now += rng.random()
        name = rng.choice("abcd")
        hungry = step > 300 or rng.random() < 0.6
        # Requests end one by one, and begin while there is a permit.
        in_use[name] = max(in_use[name] - rng.randrange(3), granted[name] if hungry else 0)
        wanted = total if hungry else in_use[name] + 1
        needs = ProcessNeeds(max(in_use[name], granted[name]), wanted, now)
        granted[name] = account.share_permits(name, needs, total)
        in_use[name] = max(in_use[name], granted[name]) if hungry else in_use[name]
        assert sum(in_use.values()) <= total
    if total >= 4:
        assert max(granted.values()) - min(granted.values()) <= 1


def test_reservations_follow_one_another() -> None:
    account = Account()
    assert account.reserve("requests", 0.5, 100.0) == pytest.approx(99.95)
    assert account.reserve("requests", 0.5, 100.0) == pytest.approx(100.45)
    assert account.reserve("tokens", 2.0, 100.0, burst=5.0) == pytest.approx(95.0)
    # After a pause nothing is made up for.
    assert account.reserve("requests", 0.5, 200.0) == pytest.approx(199.95)


def test_the_last_process_leaves_nothing_behind() -> None:
    account = Account("3 requests at once", 500.0, {"requests": 900.0}, {"a": ProcessNeeds(), "b": ProcessNeeds()})
    account.remove("a")
    assert account.reserved
    account.remove("b")
    assert account == Account()


def test_a_process_that_reports_no_more_may_be_dead() -> None:
    account = Account(processes={"a": ProcessNeeds(seen=10.0), "b": ProcessNeeds(seen=12.0)})
    assert account.list_silent(12.0) == []
    assert account.list_silent(10.1 + SILENCE) == ["a"]
    assert account.list_silent(1.0) == ["a", "b"], "the clock began again with the machine"


def test_the_file_has_all_that_is_known() -> None:
    account = Account("x", 1.5, {"tokens": 2.5}, {"a": ProcessNeeds(1, 2, 3.5)})
    assert Account.from_json(account.to_json()) == account
