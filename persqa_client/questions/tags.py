"""The main character's tag: what may stand in for a name, and what may be better left. Reads the package's words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path

from persqa_client.errors import RowError, SettingsError
from persqa_client.language import is_chinese

TAG_NAME = re.compile(r"[^\W_](?:[\w.\-]{0,38}[^\W_])?")
"""Letters, digits, hyphen, dot and underscore, up to 40; nothing that a pattern or a chat template reads as its own."""

RESERVED = frozenset(
    {"image", "video", "audio", "s", "unk", "pad", "bos", "eos", "mask", "cls", "sep", "think", "answer", "tool_call"}
    | {"bbox", "box", "quad", "point", "ref", "ref-object", "im_start", "im_end", "sks", "tool_response"}
    | {"start_of_turn", "end_of_turn", "end_of_utterance", "endoftext", "image_pad", "vision_start", "vision_end"}
)
"""Names that tokenizers, chat templates and training layouts use themselves."""
NUMBERED = re.compile(r"(?:token|reserved|special|unused|extra_id|reserved_special_token)[_\-]?\d*")
"""Names that tokenizers and the soft tokens of personalised models count up."""

LETTERS = 3
"""Shorter names are words, or parts of words, too often to be known without their brackets."""
KINDS = {"words": "an English word", "names": "a given name", "characters": "a famous character's name"}


def parse_tag(name: str) -> str:
    """``mam`` or ``<mam>`` -> ``<mam>``. Raises ValueError with the reason where the name can't be a tag."""
    bare = name.strip().removeprefix("<").removesuffix(">")
    if not TAG_NAME.fullmatch(bare):
        raise ValueError(f"{name!r} can't be a tag: use up to 40 letters, digits, hyphens, for example mam")
    if bare.lower() in RESERVED or NUMBERED.fullmatch(bare.lower()):
        raise ValueError(f"{name!r} can't be a tag: models and training layouts use that name themselves")
    return f"<{bare}>"


def find_tag_risks(name: str) -> tuple[str, ...]:
    """What speaks against a name that can be a tag: each a sentence with whom it hurts. Empty for a good one."""
    bare = name.strip().removeprefix("<").removesuffix(">")
    lower = bare.lower()
    kinds = [KINDS[kind] for kind, words in known_words().items() if lower in words]
    found = (
        (
            bare.isascii() and len(bare) < LETTERS,
            "it has fewer than 3 letters, so an answer that lost its brackets can't be repaired",
        ),
        (bare != lower, "it has capital letters: models change them, and some evaluators compare them"),
        (not bare.isascii(), "it has letters outside ASCII: evaluators such as PerVL's keep a to z and hyphens only"),
        ("_" in bare, "it has an underscore, which models rewrite and which Markdown and evaluators take away"),
        ("." in bare, "it has a dot, which models rewrite and at which evaluators split"),
        (bool(re.search(r"\d", bare)), "it has a digit: evaluators that keep letters only take mam1 and mam2 for one"),
        ("yes" in lower, "it contains yes, which evaluators of yes-or-no answers find in it"),
        ("no" in lower, "it contains no, which evaluators of yes-or-no answers find in it"),
        (bool(kinds), f"it is {' and '.join(kinds)}, so the bare name in an answer may mean something else"),
    )
    return tuple(sentence for is_so, sentence in found if is_so)


def is_word(bare: str) -> bool:
    """Whether a name without brackets may mean something else than the tag: a word, or somebody's name."""
    lower = bare.lower()
    return any(lower in words or lower.removesuffix("s") in words for words in known_words().values())


def can_repair_bare_name(tag: str) -> bool:
    """Whether the tag's name can be taken for the tag where its brackets are lost (``Ask.bare_tag``).

    Not where it is short, or a word or a name of its own; and not in Chinese, which puts no space around a name.
    """
    bare = tag[1:-1]
    return bare.isascii() and len(bare) >= LETTERS and not is_word(bare)


@cache
def known_words() -> dict[str, frozenset[str]]:
    """The package's list of words, by their kind."""
    text = resources.files("persqa_client.questions").joinpath("words.txt").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    sections = re.split(r"^\[(\w+)\]$", lines, flags=re.MULTILINE)[1:]
    return {kind: frozenset(words.split()) for kind, words in zip(sections[::2], sections[1::2], strict=True)}


# Ordinary names under which a model is asked about a main character that bears a tag. Pure.
#
# A model that never sees the tag can't mangle it (field survey: the way of those who wrote the first such questions).

# Of no one gender, not famous, and no everyday words in their language.
SURROGATE_NAMES = {
    "en": ("Charlie", "Marlow", "Tessaly", "Quillan"),
    "zh": ("小满", "阿禾", "知夏", "云舟"),
}


def choose_surrogate(question: str, tag: str, names: Iterable[str]) -> str:
    """The first name in the question's language that nobody else there bears.

    ``names`` are the real names that no answer may have. Raises RowError where all are taken.
    """
    taken = f"{question} {tag} {' '.join(names)}".casefold()
    for name in SURROGATE_NAMES["zh" if is_chinese(question) else "en"]:
        if name.casefold() not in taken:
            return name
    raise RowError("no_surrogate", "every name that could stand in for the tag is in the question or among --names")


# The list of real names that no answer may have. Reads its file.

LONGEST = 100


def read_real_names(path: Path) -> tuple[str, ...]:
    """One name on a line; blank lines and those that begin with ``#`` are passed over.

    Raises SettingsError with one sentence where the file can't be read, or holds what can be no name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"--names: {path} can't be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"--names: {path} is not UTF-8 text; save it as UTF-8, one name on a line.") from error
    names = dict.fromkeys(checked(path, number, line) for number, line in enumerate(text.splitlines(), 1))
    names.pop("", None)
    if not names:
        raise SettingsError(f"--names: {path} holds no names; write one on a line.")
    return tuple(names)


def checked(path: Path, number: int, line: str) -> str:
    name = " ".join(line.split())
    if name.startswith("#"):
        return ""
    if len(name) > LONGEST:
        raise SettingsError(f"--names: {path}, line {number}, is too long for a name; write one name on a line.")
    if len(name) == 1 and name.isascii():
        raise SettingsError(f"--names: {path}, line {number}, is a single letter, which any answer has; write it out.")
    return name
