"""Finds answers that end in the middle of a sentence: with an open mark, a word that never ends one, or an attribute.

The words that never end a sentence are in the tables (``no_end``, and ``no_ellipsis`` for those before three dots).
An attribute can stand for its noun if the question has that noun ("Which jacket does <mam> wear?"), so without a
closing mark it is only found if the question has none.
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.phrases import compile_for_lower, is_lower, join_phrases, phrase_pattern
from persqa_client.answers.plain import is_plain
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code
from persqa_client.types import Task

OPEN_ENDS = (",", "，", "、", ":", "：", ";", "；")
# Words and characters at the end that are searched for an unfinished phrase.
END_LENGTH = 32
CUT_LENGTH = 60
ENDING = " \t\n.。…,，、:："
# Three dots may end a whole sentence, but not one without its object.
ELLIPSES = ("…", "...", "…。", "….")
ELLIPSIS = compile_lazily(r"\s*(?:…+|\.{3,})[.。]?\Z")
UNSPACED_LANGUAGES = ("zh", "ja", "ko")
VERB_STEM = compile_lazily(r"[えけせてねめれげぜべきしちみりぎじびっ]\Z")
PAST_TENSE = compile_lazily(r"(?<!まし)(?<!でし)(?:[っいきしえけせてねめれりび一-龯]た|んだ)\Z")
PRESENT_QUESTION = compile_lazily(r"(?:ます|です)か[?？]?\Z")
SHORTEST_ATTRIBUTE = 20
# A quotation or a bracket that is opened and not closed. A smiley has one too.
OPENED = compile_lazily(r"[«「『（【《〈„“(](?<![:;=8-]\()")
CLOSING = {
    "«": "»", "「": "」", "『": "』", "（": "）)", "【": "】", "《": "》", "〈": "〉",
    "„": "“”\"", "“": "”\"", "(": ")）",
}  # fmt: skip
# An orange and a light are things, too.
SIZE, COLOR = (
    "big|large|huge|small|tiny|long|short|tall",
    "red|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y|beige",
)
SHADE = rf"(?:(?:{SIZE}|dark|bright|pale|deep)(?: (?:{COLOR}|wooden))?|light (?:{COLOR}|wooden))"
# Korean syllables by their last consonant: those with one never end a short form of a verb, and those with some pairs
# are in stems alone. Behind each syllable without one follow 27 with one.
OPEN_SYLLABLES = range(0xAC00, 0xD7A4, 28)
CLOSED = "".join(f"{chr(code + 1)}-{chr(code + 27)}" for code in OPEN_SYLLABLES)
STEM_ONLY = "".join(chr(code + pair) for code in OPEN_SYLLABLES for pair in (5, 6, 13, 14, 15, 20))
# Adjectives that stand before their noun: by their endings, and those of shape, age, material and number.
ADJECTIVE = (
    rf"(?:{SIZE}|{COLOR}|dark|bright|pale|deep|light|elderly|silver|half-\w+|wooden|woolen|golden|young|old|new|wavy|curly|straight"
    rf"|short|soft|thick|thin"
    r"|round|square|shiny|fluffy|fuzzy|vintage|modern|tiny|wide|narrow|beautiful|colou?rful|cheerful|stylish"
    r"|reddish|bluish"
    r"|greenish|yellowish|brownish|greyish|grayish|pinkish|striped|checkered|plaid|floral|patterned|metallic|leather"
    r"|denim|woollen"
    r"|plastic|heavy|cozy|cosy|rustic|ornate|sturdy|decorative|various|several|two|three|four|few|couple of|pair of"
    r"|bunch of)"
)
# Of these, what a thing may be made of or full of.
STUFF = "leather|denim|plastic|plaid|silver"
CUT_ENDS = {
    "en": compile_lazily(
        rf" (?:wear(?:s|ing)|hold(?:s|ing)|carr(?:ies|ying)) an? {SHADE}\Z"
        rf"| (?:next to|in front of|behind|beside) an? {SHADE}\Z"
    ),
    "de": compile_lazily(r" (?:trägt|hält) eine? (?:blau|rot|grün|schwarz|weiß|braun|grau|groß|klein)(?:e|en|es)\Z"),
    # Not in an idiom: "一摇一摆的", "一本正经的". A place as the attribute of what a verb in progress is done to.
    "zh": compile_lazily(
        r"[着著]一(?![动動声聲脸臉言语語副直心丝絲]|本正|.一)[^\W\d_a-z，。；是]{1,8}的\Z"
        r"|(?:^|[，。；、>])[^，。；、>是的]{0,12}(?:[着著]|正在?|看向|望向)[^，。；、是的坐站躺住靠]{0,8}"
        r"[里裡中上下旁前后後]的\Z"
    ),
    "ja": compile_lazily(r"を(?:し|[一-龯][いきしちにみりぎじびえけせてねめれげべ]?て?)\Z"),
    # A stem behind its object, and a syllable that only stems have.
    "ko": compile_lazily(
        rf"[을를] [하입먹읽찍]\Z|[를을] (?:[보쓰바하마]|[가-힣]{{1,3}}[다라아어여켜]보)\Z"
        rf"|를 [{CLOSED}]\Z|[{STEM_ONLY}]\Z"
    ),
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
# An attribute without its noun, whatever the question: no elliptical noun phrase of English ends so. What is "a dark
# blue" or painted "a bright red" has a colour. A preposition or a number before a count that has no noun, a relative
# clause or a passive without its object.
ENGLISH_CUT = compile_lazily(
    rf" an? (?:{ADJECTIVE},? )*?(?!(?:{COLOR}"
    rf"|light|square|round|straight) ?\Z){ADJECTIVE}\Z"
    rf"|(?:with|has|have|wears?|wearing|holds?|holding|carries|carrying|and) an? (?:{ADJECTIVE},? )?(?:{COLOR})\Z"
    rf"|(?:has|have|wearing|wears|with) (?:an? )?(?:(?!two|three|four){ADJECTIVE}, ?)+(?!(?:{COLOR}|tall|large|big"
    rf"|old|young|new|long|short) ?\Z)"
    rf"(?!two|three|four){ADJECTIVE}\Z|, and (?:long|short|thick),? (?:{ADJECTIVE})\Z"
    rf"|\b(?:between|among|with|against|behind|beside|of) (?:both|two|three|four|some|several"
    rf"|many)\Z(?<!of two)(?<!of three)(?<!of four)"
    r"(?<!of both)(?<!of some)(?<!of many)"
    rf"|(?:full|made|lots|plenty|bunch|bouquet|row|pile|group|number|pair|couple|set|lot|variety) of"
    rf" (?!(?:old|new|{STUFF})\Z){ADJECTIVE}\Z(?<!of two)(?<!of three)(?<!of four)"
    rf"|\bwith (?:some|several|many|two|three) {ADJECTIVE}\Z"
    r"| an? (?:\w+ly )\w+ed\Z|\bof (?!famil|ital|jell|bell)[a-z]{4,}ly\Z|\b(?:covered|filled|decorated|lined|adorned"
    r"|full|surrounded) "
    rf"(?:with|of|in|by) (?!(?:{STUFF}|{COLOR})\Z){ADJECTIVE}\Z|\band (?:some|several|many)\Z"
    r"|\bwhile (?:looking|wearing|holding|using|being)\Z"
    r"|, and there(?: (?:is|are))?\Z|\b(?:who|which|that) (?:is|are) (?:wearing|holding|carrying|using|pulling"
    r"|pushing|feeding|petting)\Z"
    r"|\b(?:who|which|that) (?:has|have) been\Z|\b\w{3,}(?<!pass)(?<!clos)(?:ed) by\Z|\b(?:about|shows?"
    r"|showing) (?:how|what|why)\Z"
    r"|\blooking (?:rather|quite|very|somewhat)\Z|\b(?:appears|seems|starts|begins|tries|trying|about|ready|able"
    r"|going) to(?: be)?\Z"
)
# The same in Chinese: a count without its thing, an attribute, a place or a part of the body without a predicate,
# a verb of state without what it holds, a clause that announces another one.
MEASURES = (
    "件条个位名双顶座辆张把支束本瓶杯棵栋种副幅套块碗盘朵只片排串盏台艘架枚根颗堆群扇间家盆袋箱盒罐桶壶匹"
    "头株丛层缕道面艘栋條個雙張頂輛隻棟塊盤盞間"
)
COUNT = rf"[一两三四五几][{MEASURES}]"
CHINESE_CUT = compile_lazily(
    rf"(?:^|[，；、>]|[是有着了和与用在给把到向往从被对])(?<![没就还只唯有].)(?:一(?![个位]\Z)|两(?!只\Z)"
    rf"|几)[{MEASURES}](?<!的[一两几].)(?<!有[两几].)(?<!是[两几].)\Z(?<!有一家)"
    rf"|{COUNT}(?:[^，。；、是的]{{0,6}}[色形状]|[小大长高旧新老白黑红蓝绿黄灰]|[^，。；、]{{0,8}}(?:装着|印有|写有"
    rf"|绣有|画有|印着|写着|绣着|铺着|装满了?|挂满了?|堆满了?|摆满了?|盛着|种着|穿|戴))\Z"
    rf"|{COUNT}(?![人一]|正经)[^，。；、是]{{2,}}(?<!色)的\Z"
    r"|，(?:[他她它]的?)?(?:另(?:一|外一?)只(?:手|脚|爪子)|[左右双]手|[左右双]脚|[左右]边|眼睛|双眼|眼神|耳朵|尾巴"
    r"|下身|上身|下半身|两个?人都?|二人|身后|身旁|身边|旁边|背后|面前|前面|后面"
    r"|头上|脚上|手[里中上]|身上|脸上|脖子上|肩上|腰间|胸前|表情|嘴角|嘴巴|背景|头发|脚下|四周|周围)\Z"
    r"|，(?![^，]*[在把被])[^，。；]{1,10}[上里下旁中前后边面](?:[放摆挂停站坐堆铺盖装写印插种贴躺趴])着\Z"
    r"|(?:看上去|看起来|显得)(?:有些|有点|十分|非常|很|比较|略显|既)?\Z(?<!\w[这那]样看起来)|[着是有](?:一些|许多"
    r"|各种|大量|好几|不少|某种)\Z|一边[^，。；]{1,10}，?一边\Z"
    r"|(?:^|[，>])[^，]{0,3}(?:正|在)用[左右双]?手\Z|，[^，]{2,3}(?<![草空工大当场落满遍湿沙绿土田盆陆基目各本])地\Z"
    r"|(?:[放倒装塞]进|[放倒]入|递给|交给|送给|伸向|走向|望向|看向|投向|面对着|面向|背对着|朝着|对着|围绕着)\Z"
    rf"|{COUNT}正在?\Z|[在]{COUNT}[^，。；、是]{{1,6}}色的\Z"
    r"|两个?人都\Z|(?:正?在|正准备|正要|准备|打算|想要|开始)(?:和|与|跟|把|被|给|向|对|从|用|往|为|将)\Z"
)
# An adverb of degree or time behind its subject, at any end. Behind an adjective, one may end a sentence: 高兴得很,
# 热闹非常. To a question for yes or no, 有点 and 正在 are answers.
SUBJECT = r"(?:[>，。；、,]|看起来|看上去|显得|心情|表情|感觉)(?:都|也|今天|现在|真的|确实|其实){0,2}"
DEGREE = r"很|挺|蛮|十分|(?<![，。；、,])(?:相当|比较)|极其|格外|更加|稍微|越来越|不太|不怎么"
CHINESE_DEGREE = compile_lazily(rf"{SUBJECT}(?:{DEGREE})\Z")
DEGREE_OR_TIME = rf"{DEGREE}|非常|有点儿?|有些|略微|略显|显得|正在|正要|即将|刚刚"
CHINESE_DEGREE_OR_TIME = compile_lazily(rf"{SUBJECT}(?:{DEGREE_OR_TIME})\Z")
CUT_BEFORE_REST = {
    "en": ENGLISH_CUT,
    "zh": CHINESE_CUT,
    "fr": compile_lazily(
        r" (?:une?|des|de) (?:grande?|petite?|vieux|vieille|beau|belle|gros|grosse|jolie?|nouveau|nouvelle|longue?"
        r"|jeune)s?\Z"
    ),
    "es": compile_lazily(
        r" y (?:una?|unos|unas)\Z| un (?:gran|buen|pequeño|viejo|enorme|largo)\Z| una (?:gran|pequeña|vieja|enorme"
        r"|larga)\Z"
    ),
    "pt": compile_lazily(r" uma? (?:grande|pequen[oa]|velh[oa]|bel[oa]|enorme|long[oa])\Z"),
    "ru": compile_lazily(
        r" (?:держит|несёт|несет|носит|надевает)(?: (?:в|на) [а-яё]+)? "
        r"(?:больш|маленьк|красн|син|бел|ч[её]рн|зел[её]н|ж[её]лт|длинн|коротк|стар|нов|деревянн|небольш)"
        r"(?:ой|ую|юю|ий|ый|ое|ие|ые)\Z"
    ),
}  # fmt: skip
ONE_OF = compile_lazily(
    r"[几幾]|多少|\b(?:which|size|or)\b|[还還]是|哪[一个個件种種款]|\b(?:quel|cuál|qué tamaño|qual|как(?:ой|ую|ое|ие))",
    re.IGNORECASE,
)
# Whole sentences that end with such a word: where the café is; a friend to talk to; the smallest one; without one.
WHOLE = {
    "en": compile_lazily(
        r"\b(?:where|what|which|who|whose|how)\b(?: [\w'’<>-]+){1,5} (?:is|are|was|were)\Z"
        r"|\b(?:that|which) (?:is|are) (?:his|their)\Z"
        r"|\b(?:(?:some|any|every|no)(?:one|body|thing)|(?:an?|no|new|old|little|the) (?:\w+ ){0,2}\w+)"
        r" to \w+ (?:with|to|at|for|from)\Z"
        r"|\b(?:one|what|whom?|same \w+|(?:the|an?) \w+) (?:that |which |who )?(?:the|his|her|their) \w+ (?:is|are) \w+"
        r" (?:with|to|at|for|from|of)\Z",
        re.IGNORECASE,
    ),
    "zh": compile_lazily(
        r"最[^，。；]{1,10}的一(?:件|条|个|位|名|双|顶|座|辆|张|把|支|本|瓶|杯|棵|栋|种|副|幅|套|块|碗|盘|朵|只|个|條"
        r"|隻)\Z"
        r"|有[^，。；]{1,6}在\Z|[都一直还也]在\Z"
    ),
    "es": compile_lazily(r"\b(?:letra|vocal|vitamina) [aeiouy]\Z", re.IGNORECASE),
    "pt": compile_lazily(
        r"\b(?:letra|vogal|vitamina) [aeiou]\Z|(?:,? (?:mas|e|enquanto)|,)(?: \S+){1,3} (?:está|vai|fica) sem\Z",
        re.IGNORECASE,
    ),
    "fr": compile_lazily(
        r"\b(?:montre|sait|voit|indique|regarde|demande|cherche)\b[^.]* où(?: \S+){1,3} (?:est|sont)\Z", re.IGNORECASE
    ),
    "ru": compile_lazily(r", а (?:\S+ )?(?:без|сво(?:й|ю|ё|и))\Z"),
}
# What has just happened may be told in the past tense.
JUST_NOW = compile_lazily(r"ちょうど|たった今|今まさに")
# "Which cap, a striped or a plain one?" is answered by the attribute.
ATTRIBUTE = compile_lazily(r" eine[mnr]? [a-zäöüß]+e[mnrs]?\Z")
WHICH = compile_lazily(r"^\W*Welche", re.IGNORECASE)
# What names a thing: in English all but a question about an object as such, in German a word with a capital letter.
NOUNS = {
    "en": compile_lazily(r"^(?!\W*(?:(?:What|Who) (?:is|does) +(?:\w+ing|do|wear|hold|carry|see)|Where is) *\W*$)"),
    "de": compile_lazily(r"^\W*Welche|(?<!^)\b[A-ZÄÖÜ]"),
    "zh": compile_lazily(r"颜色|顏色|什[么麼](?![？?呢]*$)|哪|怎|[还還]是|[大小短长長]|[谁誰]"),
}


def is_unfinished(text: str, task: Task, language: str) -> bool:
    if lacks_rest(text, task.question, language):
        return True
    if ends_open(text, task.tag, language) and not (language == "de" and names_which(text, task.question)):
        return True
    if lacks_noun(text, task, language) or (language == "zh" and lacks_adjective(text, task.question)):
        return True
    return language == "ja" and ends_in_verb_form(text, task.question)


def lacks_rest(text: str, question: str, language: str) -> bool:
    """Whether a text without a closing mark ends before a noun or a predicate that its last words need. To a question
    about which one, the attribute is an answer.
    """
    if language not in CUT_BEFORE_REST or not text[-1:].isalpha():
        return False
    cut = CUT_BEFORE_REST[language].search(text, max(0, len(text) - CUT_LENGTH))
    return cut is not None and ONE_OF.search(question) is None


def names_which(text: str, question: str) -> bool:
    """Whether an attribute at the end answers a question about which one."""
    return WHICH.search(question) is not None and ATTRIBUTE.search(text) is not None


def ends_open(text: str, tag: str, language: str) -> bool:
    """Quoted words may end anywhere, and a line of code with a semicolon. Some whole sentences end with such a word."""
    said = text.rstrip()
    if said.endswith(OPEN_ENDS) and not (said.endswith(";") and is_about_code(text)):
        return True
    ending = text[-END_LENGTH:].rstrip()
    words = ending.rstrip(ENDING)
    no_end = lower_end_pattern(language, "no_end") if is_lower(words) else end_pattern(language, "no_end")
    if no_end.search(words) or (not is_plain(text, tag) and has_open_mark(said)):
        return True
    if ending.endswith(ELLIPSES):
        return any(end_pattern(language, place).search(words) for place in ("no_open_end", "no_ellipsis"))
    if words != ending or end_pattern(language, "no_open_end").search(words) is None:
        return False
    return language not in WHOLE or WHOLE[language].search(said) is None


def has_open_mark(text: str) -> bool:
    """Whether the last quotation or bracket is not closed. German quotations end with “ or «."""
    for opened in OPENED.finditer(text):
        mark, behind = opened[0], text[opened.end() :]
        before = text[: opened.start()]
        if (mark == "“" and "„" in before) or (mark == "«" and before.count("»") > before.count("«")):
            continue
        if not any(closing in behind for closing in CLOSING[mark]) and not is_about_code(text):
            return True
    return False


def ends_in_verb_form(text: str, question: str) -> bool:
    """Whether a Japanese text without a closing mark ends in a form that another word follows: the stem of a verb
    behind a complete sentence, or the past tense, which is an attribute, where the question asks about the present.
    """
    ending = text.rstrip()
    if "。" in ending[:-1] and VERB_STEM.search(ending):
        return True
    is_present = PRESENT_QUESTION.search(question) is not None and JUST_NOW.search(ending) is None
    return is_present and len(ending) >= SHORTEST_ATTRIBUTE and PAST_TENSE.search(ending) is not None


def lacks_adjective(text: str, question: str) -> bool:
    ending = text[-END_LENGTH:].rstrip(f"{ENDING}!！")
    if ending[-1:] not in DEGREE_OR_TIME:
        return False
    is_open = phrase_pattern("zh", "question", "words").search(question) is not None
    return (CHINESE_DEGREE_OR_TIME if is_open else CHINESE_DEGREE).search(ending) is not None


def lacks_noun(text: str, task: Task, language: str) -> bool:
    said = ELLIPSIS.sub("", text) if text.endswith(ELLIPSES) else text
    if said[-1:] in (".", "。") or language not in CUT_ENDS or CUT_ENDS[language].search(said) is None:
        return False
    return language not in NOUNS or NOUNS[language].search(task.question.replace(task.tag, "")) is None


@lru_cache
def end_pattern(language: str, place: str) -> re.Pattern[str]:
    return re.compile(bound_ending(language, place), re.IGNORECASE)


@lru_cache
def lower_end_pattern(language: str, place: str) -> re.Pattern[str]:
    return compile_for_lower(bound_ending(language, place))


def bound_ending(language: str, place: str) -> str:
    """Whole words only, in scripts with spaces between words."""
    boundary = r"(?<![\w'’])" if language not in UNSPACED_LANGUAGES else ""
    return rf"{boundary}(?:{join_phrases(language, 'sentence', place)})\Z"
