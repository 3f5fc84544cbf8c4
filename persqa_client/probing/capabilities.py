"""Probe results, and their consequences for a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from persqa_client.client.dialect import PREFILL_FORMS
from persqa_client.errors import RunStopped
from persqa_client.types import Strategy

FeatureSupport = Literal["obeyed", "ignored", "refused"]
# A strategy, or ``auto``: ``constrain`` if the server supports it, else ``direct``.
StrategyChoice = Literal["auto", "direct", "constrain", "prefill", "surrogate"]

MAX_MODELS_RECORDED = 20
# Fields with other names in the run file.
RUN_FILE_KEYS = {"vision": "sight", "text": "words"}


@dataclass(frozen=True, slots=True)
class VisionCheck:
    """``not shown``: accepted, but not described, as by some small models. ``ignored``: accepted, but not passed to the
    model. ``failed``: no answer; the image need not be the reason.
    """

    state: Literal["seen", "not shown", "ignored", "refused", "failed"]
    text: str = ""  # the answer, or the error message
    tokens: int | None = None  # of the image in the prompt, with its markers; None if usage is not reported


@dataclass(frozen=True, slots=True)
class ServerCapabilities:
    """Empty or None: not tested, or not reported by the server."""

    models: tuple[str, ...] = ()
    owner: str | None = None
    version: str | None = None  # of vLLM
    max_model_len: int | None = None
    constraint: str | None = None  # first form in ``constraints`` that works
    constraints: Mapping[str, FeatureSupport] = field(default_factory=dict)
    prefill: str | None = None  # first form in ``prefills`` that works
    prefills: Mapping[str, FeatureSupport] = field(default_factory=dict)
    vision: VisionCheck | None = None
    picture_patch: int | None = None  # side of an image token in pixels: 28 for Qwen2-VL and 2.5, 32 for Qwen3-VL
    image_limit: int | None = None  # images per request, as stated by the server
    images_taken: int | None = None  # largest number of images that was accepted
    seed: Literal["obeyed", "not shown", "refused"] | None = None
    uuid: bool | None = None  # whether an image can be sent again by its uuid
    latency: float | None = None  # seconds for a short answer about an image

    def to_json(self) -> dict[str, Any]:
        data = asdict(self, dict_factory=lambda items: {RUN_FILE_KEYS.get(name, name): value for name, value in items})
        return data | {"models": list(self.models[:MAX_MODELS_RECORDED])}


def require_model(server: ServerCapabilities, model: str) -> None:
    if server.owner is None and server.version and server.models and model not in server.models:
        served = ", ".join(server.models[:5])
        raise RunStopped("unknown_model", f"The server does not serve {model!r}; it serves {served}. Check --model.")


def explain_unusable_vision(server: ServerCapabilities) -> str | None:
    vision = server.vision
    if vision is None or vision.state not in {"ignored", "refused"}:
        return None
    if vision.state == "refused":
        return f"The server rejects images: {vision.text.rstrip('.')}. Choose a vision-language model."
    return (
        "The server accepts images but does not show them to the model: an image adds no tokens to the prompt. "
        "Choose a vision-language model."
    )


def resolve_strategy(server: ServerCapabilities, wanted: StrategyChoice) -> Strategy:
    """Raises RunStopped if the server does not support the strategy."""
    if wanted == "auto":
        return "direct" if server.constraint is None else "constrain"
    if wanted == "constrain" and server.constraint is None:
        raise RunStopped(
            "no_constraint",
            f"--strategy constrain is not possible: the server obeys none of {', '.join(server.constraints)}. "
            f"Use --strategy {'prefill' if server.prefill else 'direct'}.",
        )
    if wanted == "prefill" and server.prefill is None:
        raise RunStopped(
            "no_prefill",
            f"--strategy prefill is not possible: the server supports none of {', '.join(PREFILL_FORMS)}. "
            f"Use --strategy {'constrain' if server.constraint else 'direct'}.",
        )
    return wanted
