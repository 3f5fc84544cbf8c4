"""Finds places of a template that were not filled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from persqa_client.answers.answer_language import drop_written_text
from persqa_client.answers.phrases import choose_language, join_phrases
from persqa_client.answers.plain import is_plain
from persqa_client.answers.surrogate_names import contains_surrogate
from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.language import HAN, SPACED_LETTER
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_inscriptions, remove_quotations
from persqa_client.types import Problem, Task

LANGUAGES = ("en", "es", "fr", "de", "ru", "pt", "ar")
UNSPACED_LANGUAGES = ("zh", "ja", "ko")
CIRCLES = "○〇◯□△"
BETWEEN = r"[ \w'’/\-]{0,30}"


@lru_cache
def placeholder_pattern() -> re.Pattern[str]:
    """Each alternative begins with a literal, so that ``re`` can skip to it."""
    kind, order = join_places(LANGUAGES, "kinds"), join_places(LANGUAGES, "orders")
    unspaced_kind, unspaced_order = (join_places(UNSPACED_LANGUAGES, place) for place in ("kinds", "orders"))
    fill = join_places(LANGUAGES, "fills")
    unspaced = (
        rf"(?:(?:[가-힣]{{1,6}} )?[^\W\d_]{{0,6}}{unspaced_kind}(?:类型|類型)?|{unspaced_order}[^\]}})）】\n]{{1,12}})"
    )
    place = rf"(?:(?:the |an? |ال)?(?:{kind}\b|{order}\b){BETWEEN}|{BETWEEN}\b{kind}|{unspaced})"
    # In parentheses, longer texts may be remarks.
    alone = (
        rf"(?:{order} {BETWEEN}|{BETWEEN}\b{fill}\b{BETWEEN}"
        r"|colou?r|item|object|clothing|garment|action|location|noun|verb|adjective"
        rf"|{unspaced_kind}(?:[ 的の]?{unspaced_kind})?(?:类型|類型)?|{unspaced_order}[^）)\n]{{1,12}})"
    )
    places = {
        r"\[": (place, r"\]"),
        "【": (place, "】"),
        r"\{": (place, r"\}"),
        "｛": (place, "｝"),
        r"\(": (alone, r"\)"),
        "〔": (place, "〕"),
        "［": (place, "］"),
        "〈": (place, "〉"),
    }
    places |= {"（": (alone, "）"), "<": (f"{kind}|{unspaced}", ">"), "＜": (f"{kind}|{unspaced}", "＞")}
    return re.compile(
        "|".join(rf"{before}(?i:{inner}){after}" for before, (inner, after) in places.items())
        + r"|\{(?i:\{[^{}]{0,40}\}\}|[a-z]+[_/][\w/]*\})"
        rf"|%(?<!{SPACED_LETTER}%)(?<!\d%)(?:\(\w+\))?[sd](?!{SPACED_LETTER})|\$\{{\w+\}}"
        rf"|s(?<!{SPACED_LETTER}s)ks(?!{SPACED_LETTER})|S(?<!{SPACED_LETTER}S)ks(?!{SPACED_LETTER})"
        rf"|X(?<!{SPACED_LETTER}X)X{{2,}}(?!{SPACED_LETTER})|X(?<!{SPACED_LETTER}X)X(?=[{HAN}])|×(?<!\d×)×(?=[{HAN}])"
        rf"|\*(?i:{order} {BETWEEN})\*"
        r"|\.\.\. [a-z]+ and \.\.\. |\$[a-z]{3,}(?![\w$])|\[(?!on/off|yes/no|and/or)[a-z]+(?:/[a-z]+)+\]"
        r"|\[(?:inseri(?:re|sci) )?(?:il )?(?:colore|oggetto|luogo|capo"
        r"|nome|animale)[a-z ]{0,20}\]"
        r"|_(?<![\^TtOoQq>(]_)__+|某某(?![路街市县省校大小中公医银商超酒]|先生|女士)|"
        + "|".join(
            rf"{circle}(?<![〇一二三四五六七八九\d].)[{CIRCLES}]+(?![〇一二三四五六七八九年\d])" for circle in CIRCLES
        )
    )


def join_places(languages: Sequence[str], place: str) -> str:
    return f"(?:{'|'.join(join_phrases(language, 'placeholder', place) for language in languages)})"


# Rare brackets count as one kind.
BRACKETS = str.maketrans("‹⟨❬❮⟪⟦〖›⟩❭❯⟫⟧〗", "〈" * 7 + "〉" * 7)
# In quotation marks, only instructions to fill in a text, and crosses before a word.
QUOTED_PLACE = compile_lazily(
    rf"[《‹“「『\"](?:(?:请|請)?(?:在)?(?:此处?|此處|这里|這裡)?(?:填写?|填寫?|填入"
    rf"|插入)[^》›”」』\"]{{0,12}}[》›”」』\"]"
    rf"|[Xx×○〇]{{2,}}[》”」』\"](?=[{HAN}]))"
)
# A text in brackets that is all that follows the tag.
WHOLE_PLACE = compile_lazily(r"\s*(\[[^\[\]]+\]|\{[^{}]+\}|【[^【】]+】)\W*")
# A description in brackets in place of a noun. Keys, buttons and short inscriptions begin with a capital, or have their
# own noun behind them; [sic] and the like are remarks of a writer.
SLOT = compile_lazily(
    r"\[(?!sic\b|illegible|unreadable|unclear|blurred|inaudible|ilegible|ilegível|illisible|unleserlich|нрзб)"
    r"(?P<inner>[^\[\]\n]{2,40})\]"
)
MEDIA = (
    "图片|圖片|图像|照片|image|photo|picture|imagen|imagem|bild|изображение|картинка|фото|画像|写真|이미지|사진|صورة"
)
PICTURE_SLOT = compile_lazily(rf"[\[【](?:{MEDIA})(?: ?(?:描述|description|here|\d))?[\]】]", re.IGNORECASE)
ARTICLES = "ein|eine|einen|einem|einer|der|die|das|den|dem"
SLOT_PLACES = {
    "zh": (
        r"(?:[是着著看听聽读讀唱吃喝玩弹和跟与與向给給对對穿戴拿抱坐站骑为為]|[^按点點写寫印]在|一[个個件条條只双])\Z",
        r"(?!\s?(?:键|鍵|按|字|标|標|图标|的?牌))",
    ),
    "ja": (r"", r"(?:[をがは](?!書|記)|に(?!書|記|し)|で(?!す)|です|色の)"),
    "ko": (r"", r"(?:[을를은는]|에서|에(?!\s?(?:쓰|적))|으로|와|과)\s"),
    "de": (rf"(?<!\w)(?:{ARTICLES})\s\Z", r"(?![-–]?\s?(?:Taste|Knopf|Schild|Schalter|Button))"),
    "ru": (r"[а-яё]\s\Z", r""),
    "ar": (r"[\u0621-\u064a]\s\Z", r""),
}
SMALL = compile_lazily(r"[^\WA-Z\d_][^\W\d_]*(?:[ '’-][^\W\d_]+)*")
SLOT_MARK = "[■]"
BLANKS = compile_lazily(r"_{3,}")
KEY = compile_lazily(r"\[(?:Enter|ENTER|Insert|Home|Delete|Esc)\]")
CROSSES = compile_lazily(r"X{3,}")
EMPTY_BOXES = compile_lazily("[□△]+")
# Words for forms, which have blanks, and for things on which crosses can be printed.
FORM = compile_lazily(
    r"\b(?:forms?|blanks?|worksheet|questionnaire|application|lines?|formulario|formulaire|formular|formulário|slip"
    r"|certificate|contract)\b|空格|表|欄|栏|单据|問卷|试卷|бланк|анкет|用紙|양식|استمارة",
    re.IGNORECASE,
)
FORM_DISTANCE = 20
ON_BUTTONS = compile_lazily(
    r"\s?(?:버튼|키(?![가-힣])|탭|메뉴|아이콘|표지|안내|간판|(?:の)?(?:ボタン|キー|標識|看板|表示))"
)
ON_THINGS = compile_lazily(
    r"\b(?:letters|with|reading|marked|size|tattoo\w*|brand\w*|logo|label\w*)\b[^.!?]{0,20}XXX"
    r"|XXX(?!X)[^.!?]{0,50}\b(?:on|across) (?:the|his|her|its|their|a|one)\b|[上印着着写][^。]{0,6}XXX"
)
# A letter or a mark in place of a number before what is counted, of a colour or of a name: "有X种颜色", "第N个", "has X
# buttons". Sizes (XL), shapes (X形) and machines (X光) have other words behind the letter.
COUNTED = "[种種个個只隻件条條名张張双雙辆輛人岁歲颗顆枚朵本把顶頂棵座栋棟块塊片瓶杯盏盞台匹头頭扇幅支根串斤米]"
CHINESE_NUMBER = compile_lazily(
    rf"[XYNxyn](?<=[{HAN}<>].) ?(?={COUNTED}|位(?!数)|色)|[XYNxyn](?<=第.) ?(?=[{HAN}])"
    r"|[着著戴有是](?:…{1,2}|\.{3,6})色?的|(?<=[着著])(?:XX|××|○○)(?=[，。]|\Z)"
    rf"|[_＿○〇□？?](?<=[有第约約共着著了戴穿拿养養].)[_＿○〇□？?]?(?={COUNTED})"
    rf"|X(?:(?<=[小老阿].)(?![A-Za-z\d])|(?=某|先生|女士|小姐))"
)
# A plain text can have only the letters among these marks.
NUMBER_LETTER = compile_lazily("[YNxyn]")
NUMBER_MARK = compile_lazily(r"[XYNxyn_＿○〇□？?…]|\.\.\.")
CALCULATION = compile_lazily(r"\b(?:gamepad|controller|joystick)\b|方程|题|題|公式|算式|数学|數學|未知数|[=＝]")
UNCOUNTED = "marks?|rays?|chromosomes?|shaped?s?|patterns?|games|stitches|scars|tattoos?|logos?|signs?|letters?|tapes?"
BEFORE_NUMBER = "has have is are with about around than least holds holding wears wearing carries carrying to"
ENGLISH_NUMBER = compile_lazily(
    rf"[XNx](?:{'|'.join(rf'(?<= {word} .)' for word in BEFORE_NUMBER.split())})"
    rf" (?!(?:{UNCOUNTED})\b)(?:people|children|men|women|(?:[a-z]+ )?[a-z]{{2,}}s)\b"
)


def check_no_placeholder(text: str, task: Task) -> Problem | None:
    """Finds blanks, and other forms of the surrogate name."""
    if task.surrogate and contains_surrogate(text.replace(task.tag, ""), task.surrogate):
        return Problem("placeholder", f"another form of the surrogate name {task.surrogate}", "surrogate")
    if number := find_number_slot(text, task.tag):
        return Problem("placeholder", f"unfilled placeholder {number}", found=number)
    if is_plain(text, task.tag):
        return None
    if not text.isascii():
        text = text.translate(BRACKETS)
    if not text.isascii() and QUOTED_PLACE.search(text) and (quoted := QUOTED_PLACE.search(remove_inscriptions(text))):
        return Problem("placeholder", f"unfilled placeholder {quoted[0]}", found=quoted[0])
    if whole := WHOLE_PLACE.fullmatch(text.removeprefix(task.tag)):
        return Problem("placeholder", f"unfilled placeholder {whole[1]}", found=whole[1])
    if ("[" in text or "【" in text) and (slot := find_slot(text, task)):
        return Problem("placeholder", f"unfilled placeholder {slot}", found=slot)
    if placeholder_pattern().search(text) is None:
        return None
    for found in placeholder_pattern().finditer(remove_quotations(text).replace(task.tag, "")):
        if not belongs_to_picture(found):
            return Problem("placeholder", f"unfilled placeholder {found[0]}", found=found[0])
    return None


def find_number_slot(text: str, tag: str) -> str:
    """A letter or a mark in place of a number, with what it counts, or empty."""
    if text.isascii():
        if " X " not in text and " N " not in text and " x " not in text:
            return ""
    elif (NUMBER_LETTER if is_plain(text, tag) else NUMBER_MARK).search(text, len(tag)) is None:
        return ""
    pattern = ENGLISH_NUMBER if text.isascii() else CHINESE_NUMBER
    if pattern.search(text) is None or (found := pattern.search(remove_quotations(text))) is None:
        return ""
    return "" if CALCULATION.search(text) else found.string[found.start() : found.end() + 1].strip()


def find_slot(text: str, task: Task) -> str:
    """A description in brackets that a sentence needs as a noun, or empty."""
    language = choose_language(task.question) or ""
    own = remove_quotations(text)
    if picture := PICTURE_SLOT.search(own):
        return picture[0]
    for found in SLOT.finditer(own.replace("【", "[").replace("】", "]")):
        before, after = own[: found.start()], own[found.end() :]
        # The text of the picture ends with the sentence. The word in the brackets may be one for writing: [书名].
        if SLOT_MARK not in drop_written_text(f"{before}{SLOT_MARK}{after}", language):
            continue
        if SMALL.fullmatch(found["inner"] if language != "de" else found["inner"].lower()) is None:
            continue
        if is_noun_missing(before, after, language) and not is_about_code(f"{before} {after}"):
            return found[0]
    return ""


def is_noun_missing(before: str, after: str, language: str) -> bool:
    if language in SLOT_PLACES:
        place, rest = SLOT_PLACES[language]
        return re.search(place, before) is not None and re.match(rest, after) is not None
    words = before.lower().split()
    return before.endswith(" ") and bool(words) and words[-1] in FUNCTION_WORDS.get(language, frozenset())


def belongs_to_picture(found: re.Match[str]) -> bool:
    if found[0][0] in "(（" and FORM.search(found.string[max(0, found.start() - FORM_DISTANCE) : found.start()]):
        return True  # "A form (to be filled in by hand)".
    if ON_BUTTONS.match(found.string, found.end()):
        return True
    if EMPTY_BOXES.fullmatch(found[0]) and FORM.search(found.string):
        return True
    if KEY.fullmatch(found[0]) and is_about_code(found.string.replace(found[0], " ")):
        return True
    if BLANKS.fullmatch(found[0]):
        return FORM.search(found.string) is not None
    return CROSSES.fullmatch(found[0]) is not None and ON_THINGS.search(found.string) is not None
