"""What was found out about a server, in a person's words: the lines of the doctor's table. Pure."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from persqa_client.cli.exits import NO_SERVER, WRONG_USE, fail
from persqa_client.config import DEFAULT_MAX_PIXELS, Endpoint, Limits, Sampling, build_settings
from persqa_client.endpoints.credentials import find_api_key
from persqa_client.endpoints.session import Session
from persqa_client.errors import PersQAError, SettingsError
from persqa_client.probing.capabilities import (
    ServerCapabilities,
    VisionCheck,
    explain_unusable_vision,
    resolve_strategy,
)
from persqa_client.probing.probe import identify_server, probe_server
from persqa_client.types import Strategy

# The flags of ``persqa run`` that follow from what a server was found to be. Pure.

TEXT_TOKENS = 400
"""What is said around the pictures takes no more, in English or Chinese."""

USUAL_PATCH = 28
LEAST_PICTURE = 64
"""Tokens of a picture in which a model still sees something."""


def command(server: ServerCapabilities, endpoint: Endpoint, key_env: str | None) -> str:
    """The command line of a run, to be copied into a shell."""
    words = ["persqa", "run", "photos/", "-o", "qa.jsonl", "--base-url", endpoint.base_url, "--model", endpoint.model]
    words += ["--api-key-env", key_env] if key_env else []
    words += ["--strategy", advised_strategy(server)]
    pixels = fitting_pixels(server)
    words += ["--max-pixels", str(pixels)] if pixels is not None and pixels < DEFAULT_MAX_PIXELS else []
    return shlex.join(words)


def advised_strategy(server: ServerCapabilities) -> Strategy:
    """``auto``'s choice, but rather a given beginning than none."""
    strategy = resolve_strategy(server, "auto")
    return "prefill" if strategy == "direct" and server.prefill else strategy


def picture_room(server: ServerCapabilities) -> int | None:
    """Tokens that are left for pictures beside the texts, an answer and one that was no good before it; None where the
    context is not told."""
    if server.max_model_len is None:
        return None
    return max(0, server.max_model_len - TEXT_TOKENS - 2 * Sampling().max_tokens)


def fitting_pixels(server: ServerCapabilities) -> int | None:
    """The size of one picture that fits the context; None where that is not known or would be next to nothing."""
    room = picture_room(server)
    if room is None or room < LEAST_PICTURE:
        return None
    return room * (server.picture_patch or USUAL_PATCH) ** 2


def pictures_that_fit(server: ServerCapabilities) -> int | None:
    """How many pictures of the default size one request has room for."""
    room = picture_room(server)
    most = DEFAULT_MAX_PIXELS // (server.picture_patch or USUAL_PATCH) ** 2
    return None if room is None else room // most


Finding = tuple[str, str]

FAMILIES = {28: "Qwen2-VL, Qwen2.5-VL", 32: "Qwen3-VL"}
MODELS_TOLD = 5


def findings(endpoint: Endpoint, server: ServerCapabilities, notes: list[str]) -> list[Finding]:
    """Heading and text of each line; a heading that goes on is empty."""
    models = ", ".join(server.models[:MODELS_TOLD]) or "none listed"
    return [
        ("endpoint", endpoint.base_url),
        ("server", f"vLLM {server.version}" if server.owner == "vllm" else server.version or "unknown kind"),
        ("models", models + (" …" if len(server.models) > MODELS_TOLD else "")),
        ("model asked", endpoint.model),
        ("context", context(server)),
        ("pictures", pictures(server.vision)),
        ("picture tokens", picture_tokens(server)),
        ("image limit", image_limit(server)),
        *forms("constraint", server.constraints),
        *forms("prefill", server.prefills),
        ("seed", seed(server.seed)),
        ("uuid", uuid(server.uuid)),
        ("latency", "not known" if server.latency is None else f"{server.latency:.2f} s for a short answer"),
        *under_one("dialect", notes),
    ]


def context(server: ServerCapabilities) -> str:
    fit = pictures_that_fit(server)
    if server.max_model_len is None or fit is None:
        return "not told"
    room = f"{fit} picture{'' if fit == 1 else 's'}" if fit else "no picture"
    return f"{server.max_model_len:,} tokens: room for {room} of {DEFAULT_MAX_PIXELS:,} pixels"


def pictures(sight: VisionCheck | None) -> str:
    if sight is None:
        return "not tried"
    return {
        "seen": f"seen: the colour of one was named ({sight.text!r})",
        "not shown": f"taken, but its colour was not named: {sight.text!r}",
        "ignored": f"never shown to the model, which says {sight.text!r}",
        "refused": f"refused: {sight.text}",
        "failed": f"no answer came: {sight.text}",
    }[sight.state]


def picture_tokens(server: ServerCapabilities) -> str:
    if (patch := server.picture_patch) is not None:
        return f"one for {patch}x{patch} pixels, as with {FAMILIES[patch]}"
    tokens = server.vision.tokens if server.vision else None
    return f"by an unknown rule: {tokens:,} for 560x560 pixels" if tokens else "not known"


def image_limit(server: ServerCapabilities) -> str:
    if server.image_limit is not None:
        return f"{server.image_limit} in a request"
    return "not known" if server.images_taken is None else f"{server.images_taken} in a request, perhaps more"


def forms(heading: str, found: Mapping[str, str]) -> list[Finding]:
    width = max(map(len, found), default=0)
    return under_one(heading, [f"{form:{width}}  {obedience}" for form, obedience in found.items()])


def seed(found: str | None) -> str:
    return {
        "obeyed": "obeyed: the same seed gives the same answer, another one another",
        "not shown": "no effect was seen: answers can't be repeated",
        "refused": "refused: answers can't be repeated",
    }.get(found or "", "not tried")


def uuid(found: bool | None) -> str:
    if found is None:
        return "not tried"
    return "known: a picture that was sent once can be named" if found else "not known: pictures are sent each time"


def under_one(heading: str, texts: list[str]) -> list[Finding]:
    return [(heading if number == 0 else "", text) for number, text in enumerate(texts)]


# What ``persqa doctor`` does: looks at the server, tries all that a run may need, prints a table and a command.

AT_ONCE = 8


def main(base_url: str, model: str | None, api_key_env: str | None, timeout: float) -> None:
    """Prints what was found; ends the command with its exit code where the server is not fit."""
    try:
        key = find_api_key(base_url, api_key_env, os.environ)
        endpoint = build_settings(Endpoint, base_url=base_url, model=model or "?", api_key=key)
        limits = build_settings(Limits, timeout=timeout, concurrency=AT_ONCE, max_attempts=2, max_outage=timeout)
        endpoint, server, notes = asyncio.run(diagnose(endpoint, limits, choose=model is None))
    except SettingsError as error:
        fail(error, WRONG_USE)
    except PersQAError as error:
        fail(error, NO_SERVER)
    console = Console()
    print_findings(findings(endpoint, server, notes), console)
    reason = explain_unusable_vision(server)
    if reason is None and server.vision is not None and server.vision.state == "failed":
        reason = f"It has no answer to a request with a picture: {server.vision.text}"
    if reason is not None:
        fail(f"This server is not fit for a run. {reason}", NO_SERVER)
    console.print("\nSettings to use:", style="bold")
    console.print(command(server, endpoint, api_key_env), soft_wrap=True, markup=False, highlight=False)


async def diagnose(
    endpoint: Endpoint, limits: Limits, *, choose: bool
) -> tuple[Endpoint, ServerCapabilities, list[str]]:
    """The endpoint with its model chosen, what was found, and what requests to it must do without.

    Raises RunStopped where the server is away or refuses.
    """
    if choose:
        async with Session(endpoint, limits=limits) as session:
            models = (await identify_server(session)).models
        if not models:
            raise SettingsError("This server lists no models: name one with --model.")
        endpoint = endpoint.model_copy(update={"model": models[0]})
    async with Session(endpoint, limits=limits) as session:
        server = await probe_server(session, thorough=True)
        return endpoint, server, session.profile.dialect.describe_changes()


def print_findings(lines: list[Finding], console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, text in lines:
        table.add_row(heading, Text(text))
    console.print(table)
