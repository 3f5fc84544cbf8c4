"""Replaces other forms of the tag by the tag.

Only forms of the tag's own name are replaced, not descriptions ("the man").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from persqa_client.language import HAN_CHARACTER, SPACED_LETTER, UNSPACED
from persqa_client.quotations import QUOTATION

# A longer word is a form of a name if it begins with the name, and the name has at least this length (Charliebear).
MIN_PREFIX_LENGTH = 5
# Words that make the next lower-case word a common noun: "a robin".
DETERMINER = re.compile(r"\b(?:an?|the|this|that|these|those|my|your|his|her|its|our|their|some|any|every|no|one)\s+\Z")

LESS_THAN = r"(?:&(?:amp;)*(?:lt|\#0*60|\#x0*3c);|\\u003c)"
GREATER_THAN = r"(?:&(?:amp;)*(?:gt|\#0*62|\#x0*3e);|\\u003e)"
ESCAPED_APOSTROPHE = r"(&(?:amp;)*(?:apos|rsquo|\#0*39|\#x0*27|\#8217);(?=s))?"
OTHER_OPENING, OTHER_CLOSING = "＜〈《⟨‹«◁「『【〔", "＞〉》⟩›»▷」』】〕"
GAP = r"[\s\u200b-\u200d\ufeff]{0,3}"
EMPHASIS = r"[*_`~]+"


def replace_surrogate(text: str, surrogate: str, tag: str) -> str:
    """Replaces Latin names only as whole words, Chinese names anywhere."""
    if HAN_CHARACTER.search(surrogate):
        return text.replace(surrogate, tag)

    def replacement(found: re.Match[str]) -> str:
        is_noun = found[0].islower() and not surrogate.islower() and follows_determiner(found)
        return found[0] if is_noun else tag

    return surrogate_pattern(surrogate).sub(replacement, text)


def contains_surrogate(text: str, surrogate: str) -> bool:
    if HAN_CHARACTER.search(surrogate):
        return surrogate in text
    return surrogate_remnant_pattern(surrogate).search(text) is not None


@lru_cache(maxsize=64)
def surrogate_pattern(name: str) -> re.Pattern[str]:
    return ignoring_case(rf"(?<!{SPACED_LETTER})(?<!-){re.escape(name)}(?!{SPACED_LETTER}|-\w)")


@lru_cache(maxsize=64)
def surrogate_remnant_pattern(name: str) -> re.Pattern[str]:
    end = "" if len(name) >= MIN_PREFIX_LENGTH else rf"(?:e?s)?(?!{SPACED_LETTER})"
    return ignoring_case(rf"(?<!{SPACED_LETTER}){re.escape(name)}{end}")


def follows_determiner(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - 8) : found.start()]
    return DETERMINER.search(before.lower()) is not None


RepairStep = tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]


@dataclass(frozen=True, slots=True)
class TagForms:
    name: str  # Without brackets, in lower case.
    surplus: re.Pattern[str]  # The tag with superfluous characters around it.
    steps: tuple[RepairStep, ...]


def repair_tag(text: str, tag: str, *, bare_name: bool = True) -> tuple[str, tuple[str, ...]]:
    """Returns the repaired text and the names of the steps that changed it.

    ``bare_name``: also replace the name without brackets. The steps are repeated until none changes the text, because
    one form may hide another.
    """
    forms = compile_tag_forms(tag, bare_name)
    if text.lower().count(forms.name) == text.count(tag) and not forms.surplus.search(text):
        return text, ()
    applied: dict[str, None] = {}
    before = ""
    # Terminates: each step shortens the text or leaves fewer forms.
    while text != before:
        before = text
        for step, pattern, replacement in forms.steps:
            changed = pattern.sub(replacement, text)
            if changed != text:
                applied[step] = None
                text = changed
        unmarked = remove_opening_emphasis(text, tag)
        if unmarked != text:
            applied["tag_marks"] = None
            text = unmarked
    return text, tuple(applied)


def remove_opening_emphasis(text: str, tag: str) -> str:
    marks = re.match(EMPHASIS, text)
    if marks is None or not text.startswith(tag, marks.end()):
        return text
    return tag + text[marks.end() + len(tag) :].replace(marks[0][::-1], "", 1)


@lru_cache(maxsize=256)
def compile_tag_forms(tag: str, bare_name: bool) -> TagForms:
    name, exact = tag[1:-1], re.escape(tag)
    surplus = re.compile(
        rf"[<*_`~\\{OTHER_OPENING}]{GAP}{exact}|{exact}{GAP}(?:[>*_`~{OTHER_CLOSING}]|[:：]?{GAP}{exact})"
        rf"|^[\"“'‘]{exact}[\"”'’]"
    )
    steps = [*bracketed_forms(tag, re.escape(name)), *emphasised_forms(tag, exact)]
    if bare_name:
        steps += bare_name_forms(tag)
    steps.append(("tag_doubled", re.compile(rf"{exact}(?:{GAP}[:：]?{GAP}{exact})+"), tag))
    return TagForms(name.lower(), surplus, tuple(steps))


def bracketed_forms(tag: str, name: str) -> list[RepairStep]:
    inner = rf"({GAP}/?{GAP}{name}{GAP}/?{GAP})"
    # Quoted inscriptions are kept: 写着「mam」.
    unwritten = r"(?<![写印刻标绣画][着有了])"

    return [
        (
            "tag_html",
            ignoring_case(rf"(?:{LESS_THAN}{inner}(?:{GREATER_THAN}|>)|<{inner}{GREATER_THAN}){ESCAPED_APOSTROPHE}"),
            lambda found: f"<{(found[1] or found[2]).strip()}>" + ("'" if found[3] else ""),
        ),
        (
            "tag_fullwidth",
            ignoring_case(rf"(?:[＜<]|{unwritten}[{OTHER_OPENING}])<?{inner}>?[{OTHER_CLOSING}]"),
            lambda found: f"<{found[1].strip()}>",
        ),
        ("tag_fullwidth", ignoring_case(rf"＜<?{inner}>"), lambda found: f"<{found[1].strip()}>"),
        ("tag_brackets", ignoring_case(rf"\[{GAP}({name}){GAP}\]|\{{+{GAP}{name}{GAP}\}}+"), tag),
        ("tag_marks", ignoring_case(rf"\\+<({name})\\*>|<{name}\\+>"), tag),
        ("tag_spaces", ignoring_case(rf"<(?=[\s/\w]){GAP}(/?){GAP}({name}){GAP}(/?){GAP}>"), r"<\g<1>\g<2>\g<3>>"),
        (
            "tag_doubled",
            ignoring_case(rf"<{{2,}}(/?{name}/?)>+|<(/?{name}/?)>{{2,}}"),
            lambda found: f"<{found[1] or found[2]}>",
        ),
        ("tag_case", ignoring_case(rf"<(/?){name}(/?)>"), rf"<\g<1>{tag[1:-1]}\g<2>>"),
        ("tag_possessive", ignoring_case(rf"<{name}(['’]s)>"), rf"{tag}\1"),
        ("tag_closed", ignoring_case(rf"<{name}/>|<{name}>{GAP}(?:{name})?{GAP}</{name}>"), tag),
        (
            "tag_half",
            ignoring_case(
                rf"<{name}(?!{SPACED_LETTER}|[>.\-/]|['’]s>)(?![^<>\n]*>)"
                rf"|(?<!{SPACED_LETTER})(?<![</.\-@#;\\]){name}>"
            ),
            tag,
        ),
    ]


def emphasised_forms(tag: str, exact: str) -> list[RepairStep]:
    """Forms with bold, code or quotes directly around the tag; quotes only at the beginning."""
    return [
        ("tag_marks", re.compile(rf"({EMPHASIS}){exact}(['’]s)?\1"), rf"{tag}\2"),
        ("tag_marks", re.compile(rf"\A{exact}(['’]s)?(\*+|`+)(?![\s\S]*\2)"), rf"{tag}\1"),
        ("tag_marks", re.compile(rf"\A(?:\"{exact}\"|“{exact}”|‘{exact}’|'{exact}'(?!s))"), tag),
    ]


def bare_name_forms(tag: str) -> list[RepairStep]:
    """The name alone, as spelled or capitalised.

    Kept: in quotes (an inscription), after "a" or "her" (a noun), and in ``mam-shaped`` or ``mam.jpg``.
    """
    name = tag[1:-1]
    spelt = f"(?:{re.escape(name)}|{re.escape(name[0].upper() + name[1:])})"
    end = rf"(?=$|[\s,，.。:：;；!！?？、'’]|[{UNSPACED}])"
    opening = rf"\A(?:\"{spelt}\"|“{spelt}”|'{spelt}'|‘{spelt}’|({EMPHASIS}){spelt}\1){end}"
    anywhere = (
        rf"{QUOTATION}|(?<!{SPACED_LETTER})(?<![\-_@#/\\.<&]){spelt}(?!{SPACED_LETTER}|[\-_/@\\.]\w|[>;\-]|[\"”])"
    )

    def replacement(found: re.Match[str]) -> str:
        is_name = found[0].lower() == name.lower()  # Not a quotation.
        return tag if is_name and not follows_determiner(found) else found[0]

    return [("tag_bare", re.compile(opening), tag), ("tag_bare", re.compile(anywhere), replacement)]


def ignoring_case(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
