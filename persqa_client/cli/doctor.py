"""``persqa doctor``: probes a server, prints what it supports, and suggests a command line."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from persqa_client import __version__
from persqa_client.cli.endpoint_flags import read_credentials
from persqa_client.cli.exits import EXIT_NO_SERVER, EXIT_OK, EXIT_USAGE, exit_with_error
from persqa_client.cli.json_result import describe_reason_of_end, print_as_json
from persqa_client.cli.messages import print_warning
from persqa_client.cli.results import print_results
from persqa_client.config import DEFAULT_MAX_PIXELS, UNKNOWN_MODEL, Endpoint, Limits, Sampling, build_settings
from persqa_client.endpoints.credentials import make_endpoints
from persqa_client.endpoints.session import Session
from persqa_client.errors import PersQAError, RunStopped, SettingsError
from persqa_client.keys import mask_keys
from persqa_client.probing.capabilities import (
    ServerCapabilities,
    VisionCheck,
    explain_unusable_vision,
    list_warnings,
    resolve_strategy,
)
from persqa_client.probing.only_model import MAX_MODELS_SHOWN
from persqa_client.probing.probe import identify_server, probe_server
from persqa_client.terminals import QuietConsole
from persqa_client.types import Strategy

# Label and text of a table row. A row that continues the previous one has an empty label.
Finding = tuple[str, str]

MAX_CONCURRENCY = 8
FAMILIES_BY_PATCH = {28: "Qwen2-VL, Qwen2.5-VL", 32: "Qwen3-VL"}
DEFAULT_PATCH = 28
# Upper bound of the prompt's tokens without images, in English and Chinese.
TEXT_TOKENS = 400
# With fewer tokens per image, a model recognises nothing.
MIN_IMAGE_TOKENS = 64


def print_report(base_url: str, model: str | None, flags: Mapping[str, Any], timeout: float, *, as_json: bool) -> None:
    """``flags``: those of the credentials, by name."""
    result: dict[str, Any] = {"version": __version__, "exit_code": EXIT_OK}
    try:
        (endpoint,) = make_endpoints([base_url], model or UNKNOWN_MODEL, read_credentials(flags), os.environ)
        limits = build_settings(
            Limits, timeout=timeout, concurrency=MAX_CONCURRENCY, max_attempts=2, max_outage=timeout
        )
        endpoint, server, notes = asyncio.run(diagnose(endpoint, limits, choose_model=model is None))
        result |= {"endpoint": endpoint.full_url, "model": endpoint.model, "server": server.to_json(), "notes": notes}
        if not as_json:
            print_results(list_findings(endpoint, server, notes), QuietConsole())
        refuse_without_vision(server)
    except PersQAError as error:
        code = EXIT_USAGE if isinstance(error, SettingsError) else EXIT_NO_SERVER
        if as_json:
            print_as_json(result | {"exit_code": code, "reason": describe_reason_of_end(error, code)})
        exit_with_error(error, code)
    warnings = [mask_keys(warning) for warning in list_warnings([server], [endpoint.base_url])]
    command = suggest_command(server, endpoint, flags)
    if as_json:
        print_as_json(result | {"warnings": warnings, "command": command})
        return
    for warning in warnings:
        print_warning(warning)
    console = QuietConsole()
    console.print("\nSettings to use:", style="bold")
    console.print(command, soft_wrap=True, markup=False, highlight=False)


def refuse_without_vision(server: ServerCapabilities) -> None:
    """Raises RunStopped if the server can't be used for a run."""
    reason = explain_unusable_vision(server)
    if reason is None and server.vision is not None and server.vision.state == "failed":
        reason = f"A request with an image was not answered: {server.vision.text}"
    if reason is not None:
        raise RunStopped("no_pictures", f"This server cannot be used for a run. {reason}")


async def diagnose(
    endpoint: Endpoint, limits: Limits, *, choose_model: bool
) -> tuple[Endpoint, ServerCapabilities, list[str]]:
    """Returns the endpoint with its model, the probe results, and notes about its dialect. Raises RunStopped."""
    if choose_model:
        async with Session(endpoint, limits=limits) as session:
            models = (await identify_server(session, needs_models=True)).models
        if not models:
            raise SettingsError("The server lists no models. Name one with --model.")
        endpoint = endpoint.model_copy(update={"model": models[0]})
    async with Session(endpoint, limits=limits) as session:
        server = await probe_server(session, thorough=True)
        return endpoint, server, session.profile.dialect.describe_changes()


def list_findings(endpoint: Endpoint, server: ServerCapabilities, notes: list[str]) -> list[Finding]:
    models = ", ".join(server.models[:MAX_MODELS_SHOWN]) or "none listed"
    return [
        ("endpoint", endpoint.full_url),
        ("server", f"vLLM {server.version}" if server.owner == "vllm" else server.version or "unknown"),
        ("models", models + (" …" if len(server.models) > MAX_MODELS_SHOWN else "")),
        ("tested model", endpoint.model),
        ("context", describe_context(server)),
        ("images", describe_vision(server.vision)),
        ("image tokens", describe_image_tokens(server)),
        ("image limit", describe_image_limit(server)),
        *list_forms("constraint", server.constraints),
        *list_forms("prefill", server.prefills),
        ("seed", describe_seed(server.seed)),
        ("uuid", describe_uuid(server.uuid)),
        ("latency", "unknown" if server.latency is None else f"{server.latency:.2f} s for a short answer"),
        *under_one_label("dialect", notes),
    ]


def describe_context(server: ServerCapabilities) -> str:
    count = count_fitting_images(server)
    if server.max_model_len is None or count is None:
        return "unknown"
    room = f"{count} image{'' if count == 1 else 's'}" if count else "no image"
    return f"{server.max_model_len:,} tokens: room for {room} of {DEFAULT_MAX_PIXELS:,} pixels"


def describe_vision(check: VisionCheck | None) -> str:
    if check is None:
        return "not tested"
    return {
        "seen": f"seen: the model named the colour ({check.text!r})",
        "not shown": f"accepted, but the model did not name the colour: {check.text!r}",
        "no difference": f"accepted, but two different images got the same answer: {check.text!r}",
        "ignored": f"not passed to the model, which answered {check.text!r}",
        "read as text": f"passed to the model as base64 text, which it answered with {check.text!r}",
        "refused": f"rejected: {check.text}",
        "failed": f"no answer: {check.text}",
    }[check.state]


def describe_image_tokens(server: ServerCapabilities) -> str:
    if (patch := server.picture_patch) is not None:
        return f"one per {patch}x{patch} pixels, as with {FAMILIES_BY_PATCH[patch]}"
    tokens = server.vision.tokens if server.vision else None
    return f"unknown rule: {tokens:,} for 560x560 pixels" if tokens else "unknown"


def describe_image_limit(server: ServerCapabilities) -> str:
    if server.image_limit is not None:
        limit = f"{server.image_limit} per request"
    else:
        limit = "unknown" if server.images_taken is None else f"at least {server.images_taken} per request"
    return f"{limit}, but one of two images did not affect the answer" if server.image_pair is False else limit


def list_forms(label: str, support: Mapping[str, str]) -> list[Finding]:
    width = max(map(len, support), default=0)
    return under_one_label(label, [f"{form:{width}}  {result}" for form, result in support.items()])


def describe_seed(result: str | None) -> str:
    return {
        "obeyed": "obeyed: equal seeds give equal answers, other seeds give others",
        "not shown": "no effect: answers are not reproducible",
        "refused": "rejected: answers are not reproducible",
    }.get(result or "", "not tested")


def describe_uuid(supported: bool | None) -> str:
    if supported is None:
        return "not tested"
    return "supported: each image is sent once" if supported else "not supported: images are sent with each request"


def under_one_label(label: str, texts: list[str]) -> list[Finding]:
    return [(label if number == 0 else "", text) for number, text in enumerate(texts)]


def suggest_command(server: ServerCapabilities, endpoint: Endpoint, flags: Mapping[str, Any]) -> str:
    words = ["persqa", "run", "photos/", "-o", "qa.jsonl", "--base-url", endpoint.full_url, "--model", endpoint.model]
    words += repeat_flags(flags)
    words += ["--strategy", suggest_strategy(server)]
    pixels = max_pixels_that_fit(server)
    words += ["--max-pixels", str(pixels)] if pixels is not None and pixels < DEFAULT_MAX_PIXELS else []
    return shlex.join(words)


def repeat_flags(flags: Mapping[str, Any]) -> Iterator[str]:
    for name, value in flags.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield from (f"--{name.replace('_', '-')}", str(one))


def suggest_strategy(server: ServerCapabilities) -> Strategy:
    """``auto``, but ``prefill`` if the server supports no constraint."""
    strategy = resolve_strategy(server, "auto")
    return "prefill" if strategy == "direct" and server.prefill else strategy


def tokens_left_for_images(server: ServerCapabilities) -> int | None:
    """Context length minus texts, an answer, and a rejected first answer; None if unknown."""
    if server.max_model_len is None:
        return None
    return max(0, server.max_model_len - TEXT_TOKENS - 2 * Sampling().max_tokens)


def max_pixels_that_fit(server: ServerCapabilities) -> int | None:
    """Largest size of a single image; None if unknown or too small to be useful."""
    tokens = tokens_left_for_images(server)
    if tokens is None or tokens < MIN_IMAGE_TOKENS:
        return None
    return tokens * (server.picture_patch or DEFAULT_PATCH) ** 2


def count_fitting_images(server: ServerCapabilities) -> int | None:
    """Number of default-sized images per request; None if the context length is unknown."""
    tokens = tokens_left_for_images(server)
    tokens_per_image = DEFAULT_MAX_PIXELS // (server.picture_patch or DEFAULT_PATCH) ** 2
    return None if tokens is None else tokens // tokens_per_image
