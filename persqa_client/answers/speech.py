"""Whether an answer is in the question's language, as far as its script tells. Pure."""

from __future__ import annotations

from persqa_client.language import script_of, scripts
from persqa_client.types import Ask, Problem

LANGUAGES = {"han": "Chinese", "latin": "the Latin script"}


def speaks_the_language(text: str, ask: Ask) -> Problem | None:
    """The majority decides. Brands and names keep their Latin letters in Chinese, so that only words in lower case
    count there; a dish or a garment may keep its Chinese name in English. What is quoted does not count."""
    wanted = script_of(ask.question)
    if wanted is None or (wanted == "latin" and text.isascii()):
        return None
    count = scripts(text)
    if wanted == "han":
        foreign, own = count.common + count.others, count.han
    else:
        foreign, own = count.han + count.others, count.words and 2 * count.words + 2
    if foreign <= own:
        return None
    language = "Chinese" if wanted == "han" else "the language of the question"
    return Problem("wrong_language", f"it is not in {language}")
