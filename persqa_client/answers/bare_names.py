"""Replaces the tag's name without brackets by the tag, where it names the tag.

An answer that begins with the name is about the tag. Elsewhere, the same word may be a brand, a dish or an inscription
("Mam" is written on the mug).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from persqa_client.answers.phrases import any_phrase
from persqa_client.language import HAN, SPACED_LETTER, UNSPACED
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import QUOTATIONS

HANGUL = r"\uac00-\ud7a3"
UNSPACED_CHARACTER = compile_lazily(f"[{UNSPACED}]")
OPENING_MARKS = r"[*_`~\"“'‘]{0,3}"
CLOSING_MARKS = r"[*_`~\"”'’]{0,3}"
PARTICLE = r"(?:은|는|이|가|을|를|의|와|과|도|에게|에|이랑|랑)(?![" + HANGUL + "])"
# Characters of Chinese that follow a name: particles, adverbs, and what persons and things in pictures do.
CHINESE_AFTER = (
    r"[的在是正和与與跟同把将將被让讓给給对對向从從朝往为為以用也都还還已又很最会會能可不没沒有无無曾刚剛就才便则則似像好看显顯面表神"
    r"穿戴著着拿握提抱背挎挂掛系繫围圍披留扎梳举舉捧端托牵牽拉推扶靠倚坐站躺趴蹲跪骑騎走跑跳游飞飛爬滑踢踩追吃喝咬啃舔嚼"
    r"笑哭说說喊唱念读讀写寫画畫听聽闻聞望盯瞧注凝低抬仰俯转轉回伸张張闭閉睁睜眯打敲弹彈吹奏玩演跟做开開关關停放摆擺摸挥揮指"
    r"切洗煮炒烤摘采浇澆种種喂餵遛钓釣划驾駕乘搭等睡休躲藏露呈处處位属屬来來去到进進出上下左右前后後旁身头頭脸臉手脚腳眼脖腰腿尾毛"
    r"修钻鑽练練學学教比扔投接抓叼叫嘴耳鼻]"
)
# Nouns that a name at the beginning may be the first half of: 可乐瓶, 小红帽.
CHINESE_NOUN_AFTER = (
    r"[帽蜂瓶罐杯盒袋节節店馆館厅廳堂楼樓路街桥橋园園场場院校书書报報树樹草果糖饼餅糕粥汤湯酒茶味族队隊们們片块塊颗顆粒壳殼油酱醬饭飯菜"
    r"肉鱼魚鸡雞兔鼠牛羊猪豬马馬蛇龙龍虎鸟鳥熊猴鹅鵝鸭鴨狗犬猫貓蛋奶牌号號版款型山河湖海岛島市县縣镇鎮村州省国國城湾灣港机機车車船灯燈球品物衣裤褲裙鞋袜襪箱柜櫃桌椅床垫墊足]"
)
# Names that are surnames, or too short, are more often a part of a longer name.
SURNAME = compile_lazily(r".|欧阳|歐陽|上官|司马|司馬|诸葛|諸葛|夏侯|东方|東方|皇甫|尉迟|公孙|慕容|令狐|端木|西门|南宫")
# What is eaten, bought, or lies there is a thing: 桌上有可乐和薯条.
EATEN = compile_lazily(r"[喝吃饮飲嚼咬尝嘗品买買卖賣有放摆擺装裝盛倒点點][着著了过過满滿]?\Z")
CHINESE_LINK = r"(?<=[比和跟與与把被给給对對向陪])"
JAPANESE_AFTER = r"(?:は|が|の|を|も|に|と|へ|で|さん|ちゃん|くん)"
CLAUSE_END = r"(?=$|[\s,，、.。:：;；!！?？…])"
# Words that make the next words a common noun: "another Tesla", "the old robin".
DETERMINER = (
    r"(?:an?|the|this|that|these|those|my|your|his|her|its|our|their|some|any|every|each|no|one|two|three|another|other"
    r"|more|many|few|several|such|what|which|second)"
)
NOUN_PHRASE = compile_lazily(rf"(?:\b{DETERMINER}|\d)\s+((?:[\w\-]+\s+){{0,3}})\Z", re.IGNORECASE)
# A noun phrase ends before these words.
LINK = (
    r"(?:and|or|but|of|to|with|by|at|on|in|for|from|behind|beside|besides|near|around|because|while|as|that|where|when|so"
    r"|like|between|than|about|over|under|towards?|against|is|are|was|were|has|if|whether|whom?|whose)"
)
LINK_WORD = compile_lazily(rf"{LINK}|\w+(?:s|ed|ing)", re.IGNORECASE)
AFTER_LINK = compile_lazily(rf"(?:\A|[.!?;:,，。！？；：、(（—–\n]|\b{LINK})\s*\Z", re.IGNORECASE)
INSCRIPTION = compile_lazily(
    r"(?:\b(?:says?|said|saying|reads?|reading|written|named|called|labell?ed|marked|titled|spell(?:s|ed|ing)?|words?|letters"
    r"|names?|brand|logo|text)\s*(?:as |of |is )?[:：]?\s*|[写寫印刻绣繡标標贴貼][着著有了]?|[叫名])\Z",
    re.IGNORECASE,
)
# What follows a name that is also an ordinary word: "Bear sits on a log", but not "Bear cubs play".
AUXILIARY = (
    r"(?:is|was|has|had|does|did|can|could|will|would|may|might|must|should|seems|appears|looks|wears|holds|stands|sits|lies"
    r"|eats|drinks|plays|runs|walks|carries|isn['’]t|doesn['’]t|hasn['’]t|can['’]t|cannot)"
)
CLOSED_CLASS = (
    r"(?:an?|the|this|that|his|her|its|their|my|some|no|one|two|three|four|five|at|by|for|from|in|into|off|on|onto|out|over"
    r"|past|through|to|toward|towards|under|up|down|with|without|around|along|across|behind|beside|near|next|and|as|like"
    r"|very|quite|both|inside|outside|between|above|below|against|about|because|while|only)"
)
NAME_USE = compile_lazily(
    rf"['’]s\s|\s*,\s(?:{CLOSED_CLASS}\b|who\b|which\b|\w+(?:ing|ed)\b)|\s+{AUXILIARY}\b|\s+and\s+<?[A-Z]|\s+(?:\w+ly\s+)?\w+(?:s|ed)(?:\s+(?:{CLOSED_CLASS}|\w+ly|\w+ing)\b|[.!]?\Z)"
)
FUNCTION_WORD = compile_lazily(
    rf"{DETERMINER}|{LINK}|{CLOSED_CLASS}|it|he|she|they|we|you|i|me|yes|not|there|here", re.IGNORECASE
)
TIME_OR_PLACE = compile_lazily(r"\b(?:in|on|at|since|until|during|every|next|last)\s+\Z", re.IGNORECASE)
BEFORE_NAME = compile_lazily(r"(?:>|\b[A-Z]\w*) and\s+\Z")
AFTER_THAN = compile_lazily(r"\bthan\s+\Z")
NEXT_WORD = compile_lazily(r"\s+[a-z]")
AFTER_NAME = compile_lazily(rf"\s+(?:{CLOSED_CLASS}|{LINK})\b")
# The name is the first half of a noun: "Lucky charms are on the table".
NOUN_USE = compile_lazily(
    r"\s+(?!\w+ly\b|(?:and|or|who|that|also|still|now|here|there|\w+sel(?:f|ves)|is|was|has|does|can|will)\b)[a-z\-]+\s+"
    r"(?:is|are|was|were|has|have|can)\b"
)
# 多多少少: two doubled characters are one word.
DOUBLED_PAIR = compile_lazily(r"(.)\1(.)\2(?!地)")
# "One can of": the name is what is counted.
MEASURE = compile_lazily(r"[一二两兩三四五六七八九十几幾半每某这這那另\d][^\s，。是里裡时時边邊样樣]\Z")
ENGLISH_QUESTION = compile_lazily(
    r"\b(?:what|where|who|whose|how|is|are|does|did|which|why|when|the|describe|tell|has|have|of)\b", re.IGNORECASE
)
BEFORE_DOUBLED = compile_lazily(r"\s{0,3}[:：]?\s{0,3}")
LATIN_LETTER = compile_lazily(r"\s*[A-Za-z]")
FOREIGN_LETTER = compile_lazily(r"\s*[^\W\d_A-Za-z\u00c0-\u024f]")


@dataclass(frozen=True, slots=True)
class BareName:
    first: re.Pattern[str]
    opening: re.Pattern[str]
    anywhere: re.Pattern[str]
    bounded: re.Pattern[str]  # Without those that may be the first half of a longer Chinese word.
    is_unspaced: bool


@lru_cache(maxsize=256)
def compile_bare_name(tag: str) -> BareName:
    name = tag[1:-1]
    spelt = r"[\s._\-]{1,2}".join(re.escape(part) for part in re.split(r"[._\-]+", name))
    is_unspaced = UNSPACED_CHARACTER.search(name) is not None
    end = rf"(?:(?=_+(?:\W|\Z))|(?!{SPACED_LETTER}))(?![\-/@\\.]\w|[>;\-])"
    if is_unspaced:
        after = rf"(?={CHINESE_AFTER}|{JAPANESE_AFTER}|{CLAUSE_END}|[*_~`\"”'’])"
        first_after = after if SURNAME.fullmatch(name) else rf"(?:{after}|(?=[{HAN}（(])(?!{CHINESE_NOUN_AFTER}))"
    elif "가" <= name[-1] <= "힣":
        after = rf"(?:(?={PARTICLE})|(?=\s씨|[,，.!?:;…*_~`\"”'’]|\Z))"
    else:
        after = rf"(?:(?=['’]?{PARTICLE})|{end})"
    before = r"(?<![.@#/\\<&])" if is_unspaced else rf"(?<!{SPACED_LETTER})(?<![\-_@#/\\.<&])"
    return BareName(
        re.compile(spelt, re.IGNORECASE),
        re.compile(rf"({OPENING_MARKS})({spelt}){first_after if is_unspaced else after}", re.IGNORECASE),
        re.compile(
            rf"{before}{re.escape(name)}{after}" + (rf"|{CHINESE_LINK}{re.escape(name)}" if is_unspaced else ""),
            re.IGNORECASE,
        ),
        re.compile(
            rf"{before}{re.escape(name)}(?:{after}"
            + (r"|(?<=比" + re.escape(name) + r")(?=[高矮重轻輕快慢胖瘦])" if is_unspaced else "")
            + ")",
            re.IGNORECASE,
        ),
        is_unspaced,
    )


def find_bare_name(text: str, tag: str, limit: int) -> int:
    """Where the first bare name before ``limit`` begins, with the marks around it; -1 if there is none."""
    found = compile_bare_name(tag).first.search(text, 0, limit + len(tag))
    start = found.start() if found else -1
    while start > 0 and text[start - 1] in "*_`~\"“'‘":
        start -= 1
    return start if start >= 0 and compile_bare_name(tag).opening.match(text, start) else -1


def repair_opening(text: str, tag: str, *, is_sure: bool) -> str:
    """Replaces the name at the beginning, and then the same spelling where it can't be anything else.

    The name behind a tag at the beginning, which may be prefilled, begins the answer too. ``is_sure``: the name is no
    ordinary word. Otherwise, what follows must show that it is used as a name.
    """
    prefilled = BEFORE_DOUBLED.match(text, len(tag)) if text.startswith(tag) else None
    start = prefilled.end() if prefilled else 0
    found = compile_bare_name(tag).opening.match(text, start)
    if found is None or not is_name_at_start(text, found, tag[1:-1], is_sure):
        return text
    rest = text[found.end() :]
    if tag not in text:
        rest = repair_spelling(rest, tag, found[2], text[: found.end()])
    return text[: found.start(2)] + tag + rest


def is_name_at_start(text: str, found: re.Match[str], name: str, is_sure: bool) -> bool:
    rest = re.sub(rf"\A{CLOSING_MARKS}(?!s\b)", "", text[found.end() :])
    if (
        is_mentioned(rest, 0)
        or NOUN_USE.match(rest)
        or FUNCTION_WORD.fullmatch(name)
        or DOUBLED_PAIR.match(name + rest)
    ):
        return False
    following = re.match(r"\s+(\S)", rest)
    if following and (following[1].isupper() or following[1].isdigit()):
        return False  # A part of a longer name: "Tesla Model 3".
    if FOREIGN_LETTER.match(rest) or (UNSPACED_CHARACTER.search(name) and not LATIN_LETTER.match(rest)):
        return len(name) > 1
    if found[2].isupper() and found[2] != name:
        return False  # Letters on something: "MAM is printed on a mug."
    return is_sure or (len(name) > 1 and NAME_USE.match(rest) is not None)


def repair_spelling(text: str, tag: str, spelling: str, before: str = "") -> str:
    """Replaces the name in this spelling, unless it is quoted, written on something, or a part of a noun or name."""
    forms = compile_bare_name(tag)
    if spelling not in text:
        return text
    quoted = [found.span() for found in QUOTATIONS.finditer(text)]

    def replacement(found: re.Match[str]) -> str:
        is_quoted = any(start < found.start() < end for start, end in quoted)
        is_name = found[0] == spelling and not is_quoted and stands_alone(found, before, forms.is_unspaced)
        return tag if is_name else found[0]

    return forms.anywhere.sub(replacement, text)


def stands_alone(found: re.Match[str], opening: str, is_unspaced: bool) -> bool:
    before = (opening + found.string[: found.start()])[-60:]
    if INSCRIPTION.search(before) or is_mentioned(found.string, found.end()):
        return False
    if is_unspaced:
        if found.string.startswith("的", found.end()):
            return True
        return MEASURE.search(before) is None and EATEN.search(before) is None
    following = re.match(r"\s+(\S)", found.string[found.end() :])
    if following and (following[1].isupper() or following[1].isdigit()):
        return False
    if re.search(r"\b(?!I\b)[A-Z][\w'’]*\.?\s+\Z", before) and not AFTER_LINK.search(before):
        return False  # A part of a longer name: "James Bond".
    if AFTER_LINK.search(before):
        return True
    noun = NOUN_PHRASE.search(before)
    if noun is not None:
        return any(LINK_WORD.fullmatch(word) for word in noun[1].split())
    if re.match("['’]s\\b", found.string[found.end() :]):
        return True
    return found[0][0].isupper() or UNSPACED_CHARACTER.match(before.rstrip()[-1:]) is not None


@lru_cache(maxsize=1024)
def asks_in_english(question: str) -> bool:
    """Only in an English answer may the name be an English word."""
    return ENGLISH_QUESTION.search(question) is not None


def repair_companion(text: str, tag: str) -> str:
    """Replaces the bare name of another tag of the question, if the answer doesn't have that tag."""
    name = tag[1:-1]
    if tag in text or name.lower() not in text.lower() or len(name) < 2:
        return text
    forms = compile_bare_name(tag)
    spelling = name[0].upper() + name[1:]
    quoted = [found.span() for found in QUOTATIONS.finditer(text)]

    def replacement(found: re.Match[str]) -> str:
        is_quoted = any(start < found.start() < end for start, end in quoted)
        is_name = found[0] in (spelling, name) and not is_quoted and stands_alone(found, "", forms.is_unspaced)
        return tag if is_name and (forms.is_unspaced or is_proper_name(found)) else found[0]

    return forms.bounded.sub(replacement, text)


def is_proper_name(found: re.Match[str]) -> bool:
    """Capitalised where letters have capitals, no time or place ("in May"), and no first half of a noun."""
    before, after = found.string[: found.start()], found.string[found.end() :]
    if UNSPACED_CHARACTER.match(after) or after.startswith(("'s ", "’s ")) or AFTER_THAN.search(before):
        return True
    if found[0][0].islower() or TIME_OR_PLACE.search(before):
        return False
    if BEFORE_NAME.search(before):
        return True
    return not NEXT_WORD.match(after) or NAME_USE.match(after) is not None or AFTER_NAME.match(after) is not None


MENTION_MARKS = r"[*_`~\"”'’」』》»›]{0,3}(?!s\b)"
# "Charlie and the Chocolate Factory is on the table": the verb shows that it is one thing.
TITLE = r"\s+and\s+(?:the\s+|an?\s+)?(?-i:(?:[A-Z][\w'’]*\s+){1,5})(?:is|was|has|lies|stands|sits)\b"


def is_mentioned(text: str, end: int) -> bool:
    """Whether the name before ``end`` is not used but mentioned: it is written on something, or begins a title."""
    return mention_pattern().match(text, end) is not None


@lru_cache
def mention_pattern() -> re.Pattern[str]:
    return re.compile(rf"{MENTION_MARKS}(?:{any_phrase('inscription', 'behind')}|{TITLE})", re.IGNORECASE)
