"""Finds refusals in English and Chinese.

Refusals are in the first person: "<mam> can't be seen from here" is about the picture.
"""

from __future__ import annotations

import re

from persqa_client.quotations import remove_quotations
from persqa_client.types import Problem, Task

CANNOT = (
    r"(?:i (?:can(?:['’]?t|not| not)|could(?:n['’]?t| not)|won['’]?t|will not)"
    r"|i(?:['’]m| am) (?:unable|not able|not allowed) to)"
)
# Beginnings of refusals. Later in an answer, the same words may be about a job, or about something too far away to see.
OPENING = re.compile(
    r"(?:unfortunately|regrettably|apologies|my apologies|however|but|no)?[,.!]?\s{0,3}(?:but\s)?(?:"
    r"i(?:['’]m| am) (?:so |very |really |truly )?(?:sorry|unable|not able|afraid|not comfortable|not allowed)\b"
    r"|sorry(?:\s*[,.!，—–-]|\s+(?:but|i|about|for)\b|$)|(?:i|we) apologi[sz]e\b|apologies\b"
    r"|i (?:can(?:['’]?t|not| not)|could(?:n['’]?t| not)|do(?:n['’]?t| not)|won['’]?t|will not|must decline to)"
    r" (?:really |clearly |actually )?"
    r"(?:help|assist|identify|answer|provide|describe|comply|see|tell|view|say|determine|recogni[sz]e|find|know|have"
    r"|make|engage|confirm|share|process|access|discuss|feel)\b"
    r"|i must decline\b|as an? (?:ai|artificial|(?:large )?language model)\b"
    r"|(?:identifying|recogni[sz]ing) (?:real )?(?:people|persons|individuals)\b"
    r"|(?:对不起|(?:[很非十]?[常分]?)抱歉|不好意思|很遗憾)\s*[，,。.！!：:]"
    r"|作为(?:一[个名])?(?:AI|人工智能|语言模型|大模型)"
    r"|(?:很遗憾|由于[^，,。]{1,20})?[，,]?我(?:无法|不能|没有?办法|没法|不便|不会|不可以|看不[到见清出]|不知道|不清楚|没有看到)"
    r"|(?:无法|不能)(?:识别|辨认|确认)(?=[，,。.！!]|$|(?:图|照片|画面|这|该|此)[^，。]{0,6}(?:人|身份|是谁)|人|身份|面部)"
    r"|(?:无法|不能)(?:回答|提供|协助))",
    re.IGNORECASE,
)
# Phrases of refusals only, at the beginning of any sentence or clause.
LATER = re.compile(
    r"(?:[.!?。！？;；\n…]\s{0,3}(?:but |however,? |unfortunately,? )?|[,，]\s{0,3}(?:but |however,? |though |and ))"
    rf"(?:i(?:['’]m| am) (?:so |very )?sorry\b"
    rf"|{CANNOT} (?:help|assist|identify|provide|comply|recogni[sz]e|confirm)\b"
    r"|sorry, (?:but )?i\b|i apologi[sz]e\b|as an ai\b)"
    r"|[。！？；\n，,]\s{0,3}(?:但是?|不过|可是)?"
    r"(?:[很非]?常?抱歉，|对不起，|我(?:无法|不能)(?:识别|辨认|提供|协助|确认|回答))",
    re.IGNORECASE,
)


def check_no_refusal(text: str, task: Task) -> Problem | None:
    opening = text.removeprefix(task.tag).lstrip(' \t\n,，.。:：-–—*"“')
    if OPENING.match(opening) or (LATER.search(text) and LATER.search(remove_quotations(text))):
        return Problem("refusal", "refusal")
    return None
