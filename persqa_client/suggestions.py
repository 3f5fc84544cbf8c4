"""Suggests the name that was probably meant, for messages about an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# Names of two or three letters differ in most of their letters; these are close enough, too.
CUTOFF = 0.6


def find_similar_name(text: str, names: Iterable[str]) -> str | None:
    """Regardless of case, hyphens and underscores. A name that the text begins with, or the reverse, is similar."""
    by_form = {fold_name(name): name for name in names}
    form = fold_name(text)
    if not form:
        return None
    if close := get_close_matches(form, by_form, n=1, cutoff=CUTOFF):
        return by_form[close[0]]
    beginning = [name for other, name in by_form.items() if other.startswith(form) or form.startswith(other)]
    return beginning[0] if len(beginning) == 1 else None


def fold_name(text: str) -> str:
    return text.strip().casefold().replace("_", "-")
