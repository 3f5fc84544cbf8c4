"""Which endpoint has had a picture: remembered for the latest of them. Pure."""

from __future__ import annotations

REMEMBERED = 4096
"""Pictures; all questions about one come within fewer."""


class Homes:
    """A bounded map from a picture's key to the number of an endpoint; what was not asked for longest goes first."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._homes: dict[int, int] = {}

    def of(self, key: int | None) -> int | None:
        return None if key is None else self._homes.get(key)

    def settle(self, key: int | None, number: int) -> None:
        if key is None:
            return
        self._homes.pop(key, None)
        self._homes[key] = number
        if len(self._homes) > self._most:
            del self._homes[next(iter(self._homes))]

    def forget(self, number: int) -> None:
        """The endpoint is no longer anybody's."""
        self._homes = {key: home for key, home in self._homes.items() if home != number}
