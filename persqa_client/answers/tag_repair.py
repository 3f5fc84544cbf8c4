"""Replaces other forms of the tag by the tag.

Only forms of the tag's own name are replaced, not descriptions ("the man").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from persqa_client.answers.bare_names import find_bare_name, is_mentioned, repair_companion, repair_opening
from persqa_client.language import SPACED_LETTER
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import QUOTATIONS

ESCAPE = r"&(?:amp;){0,4}"
LESS_THAN = rf"(?:{ESCAPE}(?:lt|\#0{{0,4}}60|\#x0{{0,4}}3c);|\\u003c)"
GREATER_THAN = rf"(?:{ESCAPE}(?:gt|\#0{{0,4}}62|\#x0{{0,4}}3e);|\\u003e)"
ESCAPED_APOSTROPHE = rf"({ESCAPE}(?:apos|rsquo|\#0{{0,4}}39|\#x0{{0,4}}27|\#8217);(?=s))?"
OTHER_OPENING, OTHER_CLOSING = "＜〈《⟨‹«◁「『【〔", "＞〉》⟩›»▷」』】〕"
# Characters that show nothing: marks of width and direction.
INVISIBLE = r"\u061c\u200b\u200d-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
GAP = rf"[\s\u200c{INVISIBLE}]{{0,3}}"
SPACED_WORD = compile_lazily(r"[A-Za-z\u00c0-\u024f\u0400-\u04ff]")
EMPHASIS = r"[*_`~]{1,6}"
# Enough for forms within forms; a text that still changes repeats itself.
MAX_PASSES = 6
TAG = compile_lazily(r"<[^\W_][\w.\-]{0,39}>")


RepairStep = tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]


@dataclass(frozen=True, slots=True)
class TagForms:
    name: str  # Without brackets, in lower case.
    quoted: re.Pattern[str]  # The name in quotation marks at the beginning.
    surplus: re.Pattern[str]  # The tag with superfluous characters around it.
    steps: tuple[RepairStep, ...]
    # Those of forms that mean nothing but the tag, even in an answer that has the tag itself.
    sure_steps: tuple[RepairStep, ...]


def repair_tag(text: str, tag: str, *, bare_name: bool = True) -> tuple[str, tuple[str, ...]]:
    """Returns the repaired text and the names of the steps that changed it.

    ``bare_name``: the name without brackets is no ordinary word. The steps are repeated until none changes the text,
    because one form may hide another.
    """
    forms = compile_tag_forms(tag)
    is_intact = text.lower().count(forms.name) == text.count(tag) and not forms.surplus.search(text)
    if is_intact and (text.startswith(tag) or find_bare_name(text, tag, len(tag)) != 0):
        return text, ()
    if (quoted := forms.quoted.match(text)) and is_mentioned(text, quoted.end()):
        return text, ()
    applied: dict[str, None] = {}
    for _ in range(MAX_PASSES):
        before = text
        for step, changed in repair_once(text, tag, forms, bare_name):
            if changed != text:
                applied[step] = None
                text = changed
        if text == before:
            break
    return text, tuple(applied)


def repair_once(text: str, tag: str, forms: TagForms, bare_name: bool) -> Iterator[tuple[str, str]]:
    """The text after each step."""
    has_tag = tag in text
    for step, pattern, replacement in forms.sure_steps if has_tag else forms.steps:
        text = replace_outside_quotations(pattern, replacement, text) if has_tag else pattern.sub(replacement, text)
        yield step, text
    text = repair_opening(text, tag, is_sure=bare_name)
    yield "tag_bare", text
    yield "tag_marks", remove_opening_emphasis(text, tag)


def replace_outside_quotations(
    pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str], text: str
) -> str:
    """Quotations at the beginning are around the tag or the answer, and code marks are often around the tag."""
    if pattern.search(text) is None:
        return text
    quoted = [found.span() for found in QUOTATIONS.finditer(text) if found.start() > 0 and not found[0].startswith("`")]
    if not quoted:
        return pattern.sub(replacement, text)

    def outside(found: re.Match[str]) -> str:
        if any(start < found.start() < end for start, end in quoted):
            return found[0]
        return found.expand(replacement) if isinstance(replacement, str) else replacement(found)

    return pattern.sub(outside, text)


def repair_companions(text: str, question: str, tag: str) -> tuple[str, tuple[str, ...]]:
    """Restores the other tags of the question."""
    applied: dict[str, None] = {}
    for other in find_companions(question, tag):
        forms = compile_tag_forms(other)
        if text.lower().count(forms.name) == text.count(other):
            continue
        for step, pattern, replacement in forms.sure_steps:
            changed = replace_outside_quotations(pattern, replacement, text)
            if changed != text:
                applied[step] = None
                text = changed
        if (changed := repair_companion(text, other)) != text:
            applied["tag_bare"] = None
            text = changed
    return text, tuple(applied)


@lru_cache(maxsize=1024)
def find_companions(question: str, tag: str) -> tuple[str, ...]:
    found = dict.fromkeys(TAG.findall(question))
    return tuple(other for other in found if other != tag)


def remove_opening_emphasis(text: str, tag: str) -> str:
    marks = re.match(EMPHASIS, text)
    if marks is None or not text.startswith(tag, marks.end()):
        return text
    return tag + text[marks.end() + len(tag) :].replace(marks[0][::-1], "", 1)


@lru_cache(maxsize=256)
def compile_tag_forms(tag: str) -> TagForms:
    exact = re.escape(tag)
    surplus = re.compile(
        rf"[<*_`~\\{OTHER_OPENING}]{GAP}{exact}|{exact}{GAP}(?:[>*_`~{OTHER_CLOSING}]|[:：]?{GAP}{exact})"
        rf"|^[\"“'‘]{exact}[\"”'’]|[{INVISIBLE}]{exact}|{exact}[{INVISIBLE}]"
    )
    marks = emphasised_forms(tag, exact)
    doubled = ("tag_doubled", re.compile(rf"{exact}(?:{GAP}[:：]?{GAP}{exact})+"), tag)
    name = re.escape(tag[1:-1])
    return TagForms(
        tag[1:-1].lower(),
        ignoring_case(rf"[\"“'‘「『《«‹„`]{{1,3}}<?{name}>?(?=[\"”“'’」』》»›`])"),
        surplus,
        (*other_bracket_forms(tag, name), *bracketed_forms(tag, name), *marks, doubled),
        (*bracketed_forms(tag, name), *marks, doubled),
    )


def other_bracket_forms(tag: str, name: str) -> list[RepairStep]:
    """Brackets that may also belong to a title, a key or a quotation."""
    # Quoted inscriptions are kept: 写着「mam」.
    unwritten = r"(?<![写印刻标绣画][着有了])"
    inner = rf"({GAP}/?{GAP}{name}{GAP}/?{GAP})"
    return [
        (
            "tag_fullwidth",
            ignoring_case(rf"(?:<|{unwritten}[{OTHER_OPENING}]){inner}[{OTHER_CLOSING}]"),
            lambda found: f"<{found[1].strip()}>",
        ),
        ("tag_brackets", ignoring_case(rf"\[{GAP}({name}){GAP}\]|\{{+{GAP}{name}{GAP}\}}+"), tag),
        ("tag_brackets", ignoring_case(rf"\A(?:\({name}\)|（{name}）)"), tag),
    ]


def bracketed_forms(tag: str, name: str) -> list[RepairStep]:
    inner = rf"({GAP}/?{GAP}{name}{GAP}/?{GAP})"
    return [
        (
            "tag_html",
            ignoring_case(rf"(?:{LESS_THAN}{inner}(?:{GREATER_THAN}|>)|<{inner}{GREATER_THAN}){ESCAPED_APOSTROPHE}"),
            lambda found: f"<{(found[1] or found[2]).strip()}>" + ("'" if found[3] else ""),
        ),
        (
            "tag_fullwidth",
            ignoring_case(rf"[{OTHER_OPENING}]<{inner}>[{OTHER_CLOSING}]|＜<?{inner}[>＞]|<{inner}＞"),
            lambda found: f"<{(found[1] or found[2] or found[3]).strip()}>",
        ),
        ("tag_marks", ignoring_case(rf"\\{{1,8}}<({name})\\{{0,8}}>|<{name}\\{{1,8}}>"), tag),
        ("tag_spaces", ignoring_case(rf"<(?=[\s/\w{INVISIBLE}]){GAP}(/?){GAP}({name}){GAP}(/?){GAP}>"), close_up),
        ("tag_spaces", re.compile(rf"[{INVISIBLE}]{{1,8}}{re.escape(tag)}|{re.escape(tag)}[{INVISIBLE}]{{1,8}}"), tag),
        (
            "tag_doubled",
            ignoring_case(rf"<{{2,}}(/?{name}/?)>+|<(/?{name}/?)>{{2,}}"),
            lambda found: f"<{found[1] or found[2]}>",
        ),
        ("tag_case", ignoring_case(rf"<(/?){name}(/?)>"), rf"<\g<1>{tag[1:-1]}\g<2>>"),
        ("tag_possessive", ignoring_case(rf"<{name}(['’]s)>"), rf"{tag}\1"),
        ("tag_closed", ignoring_case(rf"<{name}/>|<{name}>{GAP}(?:{name})?{GAP}(?:</{name}>)+"), tag),
        (
            "tag_half",
            ignoring_case(
                rf"<{name}(?!{SPACED_LETTER}|[>.\-/]|['’]s>)(?![^<>\n]*>)"
                rf"|(?<!{SPACED_LETTER})(?<![</.\-@#;\\]){name}>"
            ),
            tag,
        ),
    ]


def close_up(found: re.Match[str]) -> str:
    """The space of ``<mam >walks`` belongs behind the tag."""
    is_misplaced = found[0][-2:-1].isspace() and SPACED_WORD.match(found.string, found.end()) is not None
    return f"<{found[1]}{found[2]}{found[3]}>" + " " * is_misplaced


def emphasised_forms(tag: str, exact: str) -> list[RepairStep]:
    """Forms with bold, code or quotes directly around the tag; quotes only at the beginning."""
    return [
        ("tag_marks", re.compile(rf"({EMPHASIS}){exact}(['’]s)?\1"), rf"{tag}\2"),
        ("tag_marks", re.compile(rf"\A{exact}(['’]s)?(\*{{1,6}}|`{{1,6}})(?![\s\S]*\2)"), rf"{tag}\1"),
        ("tag_marks", re.compile(rf"\A(?:\"{exact}\"|“{exact}”|‘{exact}’|'{exact}'(?!s|[^']*'\Z))"), tag),
    ]


def ignoring_case(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
