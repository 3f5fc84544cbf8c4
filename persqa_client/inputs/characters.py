"""The main character's tag: what may stand in for a name. Pure."""

from __future__ import annotations

import re

TAG_NAME = re.compile(r"[^\W_](?:[\w.\-]{0,38}[^\W_])?")
"""Letters, digits, hyphen, dot and underscore, up to 40; nothing that a pattern or a chat template reads as its own."""

RESERVED = frozenset(
    {"image", "video", "audio", "s", "unk", "pad", "bos", "eos", "think", "answer", "tool_call"}
    | {"bbox", "ref-object", "im_start", "im_end", "sks"}
)
"""Names that tokenizers, chat templates and training layouts use themselves."""


def tag_of(name: str) -> str:
    """``mam`` or ``<mam>`` -> ``<mam>``. Raises ValueError with the reason where the name can't be a tag."""
    bare = name.strip().removeprefix("<").removesuffix(">")
    if not TAG_NAME.fullmatch(bare):
        raise ValueError(f"{name!r} can't be a tag: use up to 40 letters, digits, hyphens, for example mam")
    if bare.lower() in RESERVED:
        raise ValueError(f"{name!r} can't be a tag: models and training layouts use that name themselves")
    return f"<{bare}>"
