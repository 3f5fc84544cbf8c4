"""Finds comparisons that are said both ways: "<mam> is taller than the lamp, but the lamp is taller than <mam>", or
with the opposite of the same thing: "taller than the boy and shorter than the boy".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from persqa_client.answers.phrases import choose_language
from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations

# Two comparisons have so many of these.
MARKS = {
    "en": (" than ",), "de": (" als ",), "fr": ("plus ", "moins "), "es": ("más ", "menos ", "mayor ", "menor "),
    "pt": ("mais ", "menos ", "maior ", "menor "), "ru": ("ше", "же", "ее", "оче"), "zh": ("比",), "ja": ("より",),
    "ko": ("보다 ",), "ar": (" من ",),
}  # fmt: skip
MIN_MARKS = 2
ARABIC_MARK = " أ"  # The mark of comparatives; a frequent word follows.
# The thing, the comparative and what it is compared with, in a clause.
SIZE = "mayor|menor|maior"
COMPARISON = {
    "en": compile_lazily(r"(?P<thing>.*?)(?P<more>\b(?:more |less )?\w+) than (?P<other>.+)"),
    "de": compile_lazily(r"(?P<thing>.*?)(?P<more>\b\w+er) (?:ist )?als (?P<other>.+)"),
    "fr": compile_lazily(r"(?P<thing>.*?)(?P<more>\b(?:plus|moins) \w+) qu(?:e |['’])(?P<other>.+)"),
    "es": compile_lazily(rf"(?P<thing>.*?)(?P<more>\b(?:(?:más|menos) \w+|{SIZE})) que (?P<other>.+)"),
    "pt": compile_lazily(rf"(?P<thing>.*?)(?P<more>\b(?:(?:mais|menos) \w+|{SIZE})) (?:do )?que (?P<other>.+)"),
    "ru": compile_lazily(r"(?P<thing>.*?)(?P<more>\b\w{2,}(?:ше|же|ее|оче))(?: чем)? (?P<other>.+)"),
    "zh": compile_lazily(
        r"(?P<thing>.{0,12}?)(?:也|又|同时|还|却|更)*比(?P<other>.{1,12}?)(?:还|更|要|也|略|稍)*"
        r"(?P<more>年轻|年长|[高矮低大小长短胖瘦重轻快慢宽窄厚薄老])(?:得?多|很多|一些|一点|些|了)?"
    ),
    "ja": compile_lazily(
        r"(?:(?P<thing>.{1,12}?)は)?(?P<other>.{1,12}?)より(?:も|ずっと|背が)*"
        r"(?P<more>大き|小さ|高|低|長|短|重|軽|速|遅|若|太|細)[いくか].{0,6}"
    ),
    "ko": compile_lazily(
        r"(?:(?P<thing>.{1,12}?)[은는이가] )?(?P<other>.{1,12}?)보다 (?:더 |훨씬 |키가 )*"
        r"(?P<more>크|큽|작|높|낮|길|깁|짧|무겁|가볍|빠르|빠릅|느리|느립).{0,6}"
    ),
    "ar": compile_lazily(r"(?P<thing>.*?)(?P<more>\bأ\w{3,4}) من (?P<other>.+)"),
}  # fmt: skip
# Two pictures, or one and its mirror: what is said of one may be denied of the other.
VIEWS = compile_lazily(
    r"\b(?:first|second|third|last|next|other|top|bottom|upper|lower|left|right|middle|old|new|earlier|later|mirror"
    r"|before|after|indoor|outdoor)(?:-hand)?"
    r" (?:one|photo(?:graph)?s?|pictures?|images?|shots?|panels?|frames?|scenes?|drawings?)\b"
    r"|\b(?:photo|picture|image|shot|panel|frame)s? (?:on the (?:left|right)|below|above)"
    r"|\b(?:reflection|in the mirror)\b"
    r"|\b(?:foto|imagen|imagem|image|photo|viñeta|vignette|quadro)s? (?:de (?:la )?(?:izquierda|derecha|gauche|droite"
    r"|arriba|abajo|cima|baixo)|d[ae] (?:esquerda|direita)"
    r"|anterior|siguiente|seguinte|suivante|précédente)"
    r"|\b(?:primera|segunda|otra|última|primeira|outra|première|deuxième|seconde|autre|dernière)"
    r" (?:foto|imagen|imagem|image|photo|viñeta|vignette)\b"
    r"|\b(?:linken|rechten|ersten|zweiten|anderen|oberen|unteren|nächsten|letzten) (?:bild|foto|aufnahme)"
    r"|(?:лев|прав|перв|втор|друг|следующ|последн|верхн|нижн)\w+ (?:снимк|фото|картинк|кадр|изображени)"
    r"|(?:[左右上下]边?的?|第[一二三四]|另外?|后面?那?|前|下|上)(?:一?[张張幅格])?(?:照片|图片|圖片|图|圖|画面|相片)"
    r"|(?:左|右|最初|次|二枚目|一枚目|もう一[枚方])の?(?:写真|画像|絵|コマ)"
    r"|(?:왼쪽|오른쪽|첫 ?번째|두 ?번째|다른) (?:사진|그림|컷)"
    r"|الصورة (?:الأولى|الثانية|الأخرى|اليمنى|اليسرى|التالية)",
    re.IGNORECASE,
)
UNSPACED_LANGUAGES = ("zh", "ja", "ko")
JOINTS = r"and|but|whereas|yet|und|aber|et|mais(?! \w+ (?:do )?que)|y|pero|e|mas|и|но|а|لكن"
CLAUSE_END = compile_lazily(
    rf"[,;:.!?…，。；、！？،؛؟\n]+\s*(?:但是?|而且?|不过|可是|并且|(?:{JOINTS}) |و(?=\w))?|(?<=[가-힣])(?:고|며|지만) "
    rf"| (?:{JOINTS}) | و(?=\w)"
)
NEGATION = compile_lazily(
    r"\b(?:not|no|never|nicht|kein\w*|ne|pas|não|nem|не|ليس|ليست|لا)\b|n['’]t\b|没|不|ない|ません|않"
)
WORD = compile_lazily(r"<>|[^\W\d_]+")
STEM_LENGTH = 4
ALIKE = {"큽": "크", "깁": "길", "빠릅": "빠르", "느립": "느리"}
PAIRS = (
    "tall/shor bigg/smal larg/smal olde/youn long/shor high/lowe wide/narr heav/ligh dark/ligh fast/slow"
    " größ/klei älte/jüng läng/kürz höhe/nied brei/schm schw/leic plusgran/pluspeti plushaut/plusbas"
    " pluslong/pluscour plusviei/plusjeun plusâgé/plusjeun másalt/másbaj másgran/máspequ"
    " mayo/meno máslarg/máscort maisalt/maisbaix maio/meno maislong/maiscurt выше/ниже"
    " боль/мень стар/млад стар/моло длин/коро 高/矮 高/低 大/小 长/短 胖/瘦 重/轻 快/慢 宽/窄 厚/薄 年长/年轻"
    " 大き/小さ 高/低 長/短 重/軽 速/遅 太/細 크/작 높/낮 길/짧 무겁/가볍 빠르/느리 أطول/أقصر أكبر/أصغر أعلى/أدنى"
)
OPPOSITES = frozenset(frozenset(pair.split("/")) for pair in PAIRS.split())


def compares_pictures(text: str) -> bool:
    """Whether the text speaks of one picture beside another."""
    return VIEWS.search(text) is not None


def compares_both_ways(text: str, tag: str, question: str) -> bool:
    language = choose_language(question)
    if language is None or sum(map(text.count, MARKS[language])) < MIN_MARKS:
        return False
    if language == "ar" and text.count(ARABIC_MARK) < MIN_MARKS:
        return False
    own = remove_quotations(text).replace(tag, "<>")
    if NEGATION.search(own):
        return False
    pairs = combinations(find_comparisons(own.replace(", чем", " чем"), language), 2)
    return any(exclude_each_other(one, other) for one, other in pairs)


def exclude_each_other(one: tuple[object, str, object], other: tuple[object, str, object]) -> bool:
    if one[1] == other[1]:
        return one[0] == other[2] and one[2] == other[0]
    return one[0] == other[0] and one[2] == other[2] and frozenset((one[1], other[1])) in OPPOSITES


def find_comparisons(text: str, language: str) -> Iterator[tuple[object, str, object]]:
    """Each with its thing, or that of the clause before."""
    last: object = find_comparing_words("<>", language)
    for clause in CLAUSE_END.split(text):
        found = COMPARISON[language].fullmatch(clause.strip())
        if found is None:
            continue
        thing, other = (
            find_comparing_words(found["thing"] or "", language),
            find_comparing_words(found["other"], language),
        )
        if thing:
            last = thing
        if other:
            yield last, find_stem(found["more"]), other


def find_comparing_words(text: str, language: str) -> object:
    """The words that name a thing, as far as they are compared."""
    if language in UNSPACED_LANGUAGES:
        return text.strip()
    function_words = FUNCTION_WORDS.get(language, frozenset())
    words = (word for word in WORD.findall(text.lower()) if word not in function_words and word not in ADVERBS)
    return frozenset(word[:STEM_LENGTH] for word in words)


GENDERED = ("o", "a", "os", "as")
ADVERB_WORDS = "also much even clearly far auch viel noch encore aussi bien también mucho também bem тоже"
ADVERBS = frozenset(ADVERB_WORDS.split())


def find_stem(comparative: str) -> str:
    """The stem of a comparative; in French, Spanish and Portuguese, both words."""
    *before, last = comparative.lower().split()
    if last.endswith(GENDERED) and len(last) > STEM_LENGTH - 1:
        last = last.rstrip("oas")
    return "".join(before) + ALIKE.get(last, last)[:STEM_LENGTH]
