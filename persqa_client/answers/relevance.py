"""Finds answers that say nothing of what the question asks for.

They are what could be said of every picture ("<mam> is clearly visible."), the question's words with one that adds
nothing ("<mam> wears clothes."), both words of a choice ("<mam> is sitting or standing."), and a description of
something else ("What is <mam> writing with?" – "<mam> wears a red sweater."). Only the picture tells whether an answer
is right, so each rule needs signs of two kinds: a form that answers no such question, and nothing in common with this
one.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from persqa_client.answers.phrases import TAG_MARK, choose_language, compile_for_lower, join_phrases, lower_pattern
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Problem, Task

# Answers to a question with a choice or a number may have its words alone.
CHOICE_OR_NUMBER = compile_lazily(
    r"(?<!\w)(?:or|ou|oder|или|how (?:many|much|often|long|old|tall)|cuánt\w+|combien|wie ?viele?|сколько|quant[oa]s?)"
    r"(?!\w)|أم|أو|كم|还是|還是|[几幾]|多|哪[只隻边邊]|それとも|いくつ|何[人個匹本枚]|どちら|아니면|몇|얼마",
    re.IGNORECASE,
)
SPANISH_OR = compile_lazily(r"(?<=\w )(?<!más )[ou](?= \w)", re.IGNORECASE)
# Between the two words of a choice, in a question and in an answer that leaves it open.
OR = compile_lazily(
    r"(?<!\w)(?<!more )(?<!mehr )(?<!plus )(?<!mais )(?<!более )(?:or|ou|oder|или)(?!\w)"
    r"|(?<=[\u4e00-\u9fff])(?:还是|還是|或)"
)
CHOICE_WORDS = frozenset(("or", "ou", "o", "u", "oder", "или", "eith", "或", "者", "还", "還", "是", "要", "么"))
# Which of two: the answer is a word of the question, or one that points.
WHICH = compile_lazily(r"(?<!\w)which (?:of|one|hand|arm|leg|foot|side|way)(?!\w)", re.IGNORECASE)
WHO = compile_lazily(r"(?<!\w)(?:who|whom|quién|quiénes|qui|wer|quem|кто|من)(?!\w)|谁|誰|누구|누가", re.IGNORECASE)
# A number, an emoji, an arrow and the like may be the whole answer; marks of a sentence are not.
FIGURE = compile_lazily(r"""\d|_|[^\w\s,，、.。!！?？;；:：…–—\-'‘’"“”„«»「」『』()（）·¿¡،؟]""")
WORD = compile_lazily(r"[^\W\d_]+")
ENDING = " .。!！"
MARKS = r"[\s,，、.。!！;；:：…–—-]"
NO_CONTENT = frozenset("的是在了着著过過有什么什麼哪里裡儿几多少颜顏色样樣一个個种種正手上中穿戴和与身谁些吗呢这那")
HIRAGANA = compile_lazily(r"[\u3041-\u309f何色]")
UNSPACED_LANGUAGES = ("zh", "ja")
# What covers the eyes may be all that is seen of where they look.
LOOKING = compile_lazily(r"\b(?:look|watch|star)ing\b|[看望盯]")
EYEWEAR = compile_lazily(r"glasses|goggles|headset|blindfold|[镜鏡]|眼罩")
# Words that begin alike are forms of one word; Korean and Arabic ones are shorter.
STEM_LENGTHS, USUAL_STEM = {"ko": 2, "ar": 3}, 4
WITHOUT = "less"  # A shirtless person has no shirt.
ARABIC_ARTICLE = compile_lazily(r"\A[وب]?ال")
# Such an answer is hardly longer than its question.
LONGEST_ADDITION = 20
# In longer texts, the clauses may be found in very many ways.
LONGEST_STOCK = 120


class Asked(NamedTuple):
    # Without the tag, in lower case.
    text: str
    language: str
    color: bool
    # Whether yes or no is an answer.
    closed: bool


def check_answers_question(text: str, task: Task) -> Problem | None:
    asked = read_question(task.question, task.tag)
    if asked is None:
        return None
    said = text[len(task.tag) :]
    if task.tag in said:
        said = said.replace(task.tag, " ")
    if is_empty(said.lower(), asked):
        return Problem("echo", "nothing of what the question asks for", "no_answer")
    return None


def is_empty(said: str, asked: Asked) -> bool:
    if repeats_choice(said, asked):
        return True
    if asked.closed:
        return len(said) <= LONGEST_STOCK and only_clauses(asked.language, ("shown",)).fullmatch(said) is not None
    return is_stock(said, asked) or is_elsewhere(said, asked) or adds_empty_words(said, asked)


@lru_cache(maxsize=1024)
def read_question(question: str, tag: str) -> Asked | None:
    """None for questions about the whole person or picture, for those for yes or no whether something is in the
    picture, and in unknown languages.
    """
    language = choose_language(question)
    if language is None:
        return None
    text = question.replace(tag, TAG_MARK).lower()
    if has(text, language, "color"):
        return Asked(text, language, color=True, closed=False)
    closed = lower_pattern(language, "question", "words").search(text) is None
    if has(text, language, "general") or (closed and has(text, language, "presence")):
        return None
    return Asked(text, language, color=False, closed=closed)


def has(text: str, language: str, place: str) -> bool:
    return lower_pattern(language, "relevance", place).search(text) is not None


def is_stock(said: str, asked: Asked) -> bool:
    """Whether each clause could be said of every picture, or is about looks, and the question about something else."""
    language = asked.language
    if len(said) > LONGEST_STOCK:
        return False
    if has(asked.text, language, "inscribed") and misses_text(said, asked):
        return True
    if only_clauses(language, ("shown", "hollow", "clothes_only", "looks")).fullmatch(said) is None:
        return False
    if only_clauses(language, ("shown", "hollow")).fullmatch(said) is not None:
        return True
    if not asked.color:
        return misses_deed(said, asked)
    # Clothes may have a colour by their kind: "<mam> wears a Santa costume."
    is_about_looks = only_clauses(language, ("shown", "hollow", "looks")).fullmatch(said) is not None
    return is_about_looks and not has(said, language, "colors") and is_apart(said, asked)


@lru_cache
def only_clauses(language: str, places: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern for a text of nothing but the clauses of ``places``."""
    clauses = "|".join(join_phrases(language, "relevance", place) for place in places)
    joint, end = join_phrases(language, "relevance", "joint"), "" if language in UNSPACED_LANGUAGES else r"(?!\w)"
    return compile_for_lower(rf"(?:(?:{MARKS}|{joint}){{0,9}}(?:{clauses}){end}){{1,6}}{MARKS}*")


def misses_deed(said: str, asked: Asked) -> bool:
    """Whether clothes and looks are no answer to a question for a deed, a place or a number, or for what is beside the
    tag. Clothes alone may show what is done, or with what: "What is <mam> celebrating?" – "<mam> wears a graduation
    gown."
    """
    if has(asked.text, asked.language, "others"):
        place = lower_pattern(asked.language, "relevance", "others")
        return is_apart(said, asked._replace(text=place.sub(" ", asked.text)))
    if not has(asked.text, asked.language, "deed"):
        return False
    if LOOKING.search(asked.text) and EYEWEAR.search(said):
        return False
    is_tool = has(asked.text, asked.language, "tools") and not has(said, asked.language, "looks")
    return not is_tool and is_apart(said, asked)


def misses_text(said: str, asked: Asked) -> bool:
    """Whether a posture stands where a text is asked for."""
    places = ("shown", "hollow", "looks", "posture")
    return only_clauses(asked.language, places).fullmatch(said) is not None and is_apart(said, asked)


def is_elsewhere(said: str, asked: Asked) -> bool:
    """Whether a posture or a place stands where a colour is asked for."""
    if not asked.color or lower_pattern(asked.language, "relevance", "elsewhere").match(said.lstrip()) is None:
        return False
    return not has(said, asked.language, "colors") and is_apart(said, asked)


def is_apart(said: str, asked: Asked) -> bool:
    """Whether the answer has no word of the question, and no reason why it can't be answered."""
    content = split_content(asked.text.replace(TAG_MARK, " "), asked.language)
    return not has(said, asked.language, "unseen") and not any(part in said for part in content)


def adds_empty_words(said: str, asked: Asked) -> bool:
    """Whether nothing is left but words of the question, each as often as there, without those that say nothing."""
    language = asked.language
    if len(said) > len(asked.text) + LONGEST_ADDITION or ends_with_content(said, asked):
        return False
    rest = lower_pattern(language, "relevance", "empty").sub(" ", said)
    stems, known = split_stems(rest, language), split_stems(asked.text, language)
    if not stems <= known:
        if not has(asked.text, language, "wears"):
            return False
        rest = lower_pattern(language, "relevance", "clothes").sub(" ", rest)
        if not split_stems(rest, language) <= known:
            return False
    return rest != said and FIGURE.search(said) is None and not may_have_answer(asked)


def repeats_choice(said: str, asked: Asked) -> bool:
    """Whether the answer leaves the choice open, in the words of the question."""
    if not all(OR.search(text) or (asked.language == "es" and SPANISH_OR.search(text)) for text in (asked.text, said)):
        return False
    rest = lower_pattern(asked.language, "relevance", "empty").sub(" ", said)
    return split_stems(rest, asked.language).keys() - CHOICE_WORDS <= split_stems(asked.text, asked.language).keys()


def ends_with_content(said: str, asked: Asked) -> bool:
    """Whether the last word is neither from the question nor an empty one; cheap, for most answers."""
    ending = said.rstrip(ENDING)
    last = ending[-1:] if asked.language in UNSPACED_LANGUAGES else ending[ending.rfind(" ") + 1 :]
    if asked.language == "ar" or not last.isalpha() or last[:3] in asked.text:
        return False
    places = ("empty", "clothes")
    return not any(last[:3] in lower_pattern(asked.language, "relevance", place).pattern for place in places)


def may_have_answer(asked: Asked) -> bool:
    """Whether the words of the question may be an answer."""
    patterns = (CHOICE_OR_NUMBER, WHICH, WHO, *((SPANISH_OR,) if asked.language == "es" else ()))
    return any(pattern.search(asked.text) for pattern in patterns)


def split_content(text: str, language: str) -> set[str]:
    """Characters or stems that an answer only has if it is about the same; also within a longer word."""
    if language == "zh":
        return {letter for letter in text if letter.isalpha()} - NO_CONTENT
    if language == "ja":
        return {letter for letter in HIRAGANA.sub("", text) if letter.isalpha()}
    return {stem for stem in split_stems(text, language) if len(stem) >= STEM_LENGTHS.get(language, USUAL_STEM)}


def split_stems(text: str, language: str) -> Counter[str]:
    if language in UNSPACED_LANGUAGES:
        return Counter(letter for letter in text if letter.isalpha())
    length = STEM_LENGTHS.get(language, USUAL_STEM)
    words = (ARABIC_ARTICLE.sub("", word) for word in WORD.findall(text.lower()))
    return Counter(word if word.endswith(WITHOUT) else word[:length] for word in words)
