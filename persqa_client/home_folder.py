"""``~`` in paths. A shell leaves it in quotes and after ``=``, and files and Python have no shell."""

from __future__ import annotations

from pathlib import Path


def expand_home(path: str | Path) -> Path:
    """A folder with this name comes first."""
    path = Path(path)
    return path.expanduser() if str(path).startswith("~") and not Path(path.parts[0]).exists() else path


def expand_existing(name: str | Path) -> str | Path:
    """For an input, which may be a pattern; patterns are expanded where they are matched."""
    expanded = expand_home(name)
    return str(expanded) if str(name).startswith("~") and expanded.exists() else name
