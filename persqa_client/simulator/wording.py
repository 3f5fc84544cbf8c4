"""Facts about a picture, put into a sentence that begins with the tag, in English or Chinese. Pure.

The sentences vary with the question but say only what the pixels tell.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from persqa_client.simulator.vision import COLOURS, Facts

CHINESE = re.compile(r"[\u3400-\u9fff]")

ONE_WORD = re.compile(r"\bone word\b|一个词", re.IGNORECASE)
RANDOM = re.compile(r"\brandom\b|随机", re.IGNORECASE)
"""A question about nobody that asks for one word is answered by a colour's name, one for something random by a number
that the seed decides."""

TOPICS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("count", re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b|多少|几个|几只|几位|几条|几件", re.IGNORECASE)),
    ("wearing", re.compile(r"\bwear|\bcloth|\bdress|\battire|\boutfit|穿|戴|衣|服装", re.IGNORECASE)),
    (
        "where",
        re.compile(r"\bwhere\b|\bbackground|\bplace\b|\bposition|\bstand|哪里|哪儿|位置|背景|地方", re.IGNORECASE),
    ),
    ("doing", re.compile(r"\bdoing\b|\baction|\bactivit|\bpose\b|\bposture|在做|做什么|动作|姿势", re.IGNORECASE)),
    ("colour", re.compile(r"\bcolou?r|\bhair\b|\bfur\b|\beyes?\b|颜色|发色|毛色|眼睛", re.IGNORECASE)),
)
"""What a question is about, first match first; anything else is "plain"."""

LIGHT = (
    ("very dark", "很暗"),
    ("dark", "较暗"),
    ("evenly lit", "亮度适中"),
    ("bright", "明亮"),
    ("very bright", "非常明亮"),
)
LIMITS = (40, 90, 150, 215)
"""Mean grey values, 0 to 255, at which LIGHT goes on to its next words."""

FORMATS = {"landscape": "横向", "portrait": "纵向", "square": "方形"}
ROWS = (("top", "上"), ("middle", "中"), ("bottom", "下"))
COLUMNS = (("left", "左"), ("centre", "中"), ("right", "右"))

ENGLISH = {
    "plain": (
        "{tag} appears in {pictures}, mostly {colours}.",
        "{tag} is shown in {pictures} whose main colours are {colours}.",
    ),
    "colour": (
        "{tag} is surrounded by mostly {colours} in {pictures}.",
        "{tag} is seen among the colours {colours}, in {pictures}.",
    ),
    "wearing": (
        "{tag} appears among the colours {colours}, in {pictures}.",
        "{tag} is shown in {pictures}, and what stands out is {colours}.",
    ),
    "doing": (
        "{tag} keeps still in {pictures}, mostly {colours}.",
        "{tag} is captured in one moment, in {pictures} of mainly {colours}.",
    ),
    "where": (
        "{tag} is in {pictures}, mostly {colours}, where the lightest part lies at the {place}.",
        "{tag} is found in {pictures} with {colours} and the most light at the {place}.",
    ),
    "count": (
        "{tag} appears in {pictures}, with {number}: {colours}.",
        "{tag} is seen with {number}, namely {colours}, in {pictures}.",
    ),
}
MANDARIN = {
    "plain": ("{tag}出现在{pictures}中，主要颜色是{colours}。", "{tag}所在的是{pictures}，以{colours}为主。"),
    "colour": ("{tag}周围的主要颜色是{colours}，这是{pictures}。", "{tag}身处{colours}之间，这是{pictures}。"),
    "wearing": ("{tag}身边的颜色主要是{colours}，这是{pictures}。", "{tag}出现在{pictures}中，最显眼的是{colours}。"),
    "doing": ("{tag}定格在{pictures}中，主要颜色是{colours}。", "{tag}在这一刻静止于{pictures}里，以{colours}为主。"),
    "where": (
        "{tag}在{pictures}中，最亮的部分位于{place}，主要颜色是{colours}。",
        "{tag}位于以{colours}为主的{pictures}里，{place}最亮。",
    ),
    "count": (
        "{tag}出现在{pictures}中，共有{number}种主要颜色：{colours}。",
        "{tag}所在的是{pictures}，主要颜色有{number}种，即{colours}。",
    ),
}


def speaks_chinese(question: str) -> bool:
    """Whether the question is to be answered in Chinese."""
    return CHINESE.search(question) is not None


def topic(question: str) -> str:
    """What the question is about."""
    return next((name for name, pattern in TOPICS if pattern.search(question)), "plain")


def sentence(tag: str | None, question: str, facts: Facts | None, seed: int = 0) -> str:
    """The answer: the same for the same arguments in any process. ``facts`` None means that no picture came."""
    chinese = speaks_chinese(question)
    if tag is None and RANDOM.search(question):
        return f"{pick(facts.digest if facts else b'', question, seed) % 10**9:09d}"
    if tag is None and facts and ONE_WORD.search(question) and topic(question) == "colour":
        return COLOURS[facts.main[0]][0] if chinese else facts.main[0]
    name = tag or ("主角" if chinese else "The main character")
    if facts is None:
        return f"没有收到图片，看不到{name}。" if chinese and not tag else unseen(name, chinese)
    choices = (MANDARIN if chinese else ENGLISH)[topic(question)]
    values = mandarin_values(facts) if chinese else english_values(facts)
    return choices[pick(facts.digest, question, seed) % len(choices)].format(tag=name, **values)


def unseen(name: str, chinese: bool) -> str:
    """The answer to a question without a picture."""
    if chinese:
        return f"{name}无从看到：问题没有附带图片。"
    return f"{name} is not to be seen: no picture came with the question."


def pick(digest: bytes, question: str, seed: int) -> int:
    """A number drawn from pictures, question and seed."""
    key = digest + seed.to_bytes(16, "big", signed=True) + question.encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


def english_values(facts: Facts) -> dict[str, str]:
    """The words that English sentences leave open."""
    light, form = LIGHT[brightness(facts)][0], orientation(facts)
    if facts.others:
        pictures = f"{1 + len(facts.others)} {light} pictures of {joined(sizes(facts), ', ', ' and ')} pixels"
    else:
        article = "an" if light[0] in "aeiou" else "a"
        pictures = f"{article} {light} {form} picture of {sizes(facts)[0]} pixels"
    row, column = facts.lightest
    place = "centre" if (row, column) == (1, 1) else f"{ROWS[row][0]} {COLUMNS[column][0]}"
    return {
        "pictures": pictures,
        "colours": joined(facts.main, ", ", " and "),
        "place": place,
        "number": f"{len(facts.main)} main colour{'s' if len(facts.main) > 1 else ''}",
    }


def mandarin_values(facts: Facts) -> dict[str, str]:
    """The words that Chinese sentences leave open."""
    light, form = LIGHT[brightness(facts)][1], FORMATS[orientation(facts)]
    size = joined(sizes(facts), "、", "和")
    pictures = (
        f"{1 + len(facts.others)}张{light}的{size}像素图片" if facts.others else f"一张{light}的{size}像素{form}图片"
    )
    row, column = facts.lightest
    place = "正中" if (row, column) == (1, 1) else f"{COLUMNS[column][1]}{ROWS[row][1]}方"
    return {
        "pictures": pictures,
        "colours": joined([COLOURS[name][0] for name in facts.main], "、", "和"),
        "place": place,
        "number": str(len(facts.main)),
    }


def brightness(facts: Facts) -> int:
    """Index into LIGHT."""
    return sum(facts.lightness >= limit for limit in LIMITS)


def orientation(facts: Facts) -> str:
    """A key of FORMATS."""
    if facts.width == facts.height:
        return "square"
    return "landscape" if facts.width > facts.height else "portrait"


def sizes(facts: Facts) -> list[str]:
    """Width and height of each picture, as written."""
    return [f"{width}x{height}" for width, height in ((facts.width, facts.height), *facts.others)]


def joined(words: list[str] | tuple[str, ...], comma: str, last: str) -> str:
    """An enumeration: a, b and c."""
    return words[0] if len(words) == 1 else comma.join(words[:-1]) + last + words[-1]
