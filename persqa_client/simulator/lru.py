"""A bounded memory: a mapping that forgets what was not used for long. Pure but for its own content."""

from __future__ import annotations

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """Holds at most ``size`` entries and at least the ``size // 2`` that were used last.

    Two generations instead of a chain of uses: the young one becomes the old one when it is half of the size, and what
    is then still in the old one goes. So an entry costs its place in a dict and no more.
    """

    def __init__(self, size: int) -> None:
        self.half = max(1, size // 2)
        self.young: dict[Key, Value] = {}
        self.old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """The value, which counts as a use, or None."""
        value = self.young.get(key)
        if value is None:
            value = self.old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Remember the value; None can't be told from an entry that is not there."""
        if key not in self.young and len(self.young) >= self.half:
            self.old, self.young = self.young, {}
        self.young[key] = value

    def __len__(self) -> int:
        return len(self.young.keys() | self.old.keys())
