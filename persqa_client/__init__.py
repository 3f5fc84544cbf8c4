"""Generates personalised visual question-answering data from photos through an OpenAI-compatible endpoint.

Public names are imported on first use, which keeps the import of the package fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persqa_client.api.client import PersQAClient as PersQAClient
    from persqa_client.api.finished_outputs import export_results as export_results
    from persqa_client.api.finished_outputs import recheck_results as recheck_results
    from persqa_client.api.finished_outputs import report_results as report_results
    from persqa_client.api.generate import generate as generate
    from persqa_client.api.generate import stream as stream
    from persqa_client.api.results import Result as Result
    from persqa_client.api.results import read_results as read_results
    from persqa_client.config import Endpoint as Endpoint
    from persqa_client.config import Limits as Limits
    from persqa_client.config import Recipe as Recipe
    from persqa_client.config import Sampling as Sampling
    from persqa_client.errors import PersQAError as PersQAError
    from persqa_client.errors import RowError as RowError
    from persqa_client.errors import RunStopped as RunStopped
    from persqa_client.errors import ServerFailed as ServerFailed
    from persqa_client.errors import SettingsError as SettingsError
    from persqa_client.outcomes import Failure as Failure
    from persqa_client.outcomes import Record as Record
    from persqa_client.run.progress import ProgressSnapshot as ProgressSnapshot
    from persqa_client.vllm_server.server import VLLMServer as VLLMServer

__version__ = "0.1.0"

MODULES = {
    "persqa_client.api.client": ("PersQAClient",),
    "persqa_client.api.finished_outputs": ("export_results", "recheck_results", "report_results"),
    "persqa_client.api.generate": ("generate", "stream"),
    "persqa_client.api.results": ("Result", "read_results"),
    "persqa_client.config": ("Endpoint", "Limits", "Recipe", "Sampling"),
    "persqa_client.errors": ("PersQAError", "RowError", "RunStopped", "ServerFailed", "SettingsError"),
    "persqa_client.vllm_server.server": ("VLLMServer",),
    "persqa_client.outcomes": ("Failure", "Record"),
    "persqa_client.run.progress": ("ProgressSnapshot",),
}
__all__ = sorted(name for names in MODULES.values() for name in names)


def __getattr__(name: str) -> object:
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
