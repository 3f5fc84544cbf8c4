"""Restores the tag wherever an answer has it in another form. Pure.

Only the tag's own name makes a form of it: a subject phrase ("the man") is never turned into the tag, and a text that
names nobody never gains one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from persqa_client.language import CJK, LETTER, QUOTED, UNSPACED

# Puts the tag where an answer has the ordinary name that the model was asked under. Pure.

SURE = 5
"""From so many letters on, a longer word that begins with the name was made from it (Charliebear)."""
DETERMINER = re.compile(r"\b(?:an?|the|this|that|these|those|my|your|his|her|its|our|their|some|any|every|no|one)\s+\Z")
"""Before a word in lower case it makes it a common noun: a robin."""


def put_tag(text: str, surrogate: str, tag: str) -> str:
    """The text with the tag for each ``surrogate`` that stands as a word of its own, its possessive included."""
    if CJK.search(surrogate):
        return text.replace(surrogate, tag)

    def replaced(found: re.Match[str]) -> str:
        common = (
            found[0].islower()
            and not surrogate.islower()
            and DETERMINER.search(text[max(0, found.start() - 8) : found.start()].lower())
        )
        return found[0] if common else tag

    return whole_word(surrogate).sub(replaced, text)


def has_left(text: str, surrogate: str) -> bool:
    """Whether the name is still in a text, as a word or as the beginning of one."""
    if CJK.search(surrogate):
        return surrogate in text
    return remnant(surrogate).search(text) is not None


@lru_cache(maxsize=64)
def whole_word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!{LETTER})(?<!-){re.escape(name)}(?!{LETTER}|-\w)", re.IGNORECASE)


@lru_cache(maxsize=64)
def remnant(name: str) -> re.Pattern[str]:
    end = "" if len(name) >= SURE else rf"(?:e?s)?(?!{LETTER})"
    return re.compile(rf"(?<!{LETTER}){re.escape(name)}{end}", re.IGNORECASE)


BARE = 3
"""Names with fewer letters are words too often to be taken for the tag without its brackets."""
LESS = r"(?:&(?:amp;)*(?:lt|\#0*60|\#x0*3c);|\\u003c)"
MORE = r"(?:&(?:amp;)*(?:gt|\#0*62|\#x0*3e);|\\u003e)"
APOSTROPHE = r"(&(?:amp;)*(?:apos|rsquo|\#0*39|\#x0*27|\#8217);(?=s))?"
WIDE, EDIW = "＜〈《⟨‹«◁「『【〔", "＞〉》⟩›»▷」』】〕"
SPACE = r"[\s\u200b-\u200d\ufeff]{0,3}"
MARKS = r"[*_`~]+"

Step = tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]


@dataclass(frozen=True, slots=True)
class Forms:
    """What the forms of one tag look like, compiled once for all its answers."""

    name: str
    beside: re.Pattern[str]
    """The tag itself, with something on it that has to go."""
    steps: tuple[Step, ...]


def repair_tag(text: str, tag: str, *, bare: bool = True) -> tuple[str, tuple[str, ...]]:
    """The text with each form of the tag made the tag itself, and the steps which did that, by name.

    ``bare`` says whether the tag's name without its brackets can only mean the tag. Repairing twice changes nothing
    more: one form may hide another, so the steps are taken until none has anything to do. Each of them shortens the
    text, or leaves fewer forms, so that this ends.
    """
    forms = forms_of(tag, bare)
    if text.lower().count(forms.name) == text.count(tag) and not forms.beside.search(text):
        return text, ()
    taken: dict[str, None] = {}
    before = ""
    while text != before:
        before = text
        for step, pattern, replacement in forms.steps:
            changed = pattern.sub(replacement, text)
            if changed != text:
                taken[step] = None
                text = changed
        unmarked = unmark(text, tag)
        if unmarked != text:
            taken["tag_marks"] = None
            text = unmarked
    return text, tuple(taken)


def unmark(text: str, tag: str) -> str:
    """The text without bold or code that begins right before its first tag, and ends somewhere behind it."""
    marks = re.match(MARKS, text)
    if marks is None or not text.startswith(tag, marks.end()):
        return text
    return tag + text[marks.end() + len(tag) :].replace(marks[0][::-1], "", 1)


@lru_cache(maxsize=256)
def forms_of(tag: str, bare: bool) -> Forms:
    name = tag[1:-1]
    any_case, exact = re.escape(name), re.escape(tag)
    beside = re.compile(
        rf"[<*_`~\\{WIDE}]{SPACE}{exact}|{exact}{SPACE}(?:[>*_`~{EDIW}]|[:：]?{SPACE}{exact})|^[\"“'‘]{exact}[\"”'’]"
    )
    steps = [*bracketed(tag, any_case), *marked(tag, exact)]
    if bare and len(name) >= BARE and not CJK.search(name):
        steps += unbracketed(tag)
    steps.append(("tag_doubled", re.compile(rf"{exact}(?:{SPACE}[:：]?{SPACE}{exact})+"), tag))
    return Forms(name.lower(), beside, tuple(steps))


def bracketed(tag: str, name: str) -> list[Step]:
    """Forms that still have brackets, or one of them."""
    inner = rf"({SPACE}/?{SPACE}{name}{SPACE}/?{SPACE})"
    written = r"(?<![写印刻标绣画][着有了])"

    return [
        (
            "tag_html",
            pattern(rf"(?:{LESS}{inner}(?:{MORE}|>)|<{inner}{MORE}){APOSTROPHE}"),
            lambda found: f"<{(found[1] or found[2]).strip()}>" + ("'" if found[3] else ""),
        ),
        ("tag_fullwidth", pattern(rf"(?:[＜<]|{written}[{WIDE}])<?{inner}>?[{EDIW}]"), lambda f: f"<{f[1].strip()}>"),
        ("tag_fullwidth", pattern(rf"＜<?{inner}>"), lambda f: f"<{f[1].strip()}>"),
        ("tag_brackets", pattern(rf"\[{SPACE}({name}){SPACE}\]|\{{+{SPACE}{name}{SPACE}\}}+"), tag),
        ("tag_marks", pattern(rf"\\+<({name})\\*>|<{name}\\+>"), tag),
        ("tag_spaces", pattern(rf"<(?=[\s/\w]){SPACE}(/?){SPACE}({name}){SPACE}(/?){SPACE}>"), r"<\g<1>\g<2>\g<3>>"),
        ("tag_doubled", pattern(rf"<{{2,}}(/?{name}/?)>+|<(/?{name}/?)>{{2,}}"), lambda f: f"<{f[1] or f[2]}>"),
        ("tag_case", pattern(rf"<(/?){name}(/?)>"), rf"<\g<1>{tag[1:-1]}\g<2>>"),
        ("tag_possessive", pattern(rf"<{name}(['’]s)>"), rf"{tag}\1"),
        ("tag_closed", pattern(rf"<{name}/>|<{name}>{SPACE}(?:{name})?{SPACE}</{name}>"), tag),
        (
            "tag_half",
            pattern(rf"<{name}(?!{LETTER}|[>.\-/]|['’]s>)(?![^<>\n]*>)|(?<!{LETTER})(?<![</.\-@#;\\]){name}>"),
            tag,
        ),
    ]


def marked(tag: str, exact: str) -> list[Step]:
    """Forms with bold, code or quotes right around the tag; quotes only where the answer begins."""
    return [
        ("tag_marks", re.compile(rf"({MARKS}){exact}(['’]s)?\1"), rf"{tag}\2"),
        ("tag_marks", re.compile(rf"\A{exact}(['’]s)?(\*+|`+)(?![\s\S]*\2)"), rf"{tag}\1"),
        ("tag_marks", re.compile(rf"\A(?:\"{exact}\"|“{exact}”|‘{exact}’|'{exact}'(?!s))"), tag),
    ]


def unbracketed(tag: str) -> list[Step]:
    """The name alone, in its own spelling or with a capital. Inside quotes it may be written on a mug, after ``a`` or
    ``her`` it is a noun, and in ``mam-shaped`` or ``mam.jpg`` a part of something else."""
    name = tag[1:-1]
    spelt = f"(?:{re.escape(name)}|{re.escape(name[0].upper() + name[1:])})"
    end = rf"(?=$|[\s,，.。:：;；!！?？、'’]|[{UNSPACED}])"
    opening = rf"\A(?:\"{spelt}\"|“{spelt}”|'{spelt}'|‘{spelt}’|({MARKS}){spelt}\1){end}"
    anywhere = rf"{QUOTED}|(?<!{LETTER})(?<![\-_@#/\\.<&]){spelt}(?!{LETTER}|[\-_/@\\.]\w|[>;\-]|[\"”])"

    def named(found: re.Match[str]) -> str:
        noun = DETERMINER.search(found.string[max(0, found.start() - 8) : found.start()].lower())
        return tag if found[0].lower() == name.lower() and not noun else found[0]

    return [("tag_bare", re.compile(opening), tag), ("tag_bare", re.compile(anywhere), named)]


def pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)
