"""Scores the checks on tables of labelled answers: ``python -m tests.answers.score [--show] [TABLE …]``."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from persqa_client.answers.parse import check_answer, parse_answer
from persqa_client.questions.tags import can_repair_bare_name
from persqa_client.types import Completion
from tests.answers.helpers import make_task

TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """``good``: must be written, as ``becomes``. ``bad``: must be written neither as it is, nor as ``never``.
    ``finish``: the finish reason of the server.
    """

    question: str
    raw: str
    is_good: bool
    language: str
    tag: str
    becomes: str
    never: str | None
    kind: str
    finish: str


def read_table(path: Path) -> Iterator[LabelledAnswer]:
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        yield LabelledAnswer(
            question=case["question"],
            raw=case["raw"],
            is_good=case["want"] == "good",
            language=case["lang"],
            tag=f"<{case.get('tag', 'mam')}>",
            becomes=case.get("becomes", case["raw"]).strip(),
            never=case.get("never"),
            kind=case.get("kind", ""),
            finish=case.get("finish", "stop"),
        )


def read_part(path: Path, *, is_fast: bool) -> Iterator[LabelledAnswer]:
    """A fourth of a table for the fast tests, or the rest of it for the slow ones."""
    return (case for number, case in enumerate(read_table(path)) if (number % 4 == 0) is is_fast)


def judge(case: LabelledAnswer) -> tuple[str, str]:
    """What is wrong with the result (``dropped``, ``altered`` or ``accepted``; empty if it is right), and the result:
    the accepted text, or the code.
    """
    task = make_task(case.question, case.tag, repair_bare_name=can_repair_bare_name(case.tag))
    completion = Completion(case.raw, case.finish)
    answer = parse_answer(completion, task)
    problem = check_answer(completion, answer, task)
    if problem is not None:
        return "dropped" if case.is_good else "", problem.code
    if case.is_good:
        return "" if answer.text == case.becomes else "altered", answer.text
    return "accepted" if answer.text in {case.raw.strip(), (case.never or "").strip()} else "", answer.text


def main(arguments: list[str]) -> None:
    show = "--show" in arguments
    paths = [Path(name) for name in arguments if name != "--show"] or sorted(TABLES.rglob("*.jsonl"))
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case in (case for path in paths for case in read_table(path)):
        wrong, result = judge(case)
        for group in (case.language, "all"):
            counts[group]["good" if case.is_good else "bad"] += 1
            counts[group][wrong] += 1
        if show and wrong:
            print(f"{wrong} ({case.language}, {case.kind}) {case.question!r}: {case.raw!r} -> {result!r}")
    print(
        "| language | good | dropped | altered | bad | accepted | right |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for group, count in sorted(counts.items()):
        right = count[""] / (count["good"] + count["bad"])
        cells = (group, count["good"], count["dropped"], count["altered"], count["bad"], count["accepted"])
        print(f"| {' | '.join(map(str, cells))} | {right:.0%} |")


if __name__ == "__main__":
    main(sys.argv[1:])
