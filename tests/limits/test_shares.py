"""The limits of one of several processes."""

from __future__ import annotations

import pytest

from persqa_client.config import Endpoint, Limits
from persqa_client.errors import SettingsError
from persqa_client.limits.shares import divide_limits
from persqa_client.run.settings import make_run_settings

ENDPOINT = Endpoint(base_url="http://127.0.0.1:1/v1", model="m")


def test_shares_have_the_sum_of_the_whole() -> None:
    limits = Limits(concurrency=50, rps=3, rpm=100, tpm=100_001)
    shares = [divide_limits(limits, number, 16) for number in range(1, 17)]
    assert sum(share.concurrency_cap for share in shares) == 50
    assert sum(share.tpm or 0 for share in shares) == 100_001
    assert {share.concurrency_cap for share in shares} == {3, 4}
    assert {(share.rps, share.rpm) for share in shares} == {(0.1875, 6.25)}
    # Whoever does not know its number takes the first share.
    assert shares[0] == min(shares, key=lambda share: (share.concurrency_cap, share.tpm))
    assert shares[0].timeout == limits.timeout


def test_of_an_automatic_concurrency_the_largest_number_is_divided() -> None:
    share = divide_limits(Limits(), 1, 16)
    assert (share.concurrency, share.max_concurrency, share.rpm, share.tpm) == ("auto", 32, None, None)


def test_a_limit_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^--concurrency 8 leaves nothing for one of 16 processes; raise it"):
        divide_limits(Limits(concurrency=8), 1, 16)


def test_a_run_has_its_share_of_the_given_limits() -> None:
    settings = make_run_settings([ENDPOINT], {"rpm": 100, "concurrency": 16, "limits_share": "2/4"})
    assert (settings.limits.rpm, settings.limits.concurrency, str(settings.limits_share)) == (25, 4, "2/4")
    assert make_run_settings([ENDPOINT], {"rpm": 100}).limits.rpm == 100
    with pytest.raises(SettingsError, match=r"^--limits-share: parts are numbered from 1 to 4, and this one has the"):
        make_run_settings([ENDPOINT], {"limits_share": "5/4"})
