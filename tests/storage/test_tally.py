"""The counts of a run are sums over its outcomes."""

from __future__ import annotations

from persqa_client.jsonl import dump_compact, load_object
from persqa_client.outcomes import Failure, Record, Verification
from persqa_client.storage.tally import Tally
from persqa_client.types import TaskId, Usage


def make_record(row: int, **more: object) -> Record:
    fields = {"kind": "qa", "tag": "<mam>", "question": "q", "answer": "a", "raw": "a", "seed": 1, **more}
    return Record(TaskId(row), **fields)  # type: ignore[arg-type]


def make_tally() -> Tally:
    tally = Tally()
    tally.add(make_record(1, usage=Usage(10, 2), made_good_by=("repair", "re-ask"), attempts=3, asks=2, refused="loop"))
    tally.add(make_record(2, usage=Usage(5, 1), made_good_by=("repair",)))
    tally.add(Failure(TaskId(3), "no_tag", "…", attempts=2, usage=Usage(20, 4), asks=2, refused="no_tag"))
    tally.add(Failure(TaskId(4), "no_image", "…"))
    tally.add(Failure(TaskId(5), "no_image", "…"))
    return tally


def test_tasks_tokens_and_attempts_are_make_tally() -> None:
    assert make_tally().to_json() == {
        "rows": 0,
        "units": 5,
        "good": 2,
        "failed": {"no_tag": 1, "no_image": 2},
        "re_asked": {"loop": 1, "no_tag": 1},
        "made_good_by": {"repair": 2, "re-ask": 1},
        "tokens": {"prompt": 35, "completion": 7},
        "attempts": 6,
        "doubtful": 0,
        "doubts": {},
        "verification": {"verdicts": {}, "requests": 0, "tokens": {"prompt": 0, "completion": 0}},
    }
    assert make_tally().failed_total == 3


def test_doubts_are_counted_for_accepted_answers_and_verdicts_for_all() -> None:
    tally = make_tally()
    tally.add(make_record(6, doubts=("hedged", "short"), verification=Verification("yes", "yes", 2, Usage(30, 2))))
    tally.add(make_record(7, doubts=("short", "unverified"), verification=Verification("failed", None, 5)))
    tally.add(Failure(TaskId(8), "not_verified", "…", verification=Verification("no", "no", 4, Usage(60, 4))))
    counts = tally.to_json()
    assert (counts["doubtful"], counts["doubts"]) == (2, {"hedged": 1, "short": 2, "unverified": 1})
    assert counts["verification"] == {
        "verdicts": {"yes/yes": 1, "failed": 1, "no/no": 1},
        "requests": 11,
        "tokens": {"prompt": 90, "completion": 6},
    }
    assert Tally.from_json(load_object(dump_compact(counts))) == tally


def test_the_counts_of_an_earlier_version_have_no_doubts() -> None:
    counts = make_tally().to_json()
    del counts["doubtful"], counts["doubts"], counts["verification"]
    assert Tally.from_json(counts) == make_tally()


def test_counts_come_back_from_json() -> None:
    assert Tally.from_json(load_object(dump_compact(make_tally().to_json()))) == make_tally()


def test_a_retried_failure_is_counted_once_but_its_cost_stays() -> None:
    tally = make_tally()
    tally.remove_failure("no_tag")
    tally.add(make_record(3, usage=Usage(1, 1)))
    assert (tally.tasks, tally.succeeded, dict(tally.failed)) == (5, 3, {"no_image": 2})
    assert (tally.prompt_tokens, tally.completion_tokens, tally.attempts) == (36, 8, 7)
