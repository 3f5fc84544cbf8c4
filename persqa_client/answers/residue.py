"""Finds what servers and programs leave in answers: error messages and other traces, empty values, boxes, and
broken or wrongly decoded characters.
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.answer_language import drop_written_text
from persqa_client.answers.gateway_errors import BEHIND_TAG, ERROR_LAST, GATEWAY_ERROR
from persqa_client.answers.gateway_errors import HINTS as GATEWAY_HINTS
from persqa_client.answers.gibberish import find_disorder
from persqa_client.answers.phrases import choose_language, longest_word, lower_pattern, phrase_pattern
from persqa_client.answers.plain import is_plain
from persqa_client.answers.protocols import find_protocol_residue
from persqa_client.answers.remarks import MATHS, find_last_line, find_options, find_remark, is_in_table, is_on_display
from persqa_client.answers.tails import find_tail
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_marked, remove_quotations
from persqa_client.types import Problem, Task
from persqa_client.word_search import WordSearch, split_at_blanks

# Never part of an answer, not even quoted: control characters, U+FFFD and other non-characters, GBK filler, and a role
# of a chat glued between two sentences.
BROKEN = compile_lazily(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd\ufffe\uffff\ud800-\udfff\ue000-\uf8ff]|锟斤|斤拷|烫烫烫"
    r"|屯屯屯|addCriterion"
    r"|[.!?。！？](?:assistant|user)(?=\s?[A-Z\u4e00-\u9fff<])"
)
# Each alternative begins with a literal where it can: ``re`` skips to it.
MESSAGE = compile_lazily(
    r"\b[A-Z]\w*(?:Error|Exception)\b ?:|\bTraceback \(most|\bCUDA out of memory\b"
    r"|\b(?:Error|ERROR) ?:? ?[45]\d\d\b(?! page)"
    r"|\b[45]\d\d (?:Internal Server|Too Many Requests|Bad Gateway|Bad Request|Gateway Time"
    r"|Service (?:Temporarily )?Unav|Forbidden|Unauthorized|Not Found)"
    r"|\b[Ii]nternal [Ss]erver [Ee]rror\b|\b[Rr]ate limit exceeded\b"
    r"|\b[Cc]onnection (?:refused|reset by peer|timed out)\b|\b[Rr]equest (?:failed|timed out)\b|\[object Object\]"
    r"|(?i:(?<!to )please (?:try again|retry) (?:later|after)\b|\bmodel (?:is )?(?:overloaded|not loaded|not found)\b)"
    r"|(?i:\bfailed to (?:load|fetch|connect to) the (?:model|server)\b)"
)
# A value of a program instead of a word. "an undefined shape" is a description.
VALUE = compile_lazily(
    r"(?<![A-Za-z\d_./])(?:NaN|N/A|TBD|TODO(?! list)"
    r"|(?<!an )(?<!the )undefined(?! (?:shape|area|colou?r|space|object|edge|figure|number))"
    r"|null(?! and void| island)|None(?! of| other| but| the| are| is))(?![A-Za-z\d_(])"
)
# A value in a line of code that the picture shows: "return null;".
CODE_VALUE = compile_lazily(r"(?:\breturn |= ?)(?:null|undefined|None|NaN)\b|\b(?:null|undefined|NaN)(?=;)")
ESCAPE = compile_lazily(r"\\(?:[nrt](?![a-z])|u[\da-f]{4}|x[\da-f]{2})")
# Also where its names are quoted, unless the answer is about code.
BOX = compile_lazily(
    r"[\"'](?:bbox(?:_2d)?|box_2d|point_2d|label)[\"'] ?:|</?(?:box|ref|quad|point|bbox)>|\{ ?[\"']\w+[\"'] ?:"
    r"|\[\[ ?\d+(?:\.\d+)?, ?\d|\[ ?\{|\{ ?\w+ ?: ?[\[{\"'\d]"
    r"|[\[(]{1,2}\d{1,4}(?:\.\d+)?(?:, ?\d{1,4}(?:\.\d+)?){3}[\])]{1,2}|\(\d{1,4}, ?\d{1,4}\) ?, ?\(\d{1,4}, ?\d{1,4}\)"
    # A member of an object that lost its braces.
    r"|\" ?, ?\"\w+\" ?: ?[\"\d\[{]|>\s*\"\w+\" ?: ?[\"\d\[{]"
)
POINTS = compile_lazily(r"\(\d, ?\d\) ?, ?\(\d, ?\d\)")
# Exceptions, values of interfaces, messages of clients, lines of code, filler text. A sentence about a picture has them
# only if the picture shows a screen, code or a page. Each alternative begins with a literal or a class of characters,
# and is bounded.
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
# A text with a trace has one of these.
TRACE_HINTS = (
    *("Error", "Exception", "Timeout", "Refused", "(", "=", "closed", "losed by", "etry", "candidates", "timed"),
    *("Content", "retries", "const ", "let ", "var ", "ipsum", "dolor", "consectetur"),
)
# A pattern is only searched if the text has one of its hints, which is cheaper. Most texts have no word with a hint.
HINTED = (
    (
        (
            "rror",
            "xception",
            "Traceback",
            "CUDA",
            "50",
            "40",
            "42",
            "imit ex",
            "onnection",
            "equest",
            "[obj",
            "lease ",
            "odel ",
            "ailed to",
        ),
        MESSAGE,
    ),
    (("NaN", "N/A", "TBD", "TODO", "undefined", "null", "None"), VALUE),
    (("\\",), ESCAPE),
    (TRACE_HINTS, TRACE),
)
ASCII_LETTER = compile_lazily(r"[A-Za-z\d]")
# In lower case.
GATEWAY_WORDS = compile_lazily("|".join(GATEWAY_HINTS))
HINTED_WORDS = compile_lazily("|".join(longest_word(hint) for hints, _ in HINTED for hint in hints))
# In scripts with spaces. The longest words of a language, and the names of places, are shorter.
LONG_TOKEN = compile_lazily(r"[A-Za-z\d_\-+/=\u00c0-\u024f\u0400-\u04ff\u0620-\u06ff\uac00-\ud7a3]{100,}+")
MIN_CHARACTERS = 8
BOX_HINTS = ("[", "{", "(", "</", "<b", "<r", "<q", "<p", '":')
# Characters before a box that are searched for a word of writing.
SHORTEST_FRAME = 12
# The keys of a JSON object ("code") are no evidence that the answer is about code.
OBJECT = compile_lazily(r"[{\[][^\n]*[}\]]|[{\[][^\n]*\Z")
CODE = compile_lazily(r"`[^`]*`")
# UTF-8 read as Latin-1 or Windows-1252: a lead byte and its continuation bytes.
CONTINUATION = "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
MOJIBAKE = compile_lazily(
    rf"[ÂÃÐÑØÙÅÄà-ï]{CONTINUATION}(?:(?<=[ÂÃ].)|(?<=[ÐÑØÙÅÄ].)(?=[ÐÑØÙÅÄ])|(?<=[à-ï].){CONTINUATION})"
)
MIN_MOJIBAKE = 2
LEAD_AND_REST = compile_lazily(rf"[ÐÑØÙã-í]{CONTINUATION}(?:(?<=[ÐÑØÙ].)|{CONTINUATION})")
# One is enough next to a small letter, where no capital letter occurs, or if it decodes to a letter of another script.
MOJIBAKE_IN_WORD = compile_lazily(r"(?<=[a-z])Ã[\u0080-\u00bf]|Ã[\u0080-\u00bf](?=[a-z])|â€[\u2122\u0153\u009d\u02dc]")
# Legacy encodings as which UTF-8 text is misread. Correct text in such an encoding is rarely valid UTF-8.
LEGACY_ENCODINGS = {"ru": ("cp1251",), "ar": ("cp1256",), "ja": ("cp932", "gbk"), "zh": ("gbk",), "ko": ("gbk",)}
# The characters that the first UTF-8 bytes of the language's letters become. A search for them is fast, and excludes
# most answers.
LEADS = {"cp1251": compile_lazily("[РС]"), "cp1256": compile_lazily("[طظ]"), "cp932": compile_lazily("[縺繧繝]")}
# The first two of the three bytes of a letter of East Asia. Nearly all are rare characters.
EAST_ASIAN_LEADS = (bytes((lead, second)) for lead in range(0xE3, 0xEE) for second in range(0x80, 0xC0))
LEADS["gbk"] = compile_lazily("[" + "".join(pair.decode("gbk", "ignore") for pair in EAST_ASIAN_LEADS) + "]")
MIN_LEADS = 2
OWN_LETTERS = {
    "ru": compile_lazily("[\u0400-\u04ff]"), "ar": compile_lazily("[\u0600-\u06ff]"),
    "ja": compile_lazily("[\u3040-\u30ff\u4e00-\u9fff]"), "zh": compile_lazily("[\u4e00-\u9fff]"),
    "ko": compile_lazily("[\uac00-\ud7a3]"),
}  # fmt: skip
MIN_DECODED = 4
# Text that begins with a tag is an answer in a fence, not code.
FENCE = compile_lazily(r"```\w{0,12}\n(?!\s{0,4}<[^<>\n]{1,80}>)[^`]*(?:```|\Z)")
# Words for things with text on them, for printing and for writing, in addition to those of sentences about code.
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
LONGEST_SHOWN = 40
# Who stands before a machine that takes money or tickets may read there what an account lacks.
ACCOUNT = compile_lazily(
    r"balance|credit|account|saldo|cuenta|solde|compte|guthaben|konto|conta\b|средств|баланс|余额|額度|额度|账|残高"
    r"|잔액|رصيد",
    re.IGNORECASE,
)
MACHINE = compile_lazily(
    r"\b(?:ATM|cash (?:machine|dispenser|point)|card reader|turnstile|(?:ticket|vending|payment|slot) \w+|till|checkout"
    r"|cajero|torniquete|distributeur|guichet|caisse|(?:geld|bank|fahrkarten)automat\w*|kasse|caixa|catraca)\b"
    r"|банкомат|турникет|касс|терминал|取款机|售票机|闸机|收银|刷卡|提款機|券売機|改札|自動販売機|단말기|개찰구|الصراف",
    re.IGNORECASE,
)


def check_no_residue(text: str, task: Task) -> Problem | None:
    language = choose_language(task.question) or ""
    if found := find_residue(text, task, language):
        shown = show(found)
        return Problem("server_residue", f"residue of a server or a program ({shown})", found=shown)
    if found := find_disorder(text, task, language):
        shown = show(found)
        return Problem("server_residue", f"words that make no sentence ({shown})", "words", shown)
    return None


def show(found: str) -> str:
    shown = found if found.isprintable() else ascii(found)[1:-1]
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"


def find_residue(text: str, task: Task, language: str) -> str:
    if not is_plain(text, task.tag) and (
        found := find_marks(text, language)
        or find_fence(text, task.question, language)
        or find_protocol_residue(text, task.tag, language)
    ):
        return found
    if may_begin_message(text, len(task.tag)) and (message := BEHIND_TAG.match(text, len(task.tag))):
        return message[0].strip()
    if language == "zh" and is_wrongly_decoded(text, language):
        return text[len(task.tag) :][:20]
    if found := find_last_line(text, language) or find_tail(text, language) or find_options(text, language):
        return found
    last = ERROR_LAST.search(text) if ":" in text or "：" in text else None
    if last and ERROR_LAST.search(remove_quotations(text)) and not is_shown(ERROR_LAST, text, task.question):
        return last["part"]
    if may_have_message(text, task.tag, language) and find_text(text, language):
        if trace := TRACE.search(remove_marked(text)):
            if not (is_shown(TRACE, text, task.question) or is_on_display(trace[0], text, language)):
                return trace[0]
            text = TRACE.sub(" ", text)
        own = remove_quotations(text).replace(task.tag, " ")
        found = find_text(own, language)
        # This text still has the words of writing, which ``own`` lacks.
        marked = remove_marked(text).replace(task.tag, " ")
        if found and not (
            is_on_display(found, own, language)
            or is_on_display(found, marked, language)
            or (VALUE.fullmatch(found) and is_in_table(found, own))
            or (ACCOUNT.search(found) and MACHINE.search(own.partition(found)[0]))
        ):
            return found
    return ""


def may_begin_message(text: str, start: int) -> bool:
    """Cheap, for ordinary answers."""
    first = text[start : start + 2].lstrip()[:1]
    return (
        first.isupper()
        or first in "[(_"
        or "Error" in text
        or "Exception" in text
        or ": " in text
        or " engine " in text
        or " returned " in text
        or "imeout" in text
    )


def find_marks(text: str, language: str) -> str:
    """Characters and marks that a plain text does not have."""
    if broken := BROKEN.search(text):
        return broken[0]
    if (
        not text.isascii()
        and find_mojibake(text, language)
        and (wrong := find_mojibake(remove_quotations(text), language))
    ):
        return wrong
    has_hint = any(hint in text for hint in BOX_HINTS) and not is_about_code(OBJECT.sub(" ", text))
    if has_hint and (box := BOX.search(CODE.sub(" ", text))):
        before = text[: text.index(box[0])] if box[0] in text else ""
        # "One line reads {…}", with the word for writing right before it.
        is_point = POINTS.fullmatch(box[0]) and MATHS.search(text)
        if not is_point and not is_on_display(box[0], before[-SHORTEST_FRAME:] + box[0], language, min_words=0):
            return box[0]
    return find_remark(text, language)


def may_have_message(text: str, tag: str, language: str) -> bool:
    """Cheap, for ordinary Chinese answers: without ASCII letters and digits, only the words of the table count."""
    if language != "zh" or not is_plain(text, tag) or ASCII_LETTER.search(text, len(tag)):
        return True
    return lower_pattern("zh", "residue", "words").search(text, len(tag)) is not None


def find_text(text: str, language: str) -> str:
    """An error message, an empty value, or a token of code that is too long for a word."""
    if not search_message_words(language or "en").is_in(split_at_blanks(text)):
        return ""
    for token in LONG_TOKEN.findall(text):
        if len(set(token)) >= MIN_CHARACTERS:
            return str(token)
    patterns = [phrase_pattern(language or "en", "residue", "messages")]
    patterns += [pattern for hints, pattern in HINTED if any(hint in text for hint in hints)]
    if GATEWAY_WORDS.search(text.lower()):
        patterns.append(GATEWAY_ERROR)
    if VALUE in patterns and is_about_code(text):
        text = CODE_VALUE.sub(" ", text)
    for pattern in patterns:
        if found := pattern.search(text):
            return found[0]
    return ""


@lru_cache
def search_message_words(language: str) -> WordSearch:
    """Words with a hint, and those of the language's messages (``[residue] words``)."""
    words = lower_pattern(language, "residue", "words")

    def search(word: str) -> object:
        lower = word.lower()
        return (
            HINTED_WORDS.search(word) or GATEWAY_WORDS.search(lower) or words.search(lower) or LONG_TOKEN.search(word)
        )

    return WordSearch(search)


def find_mojibake(text: str, language: str) -> str:
    """UTF-8 text that was read in an old encoding ("cafÃ©", "РЎРёРґ"): the wrong characters, or empty."""
    wrong = MOJIBAKE.findall(text)
    if len(wrong) >= MIN_MOJIBAKE:
        return str(wrong[0])
    if own := OWN_LETTERS.get(language):
        parts = LEAD_AND_REST.findall(text)
        wrong = [part for part in parts if own.search(read_as_utf8(part))]
    elif "Ã" in text or "â€" in text:
        wrong = MOJIBAKE_IN_WORD.findall(text)
    else:
        wrong = []
    if wrong:
        return str(wrong[0])
    return text[text.find(">") + 1 :].strip()[:20] if is_wrongly_decoded(text, language) else ""


def read_as_utf8(text: str) -> str:
    """UTF-8 that was read as Windows-1252, which lacks a few bytes."""
    encoded = b"".join(letter.encode("latin-1" if letter < "\u0100" else "cp1252", "ignore") for letter in text)
    return encoded.decode("utf-8", "ignore")


def is_wrongly_decoded(text: str, language: str) -> bool:
    """Whether most of the text is UTF-8 that was read in an old encoding of the language."""
    for encoding in LEGACY_ENCODINGS.get(language, ()):
        if len(LEADS[encoding].findall(text)) < MIN_LEADS:
            continue
        encoded = text.encode(encoding, "ignore")
        letters = OWN_LETTERS[language].findall(encoded.decode("utf-8", "ignore"))
        others = len(encoded) - len(encoded.decode("ascii", "ignore"))
        if len(letters) >= MIN_DECODED and 2 * len("".join(letters).encode()) > others:
            return True
    return False


def find_fence(text: str, question: str, language: str) -> str:
    """A block of code, or empty. A block after a word of writing and a colon is text of the picture."""
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
