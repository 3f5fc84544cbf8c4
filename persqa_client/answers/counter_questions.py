"""Finds questions instead of an answer, and behind it: with a question word, to the reader, without a word of their
own, or the whole answer with a question mark. A question that the picture shows is none, and a guess may be asked.
"""

from __future__ import annotations

import re

from persqa_client.answers.answer_language import drop_written_text
from persqa_client.answers.phrases import choose_language, phrase_pattern
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations
from persqa_client.types import Task

QUESTION_MARKS = ("?", "？", "؟")
UNSPACED_LANGUAGES = ("zh", "ja", "ko")
ENDING_PARTICLES = " 呢吗嗎吧么啊か"
NO_LETTER = compile_lazily(r"[\W_]+")
MIN_QUESTION_LETTERS = 4
# Words that begin alike are forms of one word. Shorter ones do not count.
STEM_LENGTH, MIN_WORDS = 4, 2
# Fewer words behind the tag are no sentence, whatever the mark.
MIN_QUESTION_WORDS = 3
# In Spanish, the mark shows where a question begins that a sign asks.
SAID_QUESTION = compile_lazily(
    r"\b(?:dice|diga|pone|reza|lee|pregunta\w*|frase|texto|lema|título|letrero|cartel) ¿[^?\n]*\?"
)
# A guess may be asked, and so may a tag question behind a statement.
UNSURE = compile_lazily(
    r"\b(?:or|maybe|perhaps|possibly|probably|might|may|could|seems?|appears?|looks?|like|oder|vielleicht|ou"
    r"|peut-être|o|quizás?|ou|talvez|или|может)\b|[吧]|可能|也许|大概|好像|似乎|应该|かな|でしょう|かも|かもしれ"
    r"|아마|지요?\?|죠\?|ربما",
    re.IGNORECASE,
)
LAST_QUESTION = compile_lazily(r"[^.!?。！？؟\n]*[?？؟]")


def asks_back(text: str, task: Task) -> bool:
    """Whether a sentence asks with a question word, or asks the reader. "In a park?" is only unsure."""
    if "?" not in text and "？" not in text and "؟" not in text:
        return False
    language = choose_language(task.question)
    if language is None:
        return False
    asks, addresses = phrase_pattern(language, "question", "asks"), phrase_pattern(language, "question", "addresses")
    own = SAID_QUESTION.sub(" ", remove_quotations(text))
    questions = LAST_QUESTION.findall(own.replace(task.tag, ""))
    if any(asks.search(question) or addresses.search(question) for question in questions):
        return True
    if not questions or not text.rstrip().endswith(QUESTION_MARKS):
        return False
    return only_repeats(questions[-1], task, language) or is_mere_question(own, task, language)


def is_mere_question(own: str, task: Task, language: str) -> bool:
    """Whether the whole answer is one question, and neither unsure nor a statement with a tag question behind it."""
    if not own.startswith(task.tag) or not own.rstrip().endswith(QUESTION_MARKS) or UNSURE.search(own):
        return False
    rest = own.removeprefix(task.tag)
    if language not in UNSPACED_LANGUAGES and len(rest.split()) < MIN_QUESTION_WORDS:
        return False
    is_one = not rest.rstrip()[:-1].endswith(" ") and not any(
        mark in rest.strip()[:-1] for mark in ".。!！,，、،:：(（"
    )
    return is_one and rest == rest.lower() and drop_written_text(own, language) == own


def only_repeats(question: str, task: Task, language: str) -> bool:
    """Whether a question has no word of its own: "<mam> is indoors or outdoors?"."""
    asked = NO_LETTER.sub(" ", task.question.replace(task.tag, " ").casefold())
    said = NO_LETTER.sub(" ", question.casefold())
    if language in UNSPACED_LANGUAGES:
        characters = set(said) - set(ENDING_PARTICLES)
        return len(characters) >= MIN_QUESTION_LETTERS and characters <= set(asked)
    stems = {word[:STEM_LENGTH] for word in asked.split()}
    words = [word for word in said.split() if len(word) >= STEM_LENGTH]
    return len(words) >= MIN_WORDS and all(word[:STEM_LENGTH] in stems for word in words)
