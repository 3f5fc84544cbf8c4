"""DataFlow's base classes, and error messages with Python arguments instead of flags."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from persqa_client.errors import RunStopped, ServerFailed, SettingsError


def import_base_class(module: str, *names: str) -> type:
    """The first of these classes in DataFlow's ``module``, or ``object`` without DataFlow.

    Warns if DataFlow can't be imported: the classes work, but fail DataFlow's type checks.
    """
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        if error.name in (module.partition(".")[0], module):
            return object
        return warn_unimportable(error)
    except Exception as error:
        # A third-party package may raise anything on import.
        return warn_unimportable(error)
    return next((found for name in names if isinstance(found := getattr(home, name, None), type)), object)


def warn_unimportable(error: Exception) -> type:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    warnings.warn(
        f"DataFlow is installed but can't be imported ({reason}), so the classes of persqa_client.dataflow are not "
        "subclasses of DataFlow's.",
        stacklevel=3,
    )
    return object


ServingBase = import_base_class("dataflow.core", "VLMServingABC", "LLMServingABC")
OperatorBase = import_base_class("dataflow.core", "OperatorABC")
StorageBase = import_base_class("dataflow.utils.storage", "DataFlowStorage")


RENAMED_FLAGS = {
    "api-key-env": "key_name_of_api_key",
    "base-url": "api_url",
    "concurrency": "max_workers",
    "fresh": "fresh=True",
    "model": "model_name",
    "o": "cache_path",
    "recheck-pictures": "recheck_pictures=True",
}
# Flags with the same name as their argument, apart from hyphens.
SAME_NAME_FLAGS = (
    *(
        "answer-style",
        "bank",
        "extra-body",
        "image-root",
        "language",
        "max-attempts",
        "max-bad-answers",
        "max-bad-rows",
        "question",
        "max-outage",
        "max-pixels",
        "max-tokens",
        "names",
    ),
    *("output-key", "questions", "rpm", "rps", "seed", "strategy", "tag", "temperature", "timeout", "top-p", "tpm"),
    *("vllm-command", "without"),
)
FLAG_PATTERN = re.compile(rf"(?<![\w-])--?({'|'.join((*RENAMED_FLAGS, *SAME_NAME_FLAGS))})(?![\w-])")


def replace_flags(text: str, **own: str) -> str:
    """Replaces flags by argument names. ``own`` maps default names to the caller's."""

    def name(flag: re.Match[str]) -> str:
        argument = RENAMED_FLAGS.get(flag[1], flag[1].replace("-", "_"))
        return own.get(argument, argument)

    return FLAG_PATTERN.sub(name, text)


@contextmanager
def errors_name_arguments(**own: str) -> Iterator[None]:
    try:
        yield
    except ServerFailed:
        raise  # has no flags, but the server's log
    except RunStopped as stop:
        raise RunStopped(stop.code, replace_flags(stop.message, **own)) from stop.__cause__
    except SettingsError as error:
        raise SettingsError(replace_flags(str(error), **own)) from error.__cause__
