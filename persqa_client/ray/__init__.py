"""Runs and data sets whose rows are answered on the nodes of a Ray cluster.

``persqa_client.ray.answer(dataset, endpoint)`` answers the rows of a ``ray.data.Dataset``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["answer"]


def __getattr__(name: str) -> Any:
    """Imported when it is needed, since it needs numpy."""
    if name in __all__:
        from persqa_client.ray import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
