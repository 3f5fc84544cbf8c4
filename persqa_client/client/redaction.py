"""Removes an endpoint's secrets from messages, in all spellings that servers use."""

from __future__ import annotations

import binascii
import re
from collections import deque
from collections.abc import Iterable, Mapping
from html.entities import codepoint2name

import httpx2
import pybase64

from persqa_client.keys import MASK

# Shorter values are words or numbers rather than secrets. Shorter keys are removed as whole words.
MIN_SECRET_LENGTH = 8
# Number of former keys that are kept: the server may still repeat them.
MAX_FORMER_KEYS = 16

# ``Bearer X``: X alone is a secret, too.
SCHEME = re.compile(r"[A-Za-z][\w-]*\s+(\S+)")
# ``session=X; theme=dark``, ``Credential="X"``
PART = re.compile(r"(?:[\w-]+=(?!=|$))?\"?([^\s;,\"]+)")
# The letters of an escape, as in ``\nabc``, are not part of the word after it.
WORD_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=\\u[0-9A-Fa-f]{4}))"
WORD_END = r"(?![A-Za-z0-9])"


class Redactor:
    """Removes the key of an endpoint, its former keys, and other secrets that are sent to it."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._others = [secret for secret in secrets if secret]
        self._keys = deque[str](maxlen=MAX_FORMER_KEYS + 1)
        self._compile()

    def add_key(self, key: str) -> None:
        if key and key not in self._keys:
            self._keys.append(key)
            self._compile()

    def _compile(self) -> None:
        # If two secrets begin alike, the longer one has to match first.
        secrets = sorted({*self._keys, *self._others}, key=len, reverse=True)
        long = [spell(secret) for secret in secrets if len(secret) >= MIN_SECRET_LENGTH]
        short = [re.escape(secret) for secret in secrets if len(secret) < MIN_SECRET_LENGTH]
        self._long = re.compile("|".join(long), re.IGNORECASE) if long else None
        self._short = re.compile(f"{WORD_START}(?:{'|'.join(short)}){WORD_END}") if short else None

    def clean(self, text: str) -> str:
        """The text of a server, without secrets."""
        text = self.clean_message(text)
        return text if self._short is None else self._short.sub(MASK, text)

    def clean_message(self, message: str) -> str:
        """Cleans a message of this program, in which a short key may also be an ordinary word."""
        return message if self._long is None else self._long.sub(MASK, message)


def spell(secret: str) -> str:
    """A pattern for a secret, plain or escaped for JSON, a URL or HTML, once or several times."""
    return "".join(char if char.isalnum() else spell_sign(char) for char in secret)


def spell_sign(char: str) -> str:
    code = ord(char)
    spellings = [rf"\\*{re.escape(char)}", rf"\\+(?:u00|x){code:02x}", rf"%(?:25)*{code:02x}"]
    entities = [f"#0*{code}", f"#x0*{code:x}", codepoint2name.get(code, "apos" if char == "'" else "")]
    spellings.append(f"&(?:amp;)*(?:{'|'.join(filter(None, entities))});")
    if char == " ":
        spellings += [r"\s+", r"\+"]
    return f"(?:{'|'.join(spellings)})"


def list_header_secrets(headers: Mapping[str, str]) -> list[str]:
    """The values of headers, and the parts of them that are secrets themselves."""
    secrets: list[str] = []
    for name, value in headers.items():
        scheme = SCHEME.fullmatch(value)
        token = scheme[1] if scheme else value
        parts = [part for part in PART.findall(value) if not part.isalpha()]
        secrets += [one for one in (value, token, *parts) if len(one) >= MIN_SECRET_LENGTH]
        if name.lower() == "authorization":
            secrets += [token, find_password(token)]
    return secrets


def find_password(token: str) -> str:
    """The password in the token of ``Basic``; empty for another token."""
    try:
        user, separator, password = pybase64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return ""
    return (password or user) if separator else ""


def list_proxy_secrets(proxy: httpx2.Proxy | None) -> list[str]:
    """The password, or the user name if there is no password, because it is then a key."""
    if proxy is None or not proxy.raw_auth:
        return []
    user, password = proxy.raw_auth
    return [(password or user).decode("utf-8", "replace"), pybase64.b64encode(b":".join(proxy.raw_auth)).decode()]
