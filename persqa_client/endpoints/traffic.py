"""Counts and notes about endpoints, for the summary and the run file."""

from __future__ import annotations

from dataclasses import dataclass

from persqa_client.endpoints.pool import Pool


@dataclass(frozen=True, slots=True)
class EndpointStats:
    """One endpoint since the start of this process. Field names are keys of the run file."""

    base_url: str
    answers: int
    failed_rows: int
    prompt_tokens: int
    completion_tokens: int
    outages: int = 0
    left_out: str | None = None  # why the endpoint was excluded

    def summary_line(self) -> str:
        text = f"{self.answers:,} answers, {self.failed_rows:,} failed"
        text += f", {self.prompt_tokens:,} tokens in, {self.completion_tokens:,} out"
        if self.outages:
            text += f", unavailable {'once' if self.outages == 1 else f'{self.outages:,} times'}"
        return f"{text}, left out" if self.left_out else text


def collect_endpoint_stats(pool: Pool) -> tuple[EndpointStats, ...]:
    """Empty for a single endpoint, whose counts are those of the run."""
    if len(pool.members) == 1:
        return ()
    return tuple(
        EndpointStats(
            member.url,
            member.session.traffic.answered,
            member.session.traffic.failed_rows,
            member.session.traffic.usage.prompt,
            member.session.traffic.usage.completion,
            member.session.outage.times_unavailable,
            member.exclusion,
        )
        for member in pool.members
    )


def collect_notes(pool: Pool) -> list[str]:
    changes = {
        member.url: member.session.profile.describe_changes() + member.session.image_dialect.describe_changes()
        for member in pool.members
    }
    first: list[str] = next(iter(changes.values()), [])  # DataFlow's servings have no endpoints
    if all(notes == first for notes in changes.values()):
        return [*first, *pool.warnings]
    return [f"{url}: {note}" for url, notes in changes.items() for note in notes] + pool.warnings


def collect_findings(pool: Pool) -> list[str]:
    findings = []
    for member in pool.members:
        prefix = f"{member.url}: " if len(pool.members) > 1 else ""
        if member.session.limits.concurrency == "auto" and member.session.traffic.answered:
            permits = member.session.concurrency_limit.permits
            findings.append(f"{prefix}final concurrency: {permits} (--concurrency auto)")
        if (refusals := member.session.concurrency_limit.describe_total()) is not None:
            findings.append(f"{prefix}{refusals}")
    uploads = [session.profile.uploads for session in pool.sessions]
    if uuids_sent := sum(each.uuids_sent for each in uploads):
        images_sent = sum(each.images_sent for each in uploads)
        misses = sum(each.cache_misses for each in uploads)
        refused = f" ({misses:,} of them refused)" if misses else ""
        findings.append(f"images sent {images_sent:,} times, and by uuid only {uuids_sent:,} times{refused}")
    return findings
