"""Finds a clause or a word of another language within a sentence of the right one, and words with letters of two
scripts ("derжит").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.language import HAN, LATIN_WORDS
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.word_search import split_at_blanks

# Languages that models slide into, and that share their letters.
LATIN_LANGUAGES = ("en", "es", "fr", "de", "pt", "it", "nl")
# So many of so many words in a row are function words of another language, and none is one of the right language alone.
CLAUSE_WORDS, MIN_FOREIGN = 6, 3
# What joins words within the name of a dish or a place: "tacos al pastor y de lengua". A clause has other words too.
NAME_JOINTS = frozenset(
    ("de", "del", "la", "el", "las", "los", "al", "a", "e", "y", "con", "da", "do", "di", "du", "des", "au", "aux")
).union(("et", "le", "les", "alla", "della"))
# Distinct function words of another language, in an answer without any that only the right language has.
MIN_EXCLUSIVE, MIN_WORDS, MIN_PREDICATE_WORDS = 2, 6, 3
# Letters that the language's own words don't have. Loans have them too.
FOREIGN_LETTERS = {
    "fr": compile_lazily("[áíóúñãõßäö]"),
    "es": compile_lazily("[àâãäçèêëîïôõöùûßœ]"),
    "de": compile_lazily("[áàâãåæçèêëíìîïñóòôõúùûœ]"),
    "pt": compile_lazily("[äëïñößùœèîû]"),
}
# Function words that English does not share with languages that have its letters, and that no loan begins or ends with.
# Where a word of the right language stands beside one, the languages change within the clause.
ENGLISH_JOINTS = frozenset(
    ("and", "with", "while", "because", "is", "are", "was", "were", "wearing", "from", "into")
).union(("which", "who", "the", "their", "his", "this", "that", "these", "those", "they", "she"))
PARTICIPLE = compile_lazily(r"(?<![\w'’-])(?:is|are|was|were) [a-z]{3,}ing(?![\w'’-])")
# A verb right after the tag. None of these is an auxiliary or a noun of a language that has English loans.
ENGLISH_PREDICATES = frozenset(
    ("is", "has", "wears", "holds", "looks", "seems", "appears", "stands", "sits", "eats", "does", "shows", "are")
).union(("were", "had"))
ENGLISH_ENDINGS = ("s", "ed", "ing", "ly")
# English words that no loan has.
SUBJUNCTIONS = frozenset(("while", "because"))
# A phrase of English that no loan is: an adverb of degree, a verb form, a phrase of place, a thing with its attribute.
# "On the rocks", "a big data" and the like are loans.
LOAN_ENDS = (
    "rocks|road|record|box|art|scenes|go|job|edge|top|moment|fly|way|air|beat|floor|house|name|game|line|spot|run"
)
ATTRIBUTES = "big|small|large|young|old|brown|black|white|yellow|purple|wooden|happy|tall|tiny"
ENGLISH_PHRASE = compile_lazily(
    r"(?<![A-Za-z\u00c0-\u024f'’\-])(?:very (?!british|hungry|important|peri\b)[a-z]{3,}"
    r"|(?:is|are|was|were) (?:[a-z]{3,}ing|an?|the|not|very)|and (?:two|three|four|his|their|is|are|looks|smiling)"
    rf"|(?:on|in|at|near|behind|under|with|from) (?:the|his|their) (?!(?:{LOAN_ENDS})\b)[a-z]{{3,}}"
    rf"|an? (?:{ATTRIBUTES}) (?!data|bang|bull|friday|mirror|box|school|metal|jack|mac|list)[a-z]{{3,}}"
    r")(?![A-Za-z\u00c0-\u024f'’\-])"
)
PHRASE_WORDS = ENGLISH_JOINTS.union(ATTRIBUTES.split("|"), ("very",))
# Besides function words, those that describe: the basic terms for colours. A verb form shows more than other words do.
ENGLISH_MARKS = FUNCTION_WORDS["en"].union(
    ("black", "white", "red", "green", "yellow", "blue", "brown", "orange", "pink", "purple", "grey", "gray")
)
# In Korean, a particle directly behind it shows a noun.
ING_FORM = compile_lazily(r"(?<![\w'’-])[a-z]{3,}ing(?![\w-])")
# Frequent English words of descriptions that are neither loans in other scripts nor names of brands. A colour may be a
# part of a name, and counts between words of the right language.
DESCRIPTIVE = (
    "hair eyes face head hands arms legs feet nose mouth ears tail fur shirt jacket trousers pants dress skirt"
    " hat scarf gloves sweater coat glasses sunglasses necklace earrings bracelet backpack handbag leather wood"
    " wooden cotton wool brick fabric street corner road bridge mountain mountains river lake beach forest garden"
    " building buildings wall window door floor ceiling kitchen table chair bench shelf background foreground sky"
    " clouds grass tree trees flower flowers leaves bottle plate bowl spoon knife umbrella dog dogs bird birds"
    " horse people woman smile expression relaxed gentle smooth bright striped stripes colorful serious tired"
    " excited surprised friendly camera vegetables fruit bread sitting standing smiling holding"
    " wearing looking eating drinking reading cooking playing riding sleeping talking lying watching waiting"
    " writing leaning jumping carrying laughing"
)
DESCRIPTIVE_WORDS = frozenset(DESCRIPTIVE.split())
COLORS = "black|white|red|green|yellow|blue|brown|orange|pink|purple|grey|gray"
# The same in Chinese, within another language: no dish or place is called so.
CHINESE_DESCRIPTION = (
    "自行车 自行車 手机 手機 开心 開心 高兴 高興 微笑 帽子 眼镜 眼鏡 墨镜 衣服 外套 毛衣 衬衫 襯衫 裤子 褲子"
    " 裙子 鞋子 手套 围巾 圍巾 背包 雨伞 雨傘 桌子 椅子 窗户 窗戶 沙发 沙發 相机 相機 杯子 瓶子 头发 頭髮"
    " 眼睛 耳朵 尾巴 草地 街道 海滩 海灘 女人 男人 女孩 男孩 孩子 小狗 小猫 红色 紅色 蓝色 藍色 绿色 綠色"
    " 黄色 黃色 黑色 白色 灰色 棕色 粉色 紫色 橙色 木头 木頭 背景 安静 放松"
)
CHINESE_DESCRIPTIVE_WORDS = frozenset(CHINESE_DESCRIPTION.split())
# Latin words in a row within another script, with the letters on both sides.
LATIN_PART = compile_lazily(
    r"(?<![\w'’-])(?=[a-z]{3})[a-z]+(?: [a-z]+)*(?![\w'’-])"
    r"|(?<=[\u3040-\u9fff])[a-z]{3,}(?: [a-z]+)*(?![A-Za-z\d'’-])"
)
COLOR_PART = compile_lazily(rf"(?<=[\u3040-\u9fff]) ?(?:{COLORS}) ?[的のな]")
# Chinese that says what is depicted. An inscription seldom does, and stands behind a word for writing.
DEPICTION = compile_lazily(
    rf"(?:一[个個只隻条條朵片块塊颗顆棵张張][{HAN}]{{1,8}}|[{HAN}]的)(?:图案|圖案|花纹|花紋|图样|圖樣|形状|形狀|样子|图片|图形)"
)
WRITING_BEFORE = compile_lazily(
    r"\b(?:words?|characters?|letters|reads?|reading|says?|saying|text|phrase|named|called)\b[^.!?]*\Z"
)
# Chinese words that join others, and never are a name.
CHINESE_JOINTS = (
    "[和与與及或但而在从從把被给給对對的了是有很也都又跟向]|旁[边邊]|因[为為]|所以|但是|然[后後]|以及|而且|或者|非常|正在|[并並]且|[虽雖]然|如果|一[边邊]"
    "|[站坐走穿戴拿跑跳]在"
)
# Three Latin words in small letters, one of which is a frequent English one, in a script of another kind.
LATIN_RUN = compile_lazily(r"(?<![\w'’-])[a-z'’]+(?: [a-z'’]+){2,}(?![\w-])")
# Particles between words, and endings of verbs. Without them, Japanese is the name of a dish or a restaurant.
HIRAGANA = compile_lazily(
    r"[\u30a1-\u30fc\u3400-\u9fff][はがをにで][\u30a1-\u30fc\u3400-\u9fff]"
    r"|(?:ます|です|ました|でした|ません|ている)(?![\u3041-\u3096])|[はがを](?<=[\u3041-\u3096]{3})(?!\w)"
)
HIRAGANA_LANGUAGES = ("ko", "ru", "ar", "en", "es", "fr", "de", "pt")
# Chinese grammar in letters that Japanese has too.
CHINESE_GRAMMAR = compile_lazily(r"正在(?!庫)|[拿坐站]着(?![いたてるかさせまこ])|[，,]手里|[坐站穿戴拿]在")
HAN_RUN = compile_lazily(r"[\u3400-\u9fff]+")
HAN_BEFORE_PARTICLE = compile_lazily(
    r"(?<![\u3400-\u9fff])([\u3400-\u9fff]+)(?:을|를|과|와|이|가|에|에서|의|은|는|도|로|으로)(?![\uac00-\ud7a3])"
)
# Where a noun has to follow. In languages with Latin letters, names of dress and dishes stand there too ("a red 旗袍").
HAN_NOUNS = {
    "ru": compile_lazily(
        r"[а-яё]{3}(?:ый|ая|яя|ое|ого|ую|юю|ые|ых|ыми|[нвс]н?ой|ском|ным) [\u3400-\u9fff]{1,2}(?![\u3400-\u9fff])"
    ),
    "ko": compile_lazily(r"[\uac00-\ud7a3](?:색|한|운|은|는|던|린|진|큰) ([\u3400-\u9fff]+)"),
}


@lru_cache
def words_of_others(asked: str) -> frozenset[str]:
    others = (FUNCTION_WORDS[language] for language in LATIN_LANGUAGES if language != asked)
    return frozenset().union(*others) - FUNCTION_WORDS[asked]


def may_have_foreign_clause(text: str, asked: str) -> bool:
    """Cheap, for ordinary answers."""
    words = split_at_blanks(text)
    others = words_of_others(asked).intersection(words)
    if len(others) >= MIN_EXCLUSIVE or (asked in FOREIGN_LETTERS and any(map(FOREIGN_LETTERS[asked].search, others))):
        return True
    return asked != "en" and not PHRASE_WORDS.isdisjoint(words)


def has_foreign_clause(text: str, asked: str) -> bool:
    """Whether a clause is in another language with Latin letters. Words with a capital letter are names."""
    if asked != "en" and has_english_joint(text, asked):
        return True
    own = FUNCTION_WORDS[asked]
    words = [word.replace("’", "'") if word.islower() else "" for word in LATIN_WORDS.findall(text)]
    for language in LATIN_LANGUAGES:
        if language == asked:
            continue
        theirs = FUNCTION_WORDS[language]
        if is_all_foreign(words, theirs, own, asked) or has_foreign_letters(words, theirs - own, asked):
            return True
        marks = [(word in theirs) - (word in own) for word in words]
        if marks.count(1) < MIN_FOREIGN:
            continue
        windows = (marks[start : start + CLAUSE_WORDS] for start in range(max(1, len(marks) - CLAUSE_WORDS + 1)))
        if theirs.isdisjoint(set(words) - NAME_JOINTS - own):
            continue
        if any(window.count(1) >= MIN_FOREIGN and -1 not in window for window in windows):
            return True
    return False


def is_all_foreign(words: Sequence[str], theirs: frozenset[str], own: frozenset[str], asked: str) -> bool:
    """Whether all function words may be of the other language, and some are only of it. Languages share many. One is
    enough if it has a letter that the right language lacks.
    """
    found = set(words)
    if sum(map(bool, words)) < MIN_WORDS or not found.isdisjoint(own - theirs):
        return False
    exclusive, letters = found & (theirs - own), FOREIGN_LETTERS.get(asked)
    return len(exclusive) >= MIN_EXCLUSIVE or (letters is not None and any(map(letters.search, exclusive)))


def has_foreign_letters(words: Sequence[str], exclusive: frozenset[str], asked: str) -> bool:
    """Whether words have letters that the right language lacks, and one of them is a function word, so not a loan."""
    letters = FOREIGN_LETTERS.get(asked)
    if letters is None:
        return False
    foreign = {word for word in words if letters.search(word)}
    if not any(len(word) > 1 for word in foreign & exclusive):
        return False
    return len(foreign) >= MIN_EXCLUSIVE


def has_english_joint(text: str, asked: str) -> bool:
    """Whether English begins or ends between words of the language: "un manteau with une ceinture". In loans ("fish and
    chips"), no function word of the language stands beside the English one.
    """
    own = FUNCTION_WORDS[asked]
    joints = ENGLISH_JOINTS - own
    if ("is" in joints and PARTICIPLE.search(text)) or ENGLISH_PHRASE.search(text):
        return True
    words = [word if word.islower() else "" for word in LATIN_WORDS.findall(text)]
    if not SUBJUNCTIONS.isdisjoint(words):
        return True
    places = [place for place, word in enumerate(words) if word in joints]
    colors = ENGLISH_MARKS - FUNCTION_WORDS["en"] - own
    # English begins with it: "eine Jacke and black trousers". A loan may be "black and white".
    if any(colors.intersection(words[place + 1 : place + 2]) and words[place - 1] not in colors for place in places):
        return True
    if any(own.intersection(words[max(0, place - 1) : place + 2 : 2]) for place in places):
        return True
    # If another one stands apart, the first is not part of a loan.
    return any(after - before > 1 and words[after] != words[before] for before, after in pairwise(places))


def has_foreign_predicate(text: str, asked: str) -> bool:
    """Whether a short answer begins with a verb of English, or to an English question with one of another language, and
    has no function word that only the right language has.
    """
    words = LATIN_WORDS.findall(text)
    if not words or not words[0].islower():
        return False
    own, found = FUNCTION_WORDS[asked], frozenset(word.replace("’", "'").lower() for word in words)
    if asked != "en":
        return words[0] in ENGLISH_PREDICATES - own and found.isdisjoint(own - FUNCTION_WORDS["en"])
    if words[0] in own or words[0].endswith(ENGLISH_ENDINGS) or len(words) < MIN_PREDICATE_WORDS:
        return False
    others = (FUNCTION_WORDS[language] for language in LATIN_LANGUAGES if language != asked)
    return any(found & (theirs - own) - NAME_JOINTS and found.isdisjoint(own - theirs) for theirs in others)


def count_english_marks(text: str, *, loans: bool) -> int:
    """In a script of another kind. With ``loans``, words of fashion (legging) prove nothing."""
    words = [word for word in LATIN_WORDS.findall(text) if word.islower() and len(word) > 1]
    if loans:
        return sum(word in FUNCTION_WORDS["en"] for word in words)
    marks = sum(2 if word in ENGLISH_JOINTS else word in ENGLISH_MARKS for word in words)
    return marks + len(ING_FORM.findall(text))


def has_english_run(text: str) -> bool:
    """Not if only an article begins it, as in names of brands: "the north face"."""
    runs = (run.split() for run in LATIN_RUN.findall(text))
    return any(FUNCTION_WORDS["en"].intersection(words[words[0] == "the" :]) for words in runs)


def has_descriptive_word(text: str) -> bool:
    """Whether a part in Latin letters has nothing but such words: "brown的leather包". A name has other words too."""
    if COLOR_PART.search(text):
        return True
    return any(DESCRIPTIVE_WORDS.issuperset(part.split()) for part in LATIN_PART.findall(text))


def has_chinese_noun(text: str, asked: str) -> bool:
    """Whether Chinese stands for a word of a sentence: one that names nothing, or one where a noun has to follow."""
    if asked == "ko":
        # Its own names and terms are in traditional letters, if they are not in Hangul.
        runs = HAN_BEFORE_PARTICLE.findall(text) + HAN_NOUNS["ko"].findall(text)
        return any(not can_encode(run, "euc_kr") for run in runs)
    if not CHINESE_DESCRIPTIVE_WORDS.isdisjoint(HAN_RUN.findall(text)):
        return True
    return asked in HAN_NOUNS and HAN_NOUNS[asked].search(text) is not None


def has_depiction(text: str) -> bool:
    """``text`` has no quotations: "printed with 一只小熊的图案 on the front"."""
    found = DEPICTION.search(text)
    return found is not None and WRITING_BEFORE.search(text, 0, found.start()) is None


def has_hiragana(text: str, asked: str) -> bool:
    return asked in HIRAGANA_LANGUAGES and HIRAGANA.search(text) is not None


def has_chinese_words(text: str) -> bool:
    """In Japanese: letters that only Chinese has since the reforms, or Chinese grammar."""
    if CHINESE_GRAMMAR.search(text):
        return True
    return any(is_chinese_only(letter) for run in HAN_RUN.findall(text) for letter in run)


@lru_cache(maxsize=4096)
def is_chinese_only(letter: str) -> bool:
    """Whether the Chinese standard has the letter and the Japanese ones don't."""
    return can_encode(letter, "gb2312") and not can_encode(letter, "euc_jisx0213")


def can_encode(letter: str, encoding: str) -> bool:
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


# Letters of another script within a word. A brand may have the ending of a case (iPhoneом, instagramа), and in Korean a
# particle may follow a word with Latin letters.
CYRILLIC_MIX = compile_lazily(
    r"(?<![\w'’-])(?=\w*(?:[a-z][\u0400-\u04ff]|[\u0400-\u04ff][a-z]))(?![a-z]{4,}(?:[аеиоуыюя]|о[вмй]|[аи]м|а[мх]|ами)(?!\w))"
    r"[^\W\dA-Z_]{4,}(?![\w-])"
)
KOREAN_MIX = compile_lazily(r"[\uac00-\ud7a3](?<![티브반긴])[a-z]{2,}[\uac00-\ud7a3]")
ARABIC_MIX = compile_lazily(
    r"[\u0621-\u063a\u0641-\u064a]{2}(?<!\wال)(?<!\bال)[a-z]{2,}"
    r"|(?<!\w)[a-z]{2,}[\u0621-\u063a\u0641-\u064a]{2}"
)
CYRILLIC = compile_lazily(r"[\u0400-\u04ff]")
LATIN_SMALL = compile_lazily("[a-z]")


# The letters of the other script, and the mix.
MIXES = {
    **dict.fromkeys(("en", "es", "fr", "de", "pt"), (CYRILLIC, CYRILLIC_MIX)),
    "ru": (LATIN_SMALL, CYRILLIC_MIX),
    "ko": (LATIN_SMALL, KOREAN_MIX),
    "ar": (LATIN_SMALL, ARABIC_MIX),
}


def find_mixed_word(text: str, language: str) -> str:
    """``text`` is what follows the tag."""
    if text.isascii() or language not in MIXES:
        return ""
    others, mix = MIXES[language]
    found = mix.search(text) if others.search(text) else None
    return found[0] if found else ""
