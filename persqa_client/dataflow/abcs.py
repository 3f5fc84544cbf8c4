"""What DataFlow knows its parts by: its own base classes where it is installed, else nothing. Imports DataFlow."""

from __future__ import annotations

import warnings
from importlib import import_module


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
