"""Valid tags, risky tags, surrogate names, and real names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from persqa_client.errors import RowError, SettingsError
from persqa_client.language import UNSPACED, prompt_language
from persqa_client.suggestions import explain_read_error

# Only characters without a meaning in regular expressions and chat templates.
MAX_TAG_LENGTH = 40
TAG_RULE = f"up to {MAX_TAG_LENGTH} letters, digits, hyphens, dots and underscores, with a letter or digit at both ends"
TAG_NAME = re.compile(rf"[^\W_](?:[\w.\-]{{0,{MAX_TAG_LENGTH - 2}}}[^\W_])?")
# Names used by tokenizers, chat templates and training layouts.
RESERVED_NAMES = frozenset(
    {"image", "video", "audio", "s", "unk", "pad", "bos", "eos", "mask", "cls", "sep", "think", "answer", "tool_call"}
    | {"bbox", "box", "quad", "point", "ref", "ref-object", "im_start", "im_end", "sks", "tool_response"}
    | {"start_of_turn", "end_of_turn", "end_of_utterance", "endoftext", "image_pad", "vision_start", "vision_end"}
)
# Numbered names of tokenizers and of the soft tokens of personalised models.
NUMBERED_NAMES = re.compile(r"(?:token|reserved|special|unused|extra_id|reserved_special_token)[_\-]?\d*")

# Shorter names are too often words, or parts of words, to be recognised without brackets.
MIN_BARE_NAME_LENGTH = 3
HAS_UNSPACED = re.compile(f"[{UNSPACED}]")
WORD_KINDS = {"words": "an English word", "names": "a given name", "characters": "a famous character's name"}

# Names for models that mangle tags: not of one gender, not famous, no everyday words.
SURROGATE_NAMES = {
    "en": ("Charlie", "Marlow", "Tessaly", "Quillan"),
    "zh": ("小满", "阿禾", "知夏", "云舟"),
}
MAX_REAL_NAME_LENGTH = 100


def parse_tag(name: str) -> str:
    """``mam`` or ``<mam>`` -> ``<mam>``. Raises ValueError for an invalid name."""
    bare = strip_brackets(name)
    if not TAG_NAME.fullmatch(bare):
        raise ValueError(f"{name!r} can't be a tag: use {TAG_RULE}, for example mam")
    if bare.lower() in RESERVED_NAMES or NUMBERED_NAMES.fullmatch(bare.lower()):
        raise ValueError(f"{name!r} can't be a tag: models and training layouts use this name themselves")
    return f"<{bare}>"


def strip_brackets(name: str) -> str:
    """One bracket alone stays, so that it is refused."""
    bare = name.strip()
    return bare[1:-1] if bare.startswith("<") and bare.endswith(">") else bare


def find_tag_risks(name: str) -> tuple[str, ...]:
    bare = strip_brackets(name)
    lower = bare.lower()
    kinds = [WORD_KINDS[kind] for kind, words in load_known_words().items() if lower in words]
    risks = (
        (
            bare.isascii() and len(bare) == 1,
            "it is a single letter or digit, so without brackets it means something else in an answer",
        ),
        (bare != lower, "it has capital letters, which models change and some evaluators compare"),
        (
            not bare.isascii(),
            "it has letters outside ASCII; evaluators such as PerVL's keep only a to z and hyphens",
        ),
        ("_" in bare, "it has an underscore, which models rewrite, and which Markdown and evaluators remove"),
        ("." in bare, "it has a dot, which models rewrite and evaluators split names at"),
        (
            bool(re.search(r"\d", bare)),
            "it has a digit; evaluators that keep only letters can't tell mam1 from mam2",
        ),
        ("yes" in lower, "it contains yes, which evaluators look for in yes-or-no answers"),
        ("no" in lower, "it contains no, which evaluators look for in yes-or-no answers"),
        (bool(kinds), f"it is {' and '.join(kinds)}, so without brackets it may mean something else in an answer"),
    )
    return tuple(risk for applies, risk in risks if applies)


@lru_cache
def can_repair_bare_name(tag: str) -> bool:
    """Whether the name without brackets, at the beginning of an answer, can only mean the tag.

    Given names and characters can. For words, short names and Chinese names, which have no spaces around them, it
    depends on what follows.
    """
    bare = tag[1:-1]
    return len(bare) >= MIN_BARE_NAME_LENGTH and not HAS_UNSPACED.search(bare) and not is_word(bare)


def is_word(name: str) -> bool:
    words, lower = load_known_words()["words"], name.lower()
    return lower in words or lower.removesuffix("s") in words


def is_known_word(name: str) -> bool:
    lower = name.lower()
    return any(lower in words or lower.removesuffix("s") in words for words in load_known_words().values())


@cache
def load_known_words() -> dict[str, frozenset[str]]:
    text = resources.files("persqa_client.questions").joinpath("words.txt").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    sections = re.split(r"^\[(\w+)\]$", lines, flags=re.MULTILINE)[1:]
    return {kind: frozenset(words.split()) for kind, words in zip(sections[::2], sections[1::2], strict=True)}


def choose_surrogate(question: str, tag: str, real_names: Iterable[str]) -> str:
    """The first name that is not in the question and not a real name. Raises RowError (``no_surrogate``)."""
    taken = f"{question} {tag} {' '.join(real_names)}".casefold()
    for name in SURROGATE_NAMES[prompt_language(question)]:
        if name.casefold() not in taken:
            return name
    raise RowError(
        "no_surrogate",
        "every surrogate name is in the question or among --names; reword the question, or choose another --strategy.",
    )


def read_real_names(path: Path) -> tuple[str, ...]:
    """One name per line; ``#`` begins a comment. Raises SettingsError for an invalid file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"--names: {path} {explain_read_error(path, error)}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"--names: {path} is not UTF-8 text; save it as UTF-8, one name on a line.") from error
    names: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        name = " ".join(line.split())
        if not name or name.startswith("#"):
            continue
        if len(name) > MAX_REAL_NAME_LENGTH:
            raise SettingsError(f"--names: {path}, line {number}, is too long for a name; write one name on a line.")
        if len(name) == 1 and name.isascii():
            raise SettingsError(f"--names: {path}, line {number}, is a single letter; write the name out.")
        names[name] = None
    if not names:
        raise SettingsError(f"--names: {path} has no names; write one on a line.")
    return tuple(names)
