"""Divides the limits of an account among several processes."""

from __future__ import annotations

from fractions import Fraction

from persqa_client.config import Limits
from persqa_client.errors import SettingsError


def divide_limits(limits: Limits, number: int, total: int) -> Limits:
    """The share of one of ``total`` processes, ``number`` from 1: of the rates and the numbers of concurrent requests.

    Whole numbers are divided without a rest: the shares of all processes have exactly the given sum, and no share is
    more than 1 larger than another. The share of the process 1 is never more than the others'.

    Raises SettingsError for a limit that leaves nothing for a process.
    """
    names = ["max_concurrency"] if limits.concurrency == "auto" else ["concurrency"]
    values: dict[str, int | float] = {}
    for name in [*names, *(["tpm"] if limits.tpm is not None else [])]:
        values[name] = divide_evenly(name, getattr(limits, name), number, total)
    for name, rate in (("rps", limits.rps), ("rpm", limits.rpm)):
        if rate is not None:
            values[name] = float(Fraction(rate) / total)
    return limits.model_copy(update=values)


def divide_evenly(name: str, value: int, number: int, total: int) -> int:
    share = value * number // total - value * (number - 1) // total
    if share < 1:
        flag = name.replace("_", "-")
        raise SettingsError(f"--{flag} {value} leaves nothing for one of {total} processes; raise it, or use fewer.")
    return share


def describe_rates(limits: Limits) -> str:
    """
    >>> describe_rates(Limits(concurrency=4, rpm=18.75, tpm=6250))
    '4 requests at once, 18.75 requests per minute, 6,250 tokens per minute'
    """
    up_to = "up to " if limits.concurrency == "auto" else ""
    parts = [f"{up_to}{limits.concurrency_cap:,} requests at once"]
    parts += [f"{limits.rps:,.10g} requests per second"] if limits.rps is not None else []
    parts += [f"{limits.rpm:,.10g} requests per minute"] if limits.rpm is not None else []
    parts += [f"{limits.tpm:,} tokens per minute"] if limits.tpm is not None else []
    return ", ".join(parts)
