"""Patterns of technical traces: exceptions, values of interfaces, messages of clients, lines of code, filler text.

A sentence about a picture has them only if the picture shows a screen, code or a page.
"""

from __future__ import annotations

import re

from persqa_client.answers.answer_language import drop_written_text
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code

# Each alternative begins with a literal or a class of characters, and is bounded.
TRACE = compile_lazily(
    r"\.(?<=\w\.)[A-Z]\w{1,60}(?:Error|Exception|Timeout|Refused)\b|\b[A-Z]\w{1,40}(?:Error|Exception|Timeout)\("
    r"|\b[A-Z][a-z]{1,20}[A-Z]\w{0,40}\(\w{1,30}=|\bHTTPS?ConnectionPool\b"
    r"|[a-z]_(?:reason|code|status|message|type|id|tokens?) ?= ?[\w\"'\[{]"
    r"|\b(?i:stream|connection|socket|session|channel) (?:was )?closed"
    r" (?:before completion|unexpectedly|by (?:the )?(?:remote|peer|server)\b)"
    r"|\b[Rr]etry(?:ing)?:? \(?(?:attempt )?\d{1,3} ?(?:of|/) ?\d|\bno candidates returned\b|\b[Rr]ead timed out\b"
    r"|\bContent (?:was )?(?:blocked|filtered) ?:|\bMax retries exceeded\b"
    r"|\bdef \w{1,40}\([\w, =:*]{0,80}\)(?: -> \w+)?:|\bfunction \w{0,40}\([\w, ]{0,80}\) ?\{|\breturn f[\"']"
    r"|\bconsole\.log\(|\bprint\(f?[\"']|\b(?:const|let|var) \w{1,40} ?= {0,3}(?:[\w\"'\[{(;]|\Z)"
    r"|\b[Ll]orem ipsum dolor\b|\bdolor sit amet\b|\bconsectetur adipiscing\b"
)
# The text has one of these.
HINTS = (
    *("Error", "Exception", "Timeout", "Refused", "(", "=", "closed", "losed by", "etry", "candidates", "timed"),
    *("Content", "retries", "const ", "let ", "var ", "ipsum", "dolor", "consectetur"),
)
# Text that begins with a tag is an answer in a fence, not code.
FENCE = compile_lazily(r"```\w{0,12}\n(?!\s{0,4}<[^<>\n]{1,80}>)[^`]*(?:```|\Z)")
# Besides the words of sentences about code: what has text on it, and words of printing and writing.
SHOWN = compile_lazily(
    r"(?<!\w)(?:books?|notebooks?|textbook|pages?|slides?|whiteboard|blackboard|posters?|brochure|websites?|mock-?ups?"
    r"|placeholder|dummy|texts?|log|logs|console|error messages?|libros?|página|livres?|page|buch|bücher|seite|livro"
    r"|printed|written|writ(?:es|ing)|inscribed|on (?:it|the (?:front|back|chest))|the words?|chalk|equations?|homework"
    r"|flyers?|leaflets?|magazines?|newspapers?|business cards?|documents?|labels?|phone|tablet|arcade|video games?"
    r"|escrit[oa]s?|impres[oa]s?|estampad[oa]s?|folletos?|revistas?|periódicos?|imprimée?s?|magazines?|journ(?:al|aux)"
    r"|prospectus|bedruckt\w*|aufgedruckt|aufschrift|zeitung|zeitschrift|folhetos?|jorna(?:l|is)"
    r"|книг\w*|страниц\w*|доск\w*|напечатан\w*|надпис\w*|газет\w*|журнал\w*|листовк\w*)(?!\w)"
    r"|书|書|本|页|頁|板|印|写|寫|传单|傳單|报纸|報紙|杂志|雜誌|手机|手機|ページ|プリント|チラシ|新聞|雑誌|スマホ"
    r"|책|페이지|인쇄|쓰여|적혀|전단|신문|잡지|휴대폰|كتاب|صفحة|مكتوب|مطبوع|صحيفة|مجلة|منشور",
    re.IGNORECASE,
)


def find_fence(text: str, question: str, language: str) -> str:
    """A block of code, or empty. Behind a word of writing and a colon, a block has what is written."""
    if "```" not in text:
        return ""
    found = FENCE.search(text)
    if found is None or is_shown(FENCE, text, question):
        return ""
    before = text[: found.start()].rstrip()
    is_written = before.endswith((":", "：")) and drop_written_text(f"{before} ■", language).find("■") < 0
    return "" if is_written else found[0]


def is_shown(pattern: re.Pattern[str], text: str, question: str) -> bool:
    """Whether the question, or the rest of the text, is about a screen, code, or a page."""
    rest = f"{question} {pattern.sub(' ', text)}"
    return is_about_code(rest) or SHOWN.search(rest) is not None
