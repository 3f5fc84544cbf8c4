"""Stops a run that has used what it may: tokens, money, time or failures. It can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from time import monotonic

from persqa_client.config import Limits, Price
from persqa_client.errors import RunStopped
from persqa_client.storage.tally import Tally

# Ends the message.
KEPT = "The requests in flight were finished and stored."
# Tokens to which prices refer.
PRICED_TOKENS = 1_000_000


def cost_of(price: Price, prompt_tokens: float, completion_tokens: float) -> float:
    """In the currency of the price. Discounts for cached tokens are not known."""
    return (price.prompt * prompt_tokens + price.completion * completion_tokens) / PRICED_TOKENS


def check_budget(limits: Limits, tally: Tally, failed: int, began: float) -> RunStopped | None:
    """The error that stops the run, if a limit is reached.

    Tokens and cost are those of the whole run, in ``tally``. ``failed``: failures of this process; ``began``: its
    start, in seconds of ``monotonic``. So the same command goes on after these two limits.
    """
    reached = next(iterate_reached(limits, tally, failed, monotonic() - began), None)
    return None if reached is None else RunStopped("budget", f"{reached} {KEPT}")


def iterate_reached(limits: Limits, tally: Tally, failed: int, seconds: float) -> Iterator[str]:
    tokens = tally.prompt_tokens + tally.completion_tokens
    if limits.max_tokens_total is not None and tokens >= limits.max_tokens_total:
        limit = f"{limits.max_tokens_total:,}"
        yield f"The run has used {tokens:,} tokens, and --max-tokens-total is {limit}: raise it to go on."
    if limits.max_cost is not None and limits.price is not None:
        cost = cost_of(limits.price, tally.prompt_tokens, tally.completion_tokens)
        if cost >= limits.max_cost:
            yield f"The run has cost {cost:,.4g}, and --max-cost is {limits.max_cost:g}: raise it to go on."
    if limits.max_failures is not None and failed >= limits.max_failures:
        yield f"{failed:,} failed, and --max-failures is {limits.max_failures:,}: see the reasons in the failure file."
    if limits.max_wall is not None and seconds >= limits.max_wall:
        yield f"The run has taken {format_seconds(seconds)}, and --max-wall is {format_seconds(limits.max_wall)}."


def format_seconds(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
