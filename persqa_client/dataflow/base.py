"""What went wrong, in a Python caller's words: arguments by their names, not the command's flags. Pure."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from persqa_client.errors import RunStopped, ServerFailed, SettingsError

# What DataFlow knows its parts by: its own base classes where it is installed, else nothing. Imports DataFlow.


def base(module: str, *names: str) -> type:
    """The first of these classes that DataFlow's module has; ``object`` where there is no DataFlow.

    One that is there but can't be imported (it asks for much) is told in a warning: what checks types will not take
    our classes then, though all the rest goes.
    """
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        if error.name in (module.partition(".")[0], module):
            return object
        return without(error)
    except Exception as error:
        # Whatever a foreign package and its own packages raise while they are loaded.
        return without(error)
    return next((found for name in names if isinstance(found := getattr(home, name, None), type)), object)


def without(error: Exception) -> type:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    warnings.warn(
        f"DataFlow is installed but can't be imported ({reason}), so the classes of persqa_client.dataflow are not "
        "subclasses of DataFlow's.",
        stacklevel=3,
    )
    return object


ServingBase = base("dataflow.core", "VLMServingABC", "LLMServingABC")
OperatorBase = base("dataflow.core", "OperatorABC")
StorageBase = base("dataflow.utils.storage", "DataFlowStorage")


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
