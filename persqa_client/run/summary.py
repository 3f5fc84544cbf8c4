"""The result of a run, for the caller and for the run file, and how to continue a run that has stopped."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from persqa_client import __version__
from persqa_client.config import Price, VerifyChoice
from persqa_client.endpoints.pool import Pool
from persqa_client.engines.budget import cost_of, format_amount
from persqa_client.images.references import escape_unprintable
from persqa_client.limits.shares import describe_rates
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.run.compose import Composition
from persqa_client.run.settings import RunSettings
from persqa_client.storage.ledger import AnyLedger
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally

# Slower rates are those of a minute.
MIN_PER_SECOND = 0.1
NOT_RESUMABLE = "With -o - this run can't be resumed: the same command starts from the beginning."


# ``interrupted``: can be resumed; ``already``: nothing was left to do.
RunState = Literal["finished", "interrupted", "already"]


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """Result of a run. Without an output, ``records`` and ``failures`` hold the rows in input order.

    ``print`` shows what ``persqa run`` prints; ``repr`` is one line, without the server's capabilities and the rows.
    """

    state: RunState
    # Counts, including outcomes that are stored but not written, because they wait for an earlier row.
    tally: Tally
    seconds: float
    files: RunFiles | None = None
    # The output of the earlier run that a fresh one has replaced.
    kept_output: Path | None = None
    # The shard of the rows that the run has processed; empty for all.
    shard: str = ""
    # The limits of this process, if they are a share of the given ones; else empty.
    limits: str = ""
    # Capabilities of the first endpoint.
    server: ServerCapabilities | None = None
    notes: tuple[str, ...] = ()
    # Final concurrency, and how many images were sent by uuid.
    findings: tuple[str, ...] = ()
    # Which answers the model verified.
    verify: VerifyChoice = "off"
    # Since the last start; empty for a single endpoint.
    endpoints: tuple[EndpointStats, ...] = ()
    records: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    # Given by the user, or looked up for --max-cost.
    price: Price | None = None

    def __str__(self) -> str:
        lines = [("state", self.state), *list_results(self)]
        return "\n".join(f"{label:<13} {escape_unprintable(text)}" for label, text in lines)

    def __repr__(self) -> str:
        output = f", output={str(self.files.output)!r}" if self.files is not None else ""
        counts = f"succeeded={self.tally.succeeded}, failed={self.tally.failed_total}"
        return f"Summary(state={self.state!r}, {counts}, seconds={self.seconds:.1f}{output})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython and notebooks."""
        printer.text(str(self))


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
    """How the endpoints differ from what was assumed: each difference once if all have it."""
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


def summarize(composition: Composition, ledger: AnyLedger, files: RunFiles | None, *, state: RunState) -> Summary:
    return Summary(
        state=state,
        tally=tally_stored(ledger),
        seconds=ledger.seconds,
        files=files,
        kept_output=ledger.kept_output,
        shard=str(composition.settings.shard or ""),
        limits=describe_share(composition.settings),
        server=next(iter(composition.servers), None),
        notes=tuple(collect_notes(composition.pool)),
        findings=tuple(collect_findings(composition.pool)),
        verify=composition.settings.recipe.verify,
        endpoints=collect_endpoint_stats(composition.pool),
        price=composition.plan.limits.price,
    )


def tally_stored(ledger: AnyLedger) -> Tally:
    """Rows count once one of their questions has an outcome."""
    tally, rows = Tally.from_json(ledger.tally.to_json()), set[int]()
    for entry in ledger.buffer.unwritten_entries():
        tally.add(entry.outcome)
        rows.add(entry.outcome.task_id.row)
    tally.rows += len(rows)
    return tally


def describe_share(settings: RunSettings) -> str:
    parts = [] if settings.limits_share is None else [f"share {settings.limits_share} of the given ones"]
    folder = settings.limits.share_limits
    parts += [] if folder is None else [f"shared through {folder}"]
    return f"{', '.join(parts)}: {describe_rates(settings.limits)}" if parts else ""


def list_results(summary: Summary) -> list[tuple[str, str]]:
    """Labels and texts. A count of zero is left out, but for that of the failures, which decides the exit code."""
    tally = summary.tally
    several = tally.tasks != tally.rows
    rate = ""
    if summary.seconds >= 1:
        rate = f", {format_rate(tally.tasks / summary.seconds, 'questions' if several else 'rows')}"
    asked = f", {tally.tasks:,} questions" if several else ""
    shard = f" of shard {summary.shard}" if summary.shard else ""
    results = [("rows", f"{tally.rows:,}{shard}{asked}"), ("answered", f"{tally.succeeded:,}")]
    if tally.made_good_by:
        results.append(("interventions", format_counts(tally.made_good_by)))
    if tally.re_asked:
        results.append(("re-asked", f"{tally.re_asked.total():,} ({format_counts(tally.re_asked)})"))
    results.append(("failed", f"{tally.failed_total:,}"))
    results += [(f"  {code}", f"{count:,}") for code, count in tally.failed.most_common()]
    results += list_doubts(summary)
    if tally.prompt_tokens or tally.completion_tokens:
        results.append(("tokens", f"{tally.prompt_tokens:,} in, {tally.completion_tokens:,} out"))
    if (price := summary.price) is not None:
        cost = format_amount(cost_of(price, tally.prompt_tokens, tally.completion_tokens))
        results.append(("cost", f"{cost}, at {price.prompt:g} and {price.completion:g} a million tokens"))
    results.append(("time", f"{timedelta(seconds=round(summary.seconds))}{rate}"))
    results += [("endpoint", f"{stats.base_url}: {stats.summary_line()}") for stats in summary.endpoints]
    results += [("server", note) for note in summary.notes]
    results += [("limits", summary.limits)] if summary.limits else []
    results += [("observed", finding) for finding in summary.findings]
    if summary.files is not None and summary.state == "finished":
        results.append(("output", str(summary.files.output)))
        if tally.failed_total:
            results.append(("failed rows", str(summary.files.failed)))
        if summary.files.details.exists():
            results.append(("details", str(summary.files.details)))
        results.append(("run file", str(summary.files.run)))
        for label, path in (("timeline", summary.files.timeline), ("listing", summary.files.listing)):
            if path.exists():
                results.append((label, str(path)))
        if summary.kept_output is not None:
            results.append(("earlier run", f"{summary.kept_output} and its files"))
    return results


def format_rate(per_second: float, noun: str) -> str:
    """
    >>> format_rate(1.26, "rows"), format_rate(0.02, "rows")
    ('1.3 rows/s', '1.2 rows/min')
    """
    return f"{per_second:.1f} {noun}/s" if per_second >= MIN_PER_SECOND else f"{60 * per_second:.1f} {noun}/min"


def list_doubts(summary: Summary) -> list[tuple[str, str]]:
    """Doubtful answers, and what the model said of them or of all answers."""
    tally = summary.tally
    results = []
    if tally.doubtful:
        advice = ""
        if summary.verify == "off":
            # The choice belongs to the run's identity, so this run can't be verified later.
            advice = "; a new run with --verify doubtful lets the model check them"
            if summary.files is not None and summary.state == "finished":
                advice = f"; look at them in {summary.files.details}{advice}"
        results.append(("doubtful", f"{tally.doubtful:,} ({format_counts(tally.doubts)}){advice}"))
    if not tally.verification_requests:
        return results
    usage = tally.verification_usage
    cost = f"{tally.verification_requests:,} requests, {usage.prompt:,} tokens in, {usage.completion:,} out"
    results.append(("verification", f"{cost} (included below)"))
    totals = Counter[str]()
    for verdicts, count in tally.verdicts.items():
        totals[verdicts.partition("/")[0]] += count
    for verdict, count in totals.most_common():
        same = tally.verdicts[f"{verdict}/{verdict}"]
        blind = f", {same:,} of them without the picture too" if same else ""
        results.append((f"  {verdict}", f"{count:,}{blind}"))
    return results


def format_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def describe_run(composition: Composition) -> dict[str, Any]:
    return {
        **describe_endpoints(composition),
        "limits": composition.settings.limits.model_dump(mode="json"),
        **({"limits_share": str(share)} if (share := composition.settings.limits_share) else {}),
        "strategy": composition.strategy,
        "warnings": list(composition.plan.warnings()),
        "notes": [*collect_notes(composition.pool), *composition.question_warnings],
        "found": collect_findings(composition.pool),
        "versions": {
            "persqa_client": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("openai", "aiohttp", "pillow")},
        },
    }


def describe_endpoints(composition: Composition) -> dict[str, Any]:
    pool = composition.pool
    servers = [server.to_json() for server in composition.servers]
    if len(pool.members) == 1:
        return {"base_url": composition.settings.endpoint.base_url, "server": servers[0] if servers else None}
    # One that was left out from the start has none.
    found = dict(zip(composition.server_urls, servers, strict=False))
    stats = map(asdict, collect_endpoint_stats(pool))
    return {"endpoints": [{**each, "server": found.get(each["base_url"])} for each in stats]}


def describe_resuming(settings: RunSettings, *, has_outcomes: bool, reads_standard_input: bool = False) -> str:
    """Advice on how to continue. It is no part of the error messages, because it depends on how the run was started.

    ``has_outcomes``: whether this start has got any; without them, a fresh run leaves no files."""
    if settings.is_stream:
        return NOT_RESUMABLE
    if settings.output is None:
        return "Nothing was written."
    same_rows = ", with the same rows on standard input," if reads_standard_input else ""
    if not settings.fresh:
        return f"Nothing is lost. Run the same command again{same_rows} to resume {settings.output}."
    if has_outcomes:
        return (
            f"Nothing is lost. Leave out --fresh{same_rows} to resume {settings.output}: with it, everything "
            "is asked anew, and the files of this run are kept under a number."
        )
    return "No row was answered. Run the same command again to start over."
