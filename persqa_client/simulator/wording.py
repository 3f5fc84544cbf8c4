"""Writes an answer from image facts: a sentence that begins with the tag, in the question's language."""

from __future__ import annotations

import re
from hashlib import blake2b

from persqa_client.language import detect_language, is_chinese
from persqa_client.simulator.vision import COLOURS, ImageFacts

CHINESE = re.compile(r"[\u3400-\u9fff]")

# Questions without a tag that need no sentence: for a colour's name, or for a number from the seed.
ONE_WORD = re.compile(r"\bone word\b|一个词", re.IGNORECASE)
# A question whether the answer in it is right.
YES_OR_NO = re.compile(r"\byes or no\b|“是”或“否”", re.IGNORECASE)
RANDOM = re.compile(r"\brandom\b|随机", re.IGNORECASE)

# The first matching topic counts; other questions are "plain".
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

# English and Chinese words for brightness, and the mean grey values between them.
LIGHT = (
    ("very dark", "很暗"),
    ("dark", "较暗"),
    ("evenly lit", "亮度适中"),
    ("bright", "明亮"),
    ("very bright", "非常明亮"),
)
LIGHT_LIMITS = (40, 90, 150, 215)

# By whether the reply is to be Chinese, and whether the answer is right.
VERDICTS = (("no", "yes"), ("否", "是"))

CHINESE_ORIENTATIONS = {"landscape": "横向", "portrait": "纵向", "square": "方形"}
ROWS = (("top", "上"), ("middle", "中"), ("bottom", "下"))
COLUMNS = (("left", "左"), ("centre", "中"), ("right", "右"))

ENGLISH_SENTENCES = {
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
CHINESE_SENTENCES = {
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

# Sentences in the other languages that are recognised in questions. The tag comes first, with a particle where the
# language needs one.
OTHER_SENTENCES = {
    "ar": "{tag} موجود في صورة حجمها {size} بكسل.",
    "be": "{tag} знаходзіцца на здымку памерам {size} пікселяў.",
    "bn": "{tag} এই ছবিতে আছে, যার আকার {size} পিক্সেল।",
    "cs": "{tag} je na obrázku, který má {size} pixelů.",
    "da": "{tag} er på et billede, som har {size} pixels.",
    "de": "{tag} ist auf einem Bild mit {size} Pixeln zu sehen.",
    "el": "{tag} βρίσκεται σε εικόνα με μέγεθος {size} εικονοστοιχεία.",
    "es": "{tag} está en una imagen de {size} píxeles y se ve muy bien.",
    "fa": "{tag} در تصویری است که اندازه آن {size} پیکسل است.",
    "fi": "{tag} on kuvassa, jossa on {size} kuvapistettä.",
    "fr": "{tag} est dans une image de {size} pixels et se voit très bien.",
    "he": "{tag} נמצא בתמונה בגודל {size} פיקסלים.",
    "hi": "{tag} इस चित्र में है, जिसका आकार {size} पिक्सेल है।",
    "hu": "{tag} egy {size} képpontos képen van, és jól látszik.",
    "id": "{tag} ada di dalam gambar yang berukuran {size} piksel.",
    "it": "{tag} è in un'immagine di {size} pixel e si vede molto bene.",
    "ja": "{tag}は{size}ピクセルの写真に写っています。",
    "ko": "{tag} 모습이 {size} 픽셀 크기의 사진에 있습니다.",
    "nl": "{tag} is te zien op een foto van {size} pixels.",
    "pl": "{tag} jest na zdjęciu o wymiarach {size} pikseli.",
    "pt": "{tag} está numa imagem de {size} píxeis e vê-se muito bem.",
    "ro": "{tag} este într-o imagine de {size} pixeli.",
    "ru": "{tag} находится на снимке размером {size} пикселей.",
    "sv": "{tag} är på en bild som har {size} pixlar.",
    "ta": "{tag} இந்தப் படத்தில் உள்ளது, அதன் அளவு {size} பிக்சல்.",
    "th": "{tag} อยู่ในภาพขนาด {size} พิกเซล",
    "tr": "{tag} bu {size} piksellik resimde çok iyi görünüyor.",
    "uk": "{tag} знаходиться на знімку, що має розмір {size} пікселів.",
    "ur": "{tag} اس تصویر میں ہے جس کا سائز {size} پکسل ہے۔",
    "vi": "{tag} ở trong một bức ảnh có kích thước {size} điểm ảnh.",
}


def contains_chinese(text: str) -> bool:
    return CHINESE.search(text) is not None


def find_topic(question: str) -> str:
    return next((name for name, pattern in TOPICS if pattern.search(question)), "plain")


def write_answer(tag: str | None, question: str, facts: ImageFacts | None, seed: int = 0) -> str:
    """Writes an answer in the language of the question, or in English if that is unclear. Equal arguments give equal
    answers in every process.

    ``tag``: the main character's tag or name. ``facts`` is None without images.
    """
    if asked := YES_OR_NO.search(question):
        return VERDICTS[contains_chinese(asked[0])][names_facts(question, facts)]
    chinese = is_chinese(question)
    if tag is None and RANDOM.search(question):
        return f"{draw_number(facts.digest if facts else b'', question, seed) % 10**9:09d}"
    if tag is None and facts and ONE_WORD.search(question) and find_topic(question) == "colour":
        return COLOURS[facts.main_colours[0]][0] if chinese else facts.main_colours[0]
    name = tag or ("主角" if chinese else "The main character")
    if facts is None:
        if not chinese:
            return f"{name} is not to be seen: no picture came with the question."
        return f"{name}无从看到：问题没有附带图片。" if tag else f"没有收到图片，看不到{name}。"
    if tag and not chinese and (sentence := OTHER_SENTENCES.get(detect_language(question) or "")) is not None:
        return sentence.format(tag=tag, size=format_sizes(facts)[0])
    sentences = (CHINESE_SENTENCES if chinese else ENGLISH_SENTENCES)[find_topic(question)]
    phrases = chinese_phrases(facts) if chinese else english_phrases(facts)
    return sentences[draw_number(facts.digest, question, seed) % len(sentences)].format(tag=name, **phrases)


def names_facts(text: str, facts: ImageFacts | None) -> bool:
    """Whether a text names the pictures and their colours, in one of the languages."""
    if facts is None:
        return False
    size = format_sizes(facts)[0]
    return any(sentence.format(tag="", size=size) in text for sentence in OTHER_SENTENCES.values()) or any(
        phrases["pictures"] in text and phrases["colours"] in text
        for phrases in (english_phrases(facts), chinese_phrases(facts))
    )


def draw_number(digest: bytes, question: str, seed: int) -> int:
    key = digest + seed.to_bytes(16, "big", signed=True) + question.encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


def english_phrases(facts: ImageFacts) -> dict[str, str]:
    light, form = LIGHT[light_level(facts)][0], find_orientation(facts)
    if facts.others:
        sizes = join_words(format_sizes(facts), ", ", " and ")
        pictures = f"{1 + len(facts.others)} {light} pictures of {sizes} pixels"
    else:
        article = "an" if light[0] in "aeiou" else "a"
        pictures = f"{article} {light} {form} picture of {format_sizes(facts)[0]} pixels"
    row, column = facts.lightest
    colours = facts.main_colours
    return {
        "pictures": pictures,
        "colours": join_words(colours, ", ", " and "),
        "place": "centre" if (row, column) == (1, 1) else f"{ROWS[row][0]} {COLUMNS[column][0]}",
        "number": f"{len(colours)} main colour{'s' if len(colours) > 1 else ''}",
    }


def chinese_phrases(facts: ImageFacts) -> dict[str, str]:
    light, form = LIGHT[light_level(facts)][1], CHINESE_ORIENTATIONS[find_orientation(facts)]
    size = join_words(format_sizes(facts), "、", "和")
    row, column = facts.lightest
    one, several = f"一张{light}的{size}像素{form}图片", f"{1 + len(facts.others)}张{light}的{size}像素图片"
    return {
        "pictures": several if facts.others else one,
        "colours": join_words([COLOURS[name][0] for name in facts.main_colours], "、", "和"),
        "place": "正中" if (row, column) == (1, 1) else f"{COLUMNS[column][1]}{ROWS[row][1]}方",
        "number": str(len(facts.main_colours)),
    }


def light_level(facts: ImageFacts) -> int:
    return sum(facts.lightness >= limit for limit in LIGHT_LIMITS)


def find_orientation(facts: ImageFacts) -> str:
    if facts.width == facts.height:
        return "square"
    return "landscape" if facts.width > facts.height else "portrait"


def format_sizes(facts: ImageFacts) -> list[str]:
    return [f"{width}x{height}" for width, height in ((facts.width, facts.height), *facts.others)]


def join_words(words: list[str] | tuple[str, ...], comma: str, last: str) -> str:
    return words[0] if len(words) == 1 else comma.join(words[:-1]) + last + words[-1]
