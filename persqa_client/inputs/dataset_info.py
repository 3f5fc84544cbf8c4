"""LLaMA-Factory's list of data sets, ``dataset_info.json``, as an input: the rows of the files that it names.

The rules of the loader (hiyouga/LLaMA-Factory 02e2fb3, ``src/llamafactory/data/parser.py`` and ``converter.py``):
``file_name`` is relative to the folder of the list. ``formatting`` is ``alpaca`` by default, with the columns
``instruction``, ``input`` and ``output``. ``sharegpt`` has turns in ``conversations``, with ``from`` and ``value``, and
the roles ``human``, ``gpt`` and ``system``. ``columns`` and ``tags`` name others. Pictures are in the column that
``images`` names, and only in that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from persqa_client.errors import RowError, SettingsError
from persqa_client.inputs.conversations import find_turns, read_conversation
from persqa_client.inputs.made_rows import OLD_ANSWER, find_row_tag, make_row
from persqa_client.types import Json

# One of them says where the data set is.
FILE = "file_name"
PLACES = (FILE, "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
COLUMNS = {
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
    "sharegpt": {"messages": "conversations"},
}
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "system_tag": "system",
}
ROLE_TAGS = {"user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}


class DataSetFile(NamedTuple):
    path: Path
    layout: DataSetRows


@dataclass(frozen=True, slots=True)
class DataSetRows:
    """Rows of a data set with these columns and tags."""

    formatting: str
    columns: Mapping[str, str]
    tags: Mapping[str, str]
    name: str = "conversation"
    description: str = "conversations"

    def reads(self, fields: Json, image_key: str) -> bool:
        return find_turns(self._standardise(fields)) is not None

    def convert(self, line: bytes, fields: Json, image_key: str) -> bytes:
        standard = self._standardise(fields)
        if find_turns(standard) is None:
            raise RowError("bad_line", "it has no turn of a user, as dataset_info.json names the columns")
        found = read_conversation(standard, "images")
        members: Json = {image_key: list(found.images), "question": found.question}
        members |= {"tag": find_row_tag(fields, found.question or ""), "system": found.system, OLD_ANSWER: found.answer}
        return make_row(line, fields, set(self.columns.values()), members)

    def _standardise(self, fields: Json) -> Json:
        """Renames columns, roles and members to those that ``conversations`` reads."""
        values = {column: fields.get(name) for column, name in self.columns.items()}
        if self.formatting == "sharegpt":
            turns = [self._rename(turn) for turn in list_turns(values.get("messages"))]
        else:
            asked = [text for text in (values.get("prompt"), values.get("query")) if isinstance(text, str) and text]
            turns = [{"role": "user", "content": "\n".join(asked)}] if asked else []
            turns += [{"role": "assistant", "content": values["response"]}] if values.get("response") else []
        if isinstance(system := values.get("system"), str) and system:
            turns.insert(0, {"role": "system", "content": system})
        return {"messages": turns, "images": values.get("images")}

    def _rename(self, turn: object) -> object:
        if not isinstance(turn, dict):
            return turn
        role = turn.get(self.tags["role_tag"])
        known = {self.tags[tag]: standard for tag, standard in ROLE_TAGS.items()}
        return {"role": known.get(str(role), role), "content": turn.get(self.tags["content_tag"])}


def list_turns(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def is_dataset_info(fields: Json) -> bool:
    return bool(fields) and all(
        isinstance(entry, dict) and any(isinstance(entry.get(place), str) for place in PLACES)
        for entry in fields.values()
    )


def list_data_set_files(path: Path, fields: Json) -> list[DataSetFile]:
    """Raises SettingsError for a data set that is no file in the folder of the list."""
    return [read_entry(path, name, entry) for name, entry in fields.items()]


def read_entry(path: Path, name: str, entry: Json) -> DataSetFile:
    given = entry.get(FILE)
    if not isinstance(given, str):
        problem = f"has the data set {name!r}, which is to be downloaded"
        raise SettingsError(f"The input {path} {problem}; give the files of the data sets themselves.")
    file = path.parent / given
    if not file.is_file():
        problem = "is a folder" if file.is_dir() else "does not exist"
        raise SettingsError(f"The input {path} names {file}, which {problem}; give the files of the data sets.")
    formatting = str(entry.get("formatting", "alpaca"))
    if formatting not in COLUMNS:
        problem = f"{name!r} has the formatting {formatting!r}"
        raise SettingsError(f"The input {path}: {problem}; give the file of the data set itself.")
    columns = COLUMNS[formatting] | read_names(entry.get("columns"))
    return DataSetFile(file, DataSetRows(formatting, columns, TAGS | read_names(entry.get("tags"))))


def read_names(value: object) -> dict[str, str]:
    return {key: name for key, name in value.items() if isinstance(name, str)} if isinstance(value, dict) else {}
