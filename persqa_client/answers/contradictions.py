"""Finds answers that affirm and deny the same predicate: "<mam> is smiling broadly and is not smiling at all".

Only what is sure: the denial has no content word of its own, it denies the first one of the statement, and no word of
contrast, time or doubt stands in the text.
"""

from __future__ import annotations

import re

from persqa_client.answers.phrases import choose_language
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations

# A denial has one of these; a second sentence that begins with such an adverb too.
HINTS = {
    "en": (" not ", "n't ", "n’t ", " no ", "nothing", "ctually", "n fact", "same time", "imultaneous"),
    "de": ("nicht ", "nichts", "leichzeitig", "ugleich", "atsächlich"),
    "fr": (" pas ", " rien", "même temps", "n fait"),
    "es": (" no ", " sin ", "mismo tiempo", "n realidad", "la vez"),
    "pt": (" não ", " sem ", "mesmo tempo", "a verdade"),
    "ru": (" не ", "дновременно", "самом деле", "же время"),
    "zh": ("没", "同时", "同時", "实际上"),
    "ja": ("同時", "実際", "ません"),
    "ko": ("않", "실제로", "동시에"),
    "ar": ("الوقت", "الواقع", "ليس", " غير ", " لا ", " ولا ", " لم ", " ولم "),
}
SENTENCE_END = compile_lazily(r"[.!?…。！？؟\n]+")
CLAUSE_END = compile_lazily(r"[,;:，；、]\s*(?:and |und |et |y |e |и )?| (?:and|und|et|y|e|и) ")
WORD = compile_lazily(r"[^\W\d_]+(?:['’]t)?")
DENIAL = "not nicht no não ne pas не sin sem isn't aren't doesn't don't wasn't isn’t aren’t doesn’t"
NEGATIONS = frozenset(DENIAL.split())
GRAMMAR = (
    "a absolutely absoluto actually al algum all am an and ao are as at auf be been being com con d dans das"
    " de del dem den der des die do does du e ein eine einem einen einer el em en es est esta estando estar"
    " está et fact gar gleichzeitig im in is ist la las le les los mesmo mismo mit modo même n na nada nas nem"
    " ni no nos o of on os same sind sur tatsächlich temps the tiempo time to tout um uma un una und une war"
    " was with y zugleich à être überhaupt в вовсе и на с совсем"
)
FUNCTION_WORDS = frozenset(GRAMMAR.split())
DOUBT = compile_lazily(
    r"(?<!\w)(?:but|though|although|yet|only|any ?more|longer|now|earlier|before|later|usually|normally|really|just"
    r"|quite|always|often|rather|instead|until|then|when|while|because|if|one|other|another|seem\w*|look\w*|appear\w*"
    r"|pretend\w*|almost|nearly|try\w*|tries|about|as|aber|doch|nur|mehr|jetzt|noch|früher|dann|wenn|während|weil|scheint|wirkt"
    r"|fast|immer|ganz|sehr|als|pero|aunque|solo|sólo|ya|ahora|antes|luego|cuando|mientras|parece\w*|casi|siempre|muy|sino"
    r"|mas|embora|só|já|agora|depois|quando|enquanto|quase|sempre|muito|mais|plus|encore|maintenant|avant|puis|quand"
    r"|semble\w*|presque|toujours|seulement|но|хотя|только|уже|сейчас|потом|когда|пока|кажется|почти|всегда|очень|а)(?!\w)",
    re.IGNORECASE,
)
PORTUGUESE_IN = compile_lazily(r"\bno\b")
STEM_LENGTH = 4
ADVERB_ENDING, PARTICIPLE_ENDING = "о", "ing"
# "<mam> lleva una gorra. <mam> no lleva nada en la cabeza.", where the question asks about the head.
NOTHING = compile_lazily(
    r"<> (?:no |não |ne )?(?P<verb>(?:is )?\w+) (?:nada|rien|nothing|nichts)"
    r"(?: (?P<rest>[^.,;!?\n]{1,60}))?(?=[.,;!?]|\Z)"
)
PLACE = compile_lazily(
    r"(?<!\w)(?:en|em|n[oa]s?|on|in|at|around|over|with|sur|dans|à|au|aux|auf|an|am|im|mit|con|com|sobre|bajo)(?!\w)"
)
# Opposites, of which both are said of the tag, and the adverb before the second one.
ADVERB = compile_lazily(
    r"(?:actually|in fact|at the same time|simultaneously|gleichzeitig|zugleich|tatsächlich|en même temps|en fait"
    r"|al mismo tiempo|en realidad|a la vez|ao mesmo tempo|na verdade|одновременно|на самом деле|в то же время"
    r"|同时|同時に?|实际上|実際には|실제로는|동시에|في نفس الوقت|في الواقع)",
    re.IGNORECASE,
)
COPULA = (
    r"<>\W{0,2}(?:(?:is|are|ist|est|está|находится|在|正|(?:은|는|は)\W?)[\s,]*)?"
    r"(?:(?:sitting|standing|walking|sitzt|steht|sentado|sentada) )?"
)
OPPOSITES = tuple(
    (compile_lazily(COPULA + first, re.IGNORECASE), compile_lazily(COPULA + second, re.IGNORECASE))
    for one, other in (
        (r"(?:indoors|inside)\b", r"(?:outdoors|outside)\b"),
        (r"(?:sitting|seated)\b", r"(?:standing|lying)\b"),
        (r"(?:asleep|sleeping)\b", r"(?:awake|wide awake)\b"),
        (r"drinnen\b", r"draußen\b"),
        (r"sitzt\b", r"(?:steht|liegt)\b"),
        (r"(?:à l'intérieur)\b", r"(?:à l'extérieur|dehors)\b"),
        (r"assise?\b", r"debout\b"),
        (r"(?:dentro|en (?:el|un) interior)\b", r"(?:fuera|al aire libre|en el exterior)\b"),
        (r"(?:dentro|em ambiente fechado)\b", r"(?:fora|ao ar livre)\b"),
        (r"sentad[oa]\b", r"(?:de pie|de pé|em pé)\b"),
        (r"(?:в помещении)\b", r"(?:на улице)\b"),
        (r"сидит\b", r"(?:стоит|лежит)\b"),
        (r"(?:室内|屋内|실내)", r"(?:室外|户外|屋外|실외|야외)"),
        (r"(?:坐着|座って|앉아)", r"(?:站着|立って|서 있)"),
        (r"(?:في الداخل)", r"(?:في الخارج)"),
        (r"(?:جالس)", r"(?:واقف)"),
    )
    for first, second in ((one, other), (other, one))
)
# Chinese: the denied verb is the end of the clause before. Japanese and Korean: object and verb come back.
CHINESE = compile_lazily(
    r"(?:^|[，。；])[^，。；]{0,12}?(?P<said>[^，。；]{2,12})[，；](?:并且|而且|同时|又|且)?"
    r"(?:完全|根本|一点也|一点都|丝毫|压根)?(?:没有|没在?)(?P<denied>[^，。；了]{1,6})[。；！]?$"
)
STRONG = compile_lazily(r"并且|而且|同时|又没|且没|完全没|根本没|一点[也都]没|丝毫没|压根没")
CHINESE_DOUBT = compile_lazily(
    r"像|似|想|要|忍|准备|差点|看起来|看上去|假装|昨|刚才|之前|其实|但|却|不过|虽|另|别人|只"
)
JAPANESE = compile_lazily(
    r"(?P<noun>[一-龯ァ-ヶーa-zぁ-ん]{1,10}?)を(?P<verb>[一-龯ぁ-ん]{1,5}?)て(?:い|お)(?:て|り|ます)(?:が)?[、。](?:しかも|同時に)?"
    r"(?:<>は)?(?P=noun)[はを](?:一切|全く|まったく|全然|少しも)?(?P=verb)て(?:い)?(?:ません|ない)"
)
# The same without an object, in either order.
JAPANESE_VERB = compile_lazily(
    r"<>は[^、。]{0,20}?(?P<verb>[一-龯ぁ-ん]{1,5}[てで])い(?:て|ます)[、。](?:しかも|同時に)?(?:<>は)?"
    r"(?:一切|全く|まったく|全然|少しも)?(?P=verb)い(?:ません|ない)"
    r"|<>は(?:一切|全く|まったく|全然|少しも)?(?P<denied>[一-龯ぁ-ん]{1,5}[てで])い(?:ません|なくて)[、。](?:<>は)?"
    r"[^、。はがを]{0,6}(?P=denied)います"
)
KOREAN_VERB = compile_lazily(
    r"<>[은는이가] [^.,]{0,24}?(?<![가-힣])(?P<verb>[가-힣]{1,5}) 있(?:고|으며|습니다|어요)[,.]? (?:동시에 )?"
    r"(?:<>[은는이가] )?(?:전혀 |아예 |절대 )?(?P=verb) 있지 않"
    r"|<>[은는이가] (?:전혀 |아예 |절대 )?(?P<denied>[가-힣]{1,5}) 있지 않(?:고|으며|습니다|아요)[,.]? (?:동시에 )?"
    r"(?:<>[은는이가] )?(?:[가-힣]{1,4} )?(?P=denied) 있(?:고|으며|습니다|어요)"
)
KOREAN = compile_lazily(
    r"(?P<noun>[가-힣]{1,8})[을를] (?P<verb>[가-힣]{1,4})고 있(?:고|으며|습니다)[,.]? "
    r"(?:동시에 )?(?:<>[은는] )?(?P=noun)[을를은는] (?:전혀 |아예 )?(?P=verb)(?:고 있)?지 않"
)
# Chinese: the denial first, with a word that excludes a turn.
CHINESE_DENIAL = compile_lazily(
    r"^<>(?:没有|没|並沒有)在?(?P<verb>[^，。；了在]{1,4})[，；](?:并且|而且|同时|又|且)[^，。；没不]{0,8}(?P=verb)[着了]?[。！]?$"
)
# Arabic: the predicate behind the tag, and a denial of it without a word of its own.
ARABIC_VOWELS = compile_lazily(r"[\u064b-\u0652]")
ARABIC_DENIAL = compile_lazily(r"(?<!\w)[وف]?(?:ليس|ليست|غير|لا|لم|لن) (?P<denied>\w+)(?P<rest>(?: (?!و)\w+)*+)")
ARABIC_DOUBT = compile_lazily(
    r"(?<!\w)[وف]?(?:لكن\w*|بل|إلا|قبل|بعد|كان\w*|الآن|كأن\w*|[يت]بدو|أحيان\w*|فقط|عندما|إذا|مثل|ربما)(?!\w)"
)
ARABIC_ADVERB = compile_lazily(r"الوقت|الواقع")
ARABIC_PREDICATE = compile_lazily(r"<> (?:هو |هي )?(?P<word>\w{3,})")


def affirms_and_denies(text: str, tag: str, question: str) -> bool:
    language = choose_language(question)
    if language is None or not any(map(text.__contains__, HINTS[language])):
        return False
    own = remove_quotations(text).replace(tag, "<>").strip()
    if not own.startswith("<>"):
        return False
    if language == "pt":
        own = PORTUGUESE_IN.sub("em", own)  # "No" is a preposition.
    if not own.isascii() and denies_in_other_script(own, language):
        return True
    if language == "ar" and ARABIC_ADVERB.search(own) is None:
        return False
    if DOUBT.search(own) and not ADVERB.search(own):
        return False
    sentences = [sentence.strip() for sentence in SENTENCE_END.split(own) if sentence.strip()]
    return (
        denies_predicate(sentences) or has_nothing(sentences, question.replace(tag, "<>")) or says_opposite(sentences)
    )


def denies_in_other_script(text: str, language: str) -> bool:
    if language == "ar":
        return denies_in_arabic(text)
    if language == "ja":
        return any(pattern.search(text) for pattern in (JAPANESE, JAPANESE_VERB))
    if language == "ko":
        return any(pattern.search(text) for pattern in (KOREAN, KOREAN_VERB))
    return language == "zh" and denies_in_chinese(text)


def denies_in_arabic(text: str) -> bool:
    """The accusative of the denied word ends with an alif, which does not count."""
    text = ARABIC_VOWELS.sub("", text)
    said = ARABIC_PREDICATE.match(text)
    if said is None or ARABIC_DOUBT.search(text):
        return False
    for denial in ARABIC_DENIAL.finditer(text, said.end()):
        words = set(text[: denial.start()].split())
        if denial["denied"].rstrip("ا") == said["word"].rstrip("ا") and words.issuperset(denial["rest"].split()):
            return True
    return False


def denies_in_chinese(text: str) -> bool:
    if STRONG.search(text) is None or CHINESE_DOUBT.search(text):
        return False
    found = CHINESE.search(text)
    if CHINESE_DENIAL.search(text):
        return True
    return found is not None and found["said"].rstrip("着了").endswith(found["denied"].strip("在着"))


def denies_predicate(sentences: list[str]) -> bool:
    """Whether a later clause, or a later sentence about the tag, only denies words of the first clause."""
    first, *others = CLAUSE_END.split(sentences[0])
    said = content_words(first)
    if not said or not first.startswith("<> "):
        return False
    later = [clause for sentence in sentences[1:] if "<>" in sentence for clause in CLAUSE_END.split(sentence)[:2]]
    if is_denial(first):  # Of the verb alone.
        return len(said) == 1 and any(affirms(clause, said[0]) for clause in [*others, *later])
    words = set(said)
    for clause in [*others, *later]:
        denied = set(content_words(clause)) if is_denial(clause) and not DOUBT.search(clause) else set()
        if said[0] in denied and denied <= words and not DOUBT.search(first):
            return True
    return False


def affirms(clause: str, stem: str) -> bool:
    """Whether the predicate of a clause without another subject begins alike. Russian has adverbs before it."""
    if is_denial(clause) or DOUBT.search(clause):
        return False
    words = [word for word in WORD.findall(clause.lower()) if word not in FUNCTION_WORDS]
    while len(words) > 1 and words[0].endswith(ADVERB_ENDING):
        words = words[1:]
    if not words or not words[0].startswith(stem):
        return False
    return not (words[0].endswith(PARTICIPLE_ENDING) and clause.lower().lstrip("<> ").startswith(words[0]))


def is_denial(clause: str) -> bool:
    return any(word in NEGATIONS for word in WORD.findall(clause.lower()))


def content_words(clause: str) -> list[str]:
    words = (word for word in WORD.findall(clause.lower()) if word not in FUNCTION_WORDS and word not in NEGATIONS)
    return [word[:STEM_LENGTH] for word in words]


def has_nothing(sentences: list[str], question: str) -> bool:
    """Whether one sentence answers the question with a thing, and another one with nothing."""
    for sentence in sentences[1:]:
        found = NOTHING.match(sentence)
        if found is None or not sentences[0].startswith(f"<> {found['verb']} ") or PLACE.search(sentences[0]):
            continue
        asked = set(WORD.findall(question.lower()))
        if found["rest"] and asked.issuperset(WORD.findall(found["rest"].lower())):
            return True
    return False


def says_opposite(sentences: list[str]) -> bool:
    if DOUBT.search(sentences[0]):
        return False
    for sentence in sentences[1:]:
        if ADVERB.match(sentence) is None:
            continue
        if any(one.match(sentences[0]) and other.search(sentence) for one, other in OPPOSITES):
            return True
    return False
