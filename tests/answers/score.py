"""Scores the checks on tables of labelled answers: ``python -m tests.answers.score [--show] [--by kind] [TABLE …]``."""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from persqa_client.answers.parse import check_answer, parse_answer
from persqa_client.questions.tags import can_repair_bare_name
from persqa_client.types import Completion
from tests.answers.helpers import make_task

TABLES = Path(__file__).parent / "tables"
# Families of kinds, by words in the names of the kinds; the first that fits counts.
FAMILIES = {
    "contradictions": (
        r"contradict|denie[ds]|denial|affirm|polarity|undecided|correct(?:ion|s)|second look|comparison"
        r"|against its"
    ),
    "words in no order": r"salad|no order|gibberish|disorder|function words|fallen apart|doubled|odd but sound",
    "loops": r"loop|repetition|repeat|three times|lyrics|chant|circl",
    "languages": (
        r"language|english|chinese|mixed|scripts|bilingual|loan|spanish|german|french|korean|japanese|russian"
    ),
    "real names": r"name|celebrit|apposition",
    "refusals and privacy": r"refus|inabilit|privacy|permitted|anonym|safety|cannot|impersonal|uncertain|honest limit",
    "missing pictures": r"no image|missing picture|not in the picture|blurred|no picture",
    "talk about the task": (
        r"task|tag as|tag word|about the|prompt|instruct|itself|exercise|role play|think|plan|system|grading"
        r"|\bmodel|\bAI\b|talk|self|reason|closing|chat"
    ),
    "echoes and further questions": r"echo|question|Q ?(?:and|&) ?A|turn|asks",
    "other subjects behind the tag": (
        r"subject|glued|pronoun|description instead|tag as address|behind the tag|first words"
    ),
    "no whole sentence": (
        r"cut off|open end|open mark|unfinished|no sentence|noun phrase|fragment|dots|truncat|ends|verb|short"
        r"|label|whole"
    ),
    "places to fill": r"placeholder|template|unfilled|slot|letters? for|blank|bracket",
    "preambles and remarks": (
        r"preamble|offer|last (?:sentence|line)|note|thanks|greeting|remark|meta|polite|postamble|translation"
    ),
    "choices": r"choice|options|either-or|multiple",
    "other tags, or none": r"\btags?\b",
    "server text and markup": (
        r"server|service|token|residue|json|box|protocol|markup|markdown|mojibake|encod|error|trace|fence|html"
        r"|message|ground|code|ocr|replacement|null|undefined|N/A|tool|rate limit|lorem|latin-1|letters"
    ),
}


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


def group_by_language(case: LabelledAnswer) -> tuple[str, ...]:
    return case.language, "all"


def group_by_kind(case: LabelledAnswer) -> tuple[str, ...]:
    """The family of the kind, in English, Chinese or the other languages."""
    family = find_family(case.kind)
    language = case.language if case.language in ("en", "zh") else "others"
    return f"{family}, {language}", f"{family}, all"


def find_family(kind: str) -> str:
    """The authors of the tables name the kinds in their own words."""
    return next((family for family, words in FAMILIES.items() if re.search(words, kind, re.IGNORECASE)), "other kinds")


GROUPS: dict[str, Callable[[LabelledAnswer], tuple[str, ...]]] = {"language": group_by_language, "kind": group_by_kind}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.answers.score")
    parser.add_argument("tables", nargs="*", type=Path, help="default: all tables")
    parser.add_argument("--show", action="store_true", help="print each wrong result")
    parser.add_argument("--by", choices=GROUPS, default="language", help="what the rows of the result are")
    options = parser.parse_args(arguments)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for case in (case for path in options.tables or sorted(TABLES.rglob("*.jsonl")) for case in read_table(path)):
        wrong, result = judge(case)
        for group in GROUPS[options.by](case):
            counts[group]["good" if case.is_good else "bad"] += 1
            counts[group][wrong] += 1
        if options.show and wrong:
            print(f"{wrong} ({case.language}, {case.kind}) {case.question!r}: {case.raw!r} -> {result!r}")
    print(f"| {options.by} | good | dropped | altered | bad | accepted | right |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for group, count in sorted(counts.items()):
        right = count[""] / (count["good"] + count["bad"])
        cells = (group, count["good"], count["dropped"], count["altered"], count["bad"], count["accepted"])
        print(f"| {' | '.join(map(str, cells))} | {right:.0%} |")


if __name__ == "__main__":
    main()
