"""What was found out about a server, and what follows for a run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from persqa_client.client.dialect import PREFILL_FORMS
from persqa_client.errors import RunStopped
from persqa_client.types import Strategy

FeatureSupport = Literal["obeyed", "ignored", "refused"]
StrategyChoice = Literal["auto", "direct", "constrain", "prefill", "surrogate"]
"""A strategy, or ``auto``: to be held to the tag where the server obeys, else to be asked for it."""

MODELS_NOTED = 20


@dataclass(frozen=True, slots=True)
class VisionCheck:
    """What became of a picture. ``words``: the answer, or why the picture was refused."""

    state: Literal["seen", "not shown", "ignored", "refused", "failed"]
    """``not shown``: it was taken, but the answer does not tell what is in it; a small model may be that bad.
    ``failed``: no answer came, for a reason that need not be the picture's."""
    words: str = ""
    tokens: int | None = None
    """By how much the picture lengthened the prompt, the marks around it included; None where no usage is told."""


@dataclass(frozen=True, slots=True)
class ServerCapabilities:
    """What was found; None and empty stand for what was not asked or not told.

    ``models`` is empty where the server keeps no list; ``version`` is vLLM's.
    """

    models: tuple[str, ...] = ()
    owner: str | None = None
    version: str | None = None
    max_model_len: int | None = None
    constraint: str | None = None
    """The form (client/dialect.py) to use of those that are obeyed."""
    constraints: Mapping[str, FeatureSupport] = field(default_factory=dict)
    """Each form that was tried."""
    prefill: str | None = None
    prefills: Mapping[str, FeatureSupport] = field(default_factory=dict)
    sight: VisionCheck | None = None
    picture_patch: int | None = None
    """Pixels of a side of what counts as one token of a picture: 28 for Qwen2-VL and 2.5, 32 for Qwen3-VL."""
    image_limit: int | None = None
    """Pictures that a request may have, where the server names a number."""
    images_taken: int | None = None
    """The most that a request was seen to have."""
    seed: Literal["obeyed", "not shown", "refused"] | None = None
    uuid: bool | None = None
    """Whether a picture can be named by a uuid that it was sent with before."""
    latency: float | None = None
    """Seconds until a short answer about a picture."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"models": list(self.models[:MODELS_NOTED])}


def explain_unknown_model(server: ServerCapabilities, model: str) -> str | None:
    """One sentence where vLLM's own list lacks the model (other servers' lists need not be complete)."""
    if server.owner is None and server.version and server.models and model not in server.models:
        return f"The server does not serve {model!r}; it serves {', '.join(server.models[:5])}. Check --model."
    return None


def explain_unusable_vision(server: ServerCapabilities) -> str | None:
    """One sentence where no run can be made with the server: it has no eyes."""
    sight = server.sight
    if sight is None or sight.state not in {"ignored", "refused"}:
        return None
    if sight.state == "refused":
        return f"The server refuses pictures: {sight.words.rstrip('.')}. Choose a vision-language model."
    return (
        "The server takes pictures but never shows them to the model: with one, the prompt is no longer than without. "
        "Choose a vision-language model."
    )


def resolve_strategy(server: ServerCapabilities, wanted: StrategyChoice) -> Strategy:
    """The strategy of a run. Raises RunStopped where the server does not do what is wanted."""
    if wanted == "auto":
        return "direct" if server.constraint is None else "constrain"
    if wanted == "constrain" and server.constraint is None:
        raise RunStopped(
            "no_constraint",
            f"--strategy constrain can't be: the server obeys none of {', '.join(server.constraints)}; "
            f"use --strategy {'prefill' if server.prefill else 'direct'} instead.",
        )
    if wanted == "prefill" and server.prefill is None:
        raise RunStopped(
            "no_prefill",
            "--strategy prefill can't be: the server goes on from no beginning of an answer "
            f"({', '.join(PREFILL_FORMS)}); "
            f"use --strategy {'constrain' if server.constraint else 'direct'} instead.",
        )
    return wanted
