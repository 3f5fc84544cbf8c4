"""The limit of open files, and the concurrency for which files are left."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from persqa_client.config import Limits
from persqa_client.errors import SettingsError
from persqa_client.limits.open_files import RESERVED_FILES, SPARE_CONNECTIONS, lower_concurrency


@pytest.mark.parametrize(
    ("given", "allowed", "endpoints", "concurrency", "highest"),
    [
        pytest.param(Limits(), 100_000, 1, "auto", 512, id="enough"),
        pytest.param(Limits(), 256, 1, "auto", 256 - 100 - SPARE_CONNECTIONS, id="auto has a lower bound"),
        pytest.param(Limits(concurrency=64), 256, 1, 64, 512, id="enough for a low number"),
        pytest.param(Limits(concurrency=300), 256, 1, 148, 512, id="a number is lowered"),
        pytest.param(Limits(concurrency=64), 256, 3, 44, 512, id="three endpoints share"),
        pytest.param(Limits(), 109, 1, "auto", 1, id="for one request"),
    ],
)
def test_the_concurrency_fits_the_files_that_are_left(
    given: Limits, allowed: int, endpoints: int, concurrency: int | str, highest: int
) -> None:
    limits = lower_concurrency(given, allowed, 100, endpoints)
    assert (limits.concurrency, limits.max_concurrency) == (concurrency, highest)


@pytest.mark.parametrize(("allowed", "endpoints", "needed"), [(108, 1, 109), (20, 1, 109), (117, 2, 118)])
def test_no_files_for_a_connection_is_one_sentence(allowed: int, endpoints: int, needed: int) -> None:
    with pytest.raises(SettingsError, match=rf"may open {allowed} files .* to {needed} or more\.$"):
        lower_concurrency(Limits(), allowed, 100, endpoints)


SCRIPT = """
import resource, sys
from persqa_client.config import Limits
from persqa_client.limits.open_files import count_open_files, fit_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, tuple(map(int, sys.argv[1:])))
others = count_open_files()
limits = fit_open_files(Limits(concurrency=200), 1)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], others, limits.concurrency)
"""


@pytest.mark.parametrize(("soft", "hard"), [(64, 1024), (512, 512), (64, 200)])
def test_the_soft_limit_is_raised_as_far_as_needed(soft: int, hard: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("the hard limit of this machine is lower")
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(soft), str(hard)], capture_output=True, text=True, check=True
    )
    allowed, others, concurrency = map(int, result.stdout.split())
    taken = others + RESERVED_FILES + SPARE_CONNECTIONS
    assert allowed == max(soft, min(hard, taken + 200))
    assert concurrency == min(200, allowed - taken)
