"""Finds answers in which the tag is not the subject of a sentence.

After the tag a sentence goes on: with a possessive, a predicate, a particle, a comma or a parenthesis. A mark that ends
a sentence or a label, or a word that begins another sentence or a noun phrase, shows that the tag was only put before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from persqa_client.answers.identities import find_false_identity
from persqa_client.answers.phrases import (
    TAG_MARK,
    choose_language,
    compile_for_lower,
    is_lower,
    join_phrases,
    phrase_pattern,
)
from persqa_client.answers.unfinished import ENDING, UNSPACED_LANGUAGES, is_unfinished
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Problem, Task

# Right after the tag. An ellipsis is a pause: "<mam>… just sits there."
TAG_ENDS_SENTENCE = compile_lazily(r"\s*(?:[.。!！?？](?![.。…]))")
LABEL_MARK = compile_lazily(r"\s*(?:[:：;；\n]|[–—]+(?![^–—\n]*[–—])|-(?=\s)(?![^\n]*\s-\s))\s*")
# In Russian, a dash stands for "is".
LABEL_MARK_WITHOUT_DASH = compile_lazily(r"\s*[:：;；\n]\s*")
# A value, a list or a table behind the tag: "<mam> = red", "<mam> | red |", "<mam>" and lines of "colour: red".
VALUE_MARK = compile_lazily(
    r"\s*(?:[|=→➡⇒]|[-–—]+>)|\s*\n\s*(?:(?:[-*•·]|\d{1,2}[.)])\s|[^\n:：]{1,20}[:：])"
    r"|\s*[-*•·]\s[^\n:：]{1,20}[:：][^\n]{1,200}\n\s*[-*•·]\s"
    r"|\s*[-*•·]\s[^\n]{1,60}\n\s*[-*•·]\s|\s*-\s\w+ing\b[^\n]{1,60}\s-\s\w+ing\b"
    r"|\s*1[.)、]\s?[^\n]{1,60}?\s?2[.)、]\s?"
    r"|\s*[\u4e00-\u9fff]{1,4}\s?[=＝]|\s*(?!\w+(?:s|ing|ed)\b)[a-z]+(?:, (?:and )?(?!\w+(?:s|ing|ed"
    r"|ly)\b)[a-z]+){3,}\W*\Z"
)
# Labels with values in a row: "<mam> **Top:** red **Shoes:** white", <mam>动作：跑步；地点：公园.
LABEL = r"(?:[A-Z\u00c0-\u00dd\u0410-\u042f][\w ]{0,14}|(?:(?![写寫说說着著喊叫])[\u3041-\u9fff\uac00-\ud7a3]){1,6})"
LABELS = compile_lazily(
    rf"\s*(?:[-*•·#]+\s|\d[.)]\s?|[一二三四]、)?(?:\*\*[^\W\d_][\w ]{{0,20}}|{LABEL})(?:\*\*)?\s?[:：](?:\*\*)?\s?"
    r"(?![\"“「『])[^:：\n\"“「『]{1,60}?[\s,;，；。.、*\n-]\s?(?:[一二三四]、)?(?:\*\*)?[^\W\d_]\w{0,14}(?:\*\*)?\s?[:：]"
)
MIN_LABELS = 2
# An item of a list in Markdown that begins with a label: "- **Top:** a red sweater".
LABELLED_ITEM = compile_lazily(r"\n\s*(?:[-*•·]|\d{1,2}[.)、])\s?\*\*[^*\n]{1,30}(?:[:：]\*\*|\*\*\s?[:：])")
ASKS_FOR_LIST = compile_lazily(r"\b(?:list|describe)\b|列|描述", re.IGNORECASE)
# Text of the picture without a sentence: a name of an account; words in capitals and numbers; parts of Chinese between
# blanks. Only names have so many capitals behind the tag, and no more than three.
COPIED = compile_lazily(
    r"\s*@\w+|\s*[A-Z\u00c0-\u00dd\u0410-\u042f\d][^\s<>]*"
    r"(?:\s+(?![a-z\u00df-\u00ff\u0430-\u044f]|['’\"“«(*])[^\s<>]+){3}(?=\s|\Z)"
)
COPIED_CHINESE = compile_lazily(
    r"(?=[^，。！？；,]+\Z)(?=.*[\u4e00-\u9fff] [\u4e00-\u9fff]).*[\u4e00-\u9fff\d] [\u4e00-\u9fff\d]"
    r".*[\u4e00-\u9fff\d] [\u4e00-\u9fff\d]"
)
LANGUAGES_WITH_CAPITALS = ("en", "es", "fr", "de", "pt", "ru")
# A label of an answer behind a mark: "<mam> (answer): a man …". What is quoted may be on the picture.
ANSWER_LABEL = compile_lazily(
    r"\s*[,،，(\[–—-]\s*(?:answer|response|réponse|respuesta|resposta|antwort|ответ|(?:ال)?(?:إجابة|جواب)|答案|回答"
    r"|답변?|대답)"
    r"\s?[)\]]?\s?[:：](?!\s*[\"“«„「『‘'\d])",
    re.IGNORECASE,
)
COLON = compile_lazily(r"\s*[:：]\s*")
# Nothing but text of the picture: <mam>: "Gate 14 — Boarding".
QUOTED = compile_lazily(r"[\"“«„「『]([^\"“”«»„「」『』]+)[\"”»“」』][.。]?")
COMMA = compile_lazily(r"\s*[,，、،]\s*")
ASIDE = compile_lazily(r"\s*[,，、،(]\s*")
MARKS = " \t\n*_\"“‘'«「"
LONGEST_FRAGMENT = 30
# A value behind a colon, in words, and in characters of scripts without spaces: "<mam>: red jacket."
LONGEST_VALUE, LONGEST_UNSPACED_VALUE = 4, 14
# Longer phrases have a verb somewhere.
LONGEST_PHRASE = 100
LONGEST_NOUN_PHRASE = 60
NUMBER = compile_lazily(r"[\d\s.,:/%]+")
# A particle must follow the tag.
PARTICLE_LANGUAGES = ("ja",)
QUESTION_MARKS = ("?", "？", "؟")
# One word, or a conjunction and a word. As a question, they are no answer to an open question.
LONE_WORD = compile_lazily(r"(?:(?:and|or|und|oder|et|ou|y|o|e|и|или) )?[^\W\d_]+", re.IGNORECASE)
WORD = compile_lazily(r"[^\W\d_]+(?:-[^\W\d_]+)*")
NO_PHRASES = r"(?!)"
# Phrases right behind the tag, or behind a blank, by kind and place. None of them looks at the end of the text.
OPENINGS = (
    ("stand_in", "pronouns"),
    ("stand_in", "descriptions"),
    ("stand_in", "indefinite"),
    ("sentence", "adverbials"),
    ("sentence", "starts"),
    ("fragment", "prepositions"),
    ("fragment", "noun_phrase"),
)


def check_no_stand_in(text: str, task: Task) -> Problem | None:
    """A pronoun or a description instead of the tag."""
    if text.startswith(task.tag) or task.tag in text:
        return None
    language, start = choose_language(task.question), len(text) - len(text.lstrip(MARKS))
    if language and matches(text, start, language, "stand_in", ("pronouns", "descriptions")):
        return stand_in_problem(task)
    return None


def matches(text: str, start: int, language: str, kind: str, places: Sequence[str]) -> bool:
    return any(phrase_pattern(language, kind, place).match(text, start) for place in places)


def stand_in_problem(task: Task) -> Problem:
    return Problem("pronoun_only", f"a pronoun or a description instead of {task.tag}")


def check_is_sentence(text: str, task: Task) -> Problem | None:
    language = choose_language(task.question)
    if language is None:
        return Problem("not_a_sentence", "it ends at the tag") if TAG_ENDS_SENTENCE.match(text, len(task.tag)) else None
    start = len(task.tag)
    if false := find_false_identity(text, start, task, language):
        fault = false
    elif is_list_or_copy(text, start, language) or has_labelled_items(text, task.question):
        fault = "a list or text of the picture stands behind the tag"
    elif begins_with_predicate(text, start, language):
        fault = find_fault_at_end(text, start, task, language)
    elif stands_behind_tag(text, start, language):
        return stand_in_problem(task)
    else:
        fault = find_sentence_fault(text, task, language)
    return Problem("not_a_sentence", f"no sentence about {task.tag}: {fault}") if fault else None


def begins_with_predicate(text: str, start: int, language: str) -> bool:
    """Whether one search shows that neither a mark nor another subject follows the tag, as in most answers."""
    start += text.startswith(" ", start)
    first = text[start : start + 1]
    if not (first.isalpha() or first == "'") or first.isupper() or language in PARTICLE_LANGUAGES:
        return False
    opening = lower_opening_pattern(language) if is_lower(text) else opening_pattern(language)
    return opening.match(text, start) is None


@lru_cache
def opening_pattern(language: str) -> re.Pattern[str]:
    return re.compile(join_openings(language), re.IGNORECASE)


@lru_cache
def lower_opening_pattern(language: str) -> re.Pattern[str]:
    return compile_for_lower(join_openings(language))


def join_openings(language: str) -> str:
    """All that shows at the beginning that the tag is not the subject."""
    return "|".join(f"(?:{join_phrases(language, kind, place)})" for kind, place in OPENINGS)


def is_list_or_copy(text: str, start: int, language: str) -> bool:
    """Whether labels with values follow the tag, or text that was copied from the picture."""
    if text.count(":") + text.count("：") >= MIN_LABELS and LABELS.match(text, start):
        return True
    if language == "zh":
        return " " in text and COPIED_CHINESE.match(text, start) is not None
    following = text[start : start + 2].lstrip()[:1]
    return not following.islower() and language in LANGUAGES_WITH_CAPITALS and COPIED.match(text, start) is not None


def has_labelled_items(text: str, question: str) -> bool:
    """Whether a question is answered with a list of labels in Markdown, which it does not ask for."""
    if "**" not in text or len(LABELLED_ITEM.findall(text)) < MIN_LABELS:
        return False
    return question.rstrip().endswith(QUESTION_MARKS) and ASKS_FOR_LIST.search(question) is None


def stands_behind_tag(text: str, start: int, language: str) -> bool:
    """Whether a pronoun or a description is the real subject: "<mam> The man is …", "<mam>: a man is …"."""
    pronouns = phrase_pattern(language, "stand_in", "pronouns")
    if comma := COMMA.match(text, start):
        return pronouns.match(text, comma.end()) is not None
    mark = label_mark(text, start, language) or TAG_ENDS_SENTENCE.match(text, start)
    start = skip_blanks(text, mark.end() if mark else start)
    if mark and phrase_pattern(language, "stand_in", "pictured").match(text, start):
        return True
    adverbial = phrase_pattern(language, "sentence", "adverbials").match(text, start)
    start = adverbial.end() if adverbial else start
    if pronouns.match(text, start):
        return True
    # "<mam> the cat sits" says what <mam> is, but "<mam> The cat sits" and "<mam>: the cat sits" begin anew.
    begins_anew = mark or adverbial or not text[start : start + 1].islower()
    return bool(begins_anew) and matches(text, start, language, "stand_in", ("descriptions", "indefinite"))


def label_mark(text: str, start: int, language: str) -> re.Match[str] | None:
    return (LABEL_MARK_WITHOUT_DASH if language == "ru" else LABEL_MARK).match(text, start)


def skip_blanks(text: str, start: int) -> int:
    return len(text) - len(text[start:].lstrip())


def find_sentence_fault(text: str, task: Task, language: str) -> str:
    """The fault, or empty."""
    start = len(task.tag)
    if TAG_ENDS_SENTENCE.match(text, start):
        return "it ends at the tag"
    if VALUE_MARK.match(text, start) or has_mere_value(text, start, language):
        return "a value stands behind the tag, as in a list"
    if begins_anew(text, start, language) or begins_after_comma(text, start, language):
        return "another subject or sentence begins after the tag"
    if is_prepositional(text, start, language) or is_noun_phrase(text, start, language):
        return "no predicate follows the tag"
    return find_fault_at_end(text, start, task, language)


def find_fault_at_end(text: str, start: int, task: Task, language: str) -> str:
    if lacks_predicate(text, start, task, language) or is_bare_noun(text, start, task.question, language):
        return "no predicate follows the tag"
    return "it ends in the middle" if is_unfinished(text, task, language) else ""


def begins_anew(text: str, start: int, language: str) -> bool:
    if ANSWER_LABEL.match(text, start):
        return True
    mark = label_mark(text, start, language)
    if mark is None and text[start : start + 1].isupper() and text[start + 1 : start + 2].islower():
        return language not in UNSPACED_LANGUAGES or matches(text, start, language, "sentence", ("capitals",))
    rest = skip_blanks(text, mark.end() if mark else start)
    if mark and "\n" in mark[0] and language == "zh":
        return not matches(text, rest, language, "sentence", ("verbs",))
    if mark is None and language in PARTICLE_LANGUAGES:
        return not matches(text, rest, language, "sentence", ("continues",)) or matches(
            text, rest, language, "sentence", ("starts",)
        )
    if phrase_pattern(language, "sentence", "starts").match(text, rest):
        return True
    return text[rest : rest + 1].isupper() and bool(phrase_pattern(language, "sentence", "capitals").match(text, rest))


def begins_after_comma(text: str, start: int, language: str) -> bool:
    """ "<mam>, there is a man …": unlike "<mam>, in the picture, …", the tag is no part of what follows."""
    comma = ASIDE.match(text, start)
    return comma is not None and matches(text, comma.end(), language, "sentence", ("after_comma",))


def has_mere_value(text: str, start: int, language: str) -> bool:
    """A few words behind a colon, none of which is a frequent verb."""
    colon = COLON.match(text, start)
    if colon is None:
        return False
    value = text[colon.end() :].strip()
    if QUOTED.fullmatch(value):
        return True
    is_short = (
        len(value) <= LONGEST_UNSPACED_VALUE and not value.isascii()
        if language in UNSPACED_LANGUAGES
        else value.count(" ") < LONGEST_VALUE and len(value) <= LONGEST_PHRASE
    )
    return is_short and phrase_pattern(language, "sentence", "verbs").search(value) is None


def is_prepositional(text: str, start: int, language: str) -> bool:
    """Whether nothing but phrases of place follow the tag: "<mam> under the bridge near the river"."""
    rest = text[start:].lstrip().rstrip(ENDING + "!*")
    if len(rest) > LONGEST_PHRASE or not phrase_pattern(language, "fragment", "prepositions").match(rest):
        return False
    if phrase_pattern(language, "fragment", "whole").fullmatch(rest):
        return True
    verbs = phrase_pattern(language, "fragment", "verbs")
    if verbs.pattern == NO_PHRASES:
        return False
    return verbs.search(phrase_pattern(language, "fragment", "nouns").sub(" ", rest)) is None


def is_noun_phrase(text: str, start: int, language: str) -> bool:
    """Whether a noun with its attributes follows the tag, and no verb: "<mam> camiseta azul listrada"."""
    if len(text) - start > LONGEST_NOUN_PHRASE:
        return False
    pattern, start = phrase_pattern(language, "fragment", "noun_phrase"), start + text.startswith(" ", start)
    if pattern.match(text, start) is None:
        return False
    rest = text[start:].rstrip(ENDING + "!*")
    noun = pattern.match(rest)
    if noun is None:
        return False
    verbs = phrase_pattern(language, "fragment", "verbs")
    if verbs.pattern == NO_PHRASES:
        verbs = phrase_pattern(language, "sentence", "verbs")
    behind = phrase_pattern(language, "fragment", "nouns").sub(" ", rest[noun.end() :])
    return verbs.search(behind) is None


def is_bare_noun(text: str, start: int, question: str, language: str) -> bool:
    """Whether a thing is asked for, and a noun with a participle follows the tag: "<mam> snowplough parked outside"."""
    start += text.startswith(" ", start)
    if language != "en" or len(text) - start > LONGEST_NOUN_PHRASE or text.startswith("is ", start):
        return False
    noun = phrase_pattern(language, "fragment", "bare").match(text, start)
    return noun is not None and phrase_pattern(language, "question", "named_thing").search(question) is not None


def lacks_predicate(text: str, start: int, task: Task, language: str) -> bool:
    if len(text) - start > LONGEST_FRAGMENT:
        return False
    rest = text[start:].strip(f"{ENDING}-–—!！?？؟*")
    is_open = phrase_pattern(language, "question", "words").search(task.question) is not None
    if not is_open and rest == task.question.partition(" ")[0].lower():
        return False  # "Is <mam> asleep?" – "<mam> is."
    if text[start:].lstrip()[:1].isalpha() and is_word_alone(rest, task, language):
        return True
    if NUMBER.fullmatch(rest) or phrase_pattern(language, "sentence", "answers").fullmatch(rest):
        return True
    # A part of the question, such as "<mam> wearing", says nothing.
    if not is_open:
        return False
    is_lone = language not in UNSPACED_LANGUAGES and LONE_WORD.fullmatch(rest) is not None
    return rest in task.question or (is_lone and text.endswith(QUESTION_MARKS))


def is_word_alone(rest: str, task: Task, language: str) -> bool:
    """Whether one word answers a question that no verb alone answers: for a place, a colour, the object of a verb, or
    one of two words without the question's verb.
    """
    question = task.question.replace(task.tag, TAG_MARK)
    if language in UNSPACED_LANGUAGES:
        return is_noun_alone(rest, question, language)
    if WORD.fullmatch(rest) is None:
        return False
    if phrase_pattern(language, "question", "things").search(question):
        return True
    is_asked = rest.lower() in WORD.findall(question.lower())
    return is_asked and phrase_pattern(language, "question", "chosen").search(question) is not None


def is_noun_alone(rest: str, question: str, language: str) -> bool:
    """``is_word_alone`` where the letters of a word must show that it is a noun."""
    if phrase_pattern(language, "question", "lone_place").fullmatch(rest):
        is_asked = rest in question and phrase_pattern(language, "question", "chosen").search(question) is not None
        if is_asked or phrase_pattern(language, "question", "places").search(question):
            return True
    if phrase_pattern(language, "question", "lone").fullmatch(rest) is None:
        return False
    return phrase_pattern(language, "question", "things").search(question) is not None
