"""The question, the prompt or polite words around an answer: cut where that is sure, and found where not. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.surrogates import put_tag
from persqa_client.types import Ask, Problem

LABEL = re.compile(
    r"[\s*_#>]*(?:final answer|answer|response|assistant|output|caption|a|回答|答案|答|回复)"
    r"(?:[*_]*[ \t]*[:：][*_]*|[*_]*\n)\s*",
    re.IGNORECASE,
)
QUESTION_LABEL = re.compile(r"[\s*_#>]*(?:question|q|问题|问)[*_]*\s*[:：][*_]*\s*", re.IGNORECASE)
ANSWER_LABEL = re.compile(r"(?:^|[\s,，])[*_#]*(?:answer|a|回答|答案|答)[*_]*\s*[:：][*_]*\s*", re.IGNORECASE)
GOES_ON = re.compile(
    r"\n[ \t*_#>]{0,8}(?:question|answer|q|问题|问|回答|答案|答|user|human|assistant|system)[*_]{0,3} ?[:：]"
    r"|\bquestion ?[:：].*\banswer ?[:：]|\n(?:user|assistant|human)\n",
    re.IGNORECASE | re.DOTALL,
)
LETTERS = 12
"""An instruction with fewer may also be what somebody says."""
SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]?(?:\s+|$)?")

PICTURE = r"(?:image|picture|photo|photograph|question|context)s?"
PREAMBLE = re.compile(
    r"(?:(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|yes|no|great(?: question)?|alright|well)"
    r"[\s,.!:—–-]+)?"
    r"(?:i(?:'d|’d| would) be (?:happy|glad) to (?:help|answer)[^<\n.!]{0,40}[.!:]\s*)?"
    r"(?:(?:here(?:['’]s| is| are)|this is|the answer|my answer)\b[^<\n.!]{0,80}:\s*)?"
    rf"(?:(?:based on|in|from|looking at|according to|as (?:seen|shown) in) (?:the|this|your) (?:\w+ )?{PICTURE}"
    r"(?: (?:provided|given|shown|above))?[,:]\s*)?"
    r"(?:(?:the answer is|it is)[:：,]?\s+)?(?:the\s+)?"
    r"|(?:(?:好的?|当然(?:可以)?|是的?|没问题|可以|嗯|不是?|没有|对)[，。！,!：:\s]+)?"
    r"(?:(?:以下是|这是|下面是|答案是|我的回答是|回答如下)[^<\n。，]{0,30}[：:]?\s*)?"
    r"(?:(?:根据|从|在|依据|按照)?(?:这张|这幅|该|此|所给的?|提供的?|给定的?|(?:您|你)(?:提供|给出)的)?"
    r"(?:图|图片|图像|照片|画面|相片)(?:中|里|上|内容|显示|来看|可以看出|可知|可见)*的?[，,：:\s]*)?",
    re.IGNORECASE,
)
"""What may stand before an answer that then begins with the tag, and says nothing about the picture."""
FAR = 200
"""Characters that polite words have at most."""
POSTAMBLE = re.compile(
    r"(?:\n|(?<=[.!?。！？”\"])\s{0,3})(?:(?:please )?let me know\b|feel free to\b|i hope (?:this|that) (?:help|answer)"
    r"|hope (?:this|that) helps|is there anything else"
    r"|if you (?:have|need|want|would like) (?:any|more|to know|help|further)"
    r"|希望(?:这个?|以上|我的)?(?:回答|答案|信息|描述)?[能对]|如果?[你您]?(?:还|有|需)[^<\n]{0,20}(?:告诉我|问我|联系|提问))[^<\n]*$",
    re.IGNORECASE,
)


def cut_label(text: str, ask: Ask) -> str:
    return text if text.startswith(ask.tag) else LABEL.sub("", text, count=1) if LABEL.match(text) else text


def cut_echo(text: str, ask: Ask) -> str:
    """The text without the prompt or the question before it, unless nothing is left then."""
    if text.startswith(ask.tag) and not ask.question.startswith(ask.tag):
        return text
    return cut_question(cut_instructions(text, ask), ask)


def cut_instructions(text: str, ask: Ask) -> str:
    """Without sentences of the prompt at its beginning, where an answer comes after them."""
    if text.startswith(ask.prompt) and len(text) > len(ask.prompt):
        return text[len(ask.prompt) :].lstrip()
    rest = text
    for sentence in instructions(ask):
        rest = rest.removeprefix(sentence).lstrip()
    return rest if rest.startswith(ask.tag) or QUESTION_LABEL.match(rest) or LABEL.match(rest) else text


def cut_question(text: str, ask: Ask) -> str:
    """Without the question before it. A question such as ``<mam> is`` may be the beginning of its answer."""
    label = QUESTION_LABEL.match(text)
    bare = (text[label.end() :] if label else text).lstrip('"“「*_ ')
    asked = ask.question.rstrip("?？ ")
    if bare[: len(asked)].casefold() != asked.casefold():
        return reworded(text, ask) if label else text
    rest = bare[len(asked) :]
    is_question = asked != ask.question and rest.lstrip()[:1] in ("?", "？")
    rest = rest.lstrip(' ?？,，:：\n"”」*_')
    if rest and (is_question or rest.startswith(ask.tag) or LABEL.match(rest)):
        return rest
    return bare if label and not is_question else text


def reworded(text: str, ask: Ask) -> str:
    """What follows ``Answer:`` after a question that the model put in its own words."""
    answers = list(ANSWER_LABEL.finditer(text))
    rest = text[answers[0].end() :] if len(answers) == 1 else ""
    return rest if rest.startswith(ask.tag) else text


def cut_preamble(text: str, ask: Ask) -> str:
    """``Sure, here's the answer:`` and the like, where all that follows is an answer beginning with the tag."""
    place = text.find(ask.tag, 0, FAR)
    return text[place:] if place > 0 and PREAMBLE.fullmatch(text, 0, place) else text


def cut_postamble(text: str, ask: Ask) -> str:
    """``Let me know if you need more!`` after an answer."""
    found = POSTAMBLE.search(text)
    return text[: found.start()].rstrip() if found and found.start() else text


def is_no_echo(text: str, ask: Ask) -> Problem | None:
    """What follows may be another question's answer, so nothing is cut. A question without its mark may be the words
    of a good answer."""
    if ask.question.endswith(("?", "？")) and ask.question in text:
        return Problem("echo", "it repeats the question")
    if any(sentence in text for sentence in instructions(ask)):
        return Problem("echo", "it repeats the instructions")
    return Problem("echo", "it goes on with a question or an answer of its own") if GOES_ON.search(text) else None


def instructions(ask: Ask) -> tuple[str, ...]:
    """The sentences of the prompt, in their order, without the question itself."""
    prompt = ask.prompt.replace(ask.question, "")
    return sentences(put_tag(prompt, ask.surrogate, ask.tag) if ask.surrogate else prompt)


@lru_cache(maxsize=256)
def sentences(text: str) -> tuple[str, ...]:
    parts = (part.strip() for part in SENTENCE.findall(text))
    return tuple(part for part in parts if len(part) >= LETTERS)
