"""The list of real names that no answer may have. Reads its file."""

from __future__ import annotations

from pathlib import Path

from persqa_client.errors import SettingsError

LONGEST = 100


def read_names(path: Path) -> tuple[str, ...]:
    """One name on a line; blank lines and those that begin with ``#`` are passed over.

    Raises SettingsError with one sentence where the file can't be read, or holds what can be no name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"--names: {path} can't be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"--names: {path} is not UTF-8 text; save it as UTF-8, one name on a line.") from error
    names = dict.fromkeys(checked(path, number, line) for number, line in enumerate(text.splitlines(), 1))
    names.pop("", None)
    if not names:
        raise SettingsError(f"--names: {path} holds no names; write one on a line.")
    return tuple(names)


def checked(path: Path, number: int, line: str) -> str:
    name = " ".join(line.split())
    if name.startswith("#"):
        return ""
    if len(name) > LONGEST:
        raise SettingsError(f"--names: {path}, line {number}, is too long for a name; write one name on a line.")
    if len(name) == 1 and name.isascii():
        raise SettingsError(f"--names: {path}, line {number}, is a single letter, which any answer has; write it out.")
    return name
