"""The question, the prompt or polite words around an answer: cut where that is sure, and found where not. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from persqa_client.answers.tag_repair import has_left, put_tag
from persqa_client.jsonl import load_value
from persqa_client.language import LETTER, unquoted
from persqa_client.types import Problem, Task

# What has no place in a sentence: marks of chat templates, tags that nobody gave, places left to fill in. Pure.

TEMPLATE_TOKEN = (
    r"<\|[^<>|]{1,40}\|>|<｜[^<>｜]{1,40}｜>|</?s>|<[be]os>|<(?:start|end)_of_turn>|<end_of_utterance>|\[/?INST\]"
)
"""What chat templates put between turns: ChatML and Llama 3, DeepSeek, Llama 2, Gemma, Idefics."""
MARKUP = re.compile(rf"{TEMPLATE_TOKEN}|</?think(?:ing)?>|◁/?think▷|<(?:image|video|audio)>", re.IGNORECASE)
TAG_LIKE = re.compile(r"</?[^\W\d_][^<>\n]{0,39}>|＜/?[^\W\d_][^＜＞\n]{0,39}＞")
PLACEHOLDER = re.compile(
    r"\{(?i:\{[^{}]{0,40}\}\}|(?:[a-z]+_)?(?:name|tag|subject|character|person|answer|question)s?\})"
    r"|\[(?i:(?:insert |your |the |main )?(?:name|tag|character|subject|person|answer)\b[^\]]{0,30}\])"
    r"|<(?i:(?:name|tag|character|subject|person)>)"
    rf"|s(?<!{LETTER}s)(?i:ks(?!{LETTER}))|S(?<!{LETTER}S)(?i:ks(?!{LETTER}))"
    rf"|X(?<!{LETTER}X)X{{2,}}(?!{LETTER})|_(?<![\^TtOoQq>(]_)__+|某某|"
    + "|".join(rf"\{bracket}(?:姓名|名字|名称|标签|主角名?|人物名?)[\]】}}｝）)>＞]" for bracket in "[【{｛（(<＜")
)
"""Each alternative begins with a character as it is: re looks for these before it tries any (0.6 in place of 4 µs for a
sentence)."""


def has_no_markup(text: str, ask: Task) -> Problem | None:
    """The placeholders of training layouts count too: a trainer would look for a picture to each."""
    return Problem("unknown_markup", "chat template markup") if MARKUP.search(text) else None


def has_no_unknown_tag(text: str, ask: Task) -> Problem | None:
    """A closing tag takes the name for XML around a sentence that then lacks its subject. What the question itself has
    may come again, and so may what is quoted, as a screen's or a sign's own text."""
    rest = text.replace(ask.tag, "")
    if ("<" not in rest and "＜" not in rest) or not TAG_LIKE.search(rest):
        return None
    closing = f"</{ask.tag[1:]}"
    if closing.lower() in rest.lower():
        return Problem("unknown_tag", f"closing tag {closing}", "closing", closing)
    unknown = next((tag for tag in tag_likes(unquoted(rest)) if tag not in ask.question), None)
    return Problem("unknown_tag", f"unknown tag {unknown}", found=unknown) if unknown else None


def tag_likes(text: str) -> list[str]:
    """All that looks like a tag, but for the two signs of comparisons (``a<b and c>d``)."""
    return [
        found[0]
        for found in TAG_LIKE.finditer(text)
        if " " not in found[0] or not (text[: found.start()][-1:].isalnum() and text[found.end() :][:1].isalnum())
    ]


def has_no_placeholder(text: str, ask: Task) -> Problem | None:
    """Of the name that stood in for the tag, too, nothing may be left."""
    if ask.surrogate and has_left(text.replace(ask.tag, ""), ask.surrogate):
        return Problem("placeholder", f"another form of the surrogate name {ask.surrogate}", "surrogate")
    found = PLACEHOLDER.search(text)
    if found is None or PLACEHOLDER.search(unquoted(text).replace(ask.tag, "")) is None:
        return None
    return Problem("placeholder", f"unfilled placeholder {found[0]}", found=found[0])


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


def cut_label(text: str, ask: Task) -> str:
    return text if text.startswith(ask.tag) else LABEL.sub("", text, count=1) if LABEL.match(text) else text


def cut_echo(text: str, ask: Task) -> str:
    """The text without the prompt or the question before it, unless nothing is left then."""
    if text.startswith(ask.tag) and not ask.question.startswith(ask.tag):
        return text
    return cut_question(cut_instructions(text, ask), ask)


def cut_instructions(text: str, ask: Task) -> str:
    """Without sentences of the prompt at its beginning, where an answer comes after them."""
    if text.startswith(ask.prompt) and len(text) > len(ask.prompt):
        return text[len(ask.prompt) :].lstrip()
    rest = text
    for sentence in instructions(ask):
        rest = rest.removeprefix(sentence).lstrip()
    return rest if rest.startswith(ask.tag) or QUESTION_LABEL.match(rest) or LABEL.match(rest) else text


def cut_question(text: str, ask: Task) -> str:
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


def reworded(text: str, ask: Task) -> str:
    """What follows ``Answer:`` after a question that the model put in its own words."""
    answers = list(ANSWER_LABEL.finditer(text))
    rest = text[answers[0].end() :] if len(answers) == 1 else ""
    return rest if rest.startswith(ask.tag) else text


def cut_preamble(text: str, ask: Task) -> str:
    """``Sure, here's the answer:`` and the like, where all that follows is an answer beginning with the tag."""
    place = text.find(ask.tag, 0, FAR)
    return text[place:] if place > 0 and PREAMBLE.fullmatch(text, 0, place) else text


def cut_postamble(text: str, ask: Task) -> str:
    """``Let me know if you need more!`` after an answer."""
    found = POSTAMBLE.search(text)
    return text[: found.start()].rstrip() if found and found.start() else text


def is_no_echo(text: str, ask: Task) -> Problem | None:
    """What follows may be another question's answer, so nothing is cut. A question without its mark may be the words
    of a good answer."""
    if ask.question.endswith(("?", "？")) and ask.question in text:
        return Problem("echo", "repetition of the question")
    if any(sentence in text for sentence in instructions(ask)):
        return Problem("echo", "repetition of the prompt", "prompt")
    if GOES_ON.search(text):
        return Problem("echo", "another question or answer after the answer", "goes_on")
    return None


def instructions(ask: Task) -> tuple[str, ...]:
    """The sentences of the prompt, in their order, without the question itself."""
    prompt = ask.prompt.replace(ask.question, "")
    return sentences(put_tag(prompt, ask.surrogate, ask.tag) if ask.surrogate else prompt)


@lru_cache(maxsize=256)
def sentences(text: str) -> tuple[str, ...]:
    parts = (part.strip() for part in SENTENCE.findall(text))
    return tuple(part for part in parts if len(part) >= LETTERS)


# Takes off what stands around an answer: thinking, the chat template's ends, a fence, an echo, a label, quotes. Pure.
#
# Each step is a small function that gives the text back as it was where it has nothing to do.

THINKING = re.compile(r"(?is)^.*(?:</(?:think|thinking|thought|reasoning)>|◁/think▷|<\|channel\|>final<\|message\|>)")
"""All up to the last end of a thought; its beginning is often part of the prompt, and not of the answer."""
TEMPLATE_END = re.compile(rf"(?i)(?:(?:{TEMPLATE_TOKEN})\s*)+$")
TEMPLATE_START = re.compile(rf"(?i)^(?:(?:{TEMPLATE_TOKEN})\s*)+(?:assistant\s)?\s*")
WRAPPER = re.compile(r"(?is)^<(answer|response|output)>(.*)</\1>$")
FENCE = re.compile(r"(?s)(?:(```|~~~)[\w-]*\n(.*?)\n?\1|```([^`\n]+)```)$")
MEMBERS = frozenset({"answer", "response", "text", "caption", "description", "output", "回答", "答案"})
BULLET = re.compile(r"(?:[-*•>]|\d{1,2}[.)]|#{1,6}) +")
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」", "『": "』", "«": "»", "`": "`"}
OPENS = re.compile(r"(?:^|[\s(（\[])\"")
SPACE = " \t\n\r\f\v\u200b\ufeff"


def clean(text: str, ask: Task) -> tuple[str, tuple[str, ...]]:
    """The cleaned text, and the names of the steps which changed it."""
    taken = []
    for name, step in STEPS:
        changed = step(text, ask)
        if changed is not text and changed != text:
            taken.append(name)
            text = changed.strip(SPACE)
    return text, tuple(taken)


def cut_thinking(text: str, ask: Task) -> str:
    return THINKING.sub("", text) if "think" in text or "<" in text.replace(ask.tag, "") else text


def cut_template(text: str, ask: Task) -> str:
    if text[-1:] in (">", "]"):
        text = TEMPLATE_END.sub("", text)
    if text[:1] in ("<", "[") and not text.startswith(ask.tag):
        text = TEMPLATE_START.sub("", text)
        if wrapped := WRAPPER.match(text.strip()):
            return wrapped[2]
    return text


def open_fence(text: str, ask: Task) -> str:
    """What stands in a fence around the whole, or around all but a polite opening."""
    if text[-3:] not in ("```", "~~~"):
        return text
    start = text.find(text[-3:], 0, FAR)
    fenced = FENCE.match(text, start) if start >= 0 and PREAMBLE.fullmatch(text, 0, start) else None
    return (fenced[2] or fenced[3] or "") if fenced else text


def open_json(text: str, ask: Task) -> str:
    """The one text of an object such as ``{"answer": "…"}``."""
    if not (text[:1] == "{" and text[-1:] == "}"):
        return text
    try:
        value = load_value(text.encode("utf-8", "replace"))
    except ValueError:
        return text
    texts = [value[name] for name in value if name in MEMBERS] if isinstance(value, dict) else []
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else text


def cut_bullet(text: str, ask: Task) -> str:
    """The mark of a list, a heading or a quotation before an answer that is no list."""
    mark = BULLET.match(text)
    is_one = mark and text.startswith(ask.tag, mark.end()) and not re.search(rf"\n[ \t]{{0,8}}{BULLET.pattern}", text)
    return text[mark.end() :] if mark and is_one else text


def cut_quotes(text: str, ask: Task) -> str:
    """Without quotation marks around the whole, or one that lacks its partner before the tag or at the end."""
    stop = text[-1:] if text[-1:] in (".", "。") else ""
    body = text.removesuffix(stop) if stop else text
    closing = QUOTES.get(body[:1])
    if closing and len(body) > 1 and body.endswith(closing) and is_whole(body[1:-1], body[0], closing):
        return body[1:-1] + stop
    if text[:1] in ('"', "“") and text.startswith(ask.tag, 1) and not re.search('["”]', text[1:]):
        return text[1:]
    is_odd = text[-1:] in ('"', "”") and not re.search('["“”]', text[:-1]) and not text[-2:-1].isdigit()
    return text[:-1] if is_odd and text.startswith(ask.tag) else text


def is_whole(inner: str, opening: str, closing: str) -> bool:
    """Whether the marks around ``inner`` belong together, and not each to another quotation within."""
    if opening == "'":
        # An apostrophe stands between letters; or after the tag, whose possessive it makes.
        return not re.search(r"(?<![\w>])'|'(?!\w)", inner)
    if opening == '"':
        return inner.count('"') % 2 == 0 and len(OPENS.findall(inner)) * 2 == inner.count('"')
    depth = 0
    for character in inner:
        depth += (character == opening) - (character == closing)
        if depth < 0:
            return False
    return opening != closing or depth == 0


STEPS: tuple[tuple[str, Callable[[str, Task], str]], ...] = (
    ("thinking", cut_thinking),
    ("template", cut_template),
    ("fence", open_fence),
    ("json", open_json),
    ("echo", cut_echo),
    ("label", cut_label),
    ("preamble", cut_preamble),
    ("postamble", cut_postamble),
    ("bullet", cut_bullet),
    ("quotes", cut_quotes),
)
