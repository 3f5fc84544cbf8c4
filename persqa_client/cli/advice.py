"""The flags of ``persqa run`` that follow from what a server was found to be. Pure."""

from __future__ import annotations

import shlex

from persqa_client.config import DEFAULT_MAX_PIXELS, Endpoint, Sampling
from persqa_client.probing.capabilities import Server, settle_strategy
from persqa_client.types import Strategy

TEXT_TOKENS = 400
"""What is said around the pictures takes no more, in English or Chinese."""

USUAL_PATCH = 28
LEAST_PICTURE = 64
"""Tokens of a picture in which a model still sees something."""


def command(server: Server, endpoint: Endpoint, key_env: str | None) -> str:
    """The command line of a run, to be copied into a shell."""
    words = ["persqa", "run", "photos/", "-o", "qa.jsonl", "--base-url", endpoint.base_url, "--model", endpoint.model]
    words += ["--api-key-env", key_env] if key_env else []
    words += ["--strategy", advised_strategy(server)]
    pixels = fitting_pixels(server)
    words += ["--max-pixels", str(pixels)] if pixels is not None and pixels < DEFAULT_MAX_PIXELS else []
    return shlex.join(words)


def advised_strategy(server: Server) -> Strategy:
    """``auto``'s choice, but rather a given beginning than none."""
    strategy = settle_strategy(server, "auto")
    return "prefill" if strategy == "direct" and server.prefill else strategy


def picture_room(server: Server) -> int | None:
    """Tokens that are left for pictures beside the texts, an answer and one that was no good before it; None where the
    context is not told."""
    if server.max_model_len is None:
        return None
    return max(0, server.max_model_len - TEXT_TOKENS - 2 * Sampling().max_tokens)


def fitting_pixels(server: Server) -> int | None:
    """The size of one picture that fits the context; None where that is not known or would be next to nothing."""
    room = picture_room(server)
    if room is None or room < LEAST_PICTURE:
        return None
    return room * (server.picture_patch or USUAL_PATCH) ** 2


def pictures_that_fit(server: Server) -> int | None:
    """How many pictures of the default size one request has room for."""
    room = picture_room(server)
    most = DEFAULT_MAX_PIXELS // (server.picture_patch or USUAL_PATCH) ** 2
    return None if room is None else room // most
