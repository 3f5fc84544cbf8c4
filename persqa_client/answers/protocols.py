"""Finds what streams, tokenizers and encodings leave in answers: events of a stream, tokens that no text has, and marks
in place of letters that were lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from persqa_client.answers.remarks import is_on_display
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_quotations

# Lines of server-sent events: their fields, their comments that keep a connection open, and the mark of the end.
EVENT = compile_lazily(
    r"(?<![A-Za-z])data: ?(?:\[DONE\]|\{ ?[\"'])"
    r"|(?<![A-Za-z])event: ?(?:message|error|ping|done|completion|content_block)\w*(?=\s*(?:\n|\Z|data:|id:))"
    r"|(?:^|[.。!?！？>\n]\s?): ?(?:keep-?alive|ping|OPENROUTER PROCESSING)\b|(?:[.。!?！？>\n]\s?)\[DONE\]\W*\Z"
    r"|(?<![A-Za-z])(?:chat)?cmpl-[\da-zA-Z]{4,}",
)
# All that a classifier of safety writes: its class, and the numbers or the names of what is violated.
CLASS = compile_lazily(
    r"\A\W*(?:(?:user |response )?safety ?: ?)?(?:un)?safe\W*\Z"
    r"|\A\W*(?:(?:user |response )?safety ?: ?)?(?:unsafe|controversial)\s*\n\s*"
    r"(?:(?:S|O)\d{1,2}\b[\s,;]*|categor(?:y|ies) ?: ?[^\n]{1,60})+\Z"
    r"|\A\W*S\d{1,2}(?:[\s,;]+S\d{1,2})*\W*\Z",
    re.IGNORECASE,
)
# Not ``<mask>``, which may be a thing. ``</s>`` and the like are removed from answers or found as markup.
TOKEN = compile_lazily(r"<(?:unk|UNK|pad|PAD)>|\[(?:UNK|PAD|CLS|SEP)\](?! (?:keys?|buttons?)\b)")
TOPIC = compile_lazily(
    r"\b[Tt]okens?\b|\b[Tt]okeni[sz]|\b(?:symbols?|reads|says|shows|written|printed)\b|词元|分词|词表|符号|记号|写|显示|印着"
    r"|トークン|と書|토큰|токен"
)
# Letters that an encoding lacks became question marks or boxes. At the end of a word or a sentence, several question
# marks are a question, and before a place they may be printed there.
QUESTION_MARKS_SHOWN = compile_lazily(
    r"\b(?:bubbles?|balloons?|question marks?|cartoon|comic|bal[ãa]o|balões|globo|bocadillo|bulle|sprechblase)\b"
    r"|吹き出し|말풍선|对话框|對話框|气泡|头顶|問號|问号|пузыр|голов",
    re.IGNORECASE,
)
LOST_LETTERS = compile_lazily(
    r"(?<![A-Za-z?!？！])\?{4,}(?=\s?[^\W\d_])(?! (?:on|across|in|printed|written|painted|signs?|marks?)\b)"
    r"|\?{2,} \?{2,}|[\u25af\ufffc]{2,}|&nbsp;"
)


def find_protocol_residue(text: str, tag: str, language: str) -> str:
    """The first trace, or empty. What is quoted or written on something is the picture's."""
    own = text.replace(tag, " ")
    if "\n" in text and (label := CLASS.match(own)):
        return label[0].strip()
    for pattern in choose_patterns(text):
        if pattern.search(own):
            found = pattern.search(remove_quotations(own))
            if found and not is_text_of_picture(found[0], own, language):
                return found[0].strip()
    return ""


def choose_patterns(text: str) -> Iterator[re.Pattern[str]]:
    """The patterns of which the text has a mark. This is fast for ordinary answers."""
    if "data:" in text or "event:" in text or ": " in text or "cmpl-" in text or "[DONE]" in text:
        yield EVENT
    if text.count("<") > 1 or "[" in text:
        yield TOKEN
    if "??" in text or "&nbsp;" in text or "\u25af" in text or "\ufffc" in text:
        yield LOST_LETTERS


def is_text_of_picture(found: str, text: str, language: str) -> bool:
    if TOKEN.fullmatch(found):
        return TOPIC.search(text) is not None
    if found[:1] == "?" and QUESTION_MARKS_SHOWN.search(text):
        return True
    return is_about_code(text.replace(found, " ")) or is_on_display(found, text, language, min_words=0)
