"""How to go on with a run that has stopped. Errors say what happened; these words depend on how the run was started."""

from __future__ import annotations

from persqa_client.run.settings import RunSettings

NOT_RESUMABLE = "With -o - this run can't be resumed: the same command starts from the beginning."


def describe_resuming(settings: RunSettings, *, has_outcomes: bool, reads_standard_input: bool = False) -> str:
    """``has_outcomes``: whether this start has got any; without them, a fresh run leaves no files."""
    if settings.is_stream:
        return NOT_RESUMABLE
    same_rows = ", with the same rows on standard input," if reads_standard_input else ""
    if not settings.fresh:
        return f"Nothing is lost. Run the same command again{same_rows} to resume {settings.output}."
    if has_outcomes:
        return (
            f"Nothing is lost. Leave out --fresh{same_rows} to resume {settings.output}: with it, the answers are "
            "discarded."
        )
    return "No row was answered. Run the same command again to start over."
