"""Tables of cases that one test walks: a test of its own for each case would take longer than what is tested."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

Test = Callable[..., None]
Param = type(pytest.param())


def each_case(
    names: str | Sequence[str], cases: Iterable[Any], ids: Callable[[Any], object] | Iterable[str] | None = None
) -> Callable[[Test], Test]:
    """As ``pytest.mark.parametrize``, but one test walks all cases, and names all that fail.

    For tests that change nothing, because the cases share the fixtures.
    """
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    rows = [read_case(case, arguments, ids if callable(ids) else None) for case in cases]
    if ids is not None and not callable(ids):
        rows = [(label, values) for label, (_, values) in zip(ids, rows, strict=True)]
    if not rows:
        raise ValueError("there are no cases")

    def decorate(test: Test) -> Test:
        # Of a test with several tables, all combinations are walked.
        test, others = getattr(test, "walked", (test, [("", {})]))
        combined = [
            (f"{label}, {other}" if other else label, {**values, **more})
            for other, more in others
            for label, values in rows
        ]

        @functools.wraps(test)
        def walk(**fixtures: Any) -> None:
            failures: list[tuple[str, BaseException]] = []
            for label, values in combined:
                try:
                    returned: object = test(**fixtures, **values)
                    assert returned is None, "a test returns nothing; a coroutine would not be awaited"
                # A skip of one case would hide the failures of others.
                except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
                    failures.append((label, error))
            if failures:
                raise AssertionError(describe(failures, len(combined))) from failures[0][1]

        if inspect.iscoroutinefunction(test):
            raise TypeError("a coroutine would not be awaited")
        signature = inspect.signature(test)
        fixtures = [each for name, each in signature.parameters.items() if name not in combined[0][1]]
        walker: Any = walk
        walker.__signature__ = signature.replace(parameters=fixtures)  # read by pytest
        walker.walked = test, combined
        return walk

    return decorate


def read_case(
    case: Any, arguments: Sequence[str], label_of: Callable[[Any], object] | None
) -> tuple[str, dict[str, Any]]:
    """The label of a case, and its values by argument."""
    if isinstance(case, Param):
        if case.marks:
            raise ValueError(f"marks of a case have no effect: {case}")
        values = tuple(case.values)
        label = str(case.id) if case.id else None
    else:
        values = (case,) if len(arguments) == 1 else tuple(case)
        label = None
    if label is None:
        label = ", ".join(str(label_of(value)) if label_of else shorten(value) for value in values)
    return label, dict(zip(arguments, values, strict=True))


def shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}…{text[-19:]}"


def describe(failures: Sequence[tuple[str, BaseException]], total: int) -> str:
    """All cases that fail, with the first lines of their errors. pytest shows the first error whole."""
    lines = [f"{len(failures)} of {total} cases fail:"]
    for label, error in failures:
        first_line = str(error).strip().partition("\n")[0]
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        lines.append(f"- {label}: {kind}{first_line}")
    return "\n".join(lines)
