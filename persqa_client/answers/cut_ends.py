"""Finds answers without a closing mark that end with an attribute, or with the stem of a verb behind its object.

The words that never end a sentence are in the tables (``no_end``). An attribute can stand for its noun if the question
has that noun ("Which jacket does <mam> wear?"), so here the question must have none.
"""

from __future__ import annotations

from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Task

# An orange and a light are things, too.
SIZE, COLOR = (
    "big|large|huge|small|tiny|long|short|tall",
    "red|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y|beige",
)
SHADE = rf"(?:(?:{SIZE}|dark|bright|pale|deep)(?: (?:{COLOR}|wooden))?|light (?:{COLOR}|wooden))"
CUT_ENDS = {
    "en": compile_lazily(
        rf" (?:wear(?:s|ing)|hold(?:s|ing)|carr(?:ies|ying)) an? {SHADE}\Z"
        rf"| (?:next to|in front of|behind|beside) an? {SHADE}\Z"
    ),
    "de": compile_lazily(r" (?:trägt|hält) eine? (?:blau|rot|grün|schwarz|weiß|braun|grau|groß|klein)(?:e|en|es)\Z"),
    # Not in an idiom: "一摇一摆的", "一本正经的".
    "zh": compile_lazily(r"[着著]一(?![动動声聲脸臉言语語副直心丝絲]|本正|.一)[^\W\d_a-z，。；是]{1,8}的\Z"),
    "ja": compile_lazily(r"を(?:し|[一-龯][いきしちにみりぎじびえけせてねめれげべ]?て?)\Z"),
    "ko": compile_lazily(r"[을를] [하입먹읽찍]\Z"),
    # An article behind an elided preposition: "plus d'une" may stand alone.
    # An ordinal behind a verb has its noun, or "en" before the verb.
    "fr": compile_lazily(
        r"(?<!\bplus)(?<!\bmoins)(?<!\bpas) d['’]une?\Z"
        r"|(?:\b(?:l(?:ui|eur)|nous|vous|[mt]e) |[mt]['’])(?!en )\w+ une? (?:deuxième|troisième|quatrième)\Z"
    ),
    # A relative clause that lacks its subject.
    "ru": compile_lazily(
        r"(?:под|над|за|перед|на|в|во|с) котор(?:ым|ой|ыми|ом|ых) (?:хорошо |едва |слегка )?"
        r"(?:вид(?:неется|неются|на|но|ны|ен)|находится|находятся|располагается|имеется|изображ[её]н[аоы]?)\Z"
    ),
}
# What names a thing: in English all but a question about an object as such, in German a word with a capital letter.
NOUNS = {
    "en": compile_lazily(r"^(?!\W*(?:(?:What|Who) (?:is|does) +(?:\w+ing|do|wear|hold|carry|see)|Where is) *\W*$)"),
    "de": compile_lazily(r"^\W*Welche|(?<!^)\b[A-ZÄÖÜ]"),
    "zh": compile_lazily(r"颜色|顏色|什[么麼](?![？?呢]*$)|哪|怎|[还還]是|[大小短长長]"),
}


def lacks_noun(text: str, task: Task, language: str) -> bool:
    if text[-1:] in (".", "。") or language not in CUT_ENDS or CUT_ENDS[language].search(text) is None:
        return False
    return language not in NOUNS or NOUNS[language].search(task.question.replace(task.tag, "")) is None
