"""What went wrong, in a Python caller's words: arguments by their names, not the command's flags. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from persqa_client.errors import RunStopped, ServerFailed, SettingsError

OTHERWISE = {
    "api-key-env": "key_name_of_api_key",
    "base-url": "api_url",
    "concurrency": "max_workers",
    "fresh": "fresh=True",
    "model": "model_name",
    "o": "cache_path",
}
ALIKE = (
    *(
        "bank",
        "extra-body",
        "image-root",
        "language",
        "max-attempts",
        "max-outage",
        "max-pixels",
        "max-tokens",
        "names",
    ),
    *("output-key", "questions", "rpm", "rps", "seed", "strategy", "tag", "temperature", "timeout", "top-p", "tpm"),
    *("vllm-command", "without"),
)
"""Flags whose arguments have their names, but for the hyphens."""
FLAG = re.compile(rf"(?<![\w-])--?({'|'.join((*OTHERWISE, *ALIKE))})(?![\w-])")


def reworded(text: str, **own: str) -> str:
    """``own`` has a caller's further names, by those that they would have otherwise."""

    def name(flag: re.Match[str]) -> str:
        argument = OTHERWISE.get(flag[1], flag[1].replace("-", "_"))
        return own.get(argument, argument)

    return FLAG.sub(name, text)


@contextmanager
def in_arguments(**own: str) -> Iterator[None]:
    """Errors of settings and of endpoints that come through it are reworded."""
    try:
        yield
    except ServerFailed:
        raise  # it speaks of no flags, and has a log besides
    except RunStopped as stop:
        raise RunStopped(stop.code, reworded(stop.message, **own)) from stop.__cause__
    except SettingsError as error:
        raise SettingsError(reworded(str(error), **own)) from error.__cause__
