"""What the endpoints of a run did, each by itself: for the summary, the run file and the person who looks on. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from persqa_client.endpoints.pool import Member, Pool


@dataclass(frozen=True, slots=True)
class EndpointStats:
    """One endpoint since the start of this process. ``outages``: how often it went away; ``left_out``: why it was sent
    nothing from some time on."""

    base_url: str
    answers: int
    failed_rows: int
    prompt_tokens: int
    completion_tokens: int
    outages: int = 0
    left_out: str | None = None

    def summary_line(self) -> str:
        """One line for a person."""
        text = f"{self.answers:,} answers, {self.failed_rows:,} failed"
        text += f", {self.prompt_tokens:,} tokens in, {self.completion_tokens:,} out"
        if self.outages:
            text += f", away {'once' if self.outages == 1 else f'{self.outages:,} times'}"
        return f"{text}, left out at last" if self.left_out else text


def collect_endpoint_stats(pool: Pool) -> tuple[EndpointStats, ...]:
    """Of each endpoint; of one alone the run's own counts tell all."""
    return tuple(map(account_of, pool.members)) if len(pool.members) > 1 else ()


def account_of(member: Member) -> EndpointStats:
    traffic, outage = member.session.traffic, member.session.outage
    return EndpointStats(
        member.name,
        traffic.answered,
        member.failed,
        traffic.usage.prompt,
        traffic.usage.completion,
        outage.count,
        member.out,
    )


def collect_notes(pool: Pool) -> list[str]:
    """What was learnt of the endpoints' dialects, by name where they differ, and which were left out."""
    learnt = {member.name: member.session.dialect.describe_changes() for member in pool.members}
    if all(notes == learnt[pool.members[0].name] for notes in learnt.values()):
        return [*next(iter(learnt.values()), ()), *pool.warnings]
    return [f"{name}: {note}" for name, notes in learnt.items() for note in notes] + pool.warnings


def trouble_at(member: Member) -> str | None:
    """Why nothing is sent to one endpoint at the moment."""
    session = member.session
    if session.outage.reason is None and session.concurrency_limit.paused:
        return "the server, or what is left of the account's limits, asks to wait."
    return session.outage.reason


def collect_findings(pool: Pool) -> list[str]:
    """What the run found by itself and a person may want to know: how many requests at once, pictures sent once."""
    found = []
    for member in pool.members:
        name = f"{member.name}: " if len(pool.members) > 1 else ""
        if member.session.limits.concurrency == "auto" and member.session.traffic.answered:
            found.append(
                f"{name}{member.session.concurrency_limit.permits} requests at once at last (--concurrency auto)"
            )
    return found + pictures_of(pool)


def pictures_of(pool: Pool) -> list[str]:
    uploads = [session.uploads for session in pool.sessions]
    counts = ("images_sent", "uuids_sent", "cache_misses")
    carried, named, missed = (sum(getattr(each, name) for each in uploads) for name in counts)
    if not named:
        return []
    again = f", {missed:,} of these in vain" if missed else ""
    return [f"pictures sent {carried:,} times, and named {named:,} times instead{again}"]


def describe_trouble(pool: Pool) -> str | None:
    """Why a run waits, or which of its endpoints are away; None where all is well."""
    reasons = {member.name: trouble_at(member) for member in pool.members if not member.out}
    away = {name: reason for name, reason in reasons.items() if reason is not None}
    if not away:
        return None
    if len(away) == len(reasons):
        return f"waiting: {' '.join(away.values())}"
    return f"away: {', '.join(away)}"
