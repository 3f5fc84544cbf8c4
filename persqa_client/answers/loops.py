"""Finds answers that repeat themselves endlessly."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from persqa_client.answers.word_salad import LATIN_FUNCTION_WORDS
from persqa_client.language import HAN_CHARACTER
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_marked, remove_quotations
from persqa_client.types import Problem, Task
from persqa_client.word_search import split_at_blanks

# More direct copies of a phrase than this are a loop: of phrases of at least two words or four Chinese characters, and
# of single words, which may also be emphasis or a sound (boom boom boom).
MAX_PHRASE_COPIES, MAX_WORD_COPIES = 3, 11
LONGEST_PERIOD, LONG_PERIOD = 12, 3  # In words.
# A loop continues to the end, so fewer copies of a word suffice there. Cries and sounds are short words.
LAST_COPIES = 5
SHORTEST_WORD, SHORTEST_UNSPACED_WORD = 5, 3  # The second one for Korean and Arabic.
MARKS = ",.;!?…،。，"
LETTERS_ONLY = compile_lazily(r"[^\W\d_]+")
SHORT_SCRIPT = compile_lazily(r"[\u0600-\u06ff\uac00-\ud7a3]")
SOUND_WORD = compile_lazily(r"(?:(\w{1,2})\1+\w?|\w*(\w)\2\2\w*)", re.IGNORECASE)
# Words of cries, songs and sounds, and those that only a sound or a cry follows directly: "goes quack quack".
CRY = compile_lazily(
    r"(?<!\w)(?:sa(?:y|id)|shout|call|scream|yell|cheer|chant|s[iau]ng|cr(?:y|ies)|repeat|sound|knock|tap|clap|bark|chirp|toca|golpea|bate|ruf|schrei|singt|jubel"
    r"|klopf|sagt|cri(?:e|ant)|chant|dit|dis|scand|répèt|frapp|grit|cant|dic|exclam|repit|diz|repet|крич|по[её]т|сканд"
    r"|говор|стуч|повтор|외[치쳐칩]|노래|소리|말[하합]|يصرخ|يهتف|يغني|يقول|ينادي|يردد|تصرخ|تهتف|تغني|تقول|تنادي|تردد)\w*",
    re.IGNORECASE,
)
MAKES_SOUND = compile_lazily(r"(?<!\w)(?:go(?:es|ing)|macht|fait|hace|faz)\W*\Z", re.IGNORECASE)
MAX_CRY_DISTANCE = 4
CHINESE_CRY = compile_lazily(r"[叫喊说說唱念呼嚷道吼](?:着|著|了|的是|道)?[，,：:“「]?\Z")
# An n-gram of NGRAM_WORDS words is a loop if it occurs more often than MAX_NGRAM_REPEATS, anywhere. Genuine lists
# repeat parts of their items.
NGRAM_WORDS, MAX_NGRAM_REPEATS = 6, 4
LONGEST_WORD = 40
# Phrases of LOOP_WORDS words that are repeated LOOP_REPEATS times, with others in between, and make up LOOP_SHARE of
# the text. In a list, each item has a word that occurs once.
LOOP_WORDS, LOOP_REPEATS, LOOP_SHARE, SHORTEST_LOOP, MAX_SINGLE_WORDS = 4, 2, 0.6, 24, 1
# Clauses that are repeated in another order: at least MIN_CLAUSES, each on average CLAUSE_COPIES times. A clause has at
# least SHORTEST_CLAUSE characters, and in scripts with spaces more than one word.
MIN_CLAUSES, CLAUSE_COPIES, SHORTEST_CLAUSE = 9, 2, 4
# SENTENCE_COPIES equal sentences in a row.
SENTENCE_COPIES, MIN_SENTENCE_WORDS, SHORTEST_SENTENCE = 3, 4, 6
MIN_REPEATED_WORDS = (SENTENCE_COPIES - 1) * MIN_SENTENCE_WORDS
SENTENCE_END = compile_lazily(r"[.!?。！？\n]+\s*")
CLAUSE_END = compile_lazily(r"[,，、;；。.!！?？\n]+")
# A clause of few words that are repeated in any order. A cry or a way of walking repeats a word directly.
SHORTEST_CHINESE_CLAUSE, MIN_CONTENT_WORDS = 12, 5
CHINESE_CLAUSE = compile_lazily(rf"[\u4e00-\u9fff]{{{SHORTEST_CHINESE_CLAUSE},}}")
ADJACENT_COPIES = compile_lazily(r"(.{1,3}?)\1+")
# Tiles, beads and stripes have colours in turn.
COLOR = "(?:black|white|red|green|blue|yellow|pink|orange|purple|brown|gr[ae]y|gold|silver)"
COLORS_IN_TURN = compile_lazily(rf"\b{COLOR}(?:(?:, | ){COLOR}){{3,11}}\b", re.IGNORECASE)
# Only the last characters of a longer text are searched, because a loop continues to the end.
LONGEST_SEARCHED = 6000
# Runs of laughter and cries may be longer. Runs of dots and lines have no limit.
SOUND = "哈呵嘻嘿啊呜嗷咚砰汪喵"
MIN_RUN = 20
ANY_RUN = compile_lazily(rf"(\S)\1{{{MIN_RUN - 1}}}")
CHARACTER_RUN = compile_lazily(rf"([^\s{SOUND}.…·_\-])\1{{{MIN_RUN - 1}}}|([{SOUND}])\2{{29}}")
PHRASE_RUN = compile_lazily(r"([^\n]{3,40}?)\1{3,}|([^\n]{2})\2{7,}")
# A Chinese word of two characters that are no sound, with or without commas.
LAST_WORD_RUN = compile_lazily(rf"((?![{SOUND}])[\u4e00-\u9fff][\u4e00-\u9fff])(?:[，、, ]?\1){{4,}}[，、,。…\s]*\Z")
ONOMATOPOEIA = "嘀嗒滴答叮当咚铛啪噼咔嚓叽喳呱咕噜咯唧吱哗啦轰隆扑通怦嗡嘟咩哞嘎咣嗖呼加油"
NO_PHRASE = compile_lazily(rf"[\s，,。、；;！!.…·_\-]+|([{SOUND}])\1{{3,}}")
# From this size on, loops compress better than normal texts, which shrink to a third at most.
MIN_COMPRESSIBLE_BYTES = 400
SHORTEST_COMPRESSIBLE = MIN_COMPRESSIBLE_BYTES // 4  # UTF-8 has at most 4 bytes per character.
LOOP_COMPRESSION_RATIO = 0.2


def check_no_loop(text: str, task: Task) -> Problem | None:
    """Text in quotation marks may repeat itself, except at great length."""
    if len(text) >= SHORTEST_COMPRESSIBLE and compresses_too_well(text):
        return Problem("loop", "endless repetition")
    text = text[-LONGEST_SEARCHED:]
    words = split_at_blanks(text)
    longest_word = max(map(len, words), default=0)
    if longest_word < MIN_RUN and text.isascii() and len(words) - len(set(words)) < MAX_PHRASE_COPIES:
        # Most answers: only clauses may be repeated.
        if len(CLAUSE_END.findall(text)) < MAX_PHRASE_COPIES:
            return None
    elif longest_word >= MIN_RUN and ANY_RUN.search(text) and CHARACTER_RUN.search(remove_marked(text)):
        return Problem("loop", "endless repetition")
    if ends_in_copies(text) and ends_in_copies(remove_quotations(text)):
        return Problem("loop", "endless repetition")
    if repeats_phrase(text) and repeats_phrase(COLORS_IN_TURN.sub(" ", remove_marked(text))):
        return Problem("loop", "endless repetition")
    return None


def ends_in_copies(text: str) -> bool:
    """Whether the text ends with several copies of one word that is no part of a cry, a song or a sound."""
    if not text.isascii() and (run := LAST_WORD_RUN.search(text[-LONGEST_WORD:])):
        is_sound = any(character in ONOMATOPOEIA for character in run[1])
        return not is_sound and CHINESE_CRY.search(text[-LONGEST_WORD:][: run.start()]) is None
    words = split_at_blanks(text)
    last = words[-1].strip(MARKS) if words else ""
    copies = [word.strip(MARKS) for word in words[-LAST_COPIES:]]
    if len(copies) < LAST_COPIES or copies.count(last) < LAST_COPIES or LETTERS_ONLY.fullmatch(last) is None:
        return False
    shortest = SHORTEST_UNSPACED_WORD if SHORT_SCRIPT.search(last) else SHORTEST_WORD
    if len(last) < shortest or SOUND_WORD.fullmatch(last):
        return False
    said = list(words)
    while said and said[-1].strip(MARKS) == last:
        said.pop()
    return not is_uttered(said)


def is_uttered(before: Sequence[str]) -> bool:
    """Whether a cry, a song or a sound follows: behind a colon, directly behind its verb, or behind a mark after it."""
    if not before or before[-1].endswith((":", "：")):
        return bool(before)
    near = " ".join(before[-MAX_CRY_DISTANCE:])
    if before[-1].endswith(tuple(MARKS)):
        return CRY.search(near) is not None
    return CRY.match(before[-1]) is not None or MAKES_SOUND.search(near) is not None


def repeats_phrase(text: str) -> bool:
    words = split_at_blanks(text)
    copies = len(words) - len(set(words))
    if copies >= MAX_PHRASE_COPIES and (repeats_words(words) or has_few_words(text)):
        return True
    # Counting characters first is cheap and excludes most texts.
    characters = len(set(text))
    if 3 * characters < 2 * len(text) and has_few_characters(text):
        return True
    if (copies >= MIN_REPEATED_WORDS or text.count("。") >= SENTENCE_COPIES - 1) and repeats_sentence(text):
        return True
    return 2 * characters < len(text) and (repeats_clause(text) or repeats_characters(text, words))


def has_few_characters(text: str) -> bool:
    """Whether more than half of the characters of a Chinese clause are repetitions: 站坐站的坐站在坐上站里坐的站."""
    clauses = (ADJACENT_COPIES.sub(r"\1", clause) for clause in CHINESE_CLAUSE.findall(text))
    return any(len(clause) >= SHORTEST_CHINESE_CLAUSE and 2 * len(set(clause)) < len(clause) for clause in clauses)


def has_few_words(text: str) -> bool:
    """The same for words that are no function words: "the left hand of the hand left in the hand of the left"."""
    for clause in CLAUSE_END.split(text.lower()):
        words = [word for word in clause.split() if not word.startswith("<")]
        content = [word for word, _ in groupby(word for word in words if word not in LATIN_FUNCTION_WORDS)]
        is_latin = len(content) < len(words)
        if is_latin and len(content) >= MIN_CONTENT_WORDS and 2 * len(set(content)) <= len(content):
            return True
    return False


def repeats_words(words: Sequence[str]) -> bool:
    if max(Counter(words).values()) < MAX_PHRASE_COPIES:
        return False
    bare = [word.strip(",.;!?") for word in words]
    for period in range(1, min(LONGEST_PERIOD, len(bare) // MAX_PHRASE_COPIES) + 1):
        copies = MAX_WORD_COPIES if period == 1 else MAX_PHRASE_COPIES
        same = (left == right for left, right in zip(bare, bare[period:], strict=False))
        start = 0
        for is_same, run in groupby(same):
            length = len(list(run))
            if is_same and period >= LONG_PERIOD and length >= 2 * period and is_run_on(words, start, period):
                return True
            if is_same and length >= period * copies and (period == 1 or len(set(bare[start : start + period])) > 1):
                return True
            start += length
    ngrams = Counter(zip(*(bare[start:] for start in range(NGRAM_WORDS)), strict=False))
    return max(ngrams.values(), default=0) > MAX_NGRAM_REPEATS or circles(bare)


def is_run_on(words: Sequence[str], start: int, period: int) -> bool:
    """Whether three copies of a phrase follow each other without a mark."""
    copies = words[start : start + 3 * period - 1]
    is_phrase = len(set(words[start : start + period])) >= LONG_PERIOD
    return is_phrase and not any(word.endswith(tuple(MARKS)) for word in copies) and not is_uttered(words[:start])


def circles(words: Sequence[str]) -> bool:
    """Whether a few phrases, repeated in turns, are most of the text."""
    if len(words) < SHORTEST_LOOP or 2 * len(set(words)) > len(words):
        return False
    phrases = list(zip(*(words[start:] for start in range(LOOP_WORDS)), strict=False))
    counts = Counter(phrases)
    covered = {
        place + offset
        for place, phrase in enumerate(phrases)
        if counts[phrase] >= LOOP_REPEATS
        for offset in range(LOOP_WORDS)
    }
    loop = words[min(covered, default=len(words)) :]
    if len(loop) < SHORTEST_LOOP or len(covered) < LOOP_SHARE * len(loop):
        return False
    return list(Counter(loop).values()).count(1) <= MAX_SINGLE_WORDS


def repeats_clause(text: str) -> bool:
    """Four equal clauses in a row, or eight of one short word."""
    parts = CLAUSE_END.split(text)
    if len(parts) <= MAX_PHRASE_COPIES:
        return False
    clauses = [clause.strip() for clause in parts if clause.strip()]
    if len(clauses) >= MIN_CLAUSES and returns(clauses):
        return True
    for clause, run in groupby(clauses):
        is_short = " " not in clause and len(clause) < (4 if HAN_CHARACTER.search(clause) else LONGEST_WORD)
        if len(list(run)) > (7 if is_short else MAX_PHRASE_COPIES):
            return True
    return False


def repeats_sentence(text: str) -> bool:
    """Three equal sentences in a row, unless a cry, a song or a colon introduces them."""
    parts = SENTENCE_END.split(text)
    if len(parts) < SENTENCE_COPIES:
        return False
    before = ""
    for sentence, run in groupby(part.strip() for part in parts):
        # Not "Ding dong ding dong!".
        is_long = len(set(sentence.split())) >= MIN_SENTENCE_WORDS or (
            " " not in sentence and len(sentence) >= SHORTEST_SENTENCE
        )
        if len(list(run)) >= SENTENCE_COPIES and is_long and not (before and introduces(before)):
            return True
        before = sentence
    return False


def introduces(before: str) -> bool:
    return before.endswith((":", "：")) or CRY.search(before) is not None or CHINESE_CRY.search(before) is not None


def returns(clauses: Sequence[str]) -> bool:
    """Whether a few clauses are repeated many times, in any order. Single words, as of colours, do not count."""
    long = [clause for clause in clauses if len(clause) >= SHORTEST_CLAUSE and (" " in clause or not clause.isascii())]
    if any(" " in clause for clause in long):
        long = [clause for clause in long if " " in clause]
    return len(long) >= MIN_CLAUSES and len(long) >= CLAUSE_COPIES * len(set(long))


def repeats_characters(text: str, words: Sequence[str]) -> bool:
    """Whether a phrase is repeated in a script without spaces, or in a word without an end."""
    if HAN_CHARACTER.search(text) is None and max(map(len, words), default=0) <= LONGEST_WORD:
        return False
    return PHRASE_RUN.search(NO_PHRASE.sub("", text)) is not None


def compresses_too_well(text: str) -> bool:
    data = text.encode("utf-8", "replace")
    return len(data) >= MIN_COMPRESSIBLE_BYTES and len(zlib.compress(data, 1)) < LOOP_COMPRESSION_RATIO * len(data)
