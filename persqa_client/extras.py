"""Packages of optional extras, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from persqa_client.errors import SettingsError


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """The module of an extra's package. Raises SettingsError if it is not installed.

    ``purpose``: what needs it, as the subject of a sentence.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        advice = f"pip install {package}, or the extra: pip install '.[{extra}]'"
        raise SettingsError(f"{purpose} needs the package {package}: {advice}") from error
