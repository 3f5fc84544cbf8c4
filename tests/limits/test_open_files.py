"""The limit of open files, and the concurrency for which files are left."""

from __future__ import annotations

import resource

import pytest

from persqa_client.config import Limits
from persqa_client.errors import SettingsError
from persqa_client.limits.admission import Admission
from persqa_client.limits.controllers import FixedLimit, Permit
from persqa_client.limits.open_files import RESERVED_FILES, SPARE_CONNECTIONS, lower_concurrency
from tests.support.cases import each_case
from tests.support.commands import python


@each_case(
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
limits = fit_open_files(Limits(concurrency=200), 1, downloads=DOWNLOADS)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], others, limits.concurrency)
"""


@pytest.mark.parametrize(
    ("soft", "hard", "downloads"), [(64, 1024, 0), (512, 512, 0), (64, 200, 0), (64, 1024, 128), (64, 300, 128)]
)
def test_the_soft_limit_is_raised_as_far_as_needed(soft: int, hard: int, downloads: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("the hard limit of this machine is lower")
    result = python(SCRIPT.replace("DOWNLOADS", str(downloads)), str(soft), str(hard))
    allowed, others, concurrency = map(int, result.stdout.split())
    others += RESERVED_FILES
    assert allowed == max(soft, min(hard, others + 2 * downloads + SPARE_CONNECTIONS + 200))
    # A connection and a file for each download, but not more than half of all.
    others += min(2 * downloads, (allowed - others) // 2)
    assert concurrency == min(200, allowed - others - SPARE_CONNECTIONS)


def send(admission: Admission, count: int) -> list[Permit]:
    return [admission.start(admission.take(0.0), 0.0) for _ in range(count)]


def fail(admission: Admission, permits: list[Permit], now: float = 1.0) -> float:
    seconds = 0.0
    for permit in permits:
        seconds = admission.record_shortage(permit, "No more files.", now)
        admission.release(permit)
    return seconds


def answer(admission: Admission, permits: list[Permit]) -> None:
    for permit in permits:
        admission.release(permit)
        admission.record_answer(permit, 10, 1.0)


def test_a_shortage_leaves_the_requests_that_have_a_connection() -> None:
    admission = Admission(FixedLimit(16))
    permits = send(admission, 16)
    fail(admission, permits[10:])
    assert admission.permits == 10


def test_a_shortage_lowers_the_limit_once_however_long_it_lasts() -> None:
    admission = Admission(FixedLimit(16))
    permits = send(admission, 16)
    fail(admission, permits[12:], now=1.0)
    answer(admission, permits[:4])
    assert fail(admission, send(admission, 4), now=9.0) == 8.0
    assert admission.permits == 12


def test_answers_after_a_shortage_raise_the_limit_again() -> None:
    admission, limits = Admission(FixedLimit(16)), list[int]()
    permits = send(admission, 16)
    fail(admission, permits[4:])
    answer(admission, permits[:4])
    assert (admission.permits, admission.shortage.message) == (4, "No more files.")
    for _ in range(5):
        answer(admission, send(admission, admission.permits))
        limits.append(admission.permits)
    assert limits == [5, 7, 11, 16, 16]
    assert admission.shortage.message is None


def test_a_shortage_that_returns_lowers_the_limit_again() -> None:
    admission = Admission(FixedLimit(16))
    permits = send(admission, 16)
    fail(admission, permits[4:])
    answer(admission, permits[:4])
    answer(admission, send(admission, 4))
    permits = send(admission, 5)
    fail(admission, permits[4:])
    assert admission.permits == 4
