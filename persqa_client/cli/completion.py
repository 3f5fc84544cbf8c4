"""Completions that a shell offers for values of flags that are neither one of a few choices nor a file."""

from __future__ import annotations

from typing import get_args

from persqa_client.types import SteeringText


def complete_category(incomplete: str) -> list[str]:
    """Categories; a shell offers files if none matches."""
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.questions.categories import CATEGORIES

    return [category for category in CATEGORIES if category.startswith(incomplete)]


def complete_need(incomplete: str) -> list[tuple[str, str]]:
    from persqa_client.questions.categories import NEEDS

    return [(need, shows) for need, shows in NEEDS.items() if need.startswith(incomplete)]


def complete_text(incomplete: str) -> list[str]:
    """The texts that a row's field may replace."""
    return [name for name in get_args(SteeringText) if name.startswith(incomplete)]
