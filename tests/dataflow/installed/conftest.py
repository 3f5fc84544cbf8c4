"""For tests where DataFlow is installed: tests/dataflow/test_installed.py starts them in a process that has it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

collect_ignore_glob = [] if find_spec("dataflow") else ["*"]

if not collect_ignore_glob:
    # The package of the servings imports all of them, and so torch; the one that is wanted needs none of that.
    import dataflow

    servings = ModuleType("dataflow.serving")
    servings.__path__ = [str(Path(dataflow.__path__[0]) / "serving")]
    sys.modules["dataflow.serving"] = servings
