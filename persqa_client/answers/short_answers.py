"""Short answers before the tag that say yes or no in the words of the question ("有，<mam>…", "Tem, <mam>…"), and those
that the sentence behind them denies ("Yes, <mam> has no beard.").
"""

from __future__ import annotations

import re

from persqa_client.answers.phrases import choose_language, phrase_pattern
from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.lazy_pattern import compile_lazily

LONGEST = 24
MARKS = " \t\n*_,.!:;…—–-，。！：、；،؛।"
# Questions that ask for yes or no. A Chinese one may have its verb twice: 有没有, 是不是.
TWICE = compile_lazily(r"(\w{1,2})[不没沒]\1")
CHINESE_QUESTION = compile_lazily(r"[吗嗎么]\W*$|\w[不没沒]\w|是否|(?:没有|沒有)\W*$")
CHINESE_ANSWER = compile_lazily(r"(?P<no>没有|沒有|没|沒|不)?(?:正?在)?(?P<verb>[一-龯]{1,4}?)[了着著的呢啊呀]?")
JAPANESE_ENDING = compile_lazily(r"(?:ます|ません|です|ました)$")
KOREAN_ENDING = compile_lazily(r"(?:습니다|ㅂ니다|어요|아요|나요|습니까|을까요|니|어|아)$")
# Verbs that come back as an answer, with or without a word for yes.
VERB_LANGUAGES = ("pt", "es", "ru")
# "Sentado, <mam> lee": a participle belongs to the sentence.
PARTICIPLE = compile_lazily(r"(?:ndo|[aiío]d[oa]s?|t[oa]s?)$")
YES = compile_lazily(
    r"(?<!\w)(?:yes|yeah|yep|yup|correct|indeed|ja|jawohl|genau|stimmt|oui|en effet|exact|sí|claro|así es|sim|exato"
    r"|isso|да|верно|نعم|أجل|صحيح|네|예|응|맞아요|맞습니다|はい|ええ|うん|そうです)(?!\w)|^(?:是|对|對|有|嗯|没错)",
    re.IGNORECASE,
)
NO = compile_lazily(
    r"(?<!\w)(?:no|nope|not|nein|non|pas|não|нет|لا|كلا|아니요|아니오|아뇨|いいえ|いえ|違います)(?!\w)|[没沒不否]|ません",
    re.IGNORECASE,
)
NEGATION = compile_lazily(
    r"(?<!\w)(?:no|not|without|nothing|never|nicht|kein\w*|ne|pas|aucune?|não|nem|sem|nada|sin|не|нет|без|لا|ليس|ليست|لم|غير|بدون"
    r"|안|못)(?!\w)|n['’](?:t\b|\w)|[没沒不无無]|ません|ない|なし|않|없|아니",
    re.IGNORECASE,
)
# Each character of question words and particles counts in these languages.
UNSPACED_LANGUAGES = ("zh", "ja", "ko")
NO_CONTENT = "着著了正在的有个個一ませんではないあり지않습니다아없은는이가은요어"
# Verbs whose denial does not deny the sentence behind: 不是，<mam>是一只小狗.
WEAK_VERBS = "是在会會能有"
WORD = compile_lazily(r"[^\W\d_]+")
SENTENCE_END = compile_lazily(r"[.!?…。！？؟\n]")
STEM_LENGTH = 4


def is_short_answer(before: str, question: str) -> bool:
    """Whether the text before the tag is the question's verb, closed by a mark."""
    said, language = before.strip(MARKS), choose_language(question)
    if not said or said == before.rstrip(" *_") or len(before) > LONGEST or language is None:
        return False
    if language == "zh":
        found = CHINESE_ANSWER.fullmatch(said)
        return found is not None and CHINESE_QUESTION.search(question) is not None and found["verb"] in question
    if phrase_pattern(language, "question", "words").search(question):
        return False
    if language == "ja":
        stem = JAPANESE_ENDING.sub("", said)
        return stem != said and f"{stem}ま" in question.replace("せん", "す")
    if language == "ko":
        stem = KOREAN_ENDING.sub("", said)
        return stem != said and stem in question
    words = WORD.findall(YES.sub(" ", said).lower())
    if language not in VERB_LANGUAGES or len(words) != 1 or PARTICIPLE.search(words[0]):
        return False
    return words[0] in WORD.findall(question.lower())


def is_denied(before: str, behind: str, question: str) -> bool:
    """Whether a yes stands before the denial of what is asked, or a no before its statement. If the question has a
    negation, either may mean the same.
    """
    asked, language = TWICE.sub(r"\1", question), choose_language(question)
    if language is None or NEGATION.search(asked) or phrase_pattern(language, "question", "words").search(question):
        return False
    says_no = NO.search(before) is not None
    if not says_no and YES.search(before.strip(MARKS)) is None:
        return False
    end = SENTENCE_END.search(behind)
    sentence = behind[: end.start()] if end else behind
    if says_no != (NEGATION.search(sentence) is None):
        return False
    if language == "zh" and (verb := CHINESE_ANSWER.fullmatch(before.strip(MARKS))) and verb["verb"] not in WEAK_VERBS:
        return sentence.removeprefix("正在").startswith(verb["verb"])
    return repeats(NEGATION.sub(" ", sentence), asked, language)


def repeats(sentence: str, question: str, language: str) -> bool:
    """Whether the content of a sentence is that of the question."""
    if language in UNSPACED_LANGUAGES:
        said = {letter for letter in sentence if letter.isalpha()}.difference(NO_CONTENT)
        return bool(said) and said.issubset(question)
    words = set(WORD.findall(sentence.lower())) - FUNCTION_WORDS.get(language, frozenset())
    stems = {word[:STEM_LENGTH] for word in words}
    return bool(stems) and stems.issubset({word[:STEM_LENGTH] for word in WORD.findall(question.lower())})
