"""Data frames: the rows to ask about in one, and what came of them put back. Needs pandas; no frame is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from persqa_client.dataflow.base import reworded
from persqa_client.dataflow.cells import is_missing, plain, references_of
from persqa_client.errors import RowError, SettingsError

try:
    import pandas as pandas
except ImportError as error:
    raise ImportError(
        "persqa_client.dataflow works on pandas' data frames: pip install 'persqa-client[dataflow]'", name="pandas"
    ) from error


# What came of each row of a run, from the lines that the run wrote. Pure.

ROW_KEY = "row"
"""The member of a run's rows that says which row of the frame each is, from 1."""
OUTPUT_KEY = "pers_qa"


class Answer(NamedTuple):
    """One question's end: ``text``, or ``error``, its code and reason."""

    text: str | None
    question: str | None = None
    error: str | None = None


def answers_of(rows: int, records: Iterable[dict[str, Any]], failures: Iterable[dict[str, Any]]) -> list[list[Answer]]:
    """For each row its answers in the order of its questions; one failure for a row that could not be asked about.

    ``records`` are in order; a failure says its question's number, 0 where it says none.
    """
    answers: list[list[Answer]] = [[] for _ in range(rows)]
    for record in records:
        question = record[f"{OUTPUT_KEY}_meta"]["question"]
        answers[record[ROW_KEY] - 1].append(Answer(record[OUTPUT_KEY], question))
    # In ascending order, each finds its place among those that went before.
    for failure in sorted(failures, key=lambda line: line["error"].get("question", 0)):
        error = failure["error"]
        answers[failure[ROW_KEY] - 1].insert(error.get("question", 0), Answer(None, error=reason_of(error)))
    return answers


def reason_of(error: dict[str, Any]) -> str:
    """The code and the message, which stands beside its row and needs no line's number."""
    place = f"Line {error['row']}: "
    return f"{error['code']}: {reworded(error['message'].removeprefix(place))}"


Frame = Any
"""A pandas.DataFrame; pandas tells no types."""

CONVERSATION = "conversation"


def frame_of(storage: Any) -> Frame:
    """What the storage holds. Raises SettingsError where that is no data frame."""
    frame = storage.read("dataframe")
    if not isinstance(frame, pandas.DataFrame):
        raise SettingsError(
            f"{type(storage).__name__} holds no pandas.DataFrame but {type(frame).__name__}: put one into it first."
        )
    return frame


def rows_of(
    frame: Frame, image_key: str, steering: Sequence[str], keep: Callable[[bytes], str]
) -> Iterator[dict[str, Any] | RowError]:
    """Each row of the frame as a row to ask about: its pictures, and those of its columns that steer the question.

    An ``id`` is among them, where it is text or a whole number: it has rows of one picture asked different questions.
    ``keep`` gives a picture that a cell itself holds the name by which it is found. A row that names no picture, or
    something else in its place, is the error that tells so.

    Raises SettingsError where the frame has no such column, or several of one name.
    """
    refuse_columns(frame, (image_key, *steering))
    columns = {key: frame[key].tolist() for key in ("id", *steering) if key in frame.columns}
    for number, cell in enumerate(frame[image_key]):
        steered = {key: plain(values[number]) for key, values in columns.items() if not is_missing(values[number])}
        try:
            yield {"image": images_of(cell, image_key, keep), **steering_of(steered)}
        except RowError as error:
            yield error


def images_of(cell: object, image_key: str, keep: Callable[[bytes], str]) -> tuple[str, ...]:
    if images := references_of(cell, keep):
        return images
    raise RowError("no_image", f"the column {image_key!r} names no picture")


def steering_of(columns: dict[str, Any]) -> dict[str, Any]:
    """An ``id`` of another kind steers nothing; whatever else a person has named must be text."""
    for key, value in columns.items():
        if key != "id" and not isinstance(value, str):
            raise RowError("bad_field", f"the column {key!r} must hold text, not {type(value).__name__}")
    return {key: value for key, value in columns.items() if type(value) in (str, int)}


def refuse_columns(frame: Frame, wanted: Sequence[str]) -> None:
    there = list(map(str, frame.columns))
    if twice := [key for key in there if there.count(key) > 1]:
        raise SettingsError(f"The data frame has several columns {twice[0]!r}: give each a name of its own.")
    if missing := [key for key in wanted if key not in there]:
        raise SettingsError(
            f"The data frame has no column {missing[0]!r}; its columns are: {', '.join(there) or 'none'}."
        )


def with_answers(
    frame: Frame,
    answers: Sequence[Sequence[Answer]],
    output_key: str,
    *,
    into_conversation: bool = False,
    always_errors: bool = False,
) -> Frame:
    """The frame with a row for each answer, in order, and the column ``{output_key}_error`` where one is missing, or
    ``always_errors``.

    ``into_conversation``: the question takes the place of the first turn's value, where there is a conversation.
    """
    places = [number for number, given in enumerate(answers) for _ in given]
    flat = [answer for given in answers for answer in given]
    result = frame.iloc[places] if len(places) != len(frame) else frame.copy(deep=False)
    if len(places) != len(frame):
        result = result.reset_index(drop=True)
    result = with_lists(result)
    if into_conversation and CONVERSATION in result.columns:
        turns = [ask_in(cell, answer.question) for cell, answer in zip(result[CONVERSATION], flat, strict=True)]
        result = put(result, CONVERSATION, turns)
    result = put(result, output_key, [answer.text for answer in flat])
    error_key = f"{output_key}_error"
    if always_errors or any(answer.error for answer in flat):
        return put(result, error_key, [answer.error for answer in flat])
    # Of an earlier run over the same rows; nothing is wrong with them any more.
    return result.drop(columns=error_key) if error_key in result.columns else result


def put(frame: Frame, key: str, values: Sequence[object]) -> Frame:
    """As objects: pandas' own strings would turn None into NaN."""
    result = frame.copy(deep=False)
    result[key] = pandas.Series(list(values), dtype=object, index=frame.index)
    return result


def with_lists(frame: Frame) -> Frame:
    """Arrays in cells as lists, which is what they were before Parquet: DataFlow's storages write arrays as text."""
    columns = [key for key in frame.columns if any(holds_array(cell) for cell in objects_in(frame[key]))]
    for key in columns:
        frame = put(frame, key, [plain(cell) if holds_array(cell) else cell for cell in frame[key]])
    return frame


def objects_in(column: Any) -> Iterator[object]:
    return iter(column) if column.dtype == object else iter(())


def holds_array(cell: object) -> bool:
    if isinstance(cell, dict):
        return any(map(holds_array, cell.values()))
    if isinstance(cell, list | tuple):
        return any(map(holds_array, cell))
    return hasattr(cell, "tolist")


def ask_in(conversation: Any, question: str | None) -> Any:
    """The conversation with the question as its first turn's value; as it is where it has no such turn."""
    turns = deepcopy(plain(conversation))
    first = turns[0] if isinstance(turns, list) and turns else None
    if question is None or not isinstance(first, dict) or "value" not in first:
        return conversation
    first["value"] = question
    return turns
