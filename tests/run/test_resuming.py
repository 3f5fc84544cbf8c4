"""What a stopped run says about going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from persqa_client.config import Endpoint
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import describe_resuming
from tests.support.cases import each_case

ENDPOINT = Endpoint(base_url="http://127.0.0.1:1/v1", model="m")
SAME = "Nothing is lost. Run the same command again to resume qa.jsonl."


@each_case(
    ("output", "flags", "has_outcomes", "from_pipe", "words"),
    [
        ("qa.jsonl", {}, True, False, SAME),
        ("qa.jsonl", {}, False, False, SAME),
        (
            "qa.jsonl",
            {},
            True,
            True,
            "Nothing is lost. Run the same command again, with the same rows on standard input, to resume qa.jsonl.",
        ),
        (
            "qa.jsonl",
            {"fresh": True},
            True,
            False,
            "Nothing is lost. Leave out --fresh to resume qa.jsonl: with it, everything is asked anew, and the files "
            "of this run are kept under a number.",
        ),
        ("qa.jsonl", {"fresh": True}, False, False, "No row was answered. Run the same command again to start over."),
        (
            "-",
            {"failed": "f.jsonl"},
            True,
            False,
            "With -o - this run can't be resumed: the same command starts from the beginning.",
        ),
    ],
)
def test_the_words_follow_from_how_the_run_was_started(
    output: str, flags: dict[str, Any], has_outcomes: bool, from_pipe: bool, words: str
) -> None:
    settings = make_run_settings([ENDPOINT], flags, output=Path(output))
    assert describe_resuming(settings, has_outcomes=has_outcomes, reads_standard_input=from_pipe) == words
