"""Finds a clause or a word of another language within a sentence of the right one, in Latin letters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.language import LATIN_WORDS
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.word_search import WordSearch, split_at_blanks

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
# Words of each language that no loan has two of: different ones in a passage of so many words.
DISTINCTIVE = {
    language: frozenset(words.split())
    for language, words in {
        "de": """sehr ganz ziemlich etwas nicht noch auch aber und sich dabei eine einen einem einer wirkt trägt steht
            sitzt hält neben während müde zufrieden glücklich fröhlich traurig ruhig lächelt""",
        "fr": """très assez plutôt aussi toujours beaucoup mais avec dans sont une elle derrière heureux heureuse
            fatigué fatiguée souriant souriante""",
        "es": """muy pero mientras también está están tiene lleva porque una cansado cansada contento contenta feliz
            tranquilo tranquila sonriendo""",
        "pt": """muito não também mas está são uma ele ela dele dela enquanto porque cansado cansada contente feliz
            sorrindo olhando""",
        "it": "molto anche mentre perché è una sembra felice stanco stanca contento contenta",
        "nl": "een het maar niet ook zeer terwijl draagt lijkt blij",
    }.items()
}
DISTINCTIVE_LANGUAGES = ("en", "es", "fr", "de", "pt")
PASSAGE_WORDS = 8
# "Est. 1999", where a shop was established.
FOUNDED = compile_lazily(r"(?<![\w'’-])est\.? \d")
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
# Describing words that count in addition to function words: the basic terms for colours. A verb form shows more than
# other words do.
ENGLISH_MARKS = FUNCTION_WORDS["en"].union(
    ("black", "white", "red", "green", "yellow", "blue", "brown", "orange", "pink", "purple", "grey", "gray")
)
# Words that no language with Latin letters has as a word or in a loan ("mountain bike", "hair stylist").
LATIN_DESCRIPTIVE = (
    "brown wooden umbrella kitchen grass trees clouds bottle spoon knife bird birds smile striped colorful tired"
    " surprised vegetables eyes sitting smiling wearing laughing leaning chair bench shelf ceiling necklace earrings"
    " sunglasses trousers skirt scarf gloves"
)
LATIN_DESCRIPTIVE_WORDS = frozenset(LATIN_DESCRIPTIVE.split())
# In French, "chair" is flesh.
LATIN_HOMONYMS = {"fr": frozenset(("chair", "striped", "bench", "bottle")), "de": frozenset(("bench",))}
PHRASE_WORDS = ENGLISH_JOINTS.union(ATTRIBUTES.split("|"), ("very",), LATIN_DESCRIPTIVE_WORDS)
PHRASES = WordSearch(lambda word: word.rstrip(".,;!") in PHRASE_WORDS or word.endswith("ing"))
# An auxiliary and an English participle: "está holding un paraguas".
AUXILIARY_PARTICIPLE = compile_lazily(
    r"\b(?:est[áã]o?|están|ist|sind|est|sont|são) (?!gering\b|interesting)[a-z]{3,}ing(?![\w'’-])"
)


# Verbs and conjunctions of other languages that no loan in English has, in small letters; an article of another
# language behind an English verb, and an English colour behind a conjunction.
FOREIGN_JOINTS = frozenset(
    ("während", "está", "están", "trägt", "sont", "porque", "mientras", "tiene", "lleva", "sitzt", "steht", "liest")
).union(("trinkt", "isst", "vestindo", "sorrindo", "olhando", "segurando", "hält", "tient"))
FOREIGN_BETWEEN = compile_lazily(
    r"\b(?:wears|wearing|holds|holding|has|carrying|carries|and) (?:una|une|uma|unas|unos|eine[mnrs]?) [a-zà-ÿ]{3,}"
    r"|\b(?:und|y|et|e) (?:black|white|red|green|yellow|blue|brown|grey|gray|purple|pink) [a-z]"
    r"|\ben (?:el|los|las|una) [a-zà-ÿ]|\b(?:eating|drinking|reading|riding|playing|watching) (?:une|una"
    r"|eine[nmr]?) [a-zà-ÿ]{3,}"
    r"|\bdans (?:l[ae]s?|une?|sa|son) [a-z]|\b[a-z][a-z-]* auf (?:einem|einer|dem|der) "
)
FOREIGN_HINTS = FOREIGN_JOINTS.union(
    (
        "una",
        "une",
        "uma",
        "unas",
        "unos",
        "eine",
        "einem",
        "einer",
        "eines",
        "einen",
        "und",
        "y",
        "et",
        "e",
        "dans",
        "auf",
    )
)
COLOR_HINTS = frozenset(
    ["blue", "green", "yellow", "purple", "black", "white", "brown", "pink", "grey", "gray", "red", "a", "the"]
)
# An English colour behind an article of another language, or behind its noun and before another word of it. Loans are
# names of shades, drinks and trousers.
FOREIGN_COLOR = compile_lazily(
    r"(?<![\w'’-])(?:une?|des|las?|les|le|sa|son|ses|deux|una?|unos|unas|los|su|ein|eine[mnrs]?|der|die|das|dem|den"
    r"|seine?\w?|ihre?\w?|uma?|uns|umas|seu|sua)"
    r" (?:blue|green|yellow|purple|black|white|brown|pink|gr[ae]y|(?<=[estnu] )red) (?:dress|shirt|t-shirt|jacket|coat"
    r"|hat|cap|scarf|skirt|pants|trousers|shoes|boots|umbrella|bag|car|bike|dog|cat|ball|flowers?|eyes|hair|fur|wall"
    r"|sky|chair|table|sweater|hoodie|backpack|[A-ZÄÖÜ][a-zäöüß]{3,})\b"
    r"|[a-zà-ÿ]{4,} (?:blue|green|yellow|purple) (?:y|e|et|und|con|com|avec|mit)(?![\w'’-])"
    # Nouns of German have a capital letter.
    r"|\b(?:hat|hält|liest|trägt|isst|trinkt|sieht|fährt|sitzt auf|steht auf) (?:a|the) [a-z]{3,}"
)


@lru_cache
def words_of_others(asked: str) -> frozenset[str]:
    others = (FUNCTION_WORDS[language] for language in LATIN_LANGUAGES if language != asked)
    words = frozenset().union(*others)
    if asked in DISTINCTIVE_LANGUAGES:
        words = words.union(*DISTINCTIVE.values()) - DISTINCTIVE.get(asked, frozenset())
    return words - FUNCTION_WORDS[asked]


def may_have_foreign_clause(text: str, asked: str) -> bool:
    """Cheap, for ordinary answers."""
    words = split_at_blanks(text)
    others = words_of_others(asked).intersection(words)
    if len(others) >= MIN_EXCLUSIVE or (asked in FOREIGN_LETTERS and any(map(FOREIGN_LETTERS[asked].search, others))):
        return True
    if asked == "en":
        return not FOREIGN_HINTS.isdisjoint(words)
    return PHRASES.is_in(words) or not COLOR_HINTS.isdisjoint(words)


def has_foreign_clause(text: str, asked: str) -> bool:
    """Whether a clause is in another language with Latin letters. Words with a capital letter are names."""
    if asked == "en":
        if not FOREIGN_JOINTS.isdisjoint(split_at_blanks(text)) or FOREIGN_BETWEEN.search(text):
            return True
    elif FOREIGN_COLOR.search(text) or has_english_joint(text, asked):
        return True
    own = FUNCTION_WORDS[asked]
    text = FOUNDED.sub(" ", text)
    words = [word.replace("’", "'") if word.islower() else "" for word in LATIN_WORDS.findall(text)]
    for language in LATIN_LANGUAGES:
        if language == asked:
            continue
        theirs = FUNCTION_WORDS[language]
        if asked in DISTINCTIVE_LANGUAGES and has_distinctive_words(words, language, asked):
            return True
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


def has_distinctive_words(words: Sequence[str], language: str, asked: str) -> bool:
    """Whether different words that only the other language has stand near each other: "sehr müde but ganz ruhig"."""
    theirs = DISTINCTIVE.get(language, frozenset()) - DISTINCTIVE.get(asked, frozenset()) - FUNCTION_WORDS[asked]
    places = [place for place, word in enumerate(words) if word in theirs]
    return any(words[after] != words[before] and after - before < PASSAGE_WORDS for before, after in pairwise(places))


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
    if ("is" in joints and PARTICIPLE.search(text)) or ENGLISH_PHRASE.search(text) or AUXILIARY_PARTICIPLE.search(text):
        return True
    words = [word if word.islower() else "" for word in LATIN_WORDS.findall(text)]
    if not (LATIN_DESCRIPTIVE_WORDS - LATIN_HOMONYMS.get(asked, frozenset())).isdisjoint(words):
        return True
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
