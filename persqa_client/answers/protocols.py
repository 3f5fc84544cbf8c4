"""Finds what streams, tokenizers and encodings leave in answers: events of a stream, tokens that no text has, and marks
in place of letters that were lost.
"""

from __future__ import annotations

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
# Not ``<mask>``, which may be a thing. ``</s>`` and the like are removed from answers or found as markup.
TOKEN = compile_lazily(r"<(?:unk|UNK|pad|PAD)>|\[(?:UNK|PAD|CLS|SEP)\]")
TOPIC = compile_lazily(
    r"\b[Tt]okens?\b|\b[Tt]okeni[sz]|\b(?:symbols?|reads|says|shows|written|printed)\b|词元|分词|词表|符号|记号|写|显示|印着"
    r"|トークン|と書|토큰|токен"
)
# Letters that an encoding lacks became question marks or boxes. At the end of a word or a sentence, several question
# marks are a question, and before a place they may be printed there.
LOST_LETTERS = compile_lazily(
    r"(?<![A-Za-z?!？！])\?{4,}(?=\s?[^\W\d_])(?! (?:on|across|in|printed|written|painted|signs?|marks?)\b)"
    r"|\?{2,} \?{2,}|[\u25af\ufffc]{2,}|&nbsp;"
)
EVENT_HINTS = ("data:", "event:", ": ping", "alive", "PROCESSING", "[DONE]", "cmpl-")
PATTERNS = (
    (EVENT_HINTS, EVENT),
    (("unk>", "UNK>", "pad>", "PAD>", "[UNK", "[PAD", "[CLS", "[SEP"), TOKEN),
    (("??", "\u25af", "\ufffc", "&nbsp;"), LOST_LETTERS),
)


def find_protocol_residue(text: str, language: str) -> str:
    """The first trace, or empty. ``text`` has no tag. What is quoted or written on something is the picture's."""
    for hints, pattern in PATTERNS:
        if any(hint in text for hint in hints) and pattern.search(text):
            found = pattern.search(remove_quotations(text))
            if found and not is_text_of_picture(found[0], text, language):
                return found[0].strip()
    return ""


def is_text_of_picture(found: str, text: str, language: str) -> bool:
    if TOKEN.fullmatch(found):
        return TOPIC.search(text) is not None
    return is_about_code(text.replace(found, " ")) or is_on_display(found, text, language, min_words=0)
