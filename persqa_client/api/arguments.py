"""Arguments of the Python interface that are no settings: rows, endpoints, and lists of one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from persqa_client.config import Endpoint
from persqa_client.errors import SettingsError
from persqa_client.inputs.memory_pictures import is_lone_picture
from persqa_client.inputs.opening import expand_existing, names_input
from persqa_client.run.summary import Summary
from persqa_client.storage.output_names import FileFormat
from persqa_client.suggestions import find_similar_name
from persqa_client.urls import expand_home, explain_impossible_path


def find_inputs(rows: object) -> list[str | Path]:
    """The inputs that ``rows`` names; none if they are rows. A list of paths is one of inputs if any is no image.

    Raises SettingsError for other objects.
    """
    if isinstance(rows, str | Path):
        if not str(rows):
            raise SettingsError("rows is empty: name a file or a folder, or give the rows themselves.")
        return [expand_existing(rows)]
    check_no_array(rows)
    if is_lone_picture(rows):
        return []
    if not isinstance(rows, Iterable):
        raise SettingsError(
            f"rows is of the type {type(rows).__name__}: give the path of a file or a folder as text, or rows in an "
            "iterable."
        )
    if not isinstance(rows, list | tuple) or not all(isinstance(each, str | Path) for each in rows):
        return []
    paths = list(map(expand_existing, rows))
    return paths if any(names_input(os.fspath(each)) for each in paths) else []


def check_no_array(rows: object) -> None:
    """An array of pixels and a data frame are iterable, but not by pictures and rows. Raises SettingsError."""
    if not (hasattr(rows, "__array__") and getattr(rows, "ndim", 1) > 1) or is_lone_picture(rows):
        return
    kind = type(rows).__name__
    instead = 'its rows with to_dict("records")' if hasattr(rows, "to_dict") else "[PIL.Image.fromarray(array)]"
    raise SettingsError(f"rows is of the type {kind}: give {instead}.")


def check_rows(rows: object) -> None:
    """The characters of a name, the keys of a row and the numbers of bytes would be taken for rows."""
    check_no_array(rows)
    if isinstance(rows, str | Path | Mapping | bytes | bytearray) or not hasattr(rows, "__iter__"):
        raise SettingsError(
            f"rows is of the type {type(rows).__name__}: give an iterable of rows or pictures, such as a list. "
            "generate reads files and folders, and ask takes one picture."
        )


def list_endpoints(endpoint: object) -> list[Endpoint]:
    """Raises SettingsError for what is no endpoint, and for none."""
    is_one = isinstance(endpoint, Endpoint | str | Mapping) or not isinstance(endpoint, Iterable)
    endpoints = [endpoint] if is_one else list(cast(Iterable[object], endpoint))
    if not endpoints:
        raise SettingsError("Give at least one endpoint.")
    checked = []
    for each in endpoints:
        if not isinstance(each, Endpoint):
            instead = "its endpoint" if hasattr(each, "endpoint") else "Endpoint(base_url=…, model=…)"
            raise SettingsError(f"endpoint is of the type {type(each).__name__}: give {instead}.")
        checked.append(each)
    return checked


def read_output_path(output: object) -> Path:
    """Raises SettingsError for what is no path."""
    if isinstance(output, Summary):
        raise SettingsError("The output is given as a Summary: give its path, summary.files.output.")
    return read_path_of("The output", output, "the path of the file that a run has written")


def read_path_of(name: str, value: object, wanted: str = "a path") -> Path:
    """Raises SettingsError for what is no path."""
    problem = f"is of the type {type(value).__name__}"
    if isinstance(value, str | Path):
        path = expand_home(value)
        found = explain_impossible_path(path) if str(value).strip() else "is empty"
        if found is None:
            return path
        problem = found
    raise SettingsError(f"{name} {problem}: give {wanted}.")


def check_file_name(name: str, file: Path, format: FileFormat) -> None:
    """Raises SettingsError for the suffix of another format."""
    if (problem := format.explain_other_name(file)) is not None:
        raise SettingsError(f"{name}: {problem}.")


def list_outputs(outputs: object) -> list[Path]:
    """Raises SettingsError for none, and for what is no path."""
    is_several = isinstance(outputs, Iterable) and not isinstance(outputs, str)
    paths = list(map(read_output_path, cast(Iterable[object], outputs) if is_several else [outputs]))
    if not paths:
        raise SettingsError("There is no output of a run: give one, or several in a list.")
    return paths


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raises SettingsError, with the choice that was probably meant."""
    known = sorted(choices)
    if value in known:
        return
    similar = find_similar_name(value, known) if isinstance(value, str) else None
    meant = "" if similar is None else f" (did you mean {similar!r}?)"
    raise SettingsError(f"{name}: must be {', '.join(map(repr, known[:-1]))} or {known[-1]!r}, not {value!r}{meant}.")


def as_list(name: str, value: object) -> list[str]:
    """Raises SettingsError unless it is a text, several of them, or None."""
    if value is None or isinstance(value, str):
        return [] if value is None else [value]
    texts: list[str] = []
    for each in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(each, str):
            raise SettingsError(f"{name} has a value of the type {type(each).__name__}: give a text, or several.")
        texts.append(each)
    return texts
