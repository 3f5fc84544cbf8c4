"""Any line is either a row that every later step accepts, or fails with a code before anything is asked."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.dataflow.storage import iter_json_values
from persqa_client.errors import RowError
from persqa_client.images.references import estimate_reference_size, read_reference
from persqa_client.inputs.rows import parse_line
from persqa_client.json_members import cut_last_member
from persqa_client.jsonl import MAX_DEPTH, dump_compact, load_object
from persqa_client.outcomes import Failure, Outcome, Record
from persqa_client.questions.bank import Bank
from persqa_client.questions.tasks import TaskMaker
from persqa_client.storage.details import render_details
from persqa_client.storage.records import outcome_from_json, outcome_to_json, parse_failure_line, render_outcome
from persqa_client.types import BadRow, Row, TaskId

LINES_PER_SEED = 1500
KEYS = ("image", "question", "tag", "id", "category", "language", "error", "line", "conversation", "note", "pers_qa")
KEYS_AS_WRITTEN = (*KEYS, "pers_qa_meta", "im\\u0061ge", "\\ud800", "图", "a:b")
SCALARS = (
    *('"a.jpg"', '"What is <mam> doing?"', '"bo"', '"zh"', '"human"', '""', '" "', "null", "true", "0", "-7", "1.50"),
    *("18446744073709551616", "1" + "0" * 30, "-" + "9" * 400, "7" * 4300, "7" * 4301, "1e400", "-1e999", "NaN"),
    *("Infinity", "-Infinity", '"\\ud83d"', '"\\udce9.jpg"', '"\\u0000"', '"a\\u0000b.jpg"', '"é😀"', '"\\u2028"'),
    *('"data:image/png;base64,AAAA"', '"<image>"', '"x:y"', '"a\\"image\\":"', '"{[{["', "nul", "01", "'a'", '"a'),
)
SPACES = ("", "", "", " ", "\t", "\r")
TURN = '{"from": "human", "value": %s}'
ERROR = '{"code": "no_tag", "message": "m", "attempts": 2, "raw": null, "row": 9%s}'
RECORD = Record(TaskId(3), "attribute", "<mam>", "What is it?", "<mam> sits.", "<mam> sits.", 7)
MAKER = TaskMaker("<mam>", 0, Bank.build("human"), TAGGED_ANSWER_CHECKS, questions=3)


def write_value(rng: random.Random, depth: int = 0) -> str:
    kind = rng.random()
    if kind < 0.75 or depth > 3:
        return rng.choice(SCALARS)
    if kind < 0.8:
        deep = rng.choice((MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 500, 990, 1023, 1024, 1100, 5000))
        return (
            "[" * deep + rng.choice(SCALARS[:12]) + "]" * deep
            if rng.random() < 0.5
            else '{"a":' * deep + "1" + "}" * deep
        )
    if kind < 0.85:
        return "[" + TURN % write_value(rng, depth + 1) + "]"
    if kind < 0.88:
        return ERROR % rng.choice(("", ', "question": 2', ', "question": 10000000000000000000000', ', "question": "x"'))
    if kind < 0.94:
        return "[" + ",".join(write_value(rng, depth + 1) for _ in range(rng.randrange(4))) + "]"
    return write_object(rng, depth + 1)


def write_object(rng: random.Random, depth: int = 0) -> str:
    members = [
        f'{rng.choice(SPACES)}"{rng.choice(KEYS_AS_WRITTEN)}"{rng.choice(SPACES)}:{rng.choice(SPACES)}'
        f"{write_value(rng, depth)}{rng.choice(SPACES)}"
        for _ in range(rng.randrange(5))
    ]
    if depth == 0 and rng.random() < 0.8:
        members.insert(rng.randrange(len(members) + 1), '"image": "a.jpg"')
    return "{" + ",".join(members) + "}"


def write_line(rng: random.Random) -> bytes:
    line = (write_object(rng) if rng.random() < 0.9 else write_value(rng)).encode()
    kind = rng.random()
    if kind < 0.06:
        line = b"\xef\xbb\xbf" * rng.randint(1, 2) + line
    elif kind < 0.16:
        at = rng.randrange(len(line) + 1)
        line = (
            line[:at]
            + rng.choice((b"\0", b"\xff", b"\xed\xa0\x80", b"\xc3", b"}", b'"'))
            + line[at + rng.randrange(2) :]
        )
    elif kind < 0.19:
        line = line[: rng.randrange(len(line) + 1)]
    elif kind < 0.22:
        line = json.dumps({"line": line.decode("utf-8", "surrogateescape"), "error": json.loads(ERROR % "")}).encode()
    return line


def read_back(path: Path, written: bytes) -> dict[str, Any]:
    path.write_bytes(written)
    [value] = iter_json_values(path)
    assert isinstance(value, dict)
    return value


def render(line: bytes, outcome: Outcome, style: Any = "qa", *, details: bool = False) -> bytes:
    written = render_outcome(line, outcome, output_key="pers_qa", style=style, details=details, numbered=True)
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert load_object(render_details(line, outcome, written))["row"] == 3
    return written


def parse(line: bytes, *, details: bool) -> Row | BadRow:
    return parse_line(3, line, image_key="image", output_key="pers_qa", details=details)


def check_bad_row(row: BadRow, original: bytes, file: Path, *, details: bool) -> None:
    written = render(row.line, Failure(TaskId(3), row.code, row.message, whole_row=True))
    assert read_back(file, written)["error"]["code"] == row.code
    assert parse_failure_line(written) == (TaskId(3), row.code)
    again = parse(written.removesuffix(b"\n"), details=details)
    assert again == row
    if row.code == "bad_line" and b'"line"' not in original:
        assert row.line == original


def check_row(row: Row, file: Path, *, details: bool) -> None:
    fields = load_object(row.line)
    for style in ("qa", "answer"):
        value = read_back(file, render(row.line, RECORD, style, details=details))
        assert value["pers_qa"].endswith("<mam> sits.")
        assert value.keys() >= fields.keys()
    line = render(row.line, RECORD).removesuffix(b"\n")
    assert cut_last_member(line, "pers_qa") == row.line
    failure = Failure(TaskId(3, row.only_question or 0), "image_missing", "m", whole_row=row.only_question is None)
    written = render(row.line, failure)
    read_back(file, written)
    assert parse(written.removesuffix(b"\n"), details=details) == row
    check_it_can_be_asked(row)


def check_it_can_be_asked(row: Row) -> None:
    for reference in row.images:
        estimate_reference_size(reference, ())
        with suppress(RowError):
            read_reference(reference, ())
    for task_id in MAKER.task_ids(row):
        try:
            task = MAKER.make_task(row, task_id)
        except RowError as error:
            failure = Failure(task_id, error.code, error.message)
            assert outcome_from_json(load_object(dump_compact(outcome_to_json(failure)))) == failure
        else:
            task.prompt.encode()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_any_line_is_a_row_for_every_step_or_fails_with_a_code(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    rows = 0
    for number in range(LINES_PER_SEED):
        details = number % 2 == 0
        line = write_line(rng)
        if b"\n" in line:
            continue
        row = parse(line, details=details)
        if isinstance(row, BadRow):
            check_bad_row(row, line, tmp_path / "line.jsonl", details=details)
        else:
            rows += 1
            check_row(row, tmp_path / "line.jsonl", details=details)
    assert LINES_PER_SEED // 5 < rows < LINES_PER_SEED * 4 // 5
