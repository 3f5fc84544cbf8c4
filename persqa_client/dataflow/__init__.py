"""DataFlow's interface: operator, servings and storage of DataFlow-MM's ``PersQAGenerator``.

Names are loaded on first use, together with DataFlow if it is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persqa_client.dataflow.generator import PersQAGenerator as PersQAGenerator
    from persqa_client.dataflow.local_serving import LocalModelVLMServing_vllm as LocalModelVLMServing_vllm
    from persqa_client.dataflow.storage import FileStorage as FileStorage
    from persqa_client.dataflow.vlm_serving import APIVLMServing_openai as APIVLMServing_openai
    from persqa_client.dataflow.vlm_serving import OpenAIVLMServing as OpenAIVLMServing

MODULES = {
    "APIVLMServing_openai": "vlm_serving",
    "FileStorage": "storage",
    "LocalModelVLMServing_vllm": "local_serving",
    "OpenAIVLMServing": "vlm_serving",
    "PersQAGenerator": "generator",
}
__all__ = sorted(MODULES)


def __getattr__(name: str) -> object:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
