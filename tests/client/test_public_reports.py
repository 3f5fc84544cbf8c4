"""Replies of real servers and gateways, from public reports, and what each is taken for.

``public_reports.jsonl`` holds one reply a line: where it was reported, what was sent (with invented ids), whether the
endpoint had answered before, the row of the table of troubles that it belongs to, and the decision. ``says`` is the
part of the server's words that must reach the user. For an answer, ``code`` is its finish reason. ``note`` says where a
line differs from the report.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from persqa_client.client.classify import classify_response
from persqa_client.client.dialect import OPTIONAL_FIELDS
from persqa_client.client.event_stream import is_event_stream
from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.response import read_completion, read_stream
from persqa_client.types import Completion, ErrorDecision, Json
from tests.client.attempts import FRESH
from tests.support.cases import each_case

REPORTS = [
    json.loads(line) for line in Path(__file__).with_name("public_reports.jsonl").read_text("utf-8").splitlines()
]
NOW = 1_800_000_000.0
# The last two as if set by --extra-body.
CONTEXT = replace(FRESH, optional_fields=OPTIONAL_FIELDS | {"frequency_penalty", "presence_penalty"})


def read_reply(report: Json) -> Completion | ErrorDecision:
    """As ``Client`` does it."""
    body: Any = report["body"]
    data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    headers = {name.title(): value for name, value in report["headers"].items()}
    context: AttemptContext = replace(CONTEXT, has_answered=report["proven"])
    if report["status"] != 200:
        lowered = {name.lower(): value for name, value in headers.items()}
        return classify_response(report["status"], lowered, data, context, now=NOW)
    read = read_stream if is_event_stream(headers) else read_completion
    return read(data, context, now=NOW)


@each_case("report", REPORTS, ids=[f"{one['row']}: {one['server']}, {one['status']}" for one in REPORTS])
def test_a_reported_reply_is_taken_for_what_it_was(report: Json) -> None:
    reply = read_reply(report)
    if isinstance(reply, Completion):
        assert (report["action"], report["code"]) == (None, reply.finish_reason)
        assert report["says"] in reply.text
        return
    assert (reply.action.value, reply.code) == (report["action"], report["code"])
    assert (reply.retry_after, reply.grace, reply.parameter) == (
        report["retry_after"],
        report["grace"],
        report.get("parameter"),
    )
    assert report["says"] in reply.message
    assert reply.message.endswith(".")


def test_each_row_of_the_table_has_ten_reports_with_a_source() -> None:
    counts = Counter(one["row"] for one in REPORTS)
    assert all(counts[row] >= 10 for row in ("pressure", "transient", "row", "endpoint", "dialect"))
    assert all(one["source"].startswith("https://") for one in REPORTS)
