"""Reads rows from data frames and adds answers as columns. Frames are not modified in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from persqa_client.dataflow.base import replace_flags
from persqa_client.dataflow.cells import is_missing, resolve_references, to_plain_python
from persqa_client.errors import RowError, SettingsError
from persqa_client.storage.records import find_question_turn

try:
    import pandas as pandas
except ImportError as error:
    raise ImportError(
        "persqa_client.dataflow works on pandas' data frames: pip install 'persqa-client[dataflow]'", name="pandas"
    ) from error


# Key of the row's number in the frame, from 1.
ROW_KEY = "row"
OUTPUT_KEY = "pers_qa"


class RowAnswer(NamedTuple):
    text: str | None
    question: str | None = None
    error: str | None = None


def collect_answers(
    rows: int, records: Iterable[dict[str, Any]], failures: Iterable[dict[str, Any]]
) -> list[list[RowAnswer]]:
    """Answers of each row in question order; one failure for an invalid row."""
    answers: list[list[RowAnswer]] = [[] for _ in range(rows)]
    for record in records:
        question = record[f"{OUTPUT_KEY}_meta"]["question"]
        answers[record[ROW_KEY] - 1].append(RowAnswer(record[OUTPUT_KEY], question))
    # In ascending order, each failure is inserted at its final index.
    for failure in sorted(failures, key=lambda line: line["error"].get("question", 0)):
        error = failure["error"]
        answers[failure[ROW_KEY] - 1].insert(error.get("question", 0), RowAnswer(None, error=describe_failure(error)))
    return answers


def describe_failure(error: dict[str, Any]) -> str:
    """Code and message, without the number of the row, since it is stored in the row."""
    message = re.sub(rf"^(?:Line|Row) {error['row']}: ", "", error["message"])
    return f"{error['code']}: {replace_flags(message)}"


Frame = Any  # a pandas.DataFrame; pandas ships no types

CONVERSATION = "conversation"


def get_data_frame(storage: Any) -> Frame:
    frame = storage.read("dataframe")
    if not isinstance(frame, pandas.DataFrame):
        raise SettingsError(
            f"{type(storage).__name__} returned a {type(frame).__name__}, not a pandas.DataFrame: "
            "write a data frame first."
        )
    return frame


def iter_frame_rows(
    frame: Frame, image_key: str, steering: Sequence[str], keep: Callable[[bytes], str]
) -> Iterator[dict[str, Any] | RowError]:
    """Yields each row as an input row, or as RowError if it is invalid.

    Rows with equal images and different ``id`` get different questions. ``keep`` stores an embedded image.

    Raises SettingsError for missing or duplicate columns.
    """
    check_columns(frame, (image_key, *steering))
    columns = {key: frame[key].tolist() for key in ("id", *steering) if key in frame.columns}
    for number, cell in enumerate(frame[image_key]):
        steered = {
            key: to_plain_python(values[number]) for key, values in columns.items() if not is_missing(values[number])
        }
        try:
            yield {"image": image_references(cell, image_key, keep), **select_steering_fields(steered)}
        except RowError as error:
            yield error


def image_references(cell: object, image_key: str, keep: Callable[[bytes], str]) -> tuple[str, ...]:
    if images := resolve_references(cell, keep):
        return images
    raise RowError("no_image", f"the column {image_key!r} names no image")


def select_steering_fields(columns: dict[str, Any]) -> dict[str, Any]:
    """Keeps text and whole numbers; other values raise RowError, except in ``id``."""
    for key, value in columns.items():
        if key != "id" and not isinstance(value, str):
            raise RowError("bad_field", f"the column {key!r} must hold text, not {type(value).__name__}")
    return {key: value for key, value in columns.items() if type(value) in (str, int)}


def check_columns(frame: Frame, wanted: Sequence[str]) -> None:
    there = list(map(str, frame.columns))
    if twice := [key for key in there if there.count(key) > 1]:
        raise SettingsError(f"The data frame has several columns named {twice[0]!r}: rename them.")
    if missing := [key for key in wanted if key not in there]:
        raise SettingsError(
            f"The data frame has no column {missing[0]!r}; its columns are: {', '.join(there) or 'none'}."
        )


def add_answers(
    frame: Frame,
    answers: Sequence[Sequence[RowAnswer]],
    output_key: str,
    *,
    into_conversation: bool = False,
    always_errors: bool = False,
) -> Frame:
    """Returns a frame with one row per answer.

    Adds ``{output_key}_error`` if an answer is missing, or with ``always_errors``.
    """
    places = [number for number, given in enumerate(answers) for _ in given]
    flat = [answer for given in answers for answer in given]
    result = frame.iloc[places] if len(places) != len(frame) else frame.copy(deep=False)
    if len(places) != len(frame):
        result = result.reset_index(drop=True)
    result = arrays_to_lists(result)
    if into_conversation and CONVERSATION in result.columns:
        turns = [with_question(cell, answer.question) for cell, answer in zip(result[CONVERSATION], flat, strict=True)]
        result = with_column(result, CONVERSATION, turns)
    result = with_column(result, output_key, [answer.text for answer in flat])
    error_key = f"{output_key}_error"
    if always_errors or any(answer.error for answer in flat):
        return with_column(result, error_key, [answer.error for answer in flat])
    # Column of an earlier run with errors; now there are none.
    return result.drop(columns=error_key) if error_key in result.columns else result


def with_column(frame: Frame, key: str, values: Sequence[object]) -> Frame:
    """Sets a column of dtype object: pandas' string dtype would turn None into NaN."""
    result = frame.copy(deep=False)
    result[key] = pandas.Series(list(values), dtype=object, index=frame.index)
    return result


def arrays_to_lists(frame: Frame) -> Frame:
    """Parquet returns lists as arrays, which DataFlow's storages would write as text."""
    columns = [key for key in frame.columns if any(contains_array(cell) for cell in iter_object_cells(frame[key]))]
    for key in columns:
        frame = with_column(
            frame, key, [to_plain_python(cell) if contains_array(cell) else cell for cell in frame[key]]
        )
    return frame


def iter_object_cells(column: Any) -> Iterator[object]:
    return iter(column) if column.dtype == object else iter(())


def contains_array(cell: object) -> bool:
    if isinstance(cell, dict):
        return any(map(contains_array, cell.values()))
    if isinstance(cell, list | tuple):
        return any(map(contains_array, cell))
    return hasattr(cell, "tolist")


def with_question(conversation: Any, question: str | None) -> Any:
    turns = deepcopy(to_plain_python(conversation))
    number = find_question_turn(turns) if isinstance(turns, list) else None
    if question is None or number is None or "value" not in turns[number]:
        return conversation
    turns[number]["value"] = question
    return turns
