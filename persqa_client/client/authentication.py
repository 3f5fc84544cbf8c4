"""Messages about refused credentials, by the source of the credentials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Authentication(NamedTuple):
    """``settings``: where the credentials are given, as flags. ``reason`` and ``advice`` are for a 401."""

    settings: str
    reason: str
    advice: str


NO_KEY = Authentication(
    "--api-key-env",
    "the server requires a key and none was sent",
    "name the variable that holds the key with --api-key-env",
)
KEY = Authentication(
    "--api-key-env",
    "the key is wrong or expired",
    "name the variable that holds the right key with --api-key-env",
)
KEY_COMMAND = Authentication(
    "--api-key-command",
    "the key that --api-key-command printed is wrong or expired",
    "run the command by hand to check it",
)


def find_authentication(*, has_key: bool, has_command: bool, headers: Iterable[str]) -> Authentication:
    """Any header may hold the credentials of an endpoint without a key."""
    if has_command:
        return KEY_COMMAND
    if has_key:
        return KEY
    names = list(headers)
    if not names:
        return NO_KEY
    settings = f"--header {' or '.join(names)}"
    advice = "check the value of its variable"
    if "authorization" not in {name.lower() for name in names}:
        advice += ", or name the variable that holds a key with --api-key-env"
    return Authentication(settings, f"the value of {settings} is wrong or expired", advice)
