"""Why a server is not there, told to a person: one sentence, and the end of its log. Pure."""

from __future__ import annotations

import signal
from pathlib import Path

from persqa_client.errors import ServerFailed, SettingsError
from persqa_client.vllm_server.logs import cause, doing, last_lines


def died(served: str, code: int, said: str, log: Path | None, *, ready: bool) -> ServerFailed:
    """It has ended with ``code`` (negative: by a signal), before it was ready or afterwards."""
    when = "while it was in use" if ready else "before it was ready"
    reason = cause(said)
    told = "" if reason is None else f": {reason.rstrip('.')}"
    sentence = f"vllm serve {served} {ended(code)} {when}{told}. {whole(log)}"
    return ServerFailed("server_died" if ready else "server_failed", sentence, last_lines(said))


def stopped(served: str) -> ServerFailed:
    """Somebody asks for it who does not know that we have ended it."""
    return ServerFailed(
        "server_stopped", f"vllm serve {served} was stopped, and nobody answers at its address any more."
    )


def ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (somebody killed it, or the system did for want of memory)" if -code == signal.SIGKILL else ""
    return f"was ended by {name}{hint}"


def too_slow(served: str, seconds: float, said: str, log: Path | None) -> ServerFailed:
    at = doing(said)
    told = "it said nothing" if at is None else f"the last that it said was: {at.rstrip('.')}"
    limit = f"{seconds:g} s (--serve-timeout, startup_timeout)"
    sentence = f"vllm serve {served} was not ready within {limit}; {told}. {whole(log)}"
    return ServerFailed("server_slow", sentence, last_lines(said))


def whole(log: Path | None) -> str:
    return f"Its whole log: {log}."


def taken(port: int) -> SettingsError:
    return SettingsError(
        f"Port {port} is taken by another program: choose another one, or none, and a free one is found."
    )


def outrun(tries: int) -> ServerFailed:
    """Free ports were chosen, and each was gone before the server had it."""
    return ServerFailed(
        "no_port", f"{tries} free ports were taken by other programs before vllm serve could have them: try again."
    )
