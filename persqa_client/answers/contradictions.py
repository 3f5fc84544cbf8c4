"""Finds answers that affirm and deny the same predicate: "<mam> is smiling broadly and is not smiling at all".

Only certain cases count: the denial has no subject, number, preposition or other word that the statement lacks, it
begins with the first content word of the statement, and the text has no word of contrast, time or doubt.
"""

from __future__ import annotations

import re
from itertools import takewhile
from operator import eq

from persqa_client.answers.comparisons import compares_pictures
from persqa_client.answers.phrases import choose_language
from persqa_client.answers.presence import describes_denied, has_nothing
from persqa_client.answers.script_denials import DENIALS_BY_LANGUAGE
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations

# A denial has one of these; a second sentence that begins with such an adverb too.
HINTS = {
    "en": (" not ", "n't ", "n’t ", " no ", "nothing", "ctually", "n fact", "same time", "imultaneous"),
    "de": ("nicht", "kein", "leichzeitig", "ugleich", "atsächlich"),
    "fr": (" pas", " aucun", " rien", "même temps", "n fait"),
    "es": (" no ", " No ", " sin ", "mismo tiempo", "n realidad", "la vez"),
    "pt": (" não ", " Não ", " sem ", "mesmo tempo", "a verdade"),
    "ru": (" не ", " без ", "дновременно", "самом деле", "же время"),
    "zh": ("没", "沒", "不戴", "不是", "不在", "全身都", "在室内", "同时", "同時", "实际上", "也不", "本不", "因为"),
    "ja": ("同時", "実際", "ません", "おらず", "ないで", "なくて"),
    "ko": ("않", "없", "실제로", "동시에"),
    "ar": ("الوقت", "الواقع", "ليس", " غير ", " لا ", " ولا ", " لم ", " ولم "),
}
SENTENCE_END = compile_lazily(r"[.!?…。！？؟\n]+")
CLAUSE_END = compile_lazily(r"[,;:，；、]\s*(?:and |und |et |y |e |и )?| (?:and|und|et|y|e|и) ")
JOINT = compile_lazily(r",? (?:and|und|et|y|e|и) ")
WORD = compile_lazily(r"[^\W_]+(?:['’]t)?")
DENIAL = "not nicht no não ne pas не sin sem isn't aren't doesn't don't wasn't isn’t aren’t doesn’t"
NEGATIONS = frozenset(DENIAL.split())
GRAMMAR = (
    "a absolutely absoluto actually al algum all am an and ao are as at auf be been being com con d dans das"
    " de del dem den der des die do does du e ein eine einem einen einer el em en es est esta estando estar"
    " está et fact gar gleichzeitig im in is ist la las le les los mesmo mismo mit modo même n na nada nas nem"
    " ni no nos o of on os same sind sur tatsächlich temps the tiempo time to tout um uma un una und une war"
    " was with y zugleich à être überhaupt в вовсе и на с совсем абсолютно"
    " any ningún ninguna nenhum nenhuma ни никакой никакого никаком никакую каком какой какую"
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
PLACES = "in on at auf im an am mit dans sur à au en em com con of with в на с"
PREPOSITIONS = frozenset(PLACES.split())
# Phrases of emphasis, and phrases such as "in this photo". They neither change a denial nor name a place.
EMPHASIS = compile_lazily(
    r"\b(?:at all|in the least|en absoluto|en modo alguno|de modo algum|du tout)\b"
    r"|\b(?:in|on) (?:this|the) (?:photo|picture|image)\b|\b(?:auf|in) (?:diesem|dem) (?:foto|bild)\b"
    r"|\b(?:sur|dans) (?:cette|l['’]|la) ?(?:photo|image)\b|\ben (?:esta|la) (?:foto|imagen|fotografía)\b"
    r"|\b(?:na|nesta) (?:foto|imagem|fotografia)\b|\bна (?:этой |этом )?(?:фото|фотографии|снимке|картинке)\b",
    re.IGNORECASE,
)
NO_OBJECT = compile_lazily(r"\b(?:no|keine?n?|aucune?)\b", re.IGNORECASE)
NOBODY = compile_lazily(
    r"\b(?:no|none|nothing|nobody|nowhere|never|kein\w*|nichts?|niemand\w*|nie|rien|aucune?|jamais|nad[ai]e?|ning[uú]n\w*"
    r"|nunca|nenhum\w*|ninguém|ничего|никого|никогда|нигде)\b",
    re.IGNORECASE,
)
CHINESE_MARKS = str.maketrans(",;.!", "，；。！")
ARABIC_ADVERB = compile_lazily(r"الوقت|الواقع")
PORTUGUESE_IN = compile_lazily(r"\bno\b")
ADVERB_ENDING, PARTICIPLE_ENDING = "о", "ing"
# A step: "marche pas à pas".
FRENCH_STEP = compile_lazily(r"\bpas à pas\b|\b(?:à|au|des|un|du|les|ses|premiers|petits|grands|quelques) pas\b")
FRENCH_HAS = compile_lazily(r"\b(n['’])?a\b")  # In other languages, "a" is an article.
# Least number of letters of a verb before the ending.
SHORTEST_STEM = 3
# Endings by which the forms of one verb differ. Other endings make other words: sleepy, yellowish, chaton.
FORMS = {
    "en": re.compile(r"|e|e?s|ed|(\w)?ing"),
    "de": re.compile(r"|t|en|n"),
    "fr": re.compile(r"|nt|ant"),
    "es": re.compile(r"|r|n|ndo"),
    "pt": re.compile(r"|r|m|ndo"),
    "ru": re.compile(r"|[еиоа]?ть?|[еи]т|[уюая]т"),
}
IRREGULAR = {"has": "have"}
# Endings of nouns, behind a form of the same verb.
NOUN_FORMS = {"ru": re.compile(r"|[аяуюыиеёо]|[оеё][вйм]|а[мх]|ами"), "de": re.compile(r"|e?s|e?n|e")}
# Attributes that leave a thing what it is. "Toy", "water" and "bow" don't.
PLAIN_ATTRIBUTES = (
    "black white red green yellow blue brown orange pink purple grey gray golden silver beige navy dark light bright"
    " has pale big small large little tiny huge long short tall thick thin wide narrow round square old new young"
    " fluffy have bushy curly straight shiny furry woolen knitted striped checkered plaid colorful colourful leather"
    " cotton wool silk denim metal straw soft warm bike bicycle motorcycle safety baseball pair"
)
PLAIN_WORDS = FUNCTION_WORDS.union(PLAIN_ATTRIBUTES.split(), NEGATIONS)
NOT_REAL = compile_lazily(
    r"\b(?:toy|fake|water|paper|stuffed|plush|imaginary|painted|jouet|factice|eau|juguete|agua|mentira|brinquedo|água"
    r"|pelúcia|peluche|sol|soleil|игрушечн\w+|водян\w+|ненастоящ\w+|plastik\w*|spielzeug\w*)\b",
    re.IGNORECASE,
)
COLOR_BEHIND = compile_lazily(
    r"(?:roug|bleu|noir|blan|vert|jaun|gris|marr|ros|violet|beig|roj|azul|negr|verd|amar|vermelh|pret|branc|cinz|rox)\w{0,6}"
)
# In a second sentence, for the tag of the first one. Spanish and Portuguese leave it out.
PRONOUNS = {
    "en": "(?:he|she|it) ", "de": "(?:er|sie|es) ", "fr": "(?:il|elle) ", "ru": "(?:он|она|оно) ",
    "es": "(?:él |ella )?(?=no )", "pt": "(?:ele |ela )?(?=não )",
}  # fmt: skip
MOST_WORDS_WITH_PRONOUN = 4
# Of a sentence about the tag that says neither when nor where.
BEGINNING = compile_lazily(
    r"(?:(?:however|yet|and|actually|in fact|at the same time|simultaneously|und|jedoch|allerdings|gleichzeitig|et|e|y"
    r"|и|zugleich|tatsächlich|cependant|toutefois|pourtant|en même temps|en fait|sin embargo|al mismo tiempo"
    r"|en realidad|a la vez|porém|em entanto|contudo|ao mesmo tempo|na verdade|однако|одновременно|на самом деле"
    r"|в то же время),? (?:ist |hat |trägt |steht |sitzt )?)?<>",
    re.IGNORECASE,
)
# Pairs of opposites that contradict each other if an adverb such as "in fact" precedes the second one. Without the
# adverb, both may be true: inside a tent outdoors.
ENDS = r"(?=\s*(?:[,;:]|$))"
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
        (
            rf"(?:indoors\b|inside(?:{ENDS}| (?:the|an?) (?:house|building|room|office|shop|store|kitchen)\b))",
            rf"(?:outdoors\b|outside(?:{ENDS}| (?:in|on)\b))",
        ),
        (r"(?:sitting|seated)\b", r"(?:standing|lying)\b"),
        (r"(?:asleep|sleeping)\b", r"(?:awake|wide awake)\b"),
        (r"drinnen\b", r"draußen\b"),
        (r"sitzt\b", r"(?:steht|liegt)\b"),
        (
            rf"à l'intérieur(?:{ENDS}| d(?:e la|e l'|'une?|u) ?(?:maison|bâtiment|pièce|immeuble|salle)\b)",
            rf"(?:à l'extérieur{ENDS}|dehors\b)",
        ),
        (r"assise?\b", r"debout\b"),
        (
            rf"(?:dentro(?:{ENDS}| de (?:la |una |el |un )?(?:casa|edificio|habitación|sala|oficina)\b)"
            r"|en (?:el|un) interior\b)",
            rf"(?:fuera{ENDS}|al aire libre\b|en el exterior\b)",
        ),
        (
            rf"(?:dentro(?:{ENDS}| d(?:e|a|o|e uma?) (?:casa|prédio|sala|quarto)\b)|em ambiente fechado\b)",
            rf"(?:fora{ENDS}|ao ar livre\b)",
        ),
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


def affirms_and_denies(text: str, tag: str, question: str) -> bool:
    language = choose_language(question)
    if language is None or not any(map(text.__contains__, HINTS[language])):
        return False
    own = remove_quotations(text).replace(tag, "<>").strip()
    if not own.startswith("<>"):
        return False
    if language == "zh":
        own = own.translate(CHINESE_MARKS)
    if describes_denied(own, language):
        return True
    if language == "pt":
        own = PORTUGUESE_IN.sub("em", own)  # "No" is a preposition.
    elif language == "en":
        own = own.replace(" an ", " a ")  # In German, it is a preposition.
    elif language == "fr":
        own = FRENCH_HAS.sub(lambda has: f"{'ne ' if has[1] else ''}possède", FRENCH_STEP.sub("", own))
    if language in DENIALS_BY_LANGUAGE and DENIALS_BY_LANGUAGE[language](own):
        return True
    if language == "ar" and ARABIC_ADVERB.search(own) is None:
        return False
    if (DOUBT.search(own) and not ADVERB.search(own)) or compares_pictures(own):
        return False
    sentences = [sentence.strip() for sentence in SENTENCE_END.split(own) if sentence.strip()]
    return (
        denies_predicate(resolve_pronoun(sentences, language), language)
        or has_nothing(sentences, question.replace(tag, "<>"))
        or says_opposite(sentences)
    )


def resolve_pronoun(sentences: list[str], language: str) -> list[str]:
    """The tag instead of the pronoun of a second sentence or clause, if nothing else in the first one may be meant."""
    if language not in PRONOUNS:
        return sentences
    first, *others = sentences if len(sentences) > 1 else JOINT.split(sentences[0], 1)
    if len(others) != 1 or "<>" in others[0] or find_places(first) or CLAUSE_END.search(first):
        return sentences
    if len(content_words(first)) > MOST_WORDS_WITH_PRONOUN:
        return sentences
    resolved, found = re.subn(rf"\A(?i:{PRONOUNS[language]})", "<> ", others[0])
    return [first, resolved] if found else sentences


def denies_predicate(sentences: list[str], language: str) -> bool:
    """Whether a later clause, or a later sentence about the tag, only denies words of the first clause."""
    first, *others = CLAUSE_END.split(sentences[0])
    said = content_words(first)
    while language == "ru" and len(said) > 1 and said[0].endswith(ADVERB_ENDING):
        said = said[1:]
    if not said or not first.startswith("<> ") or DOUBT.search(first):
        return False
    # "In the right picture, <mam> is not wearing glasses." says when or where.
    about = filter(BEGINNING.match, sentences[1:])
    later = [clause for sentence in about for clause in CLAUSE_END.split(sentence)[:2]]
    places = find_places(first)
    own = same_subject(sentences[0], later)
    if denies_object(first, said, own, language):
        return True
    if is_denial(first):  # The first clause denies only a verb.
        if len(said) > 1 or find_places(EMPHASIS.sub("", first)):
            return False
        return any(affirms(clause, said[0], language) for clause in own)
    if NO_OBJECT.search(first):
        return False
    for clause in [*others, *later]:
        if not (is_denial(clause) or NO_OBJECT.search(clause)) or DOUBT.search(clause):
            continue
        clause = ADVERB.sub("", EMPHASIS.sub("", clause))
        denied = [word for word in content_words(clause) if NO_OBJECT.fullmatch(word) is None]
        if (
            denied
            and are_forms(denied[0], said[0], language)
            and all(any(are_alike(word, other, language) for other in said) for word in denied)
            and places.issuperset(find_places(clause))
            and (len(denied) == 1 or is_same_thing(first, denied[-1], language))
        ):
            return True
    return False


def denies_object(first: str, said: list[str], later: list[str], language: str) -> bool:
    """Whether a later clause affirms a verb with an object that the first one denies as a whole: "is wearing no hat",
    and not "no red hat". A noun may follow the object in a compound.
    """
    said = [word for word in said if NO_OBJECT.fullmatch(word) is None]
    if len(said) != 2 or find_places(first) or not (is_denial(first) or NO_OBJECT.search(first)):
        return False
    verb, noun = said
    for clause in later:
        words, content = WORD.findall(clause.lower()), content_words(clause)
        nouns = [word for word in content[1:] if are_alike(word, noun, language)]
        if not nouns or is_denial(clause) or NOBODY.search(clause) or DOUBT.search(clause):
            continue
        behind = words[words.index(nouns[0]) + 1 :][:1]
        if (
            are_forms(content[0], verb, language)
            and all(word in FUNCTION_WORDS or COLOR_BEHIND.fullmatch(word) for word in behind)
            and is_same_thing(clause, nouns[0], language)
        ):
            return True
    return False


def is_same_thing(clause: str, noun: str, language: str) -> bool:
    """Whether the attributes of the noun leave it what it is. A bow tie is no tie, and a toy gun is no gun."""
    if NOT_REAL.search(clause):
        return False
    words = WORD.findall(clause.lower())
    if language != "en" or noun not in words:
        return True
    before = words[: words.index(noun)][-1:]
    return PLAIN_WORDS.issuperset(before) or before == content_words(clause)[:1]


def are_alike(word: str, other: str, language: str) -> bool:
    """Whether they are forms of one verb or of one noun."""
    if are_forms(word, other, language):
        return True
    stem = sum(1 for _ in takewhile(bool, map(eq, word, other)))
    if stem < SHORTEST_STEM or language not in NOUN_FORMS:
        return False
    return all(NOUN_FORMS[language].fullmatch(form, stem) is not None for form in (word, other))


def same_subject(sentence: str, later: list[str]) -> list[str]:
    """The clauses that are about the tag for sure. Behind a comma, a verb may stand before another subject."""
    joined = [CLAUSE_END.split(part)[0] for part in JOINT.split(sentence)[1:]]
    return joined + [clause for clause in [*CLAUSE_END.split(sentence)[1:], *later] if "<>" in clause]


def affirms(clause: str, verb: str, language: str) -> bool:
    """Whether the predicate of a clause is a form of the verb. Russian has adverbs before it."""
    if is_denial(clause) or NOBODY.search(clause) or DOUBT.search(clause):
        return False
    words = [word for word in WORD.findall(clause.lower()) if word not in FUNCTION_WORDS]
    while len(words) > 1 and words[0].endswith(ADVERB_ENDING):
        words = words[1:]
    if not words or not are_forms(words[0], verb, language):
        return False
    return not (words[0].endswith(PARTICIPLE_ENDING) and clause.lower().lstrip("<> ").startswith(words[0]))


def are_forms(word: str, other: str, language: str) -> bool:
    """Whether they are the same word, or forms of one verb."""
    word, other = IRREGULAR.get(word, word), IRREGULAR.get(other, other)
    if word == other:
        return True
    stem = sum(1 for _ in takewhile(bool, map(eq, word, other)))
    if stem < SHORTEST_STEM or language not in FORMS:
        return False
    return all(FORMS[language].fullmatch(form, stem) is not None for form in (word, other))


def is_denial(clause: str) -> bool:
    return any(word in NEGATIONS for word in WORD.findall(clause.lower()))


def content_words(clause: str) -> list[str]:
    return [word for word in WORD.findall(clause.lower()) if word not in FUNCTION_WORDS and word not in NEGATIONS]


def find_places(clause: str) -> frozenset[str]:
    return PREPOSITIONS.intersection(WORD.findall(clause.lower()))


def says_opposite(sentences: list[str]) -> bool:
    if DOUBT.search(sentences[0]):
        return False
    for sentence in sentences[1:]:
        if ADVERB.match(sentence) is None:
            continue
        if any(one.match(sentences[0]) and other.search(sentence) for one, other in OPPOSITES):
            return True
    return False
