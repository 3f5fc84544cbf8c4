"""What was found out about a server, in a person's words: the lines of the doctor's table. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from persqa_client.cli.advice import pictures_that_fit
from persqa_client.config import DEFAULT_MAX_PIXELS, Endpoint
from persqa_client.probing.capabilities import Server, Sight

Finding = tuple[str, str]

FAMILIES = {28: "Qwen2-VL, Qwen2.5-VL", 32: "Qwen3-VL"}
MODELS_TOLD = 5


def findings(endpoint: Endpoint, server: Server, notes: list[str]) -> list[Finding]:
    """Heading and text of each line; a heading that goes on is empty."""
    models = ", ".join(server.models[:MODELS_TOLD]) or "none listed"
    return [
        ("endpoint", endpoint.base_url),
        ("server", f"vLLM {server.version}" if server.owner == "vllm" else server.version or "unknown kind"),
        ("models", models + (" …" if len(server.models) > MODELS_TOLD else "")),
        ("model asked", endpoint.model),
        ("context", context(server)),
        ("pictures", pictures(server.sight)),
        ("picture tokens", picture_tokens(server)),
        ("image limit", image_limit(server)),
        *forms("constraint", server.constraints),
        *forms("prefill", server.prefills),
        ("seed", seed(server.seed)),
        ("uuid", uuid(server.uuid)),
        ("latency", "not known" if server.latency is None else f"{server.latency:.2f} s for a short answer"),
        *under_one("dialect", notes),
    ]


def context(server: Server) -> str:
    fit = pictures_that_fit(server)
    if server.max_model_len is None or fit is None:
        return "not told"
    room = f"{fit} picture{'' if fit == 1 else 's'}" if fit else "no picture"
    return f"{server.max_model_len:,} tokens: room for {room} of {DEFAULT_MAX_PIXELS:,} pixels"


def pictures(sight: Sight | None) -> str:
    if sight is None:
        return "not tried"
    return {
        "seen": f"seen: the colour of one was named ({sight.words!r})",
        "not shown": f"taken, but its colour was not named: {sight.words!r}",
        "ignored": f"never shown to the model, which says {sight.words!r}",
        "refused": f"refused: {sight.words}",
        "failed": f"no answer came: {sight.words}",
    }[sight.state]


def picture_tokens(server: Server) -> str:
    if (patch := server.picture_patch) is not None:
        return f"one for {patch}x{patch} pixels, as with {FAMILIES[patch]}"
    tokens = server.sight.tokens if server.sight else None
    return f"by an unknown rule: {tokens:,} for 560x560 pixels" if tokens else "not known"


def image_limit(server: Server) -> str:
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
