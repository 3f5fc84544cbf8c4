"""Finds words without the structure of a sentence: no articles, prepositions, endings or finite verbs join them.

Each language shows structure by other means, so each has its own measure. All of them look at a run of words without
marks: in lists, marks take the place of function words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.language import HAN
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
        r"(?:[вксуоизя]|во|со|ко|на|по|до|за|от|из|об|под|над|при|для|без|перед|между|через|около|возле|среди|про|или"
        r"|но|не"
        r"|что|это|его|её|ее|их|\w+(?:[еёиюя]т|[уюая]т|[еи]тся|[уюая]тся|[аияеу]л[аои]?|л[аои]?с[ья]|н[аоы]|[её]н"
        r"|т[аоы]))"
    ),
    "ar": compile_lazily(
        r"[وفبلك]?ال\w{2,}|لل\w{2,}|[وف]?(?:في|من|على|إلى|عن|مع|هو|هي|بين|أمام|خلف|تحت|فوق|عند|أن|التي|الذي|ذو|ذات|ذا"
        r"|ذي|كما|ثم|حيث|أثناء|بينما|بدون|حول|نحو|بجانب|أو|أم|إن|كان|كانت|لا|قد|هذا|هذه)|\w+(?:اً|ًا|ً)"
        r"|[وفبل]\w{3,}|[يت]\w{2,}|\w+ها"
    ),
    "ko": compile_lazily(
        r"[가-힣]+(?:[을를이가은는의에로와과도고며서게]|에서|까지|부터|으로|[한린된진인운든])|[가-힣]+(?:습니다|어요"
        r"|아요|있다)"
    ),
}
# The present tense, behind which Russian may have nothing but endings of cases.
FINITE = compile_lazily(r"\w{2,}(?:[еёиюя]т|[уюая]т|[еиё]тся|[уюая]тся)")
# A Korean verb in its plain form ends a sentence; these words only look like one.
PLAIN_FORM = compile_lazily(
    r"(?<![가-힣])(?!\S{0,4}(?:마다|보다|바다|왔다|갔다|했다|들었다|났다|었다|았다|소다|판다|나다|혼다"
    r"|이다)\s)[가-힣]{1,4}다(?=\s[가-힣])"
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
# Words that no phrase of English has in this order, of which a sentence has one at most: a determiner before a word
# that begins another phrase, a verb or a conjunction behind a preposition, two verbs, two conjunctions, a number before
# an article.
CLASHING_WORDS = (
    (
        "the a an",
        "in on at with by to from for of into under behind upon is are was were has had and or but because if he she"
        " they them it which who does not",
    ),
    ("of into at upon by with under", "is are was were has had does because if therefore she they he"),
    ("is are was were has had does", "is are was were has does them if therefore which quickly"),
    (
        "three four five six seven eight nine ten eleven twelve seventeen",
        "a an the because had was therefore if quickly lightly",
    ),
    ("if because therefore thus and or but", "therefore thus of"),
    ("because or but", "and"),
    ("of from to into", "of to upon with if then because quickly lightly slowly"),
    ("quickly slowly lightly gently softly loudly deeply", "of was them lamp"),
)
# Particles that never follow each other, of which a text may have one; an attribute of 了 that begins a clause.
CHINESE_SLIP = compile_lazily(r"[了着]于(?![怀心世是])|着[一两][个件条只]的[在是和]|[被把]往[因于所]")
CHINESE_ATTRIBUTE = compile_lazily(r"[，。；][红蓝绿黄黑白紫灰粉棕橙]色了的")
# Function characters that no grammar joins, each of which may be a part of a word or a slip: a sentence has one at
# most. Begins with classes of characters, to which ``re`` skips.
CHINESE_PAIR = (
    r"[的了着在是和把被很于之个件条只张走跑吃飞喝穿跳](?=[了着于们得被把之是因很和在的吗就所七五门])"
    r"(?:(?<=的)(?:[了着于们得](?![解结])|被(?![子褥单窝套面罩])|把(?![手柄戏握玩]))"
    r"|(?<=了)(?:于(?![怀心])|们|之(?![后前间外])|被(?![子褥单窝套面罩]))"
    r"|(?<=着)(?:[是于们之得因](?![^，。]{0,2}否)|在(?=[\u4e00-\u9fff][的着了])|被(?![子褥单窝套面罩]))"
    r"|(?<=在)[们得着](?![装陆火手])"
    r"|(?<=是)(?:于|得|们|着(?![装火]))|(?<=和)(?:着(?!装)|了|很|于|吗)"
    r"|(?<=把)(?<![一两几那这]把)(?:的(?!士)|了|和(?![服平解])|于|吗|们|着(?![火装])|很|因|就|得|在(?![场座]))"
    r"|(?<=被)(?:了|的(?!士)|和(?![服平])|于|们|是|吗|很|得|着(?![火装])|在(?!场))"
    r"|(?<=很)(?:[了把被们和于吗因所七五](?![善气平睦解])|着(?![急迷])|的|在(?![行意乎理]))"
    r"|(?<=之)[被把了着是和们](?![间前后])|(?<=于)(?:的|了|着|把|被|们|吗)"
    r"|(?<=[个件条只张])(?:们|了(?!解)|于|把(?![手柄戏]))|(?<=[走跑吃飞喝穿跳])于)"
)
# A question particle within a sentence, an adverb without its adjective, a preposition without its object, and the
# plural of what is no person.
PERSONS = (
    "我你您他她它咱人子友生员客师伴童女士兵手母亲孩猫狗兄弟妹姐宝民众侣工伙者长家娃男哥爸妈爷奶爹娘鬼佛神鸟马牛羊"
    "宾偶仔星队犬咪妞仙侠警匠贩贼敌贵候夫妻"
)
CHINESE_LONE = (
    rf"[吗很把被于们](?:(?<=吗)(?![\W\d]|啡|$)|(?<=很)(?=\W*\Z)|(?<![{PERSONS}]们)(?<=们)"
    r"|(?<=[把被于])(?<![棉毛花盖]被)(?<![门车]把)(?<!由于)(?=[。，]|\W*\Z))"
)
MAY_CLASH = (compile_lazily(CHINESE_PAIR), compile_lazily(CHINESE_LONE))
# In a lookahead, because they overlap.
CHINESE_CLASH = compile_lazily(rf"(?=({CHINESE_PAIR}[{HAN}]|{CHINESE_LONE}))")
MIN_SLIPS = 2
MIN_CLASHES = 2
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
        if attribute or len(slips) >= MIN_SLIPS:
            return attribute[0] if attribute else slips[0].strip()
        return find_clashes(text) if language == "zh" else ""
    if language == "de":
        slips = GERMAN_SLIP.findall(text)
        return str(slips[0]).strip() if len(slips) >= MIN_GERMAN_SLIPS else ""
    return ""


def find_clashes(text: str) -> str:
    """The first of several different clashes of Chinese function characters, or empty."""
    if not any(pattern.search(text) for pattern in MAY_CLASH):
        return ""
    clashes = dict.fromkeys(CHINESE_CLASH.findall(text))
    return next(iter(clashes)) if len(clashes) >= MIN_CLASHES else ""


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
