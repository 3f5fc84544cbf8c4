"""What tests of the inputs share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may enter; root's rights, if a test gives them up to be refused, come back after it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        was_root = os.geteuid() == 0
        try:
            yield folder
        finally:
            if was_root:
                os.seteuid(0)
            for path in folder.iterdir():
                path.chmod(0o755)
