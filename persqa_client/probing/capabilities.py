"""Probe results, and their consequences for a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from persqa_client.client.dialect import PREFILL_FORMS
from persqa_client.errors import RunStopped
from persqa_client.types import Strategy

# ``failed``: unknown, because the server did not answer other requests either.
FeatureSupport = Literal["obeyed", "ignored", "refused", "failed"]
# A strategy, or ``auto``: ``constrain`` if the server supports it, else ``direct``.
StrategyChoice = Literal["auto", "direct", "constrain", "prefill", "surrogate"]

MAX_MODELS_RECORDED = 20
# Fields with other names in the run file.
RUN_FILE_KEYS = {"vision": "sight", "text": "words"}
NOT_IN_RUN_FILE = frozenset({"root", "parent", "image_pair"})


@dataclass(frozen=True, slots=True)
class VisionCheck:
    """``seen``: a colour was named. ``not shown``: no colour was named, as with some small models. ``no difference``:
    two images got the same answer. ``ignored``: accepted, but not passed to the model. ``read as text``: the prompt
    grew with the image's bytes. ``failed``: no answer, for any reason.
    """

    state: Literal["seen", "not shown", "no difference", "ignored", "read as text", "refused", "failed"]
    text: str = ""  # the answers, or the error message
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
    image_pair: bool | None = None  # whether both images of a request reach the model
    root: str | None = None  # path of the weights, as vLLM lists it
    parent: str | None = None  # base model of an adapter

    def to_json(self) -> dict[str, Any]:
        data = asdict(self, dict_factory=lambda items: {RUN_FILE_KEYS.get(name, name): value for name, value in items})
        kept = {name: value for name, value in data.items() if name not in NOT_IN_RUN_FILE}
        return kept | {"models": list(self.models[:MAX_MODELS_RECORDED])}


def require_model(server: ServerCapabilities, model: str) -> None:
    if server.owner is None and server.version and server.models and model not in server.models:
        served = ", ".join(server.models[:5])
        raise RunStopped(
            "unknown_model", f"The server does not serve {model!r}; it serves {served}. Check --model.", served
        )


SKIP_ADVICE = "Choose a vision-language model, or skip this test with --no-probes."


def explain_unusable_vision(server: ServerCapabilities) -> str | None:
    vision = server.vision
    if vision is None:
        return None
    if vision.state == "refused":
        return f"The server rejects images: {vision.text.rstrip('.')}. {SKIP_ADVICE}"
    answered = f"and the model does not name its colour (it answered {vision.text!r}). {SKIP_ADVICE}"
    if vision.state == "ignored":
        grown = f"an image adds {vision.tokens or 0} tokens to the prompt"
        return f"The server accepts images but does not show them to the model: {grown}, {answered}"
    if vision.state == "read as text":
        grown = "the prompt grows with the bytes of an image"
        return f"The server passes images to the model as base64 text: {grown}, {answered}"
    return None


def explain_doubtful_vision(server: ServerCapabilities) -> str | None:
    """A warning for what the probes could not show."""
    vision = server.vision
    if vision is None:
        return None
    doubt = "Its answers may be made up without the images: check some of them."
    if vision.state == "not shown":
        return f"The model did not name the colour of the test images (it answered {vision.text!r}). {doubt}"
    if vision.state == "no difference":
        return f"The model gave the same answer ({vision.text!r}) to two different test images. {doubt}"
    if vision.state == "failed":
        return f"It is not known whether the model sees images, because a test failed: {vision.text.rstrip('.')}."
    if vision.state == "seen" and server.image_pair is False:
        return "Of two images in one request, one did not affect the answer: in rows with several, some may be ignored."
    return None


UNKNOWN_CONSTRAINTS = (
    "It is not known whether the server can constrain answers, because the tests failed: with --strategy auto, answers "
    "are not constrained."
)


def list_warnings(servers: Sequence[ServerCapabilities], urls: Sequence[str]) -> list[str]:
    """Warnings about the servers at these URLs, which serve one model."""
    found = zip(urls, map(explain_doubtful_vision, servers), strict=True)
    warnings = [f"{url}: {text}" if len(servers) > 1 else text for url, text in found if text is not None]
    for server, url in zip(servers, urls, strict=True):
        if server.constraint is None and "failed" in server.constraints.values():
            warnings.append(f"{url}: {UNKNOWN_CONSTRAINTS}" if len(servers) > 1 else UNKNOWN_CONSTRAINTS)
    return [*warnings, *_list_differences(servers, urls)]


def _list_differences(servers: Sequence[ServerCapabilities], urls: Sequence[str]) -> list[str]:
    """Servers that may have other weights than the first, though the model's name is the same."""
    warnings = []
    for server, url in zip(servers[1:], urls[1:], strict=True):
        differences = [
            f"{label} {theirs!r} instead of {ours!r}"
            for label, ours, theirs in (
                ("root", servers[0].root, server.root),
                ("parent", servers[0].parent, server.parent),
                ("version", servers[0].version, server.version),
                ("max_model_len", servers[0].max_model_len, server.max_model_len),
            )
            if ours is not None and theirs is not None and ours != theirs
        ]
        if differences:
            warnings.append(
                f"{url} is not served like {urls[0]}: {', '.join(differences)}. "
                "Check that both have the same weights, since answers come from both."
            )
    return warnings


UNKNOWN_SUPPORT = (
    "It is not known whether the server supports --strategy {}, because it answered no test for --max-outage seconds. "
    "Try again, or use --strategy direct."
)


def resolve_strategy(server: ServerCapabilities, wanted: StrategyChoice) -> Strategy:
    """Raises RunStopped if the server does not support the strategy."""
    if wanted == "auto":
        return "direct" if server.constraint is None else "constrain"
    if wanted == "constrain" and server.constraint is None:
        if "failed" in server.constraints.values():
            raise RunStopped("no_constraint", UNKNOWN_SUPPORT.format(wanted))
        raise RunStopped(
            "no_constraint",
            f"--strategy constrain is not possible: the server obeys none of {', '.join(server.constraints)}. "
            f"Use --strategy {'prefill' if server.prefill else 'direct'}.",
        )
    if wanted == "prefill" and server.prefill is None:
        if "failed" in server.prefills.values():
            raise RunStopped("no_prefill", UNKNOWN_SUPPORT.format(wanted))
        raise RunStopped(
            "no_prefill",
            f"--strategy prefill is not possible: the server supports none of {', '.join(PREFILL_FORMS)}. "
            f"Use --strategy {'constrain' if server.constraint else 'direct'}.",
        )
    return wanted
