"""Checks that an answer is in the language of its question, as far as that is sure.

Words of another language prove nothing where they may be a name, a dish, a brand, or text that is written somewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from persqa_client.answers.foreign_scripts import (
    CHINESE_JOINTS,
    CYRILLIC_NOUN,
    KANA_ATTRIBUTE,
    count_english_marks,
    has_chinese_noun,
    has_chinese_words,
    has_depiction,
    has_descriptive_word,
    has_english_run,
    has_hiragana,
    has_many_loans,
)
from persqa_client.answers.foreign_words import (
    ENGLISH_PHRASE,
    has_foreign_clause,
    has_foreign_predicate,
    may_have_foreign_clause,
)
from persqa_client.answers.phrases import list_languages, phrase_pattern
from persqa_client.answers.plain import is_plain
from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.language import (
    HAN,
    HAN_CHARACTER,
    LANGUAGES_OF_WORD,
    LATIN_WORDS,
    OTHER_LETTERS,
    SCRIPT_LANGUAGES,
    SCRIPTS,
    count_letters,
    detect_language,
    plain_text,
    split_words,
)
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations
from persqa_client.types import Problem, Task
from persqa_client.word_search import WordSearch, split_at_blanks, split_in_lower_case

NAMES = {
    "en": "English", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "es": "Spanish", "fr": "French",
    "de": "German", "ru": "Russian", "pt": "Portuguese", "ar": "Arabic",
}  # fmt: skip
LANGUAGE_SCRIPTS = {language: script for script, language in SCRIPT_LANGUAGES.items()} | {
    "uk": "cyrillic", "be": "cyrillic", "fa": "arabic", "ur": "arabic",
}  # fmt: skip
# A full stop within an address or a number does not end a sentence.
SENTENCE = compile_lazily(r"[^.!?。！？\n]*(?:\.(?=\w)[^.!?。！？\n]*)*[.!?。！？\n]*")
# Each repeat in the next patterns is bounded or possessive (``++``): a long word is searched once.
ADDRESSES = compile_lazily(r"(?<![A-Za-z0-9_\-])[A-Za-z0-9_\-]++(?:[.@/:]++[A-Za-z0-9_\-]++)++")
# In a Chinese answer, outside of text that is written somewhere. Greek letters and single kana are in names.
STRAY_LETTERS = compile_lazily("[\u0400-\u04ff\u0600-\u06ff\u0e00-\u0e7f\uac00-\ud7a3]{1,40}")
EAST_ASIAN = compile_lazily(rf"[{HAN}\u3041-\u30ff]")
# A translation or the original of a word; titles of works.
# "A T-shirt with ありがとう printed on it."
ON_THINGS = compile_lazily(
    rf"\bwith [{HAN}\u3041-\u30ff]+(?= (?:(?:printed|written|painted) )?(?:on|across|in \w+ letters)\b)"
    rf"|[{HAN}\u3041-\u30ff]++(?= (?:escrit|impres|bordad|estampad|écrit|imprimé|inscrit|brodé|geschrieben|gedruckt))"
)
GLOSSES = compile_lazily(r"\([^()（）]*[)）]|（[^()（）]*[)）]|《[^《》]*》|【[^【】]*】")
# Lower-case words within a name (Beauty and the Beast).
NAMES_WITH_WORDS = compile_lazily(
    r"[A-Z][\w'’]{0,40}+(?: (?:of|the|and|a|in|on|to|for|at|de|del|di|la|von|du|des|en)){1,8}+(?= [A-Z])"
)
# Words that only whole Chinese phrases have; a run of Chinese without them may be the name of a dish.
MEASURED = "一[个個件条條只双雙锅鍋杯本张張把位辆輛台朵片块塊碗瓶顶頂支束名副套棵栋]"
CHINESE_PHRASE = compile_lazily(
    r"(?<=[a-zà-ÿа-яё\u0621-\u064a] )[红紅橙黄黃绿綠青蓝藍紫黑白灰粉棕]色"
    rf"(?!恋人|戀人|食品|和平|娘子|经典|經典|高粱|巨塔|生死|柳丁)[{HAN}]"
    rf"|(?:非常(?!可[乐樂])|十分(?![钟鐘之])|[极極]其|格外|有[点點])[{HAN}]"
    rf"|(?:[的了在是很这這那穿戴看]|(?<=[{HAN}])[着著和与與起]|{MEASURED})[{HAN}]"
    # An attribute, a colour or a verb, the thing of which is in the other language, and words that join.
    rf"|[手身桌头頭椅怀懷房屋街路树樹地墙牆][里裡上下旁中](?![{HAN}])|[床发發板凳阶階滩灘毯垫墊肩膝脸臉架柜櫃窗子][上下](?![{HAN}])|(?:(?<=[{HAN}])[的了着著色]|(?<=[{HAN}][{HAN}])地(?=\s[^\W\d_A-Z])|{MEASURED})(?![{HAN}])|(?<![{HAN}])(?:{CHINESE_JOINTS})(?![{HAN}])"
)
CHINESE_ONLY = compile_lazily(
    "[的了着這们們吗嗎说說么谁誰她它您你吃喝很哪书车边门间东马鸟见风飞龙红绿蓝裤饭馆颜颗头动运]"
)
# In Chinese, an English adjective before 的, or an adverb. Loans of fashion (oversize, stylish) have other endings.
ENGLISH_ATTRIBUTE = compile_lazily(
    rf"(?<=[{HAN}]) ?(?:curly|wavy|fluffy|messy|tiny|huge|dirty|thick|thin|heavy|empty|[a-z]{{3,}}(?:ful|eous|ious))"
    rf" ?的 ?(?=[{HAN}])|(?<=[{HAN}]) ?[a-z]{{1,9}}(?:ght|oft|ent|ick|low|ull|ose|ide|arm|eep|rect|iet|appi|ear|ete)ly"
    rf" ?地? ?(?=[{HAN}])"
)
LATIN_LETTER = compile_lazily("[A-Za-z]")
CLAUSE_MARK = compile_lazily(r"[,;،؛.!?]\s")
UNITS = compile_lazily(r"\d ?[a-zµ]{1,3}\b")
# Languages that cite a text before the word for writing.
VERB_LAST = ("ja", "ko")
UNSPACED_SCRIPTS = ("han", "kana")
HAN_LANGUAGES = ("zh", "ja", "ko")
# Japanese and Korean also write Chinese characters.
SCRIPTS_WITH_HAN = ("kana", "hangul")


# Words with letters, and frequent words, that only relatives of a language have, and its own marks.
RELATIVES = {
    "ar": (
        compile_lazily(r"[پچژگکیٹڈڑںھہےۀ]\w*+|(?<!\w)(?:است|در|از|را|که|این|آن|با|نے|اور|ہے|میں)(?!\w)"),
        compile_lazily(r"(?<!\w)(?:[وبلف]?ال\w{2,}+|في|من|على|إلى|هو|هي|عن|مع|التي|الذي)(?!\w)|(?<=\w)ة(?!\w)"),
    ),
    "ru": (
        compile_lazily(r"[іїєґўІЇЄҐЎ]\w*+|(?<!\w)(?:що|та|це|або|його|вона)(?!\w)"),
        compile_lazily(r"[ыэъёЫЭЪЁ]\w*+|(?<!\w)(?:и|что|это|его|её|на|как|он|она|с)(?!\w)"),
    ),
}
MIN_RELATIVE_WORDS = 2


def is_relative(text: str, asked: str) -> bool:
    """Whether the answer is in a language that shares the script, such as Persian for Arabic."""
    theirs, ours = RELATIVES[asked]
    others = len(theirs.findall(text))  # A word is found from its first such letter on.
    return others >= MIN_RELATIVE_WORDS and others > 2 * len(ours.findall(text))


def check_language(text: str, task: Task) -> Problem | None:
    asked = detect_language(task.question)
    if asked is None:
        likely = detect_language(f"{task.question} {text}")
        if likely in FUNCTION_WORDS and may_have_foreign_clause(text, likely) and mixes_languages(text, likely):
            return Problem("wrong_language", "a mixture of languages")
        return None
    if asked == "zh" and is_plain(text, task.tag) and not LATIN_LETTER.search(text, len(task.tag)):
        return None
    if translates_itself(text, task.tag, asked):
        return Problem("wrong_language", "a translation in brackets")
    has_other_predicate = not text.isascii() and asked not in HAN_LANGUAGES and begins_in_han(text, task.tag)
    if has_other_predicate or not is_in_language(text, asked):
        expected = NAMES.get(asked, "the language of the question")
        return Problem("wrong_language", f"wrong language (expected {expected})")
    return None


def translates_itself(text: str, tag: str, asked: str) -> bool:
    """Whether a sentence about the tag stands in brackets, in letters of another language."""
    _, bracket, inner = text.partition(f"({tag}") if f"({tag}" in text else text.partition(f"（{tag}")
    return bool(bracket) and bool(HAN_CHARACTER.search(inner)) != (asked in ("zh", "ja"))


def mixes_languages(text: str, asked: str) -> bool:
    return has_foreign_clause(drop_written_text(plain_text(remove_quotations(text)), asked), asked)


def begins_in_han(text: str, tag: str) -> bool:
    """Whether the predicate right behind the tag is Chinese."""
    return HAN_CHARACTER.match(text[len(tag) :].lstrip()) is not None


def is_in_language(text: str, asked: str) -> bool:
    """True unless it is sure that the answer is in another language, or mixes two."""
    script = "han" if asked == "zh" else LANGUAGE_SCRIPTS.get(asked)
    may_slide = script is None and asked in FUNCTION_WORDS and may_have_foreign_clause(text, asked)
    if script is None and text.isascii() and asked in FUNCTION_WORDS and is_mostly_in(text, asked) and not may_slide:
        return True
    if not text.isascii() and asked not in HAN_LANGUAGES and has_depiction(plain_text(text)):
        return False
    if script is None and not text.isascii() and EAST_ASIAN.search(text):
        text = ON_THINGS.sub(" ", text)
    own = drop_written_text(GLOSSES.sub(drop_other_script, plain_text(remove_quotations(text))), asked)
    if asked not in ("zh", "ja") and not text.isascii() and has_chinese_noun(own, asked):
        return False
    if (may_slide and has_foreign_clause(own, asked)) or (not text.isascii() and has_hiragana(own, asked)):
        return False
    if script is None:
        return has_latin_language(own, asked)
    if script == "kana" and has_chinese_words(own):
        return False
    if asked in RELATIVES and (is_relative(own, asked) or has_chinese_clause(text, asked)):
        return False
    return has_script(own, script)


def has_chinese_clause(text: str, asked: str) -> bool:
    """Chinese within a clause of another script, unless the clause says that it is written somewhere."""
    if not HAN_CHARACTER.search(text):
        return False
    writing = phrase_pattern(asked, "writing", "words")
    clauses = CLAUSE_MARK.split(GLOSSES.sub(" ", plain_text(remove_quotations(text))))
    return any(CHINESE_PHRASE.search(clause) and not writing.search(clause) for clause in clauses)


def drop_other_script(gloss: re.Match[str]) -> str:
    """Returns a blank in place of a gloss with non-ASCII characters.

    An ASCII gloss is kept, because it may be part of the sentence.
    """
    return gloss[0] if gloss[0].isascii() else " "


def drop_written_text(text: str, asked: str) -> str:
    """Removes the remainder of each sentence after a word for writing, such as "reads" or "banner"."""
    if asked not in list_languages():
        return text
    writing = phrase_pattern(asked, "writing", "words")
    if not search_writing(asked).is_in(split_at_blanks(text)) or not writing.search(text):
        return text
    kept = []
    for sentence in SENTENCE.findall(text):
        found = find_writing(sentence, writing, asked)
        kept.append(sentence if found is None else "" if asked in VERB_LAST else sentence[: found.end()])
    return "".join(kept)


def find_writing(sentence: str, writing: re.Pattern[str], asked: str) -> re.Match[str] | None:
    """Finds the first word for writing in a sentence.

    Skips one at the beginning that a phrase of place follows, as in "steht an der Tür".
    """
    found = writing.search(sentence)
    if found is None or sentence[: found.start()].strip():
        return found
    is_place = phrase_pattern(asked, "fragment", "prepositions").match(sentence[found.end() :].lstrip())
    return writing.search(sentence, found.end()) if is_place else found


@lru_cache
def search_writing(language: str) -> WordSearch:
    return WordSearch(phrase_pattern(language, "writing", "words").search)


def has_latin_language(text: str, asked: str) -> bool:
    if not text.isascii():
        han = count_letters(HAN_CHARACTER, text)
        letters = count_letters(OTHER_LETTERS, text)
        if letters and CYRILLIC_NOUN.search(text):
            return False
        foreign = han + letters
        words = len(LATIN_WORDS.findall(text)) if foreign else 0
        if foreign > (2 * words + 2 if words else 0) or (han and CHINESE_PHRASE.search(text)):
            return False
    if asked not in FUNCTION_WORDS or is_mostly_in(text, asked):
        return True
    if has_foreign_predicate(text, asked):
        return False
    own = FUNCTION_WORDS[asked]
    candidates = set(split_words(NAMES_WITH_WORDS.sub(" ", text), lowercase=True)) - own
    others = count_words(candidates)
    likely = [language for language, theirs in others.items() if language != asked and theirs >= 2]
    found = set(split_words(text)) if likely else set()
    return not any(
        is_far_more(others[language], len((found & own) - FUNCTION_WORDS[language]), len(found)) for language in likely
    )


def count_words(words: Iterable[str]) -> Counter[str]:
    """How many of the words are frequent in each language."""
    return Counter(language for word in words for language in LANGUAGES_OF_WORD.get(word, ()))


def is_far_more(theirs: int, ours: int, words: int) -> bool:
    return 4 * theirs >= words if ours == 0 else theirs >= max(ours + 3, 3 * ours)


def is_mostly_in(text: str, asked: str) -> bool:
    """Whether so many words are the language's that no other one can win. Cheap, for ordinary answers."""
    words = split_in_lower_case(text)
    return 4 * sum(map(FUNCTION_WORDS[asked].__contains__, words)) > len(words) + 4


def has_script(text: str, script: str) -> bool:
    han, others = count_letters(HAN_CHARACTER, text), count_letters(OTHER_LETTERS, text)
    own = han if script == "han" else count_letters(SCRIPTS[script], text)
    foreign = others + han - own
    if script in SCRIPTS_WITH_HAN:
        if script == "kana" and own == 0 and (han >= 6 or CHINESE_ONLY.search(text)):
            return False
        if own or script == "kana":
            own, foreign = own + han, foreign - han
    if script == "han" and (STRAY_LETTERS.search(text) or KANA_ATTRIBUTE.search(text)):
        return False
    if foreign > own or (han and script not in UNSPACED_SCRIPTS and CHINESE_PHRASE.search(text)):
        return False
    words = LATIN_WORDS.findall(text)
    if not words:
        return True
    text = ADDRESSES.sub(" ", text)
    loans = script in UNSPACED_SCRIPTS
    if has_english_run(text) or ENGLISH_PHRASE.search(text) or has_descriptive_word(text, loans=loans):
        return False
    if loans and (has_many_loans(text) or ENGLISH_ATTRIBUTE.search(text)):
        return False
    text = UNITS.sub(" ", NAMES_WITH_WORDS.sub(" ", text))
    if count_english_marks(text, loans=loans) >= 2:
        return False
    words = [word for word in LATIN_WORDS.findall(text) if word.islower()]
    return 2 * len(words) <= own if loans else len(words) <= own // 2
