"""Finds what programs add to answers: Markdown, formulas, hashtags, emoji, tokens, members, options and last lines. No
sentence about a picture has them, unless the picture shows them.
"""

from __future__ import annotations

import re

from persqa_client.answers.answer_language import drop_written_text
from persqa_client.answers.phrases import phrase_pattern
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_marked, remove_quotations

# The next patterns begin with a class of characters where they can: ``re`` skips to the first of them.
# Tokens of a vocabulary that were not decoded: SentencePiece's blank, its bytes, and the blank of byte-level BPE.
TOKENS = compile_lazily(r"\u2581(?=\w)(?![^<\n]*｜>)|<0x[\dA-F]{2}>|\u0120(?<=\w.)(?=\w)")
# Members of a program's output, and options to choose from: "label=car; confidence: 0.87", "(a) sleeps; (b) runs; (c)".
MEMBERS = compile_lazily(
    r"(?<![\w=])[^\W\d]\w*=[\w.]+[;,]? [^\W\d]\w*=\w|\b(?:confidence|score|prob) ?[:=] ?[01]\.\d"
    r"|\btime ?= {0,8}\d[\d.]* ?ms\b|(?<=\d )tok(?:ens?|s)?(?: per second|/s)\b"
)
# No "and" stands before the third one, as in a list of things or of names with initials.
OPTION = (
    r"(?<!\w)[(（]?{0}\s?[)）.．:：、](?!\w\.)[^\n]{{1,80}}?\n?(?<!\w)[(（]?{1}\s?[)）.．:：、][^\n]{{1,80}}?\n?"
    r"(?<!\w)(?<!and )(?<!und )(?<! et )(?<! [yeи&] )[(（]?{2}\s?[)）.．:：、]"
)
ALPHABETS = ("abc", "абв", "абц", "أبج", "ابج", "أبت", "가나다", "アイウ")
OPTIONS = compile_lazily("|".join(OPTION.format(*letters) for letters in ALPHABETS), re.IGNORECASE)
OPTION_MARK = compile_lazily(r"[BbБбب나イ](?<!\w.)\s?[)）.．:：、]")
# Things in the picture that have such options on them.
EXAMS = compile_lazily(
    r"\b(?:quiz\w*|exams?|tests?|worksheets?|boards?|screens?|polls?|forms?|ballots?|menus?|slides?|flip ?charts?"
    r"|posters?|signs?|labell?ed|examen|pizarra|pantalla|tableau|écran|tafel|bildschirm|prüfung|quadro|tela|prova"
    r"|доск\w+|экран\w*|тест\w*)\b"
    r"|试卷|考卷|試卷|题目|題目|黑板|白板|屏幕|螢幕|投票|作业|作業|练习册|画面|テスト|시험지|칠판|화면|اختبار|سبورة|شاشة",
    re.IGNORECASE,
)
# Pictures and links in Markdown, formulas, and the tags of a post.
MARKDOWN = compile_lazily(
    r"!?\[[^\]\n]*\]\((?:https?:|data:|\w+\.(?:png|jpe?g|gif))|\\(?:text|textbf|boxed|mathrm|begin|frac)\b ?\{|https?://\S+"
)
# A heading, or a line across the page with more text below it.
HEADING = compile_lazily(r"\n\s*#{1,6} \S|\n\s*(?:-{3,}|\*{3,}|_{3,})\s*\n\s*\S")
HASHTAGS = compile_lazily(r"(?:#[^\W\d]\w*[ \t，,]*){2,}$")
EMOJI = r"[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?\s?"
EMOJI_FLOOD = compile_lazily(rf"{EMOJI}(?:{EMOJI}){{5,}}")
# Remarks that programs add behind an answer, in any language.
COUNT = (
    r"(?:(?:word|character|token) count|(?:number|count) of (?:words|characters)|字数|字數|词数|文字数|単語数"
    r"|글자 ?수|단어 ?수"
    r"|(?:número|recuento|contagem) de pala[bv]ras|nombre de mots|(?:an)?zahl der wörter|wort(?:an)?zahl"
    r"|(?:количество|число) слов|عدد الكلمات) ?[:：=] ?\d"
)
COUNTED = compile_lazily(COUNT, re.IGNORECASE)
# A grade that the answer gives to itself, in any language: a number of points, or a verdict.
GRADE = compile_lazily(
    r"[.!?。！？؟\n>]\s*(?:(?:总|自我?|最终)?(?:评分|得分|打分|评级|评价|评估|分数)|(?:self-?)?(?:score|rating|grade|evaluation)"
    r"|puntuación|calificación|note|évaluation|(?:selbst)?bewertung|nota|avaliação|pontuação|оценка|評価|採点|点数|점수|평가"
    r"|التقييم|الدرجة) ?[:：] ?(?:\d{1,3}(?:[.,]\d)? ?(?:/ ?\d|分|点|점|%)|满分|优秀|良好|正确|准确|合格"
    r"|[AB][+-]?(?!\w)|excellent\b|accurate\b|correct\b)",
    re.IGNORECASE,
)
# Who is graded, and what shows it.
GRADED = compile_lazily(
    r"\b(?:tests?|exams?|quiz|homework|report card|judges?|jury|contest|competition|cards?|page|site|screen|laptop"
    r"|phone|score ?board|examen|prueba|juez|cartel|copie|contrôle|juge|concours|prüfung|klassenarbeit"
    r"|diktat|wertung\w*|zeugnis|prova|boletim"
    r"|concurso|jurad[oa])\b|дневник|контрольн|экзамен|судь|试卷|考试|裁判|比赛|成绩|牌子|テスト|答案|審査|시험|점수판|심판"
    r"|اختبار|امتحان",
    re.IGNORECASE,
)
UNKNOWN = compile_lazily(r"(?<![A-Za-z])[A-Za-z] ?= ?-?\d+(?:\.\d+)?,? [A-Za-z] ?= ?-?\d")
MATHS = compile_lazily(
    r"\b(?:(?:black|white)?boards?|equations?|maths?|paper|chalk|formula|notebook|worksheet|graph|grid)\b|黑板|白板|纸|数学|方程|题",
    re.IGNORECASE,
)
# What stands alone behind the last sentence: a role, a mark of the end or of a fence, a score, a choice, a signature.
LAST_LINE = compile_lazily(
    r"[.!?。！？](?:assistant|user|human|model|system)\W*\Z|[.!?。！？]\s(?:assistant|user)\s*\Z"
    r"|[.!?。！？]\s+(?:(?:END|EOS|EOF|STOP|DONE)\W*|[A-Za-z][\w-]{1,20} ?[:=] ?[01]\.\d+\W*)\Z"
    r"|[.!?。！？]\s*(?:#{2,}|={3,}|`{3})\s*\Z"
    r"|[.!?。！？]\s+[A-Z]?[\w ]{0,12}\b(?:answer|option|choice) ?: ?\(?[A-E]\)?\W*\Z"
    r"|[.!?。！？]\s+[*_(\[]*(?:Generated|Captioned|Annotated) (?:by|with|using) [^\n]{1,40}\Z"
)
END_MARKS = (".", "。")
# "A sign that reads: Don't stop! STOP".
SIGN_END = compile_lazily(r".\s+(?:END|STOP|DONE)\W*")
CRY_END = compile_lazily(r"[!?！？]+(?=\s|$)")
INSCRIBED_END = compile_lazily(r"[.。](?=\s|$)|[.!?。！？]\s*<")
FENCE = "```"
MESSAGE_MARK = "■"  # In place of a message, which may have a word for writing in it.
# Between the tag and a message that the picture shows stands at least a predicate and a noun with its place.
MIN_WORDS_BEFORE_MESSAGE, MIN_WORDS_BEFORE_SIGN = 5, 1
# "A T-shirt with Error 404 printed on it."
SHOWN_BEHIND = compile_lazily(
    r"[^.!?,;\n]{0,40}?\b(?:printed|written|embroidered|painted|stitched|on it\b"
    r"|on the (?:back|front|left|right|chest|sleeve)\b)"
)

# Things with headings and cells, between the predicate and such a value: "a whiteboard with three headings: TODO, …".
HEADED = compile_lazily(
    r"\b(?:white-?|black|chalk|bulletin |kanban )boards?\b|\b(?:columns?|headings?|headers?|labels|entr(?:y|ies)|cells"
    r"|checklists?|schedules?|calendars?|spreadsheets?|sticky notes?|post-its?|forms? (?:whose|with|that))\b"
    r"|\b(?:Tafel|Spalten?|Überschriften|pizarra|columnas?|tableau blanc|colonnes?|quadro branco|colunas?)\b"
    r"|доск[аеиу]|колонк|столб|заголов|白板|黑板|看板|表格|[两兩二三四五几幾][栏欄列格]|标题|標題|便签|便利贴|日程表"
    r"|ホワイトボード|黒板|付箋|칠판|화이트보드|السبورة|أعمدة",
    re.IGNORECASE,
)
SHORTEST_PREDICATE = 3


def is_on_display(message: str, text: str, language: str, min_words: int = MIN_WORDS_BEFORE_MESSAGE) -> bool:
    """Whether a sentence has said where the message stands: "a laptop whose screen reads Error 500". A cry ends no
    inscription: "reads Oops! Error 404". Words of printing may stand behind it.
    """
    before, _, behind = text.partition(message)
    if SHOWN_BEHIND.match(behind):
        return True
    is_written = MESSAGE_MARK not in drop_written_text(CRY_END.sub(",", before) + MESSAGE_MARK, language)
    return is_written and before.count(" ") >= min_words


def is_in_table(value: str, text: str) -> bool:
    """Whether an empty value stands on a thing with headings or cells, and a predicate before that: in
    "<mam>表格：N/A", the thing is a label. The text lacks the tag.
    """
    before = text.partition(value)[0]
    return HEADED.search(before, len(before) - len(before.lstrip()) + SHORTEST_PREDICATE) is not None


def find_last_line(text: str, language: str) -> str:
    """A quick search for most answers, which end with a full stop."""
    found = None if text.endswith(END_MARKS) and ":" not in text else LAST_LINE.search(text)
    if found is None or (FENCE in found[0] and text.count(FENCE) % 2 == 0):
        return ""
    if phrase_pattern(language or "en", "about_the_task", "shown").search(text, 0, found.start()):
        return ""
    if SIGN_END.fullmatch(found[0]) and is_on_sign(text, found.start() + 1, language):
        return ""
    return found[0][1:].strip()


def is_on_sign(text: str, start: int, language: str) -> bool:
    """Whether text of the picture continues up to ``start``: behind a colon to the end of the line, else up to a full
    stop or the tag.
    """
    line = text[:start].rpartition("\n")[2]
    before, colon, _ = line.rpartition(": ") if ": " in line else line.rpartition("：")
    if colon:
        line = before + colon
    elif INSCRIBED_END.search(line):
        return False
    return is_on_display(MESSAGE_MARK, f"{CRY_END.sub(',', line)} {MESSAGE_MARK}", language, MIN_WORDS_BEFORE_SIGN)


def find_remark(text: str, language: str) -> str:
    found = None
    if "=" in text or "0." in text or "1." in text or "tok" in text:
        found = MEMBERS.search(text) if not is_about_code(MEMBERS.sub(" ", text)) else None
        found = found and MEMBERS.search(remove_marked(text))
        if found and UNKNOWN.search(text) and MATHS.search(text):
            found = None
    if found is None and ("\\" in text or "](" in text or "://" in text):
        found = None if is_about_code(text) else MARKDOWN.search(remove_quotations(text))
    if found is None and "#" in text:
        found = HASHTAGS.search(text)
    if found is None and "\n" in text:
        found = None if is_about_code(text) else HEADING.search(remove_marked(text))
    if found and is_on_display(found[0], text, language):
        found = None
    if found is None and ("<0x" in text or not text.isascii()):
        found = TOKENS.search(text) or EMOJI_FLOOD.search(text)
    if found is None and (":" in text or "：" in text):
        found = find_count_or_grade(text)
    return found[0] if found else ""


def find_options(text: str, language: str) -> str:
    """The first options of a multiple-choice test, unless something in the picture has them."""
    may_have = "B" in text or ")" in text or "）" in text or "b." in text
    if not may_have or OPTION_MARK.search(text) is None or (options := OPTIONS.search(text)) is None:
        return ""
    found = OPTIONS.search(remove_quotations(text))
    if found is None or EXAMS.search(text, 0, options.start()) or is_on_display(found[0], text, language):
        return ""
    return found[0]


def find_count_or_grade(text: str) -> re.Match[str] | None:
    """What the picture shows is no remark: the words that an editor counts, the points of a test."""
    if (count := COUNTED.search(text)) and (count := COUNTED.search(remove_marked(text))):
        before = count.string[: count.start()]
        return None if is_about_code(before) or before.rstrip("：: ").endswith(("显示", "顯示")) else count
    if GRADE.search(text) and (grade := GRADE.search(remove_quotations(text))):
        return None if GRADED.search(grade.string, 0, grade.start()) else grade
    return None
