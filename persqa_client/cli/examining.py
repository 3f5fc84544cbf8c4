"""What ``persqa doctor`` does: looks at the server, tries a picture and the constraint, prints a table."""

from __future__ import annotations

import asyncio
import io
import os
from time import perf_counter

from PIL import Image
from rich.console import Console
from rich.table import Table

from persqa_client.chat.probes import Server, find_constraint, look
from persqa_client.chat.sessions import Session
from persqa_client.cli.exits import NO_SERVER, WRONG_USE, fail
from persqa_client.config import Endpoint, Limits, build, find_key
from persqa_client.errors import PersQAError, RowError, SettingsError
from persqa_client.types import Picture, Request

Finding = tuple[str, str]


def main(base_url: str, model: str | None, api_key_env: str | None, timeout: float) -> None:
    """Prints what was found; ends the command with its exit code where the server is not fit."""
    try:
        key = find_key(base_url, api_key_env, os.environ)
        endpoint = build(Endpoint, base_url=base_url, model=model or "?", api_key=key)
        limits = build(Limits, timeout=timeout, concurrency=1, max_attempts=2, max_outage=timeout)
        findings, refusal = asyncio.run(examine(endpoint, limits, choose=model is None))
    except SettingsError as error:
        fail(error, WRONG_USE)
    except PersQAError as error:
        fail(error, NO_SERVER)
    print_findings(findings, Console())
    if refusal is not None:
        fail(f"This server is not fit for a run, since it refuses pictures: {refusal}", NO_SERVER)


async def examine(endpoint: Endpoint, limits: Limits, *, choose: bool) -> tuple[list[Finding], str | None]:
    """What was found, in the order of the table, and why pictures are refused, if they are.

    Raises RunStopped where the server is away or refuses.
    """
    async with Session(endpoint, limits=limits) as session:
        server = await look(session)
    if choose:
        if not server.models:
            raise SettingsError("This server lists no models: name one with --model.")
        endpoint = endpoint.model_copy(update={"model": server.models[0]})
    async with Session(endpoint, limits=limits) as session:
        server = await look(session)
        seen, refusal = await try_picture(session)
        constraint = await find_constraint(session)
        findings = [
            *describe(endpoint, server),
            ("pictures", seen),
            obeyed(constraint),
            *(("dialect", note) for note in session.dialect.notes()),
        ]
        return findings, refusal


def describe(endpoint: Endpoint, server: Server) -> list[Finding]:
    models = ", ".join(server.models[:5]) or "none listed"
    return [
        ("endpoint", endpoint.base_url),
        ("server", f"vLLM {server.version}" if server.owner == "vllm" else server.version or "unknown kind"),
        ("models", models + (" …" if len(server.models) > 5 else "")),
        ("model asked", endpoint.model),
        ("context", f"{server.max_model_len:,} tokens" if server.max_model_len else "not told"),
    ]


async def try_picture(session: Session) -> tuple[str, str | None]:
    """Whether the server takes a picture at all and how long an answer takes; then, why not."""
    buffer = io.BytesIO()
    Image.new("RGB", (224, 224), (200, 30, 30)).save(buffer, "JPEG")
    picture = Picture(buffer.getvalue(), "image/jpeg", 224, 224)
    request = Request("You answer briefly.", (picture,), "What colour is this?", seed=0, max_tokens=48)
    began = perf_counter()
    try:
        reply = await session.complete(request)
    except RowError as error:
        return "refused", error.message
    words = " ".join(reply.completion.text.split())[:60]
    return f"taken; a red one was answered in {perf_counter() - began:.2f} s: {words!r}", None


def obeyed(constraint: str | None) -> Finding:
    if constraint is None:
        return "constraint", "none obeyed: answers are checked, repaired and asked again instead"
    return "constraint", f"{constraint} is obeyed: answers can be held to the tag"


def print_findings(findings: list[Finding], console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(*finding)
    console.print(table)
