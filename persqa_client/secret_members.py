"""Finds members of JSON values that may be secrets, such as ``{"api_key": "…"}`` in ``--extra-body``.

Files get a digest in place of them, by which a change is noticed; messages get a mask.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from persqa_client.keys import MASK, contains_key

# The last word of a member's name. Numbers may be counts of tokens.
SECRET_WORDS = frozenset(
    {"key", "keys", "apikey", "secret", "secrets", "authorization", "auth", "bearer"}
    | {"password", "passwd", "passphrase", "credential", "credentials"}
)
TOKEN_WORD = "token"
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+")
MIN_LENGTH = 8
DIGEST = re.compile(r"digest:[0-9a-f]{16}")
Secret = str | int | float


def hide_secrets(value: Any) -> Any:
    """With digests of secrets, which stay if it is done again."""
    return _replace(value, _digest)


def mask_secrets(value: Any) -> Any:
    """With the mask in place of secrets and of their digests."""
    return _replace(value, lambda secret: MASK)


def list_secrets(value: Any) -> list[str]:
    """Without those that may be ordinary words."""
    found: list[str] = []

    def note(secret: Secret) -> str:
        found.append(str(secret))
        return MASK

    _replace(value, note)
    return [secret for secret in found if len(secret) >= MIN_LENGTH and not secret.isalpha()]


def _digest(secret: Secret) -> str:
    text = str(secret)
    return text if DIGEST.fullmatch(text) else f"digest:{blake2b(text.encode(), digest_size=8).hexdigest()}"


def _replace(value: Any, change: Callable[[Secret], str], name: str = "") -> Any:
    """``name``: of the member that has the value, or of one around it that is a secret."""
    match value:
        case dict():
            return {each: _replace(item, change, name or _secret_name(each)) for each, item in value.items()}
        case list() | tuple():
            return [_replace(item, change, name) for item in value]
        case str():
            is_secret = bool(value) and (bool(name) or contains_key(value) or DIGEST.fullmatch(value) is not None)
            return change(value) if is_secret else value
        case int() | float() if not isinstance(value, bool) and name not in ("", TOKEN_WORD):
            return change(value)
    return value


def _secret_name(name: str) -> str:
    """The word that makes a member a secret; empty if none does."""
    words = WORDS.findall(name)
    last = words[-1].lower() if words else ""
    return last if last in SECRET_WORDS or last == TOKEN_WORD else ""
