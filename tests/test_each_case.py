"""One test walks a table of cases, and misses none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cases import each_case


def test_all_cases_that_fail_are_named() -> None:
    @each_case("number", [1, 2, pytest.param(3, id="three"), 4])
    def is_even(number: int) -> None:
        with pytest.raises(ZeroDivisionError):
            _ = 1 // (number % 2)

    with pytest.raises(AssertionError) as caught:
        is_even()
    [count, *failures] = str(caught.value).splitlines()
    assert count == "2 of 4 cases fail:"
    assert [failure.partition(":")[0] for failure in failures] == ["- 1", "- three"]


def test_two_tables_are_combined(tmp_path: object) -> None:
    seen = []

    @each_case("word", "ab")
    @each_case(("number", "double"), [(1, 2), (2, 4)])
    def see(tmp_path: object, word: str, number: int, double: int) -> None:
        seen.append((tmp_path, word, number, double))

    see(tmp_path=tmp_path)
    assert sorted(seen) == [(tmp_path, word, number, 2 * number) for word in "ab" for number in (1, 2)]


def test_a_coroutine_is_refused() -> None:
    async def test(number: int) -> None: ...

    coroutine_function: Any = test
    with pytest.raises(TypeError, match="would not be awaited"):
        each_case("number", [1])(coroutine_function)


def test_a_skipped_case_hides_no_failure() -> None:
    @each_case("number", [1, 2])
    def test(number: int) -> None:
        if number == 2:
            pytest.skip("not here")
        raise ValueError(number)

    with pytest.raises(AssertionError, match="2 of 2 cases fail"):
        test()


def test_marks_of_a_case_are_refused() -> None:
    with pytest.raises(ValueError, match="no effect"):
        each_case("number", [pytest.param(1, marks=pytest.mark.xfail)])(lambda number: None)
