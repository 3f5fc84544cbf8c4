"""Stops a run that has used what it may: tokens, money, time or failures. It can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from persqa_client.config import Limits, Price
from persqa_client.errors import RunStopped
from persqa_client.outcomes import Failure, Outcome
from persqa_client.storage.ledger import AnyLedger

# How to continue.
RAISE_IT = "Raise it, and run the same command again."
GOES_ON = "The same command goes on."
# Code of the error.
BUDGET = "budget"
# Tokens to which prices refer.
PRICED_TOKENS = 1_000_000


def cost_of(price: Price, prompt_tokens: float, completion_tokens: float) -> float:
    """The cost in the currency of the price, without discounts for cached tokens."""
    return (price.prompt * prompt_tokens + price.completion * completion_tokens) / PRICED_TOKENS


def format_amount(amount: float) -> str:
    """
    >>> format_amount(1234.5), format_amount(0.00123), format_amount(0)
    ('1,234.50', '0.0012', '0.00')
    """
    return f"{amount:.2g}" if 0 < amount < 0.1 else f"{amount:,.2f}"


@dataclass(slots=True)
class Spending:
    """The amounts that a run has used. Tokens are those of the whole run, failures and time those of this process.
    After a stop by these two, the same command therefore continues the run.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    failed: int = 0
    # In seconds of ``monotonic``.
    began: float = field(default_factory=monotonic)

    def begin(self, ledger: AnyLedger) -> None:
        """Starts the clock, and counts the tokens of earlier processes."""
        self.began = monotonic()
        # Outcomes that wait for an earlier row are not in the tally yet.
        waiting = [entry.outcome.usage for entry in ledger.buffer.unwritten_entries()]
        self.prompt_tokens = ledger.tally.prompt_tokens + sum(usage.prompt for usage in waiting)
        self.completion_tokens = ledger.tally.completion_tokens + sum(usage.completion for usage in waiting)

    def add(self, outcome: Outcome) -> None:
        self.prompt_tokens += outcome.usage.prompt
        self.completion_tokens += outcome.usage.completion
        self.failed += isinstance(outcome, Failure)


@contextmanager
def within_budget(limits: Limits, spending: Spending, warn: Callable[[str], None]) -> Iterator[None]:
    """Raises RunStopped before the work if a limit is reached.

    Requests in flight end after a stop. So the error names what has been used at the end, and ``warn`` gets it if all
    rows were done by then.
    """
    if (before := check_budget(limits, spending)) is not None:
        raise before
    try:
        yield
    except RunStopped as error:
        final = check_budget(limits, spending) if error.code == BUDGET else None
        raise (final or error) from None
    for fact, _ in iterate_reached(limits, spending, monotonic() - spending.began):
        warn(f"{fact} The last rows were in flight when that was reached.")


def check_budget(limits: Limits, spending: Spending) -> RunStopped | None:
    """The error that stops the run, if a limit is reached."""
    for fact, advice in iterate_reached(limits, spending, monotonic() - spending.began):
        return RunStopped(BUDGET, f"{fact} {advice} Nothing is lost.")
    return None


def iterate_reached(limits: Limits, spending: Spending, seconds: float) -> Iterator[tuple[str, str]]:
    """The limits that are reached, with the amount used, and how to continue."""
    tokens = spending.prompt_tokens + spending.completion_tokens
    if limits.max_tokens_total is not None and tokens >= limits.max_tokens_total:
        yield f"The run has used {tokens:,} tokens, and --max-tokens-total is {limits.max_tokens_total:,}.", RAISE_IT
    if limits.max_cost is not None and limits.price is not None:
        cost = cost_of(limits.price, spending.prompt_tokens, spending.completion_tokens)
        if cost >= limits.max_cost:
            yield f"The run has cost {cost:,.4g}, and --max-cost is {limits.max_cost:g}.", RAISE_IT
    if limits.max_failures is not None and spending.failed >= limits.max_failures:
        yield f"{spending.failed:,} failed, and --max-failures is {limits.max_failures:,}.", GOES_ON
    if limits.max_wall is not None and seconds >= limits.max_wall:
        limit = format_seconds(limits.max_wall)
        yield f"The run has taken {format_seconds(seconds)}, and --max-wall is {limit}.", GOES_ON


def format_seconds(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
