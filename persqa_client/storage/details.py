"""Lines of the details file: what was asked, each answer as it was received, and what became of it."""

from __future__ import annotations

from persqa_client.jsonl import WHITESPACE_BYTES, dump_compact
from persqa_client.outcomes import AskedTask, Failure, Outcome, RawAnswer, Record, SentPicture
from persqa_client.storage.records import describe_picture, outcome_from_json, outcome_to_json
from persqa_client.types import Json

# Members of a raw answer that are left out without a value.
OPTIONAL = frozenset({"problem", "steps", "sent_finish_reason", "refusal"})
# Members that are about the files.
NOT_OF_OUTCOMES = frozenset({"file", "line", "rechecked"})


def render_details(line: bytes, outcome: Outcome, written: bytes, *, rechecked: bool = False) -> bytes:
    """``line`` and ``written``: the input line, and the line of the output or of the failure file.

    The input line is added if it can't be restored from the written one by removing members from its end.
    ``rechecked``: the line replaces earlier ones of the question, and has their raw answers.
    """
    fields = outcome_to_details(outcome)
    if rechecked:
        fields["rechecked"] = True
    if isinstance(outcome, Record) and not written.startswith(line.rstrip(WHITESPACE_BYTES)[:-1]):
        fields["line"] = line.decode(errors="replace")
    return dump_compact(fields) + b"\n"


def outcome_to_details(outcome: Outcome) -> Json:
    fields = outcome_to_json(outcome)
    where = "failed" if isinstance(outcome, Failure) else "output"
    # First, so that the place of a question is found without parsing the line.
    place: Json = {"row": fields.pop("row"), "question_number": fields.pop("question_number"), "file": where}
    fields |= {
        "usage": {"prompt": outcome.usage.prompt, "completion": outcome.usage.completion},
        "pictures": [describe_picture(picture, with_file=True) for picture in outcome.pictures],
        "raws": [_describe_raw(raw) for raw in outcome.raws],
    }
    if outcome.raws and (isinstance(outcome, Record) or outcome.stage == "answer"):
        # Those of one of the raw answers (see outcome_from_details).
        del fields["raw"]
        fields.pop("finish_reason", None)
    if isinstance(outcome, Failure):
        del fields["task"]
        fields |= outcome.task._asdict() if outcome.task is not None else {}
    return place | fields


def _describe_raw(raw: RawAnswer) -> Json:
    return {name: value for name, value in raw._asdict().items() if value not in (None, ()) or name not in OPTIONAL}


def outcome_from_details(details: Json) -> Outcome:
    """Raises ValueError."""
    try:
        fields = {name: value for name, value in details.items() if name not in NOT_OF_OUTCOMES}
        raws = tuple(_parse_raw(raw) for raw in fields.pop("raws"))
        usage = fields.pop("usage")
        fields |= {"usage": (usage["prompt"], usage["completion"]), "raws": raws}
        fields["pictures"] = [SentPicture(**picture) for picture in fields["pictures"]]
        if "code" in fields:
            return _failure_from_details(fields)
        if raws:
            accepted = next((raw for raw in raws if raw.problem is None), raws[-1])
            fields["raw"] = accepted.text
            fields["finish_reason"] = accepted.sent_finish_reason or accepted.finish_reason
        return outcome_from_json(fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a line of a details file: {error}") from error


def _failure_from_details(fields: Json) -> Outcome:
    raws = fields["raws"]
    if raws and fields["stage"] == "answer":
        fields["raw"] = raws[-1].refusal or raws[-1].text
    if "question" in fields:
        fields["task"] = AskedTask(**{name: fields.pop(name) for name in AskedTask._fields})
    return outcome_from_json(fields)


def _parse_raw(fields: Json) -> RawAnswer:
    raw = RawAnswer(**fields)
    return raw._replace(steps=tuple(raw.steps))
