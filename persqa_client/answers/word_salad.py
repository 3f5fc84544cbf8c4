"""Finds words without the structure of a sentence: no articles, prepositions, endings or finite verbs join them.

Each language shows structure by other means, so each has its own measure. All of them look at a run of words without
marks: in lists, marks take the place of function words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.lazy_pattern import compile_lazily

# Arabic vowel signs are no marks.
RUN_END = compile_lazily(r"[^\w\s'’\-\u064b-\u0652]+|\n")
# The same for texts of ASCII, where a class of single characters is faster.
ASCII_RUN_END = compile_lazily(f"[{re.escape(''.join(mark for mark in map(chr, range(128)) if RUN_END.match(mark)))}]+")
VOWEL_SIGNS = compile_lazily(r"[\u064c-\u0652]")
MIN_WORDS = 7
SHORTEST_RUN = 2 * MIN_WORDS - 1  # Words and the blanks between them.
# At least one of so many words shows structure. In Arabic, most nouns do.
WORDS_PER_STRUCTURE = {"ar": 4, "ru": 7}
DEFAULT_WORDS_PER_STRUCTURE = 9
# Words of all languages with Latin letters, because the language of a short question is uncertain.
QUANTIFIERS = """before after during each every all some many both through around against than
    alle jede jeden jedes viele sowie gegen beim heute cada todos todas muchos muchas tras contra antes
    tous toutes chaque plusieurs toujours après contre avant muitos muitas após"""
LATIN_FUNCTION_WORDS = frozenset(QUANTIFIERS.split()).union(
    *(FUNCTION_WORDS[language] for language in ("en", "es", "fr", "de", "pt"))
)
# Right behind the tag, an infinitive can't be the predicate. Finite verbs and adverbs may look like one.
INFINITIVES = {
    "es": compile_lazily(r"\s(?!ayer|mujer|lugar|ser\b)[a-zñáéíóú]{2,}[aei]r(?=\s)"),
    "pt": compile_lazily(
        r"\s(?!quer|requer|sequer|mulher|qualquer|lugar|ar\b|par\b|dar\b)[a-zãõçáéíóúâêô]{2,}[aei]r(?=\s)"
    ),
    "fr": compile_lazily(
        r"\s(?!hier|cher|fier|fer|mer|léger|entier|dernier|premier)[a-zéèêçâîô]{3,}(?:er|oir|ir)(?=\s)"
    ),
    "ru": compile_lazily(
        r"\s(?!опять|пять|есть|мать|девять|десять|вспять|весь|здесь)[а-яё]{2,}(?:[аяеиуо]ть|ться|сти)(?=\s)"
    ),
}
# What each language shows structure by.
STRUCTURE = {
    "ru": compile_lazily(
        r"(?:[вксуоизя]|во|со|ко|на|по|до|за|от|из|об|под|над|при|для|без|перед|между|через|около|возле|среди|про|или|но|не"
        r"|что|это|его|её|ее|их|\w+(?:[еёиюя]т|[уюая]т|[еи]тся|[уюая]тся|[аияеу]л[аои]?|л[аои]?с[ья]|н[аоы]|[её]н|т[аоы]))"
    ),
    "ar": compile_lazily(
        r"[وفبلك]?ال\w{2,}|لل\w{2,}|[وف]?(?:في|من|على|إلى|عن|مع|هو|هي|بين|أمام|خلف|تحت|فوق|عند|أن|التي|الذي|ذو|ذات|ذا|ذي|كما|ثم|حيث|أثناء|بينما|بدون|حول|نحو|بجانب|أو|أم|إن|كان|كانت|لا|قد|هذا|هذه)|\w+(?:اً|ًا|ً)"
        r"|[وفبل]\w{3,}|[يت]\w{2,}|\w+ها"
    ),
    "ko": compile_lazily(
        r"[가-힣]+(?:[을를이가은는의에로와과도고며서게]|에서|까지|부터|으로|[한린된진인운든])|[가-힣]+(?:습니다|어요|아요|있다)"
    ),
}
# The present tense, behind which Russian may have nothing but endings of cases.
FINITE = compile_lazily(r"\w{2,}(?:[еёиюя]т|[уюая]т|[еиё]тся|[уюая]тся)")
# A Korean verb in its plain form ends a sentence; these words only look like one.
PLAIN_FORM = compile_lazily(
    r"(?<![가-힣])(?!\S{0,4}(?:마다|보다|바다|왔다|갔다|했다|들었다|났다|었다|았다|소다|판다|나다|혼다|이다)\s)[가-힣]{1,4}다(?=\s[가-힣])"
)
KOREAN_PREDICATE = compile_lazily(r"(?:[다요죠음함임됨까네지중어아야해워]|모습|차림|상태|색|있음)\W*\Z")
# Words between spaces, which Japanese does not write, and a case particle before a conjunction.
JAPANESE_GAP = compile_lazily(r"(?<=[\u3040-\u30ff\u4e00-\u9fff])[ \u3000](?=[\u3040-\u30ff\u4e00-\u9fff])")
MIN_JAPANESE_GAPS = 5
JAPANESE_CLASH = compile_lazily(
    # Not また and からす, からげる, からに (する): "勉強をまたはじめる", "声をからす".
    r"(?<![\u3040-\u309f])[をへ](?:けれど|しかし|だから|なぜなら|そして|または(?![じずめいしっる])|つまり|ので|のに"
    r"|から(?![かがめまみむんり揚だっさしすせそげぐに]))"
)


# "AはBのは、CがDています。": two topics and a subject. Behind a verb, が joins clauses.
TWO_TOPICS = compile_lazily(
    r"は、?[^、。はが]{2,40}のは、?[^。]{0,80}が(?<!すが)(?<!たが)(?<!だが)[^。]{0,60}(?:ます|ました)(?:。|\Z)"
)
# A particle apart from its noun, the particle of words with a vowel behind a consonant, and attributes in a row.
KOREAN_SLIP = compile_lazily(
    r" [를을는](?= )|[가-힣](?= 는 )|(?:은|는) (?:있는|하는|되는) (?:것|수)[이가] (?:하는|있는|되는)"
    r"|것이 (?:하는|입니다는) "
)
MIN_KOREAN_SLIPS = 2
# A colour without an ending between an article and a noun, where each has one; words that never follow each other; a
# clause of one word.
GERMAN_SLIP = compile_lazily(
    r" (?:der|die|das|dem|den|ein|eine[mnrs]?) "
    r"(?:gelb|blau|rot|grün|schwarz|weiß|braun|grau|groß|klein|alt|jung) [A-ZÄÖÜ]\w"
    r"| (?:dem dem|den den|wo und|haben laufen|weil nicht) | (?:dem|den|des) (?:ist|sind|weil|dass) "
    r"|(?<!,) der (?:stehen|sitzen|sind|haben|laufen) | (?:dass|weil|wenn|obwohl) \w+ (?:dass|weil|wenn|obwohl) "
)
MIN_GERMAN_SLIPS = 2
# An infinitive directly after the tag, a number before a verb form, a number after a conjunction at the end.
ENGLISH_NUMBER = (
    "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)"
)
ENGLISH_SLIP = compile_lazily(
    r"\A (?:feel|see|run|walk|hold|wear|sit|stand|eat|drink|look|ride|carry|play|sleep|smile) "
    rf"| {ENGLISH_NUMBER} of (?:the|an?) \w+ing[,.]| (?:therefore|hence|thus|because|although) {ENGLISH_NUMBER}\W*\Z"
)
# Particles that never follow each other, of which a text may have one; an attribute of 了 that begins a clause.
CHINESE_SLIP = compile_lazily(r"[了着]于(?![怀心世是])|着[一两][个件条只]的[在是和]|[被把]往[因于所]")
CHINESE_ATTRIBUTE = compile_lazily(r"[，。；][红蓝绿黄黑白紫灰粉棕橙]色了的")
MIN_SLIPS = 2
SLIP_LANGUAGES = ("en", "zh", "ja", "ko", "de")


# Nouns with articles in a row, without a word between them. Few texts have so many articles.
ARTICLES = {
    "en": (" the ", " a ", " an "),
    "es": (" el ", " la ", " los ", " las ", " un ", " una "),
    "fr": (" le ", " la ", " les ", " un ", " une "),
    "de": (" der ", " die ", " das ", " den ", " ein ", " eine "),
    "pt": (" o ", " a ", " os ", " as ", " um ", " uma "),
}
MIN_ARTICLES = 6
ARTICLE = f"(?:{'|'.join(sorted({article.strip() for articles in ARTICLES.values() for article in articles}))})"
ARTICLE_CHAIN = compile_lazily(rf" (?:{ARTICLE} (?!{ARTICLE} )[^\W\d_]{{2,20}} ){{{MIN_ARTICLES - 1}}}{ARTICLE} ")


def find_slips(text: str, language: str) -> str:
    """What the grammar of the language excludes, in an answer that has several of these."""
    if language == "ja":
        two = TWO_TOPICS.match(text)
        return two[0] if two else ""
    if language == "ko":
        slips = KOREAN_SLIP.findall(text) + [part for part in WRONG_PARTICLE.findall(text) if has_final(part[0])]
        return "".join(slips[:1]).strip() or "는" if len(slips) >= MIN_KOREAN_SLIPS else ""
    if language in ("en", "zh"):
        attribute = CHINESE_ATTRIBUTE.search(text) if language == "zh" else None
        slips = [found[0] for found in (ENGLISH_SLIP if language == "en" else CHINESE_SLIP).finditer(text)]
        return attribute[0] if attribute else slips[0].strip() if len(slips) >= MIN_SLIPS else ""
    if language == "de":
        slips = GERMAN_SLIP.findall(text)
        return str(slips[0]).strip() if len(slips) >= MIN_GERMAN_SLIPS else ""
    return ""


# 를 stands behind a vowel only.
WRONG_PARTICLE = compile_lazily(r"[가-힣] ?를(?![가-힣])")


def has_final(syllable: str) -> bool:
    """Whether a syllable of Hangul ends with a consonant."""
    return (ord(syllable) - 0xAC00) % 28 != 0


def find_word_salad(text: str, language: str) -> str:
    """The words without structure, or empty. ``text`` is what follows the tag, without quotations."""
    if language in SLIP_LANGUAGES and (slips := find_slips(text, language)):
        return slips
    if language == "ja":
        gaps = JAPANESE_GAP.findall(text)
        clash = JAPANESE_CLASH.search(text)
        return text.strip() if len(gaps) >= MIN_JAPANESE_GAPS else clash[0] if clash else ""
    infinitive = INFINITIVES[language].match(text) if language in INFINITIVES else None
    if infinitive and text.count(" ") >= MIN_WORDS - 1:
        return infinitive[0].strip()
    if language == "ko" and PLAIN_FORM.search(text) and not KOREAN_PREDICATE.search(text):
        return text.strip()
    if text.count(" ") < MIN_WORDS - 1:
        return ""
    has_many = language in ARTICLES and sum(map(text.count, ARTICLES[language])) >= MIN_ARTICLES
    if has_many and (chain := ARTICLE_CHAIN.search(text)):
        return chain[0].strip()
    runs = (ASCII_RUN_END if text.isascii() else RUN_END).split(text)
    for run in runs:
        if len(run) >= SHORTEST_RUN and lacks_structure(run, language):
            return run.strip()
    return ""


def lacks_structure(run: str, language: str) -> bool:
    words = (VOWEL_SIGNS.sub("", run) if language == "ar" else run.lower()).split()
    if language in STRUCTURE:
        words = [word for word in words if not word.isascii()]  # Without brands.
    if len(words) < MIN_WORDS:
        return False
    if language not in STRUCTURE:
        if language not in FUNCTION_WORDS:
            return False
        shown = sum(map(LATIN_FUNCTION_WORDS.__contains__, words))
        if shows_enough(shown, words, language):  # Most answers.
            return False
        shown += sum(("'" in word or "’" in word) and word not in LATIN_FUNCTION_WORDS for word in words)
    else:
        if language == "ru" and any(FINITE.fullmatch(word) for word in words):
            return False
        shown = sum(STRUCTURE[language].fullmatch(word) is not None for word in words)
        shown += sum(before[-2:] == after[-2:] for before, after in pairwise(words))  # Adjectives that agree.
    return not shows_enough(shown, words, language) and len(set(words)) >= MIN_WORDS


def shows_enough(shown: int, words: Sequence[str], language: str) -> bool:
    return 0 < len(words) <= WORDS_PER_STRUCTURE.get(language, DEFAULT_WORDS_PER_STRUCTURE) * shown
