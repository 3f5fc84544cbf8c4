"""Finds letters and words in no order that a sentence has, as of a model that fails."""

from __future__ import annotations

import re
from itertools import pairwise
from operator import eq

from persqa_client.answers.foreign_scripts import find_mixed_word
from persqa_client.answers.word_salad import CLASHING_WORDS, find_word_salad
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_quotations
from persqa_client.types import Task
from persqa_client.word_search import WordSearch, split_at_blanks, split_in_lower_case

# Doubled marks between spaces, words without a vowel, and particles that never follow each other.
DOUBLED_MARK = compile_lazily(r"([\])},;~#=|^\\])(?<!\S.)\1+(?!\S)")
ABBREVIATIONS = (
    "html|css|jpg|png|php|xml|sql|mph|kph|rpm|bpm|tbsp|tsp|pdf|npm|bmp|gps|ssh|str|cmd|btw|lbs|yrs|hrs|mrs|nth|cds?"
    "|dvds?|vhs|tvs|pcs|pvc|djs|mcs|lcd|usb|bbqs?|www|https?"
    "|h?m+|sh+|br+|psst|pff?t|gr+|z+"
)
CONSONANTS = compile_lazily(
    rf"(?<![\w.@/\-:])(?=[a-z])(?!(?:{ABBREVIATIONS})\b)[^\W\d_aeiouy\u0080-\uffff]{{3,}}(?![\w@/\-]|\.\w)"
)
# In Chinese, a search for two function characters in a row is quick. Some of them are a part of a word.
PARTICLES = compile_lazily(
    r"[的了着在是和把被很它][的了着在是和把被其为](?:(?<=的的)(?![确士])|(?<=的了)的|(?<=了的)了"
    r"|(?<=[^的]了了)(?![然解])"
    r"|(?<=了着)(?![装重力急手火色眼想凉陆])|(?<=着着)(?![装重力急手火眼凉])|(?<=在在)|(?<=是在)了(?!解)"
    r"|(?<=是是)(?!非)"
    r"|(?<=和和)(?![气睦平善谐])|(?<=是着)(?![装重力急手火色眼凉陆名])|(?<=的着)(?![装重力急手火色眼凉陆名想落])"
    r"|(?<=把的)(?![士确])|(?<=被的)(?=[在了着和是])|(?<=在把)(?![玩守弄握关风手])|(?<=了是)(?=[和着了在])"
    r"|(?<=[把被]了)(?![解结])|(?<=被着)(?![火地凉])|(?<=被为)(?![难人数首])|(?<=很[的把被])|(?<=很了)(?![解不])"
    r"|(?<=很着)(?![急迷凉火重])"
    r"|(?<=很在)(?![意乎行理状])|(?<=它其)(?![他实它余中]))"
)
# Besides such a pair: what ends no sentence, and conjunctions in a clause.
CHINESE_DISORDER = compile_lazily(
    r"(?:[停坐站放躺趴挂贴蹲跪靠倚]在|(?<![行作所可有无人何难因以])为|(?<![暖温柔平随祥饱谦缓中共人应调亲])和"
    r"|(?<![棉毛盖羽毯夹薄厚新床拆红花裹晒叠铺的条])被|(?<![车拖火伞一两几门刀枪扫桨个手])把|而且|因为|所以"
    r"|然而)[。.！!]?\s*$"
    r"|(?:然而|于是|所以|但是|而且|因此|并且)[^，,。；、]{1,8}(?:然而|于是|所以|但是|而且|因此|并且)"
)
# Faults of which a sentence may have one: two conjunctions in a row, 把, 被, an adverb or a measure word before one,
# and 于, 在的 and 和 where they seldom stand.
CHINESE_FAULTS = compile_lazily(
    r"(?:因为|所以|因此|但是|然而|于是|而且|并且)(?:所以|因此|然而|于是)|(?:因为|所以|因此|于是)(?:并且|而且|但是"
    r"|并(?![非不没未肩排]))"
    r"|[把被][^，。；、]{0,4}(?:所以|因为|因此|然而|于是)|[吃喝穿戴拿]于[一二三四五六七八九十所并]"
    r"|之于(?![他她它我你您人])|[个只条张位](?:于是|所以|因为)"
    r"|(?<![草土场工陆大田空满遍绿当就原])地(?:而且|所以|但是|于是|因为)"
    r"|(?<![所存现現潜潛实實実内內外自正站坐住停躺待呆处處好健旨意不还])在的"
    r"|(?<![暖温柔平随祥饱谦缓中共人应调亲附总唱讲说求])和(?=[，。；])"
)
# Others, in an answer that has such a pair: 正, 着 and a measure word before a particle of another place, and an end
# that needs a word behind it.
CHINESE_SLIPS = compile_lazily(
    r"在正(?![中午前上下后对常确式好义])"
    r"|[里上]了(?=[一-龯])(?<![走跑爬坐登戴穿追赶迷爱迎关闭合盖换系安加用涂抹贴挂铺写画印插遇搭踏跳][里上].)(?![解一两三几])"
    r"|[一两]个[了里着把被](?![外边面])|一只[了着]|色着的|[^温柔随平谦缓暖附]和的(?!朋友)|(?:是一|在的|着的一个"
    r"|[^这那每哪几两]一个|把着|很了|是和)[。.！!]?\s*$"
)
CHINESE_END = compile_lazily(r"[一的个着了和](?<=是一|在的|一个|把着|很了|是和)[。.！!]?\s*$")
MIN_GIBBERISH = 2
# Single Han characters between spaces, and Russian words that begin with ъ, ь or ы or have no vowel.
LONE_CHARACTER = compile_lazily(r"[\u4e00-\u9fff](?<!\S.)(?!\S)")
MIN_LONE_CHARACTERS = 5
# Letters that stand apart on a banner or a bracelet.
SET_APART = compile_lazily(r"[字横橫联聯牌匾墙牆幅]")
SPELLING = compile_lazily(r"\b(?:spell\w*|letters?|beads|blocks|buchstab\w*|letras?|lettres?)\b", re.IGNORECASE)
HAN_LETTER = compile_lazily("[\u4e00-\u9fff]")
# Doubled words that are one word.
BABY_TALK = frozenset(("bye", "night", "choo", "num", "so", "very", "no", "knock", "tut", "woof"))
CYRILLIC_NOISE = compile_lazily(
    r"(?<![\w.\-])(?!(?:млн|млрд|трлн|стр|тсс|х?м+|бр+|ш+|с+|р+|пст|тчк)(?!\w))"
    r"(?:[ъьы]\w+|[бвгджзйклмнпрстфхцчш]*[щъь][бвгджзйклмнпрстфхцчшщъь]+|[бвгджзйклмнпрстфхцчш]+[щъь]"
    r"|[бвгджзйклмнпрстфхцчш]{3,})(?![\w.\-])"
)
# Two such letters, which ``re`` skips to; every noise has them.
CONSONANT = "b-df-hj-np-tv-xz"
NOISE_LETTERS = compile_lazily(
    rf"[{CONSONANT}\u0400-\u04ff](?:[{CONSONANT}A-Z\U00010000-\U0010ffff]|(?<=[\u0400-\u04ff]))"
)
NOISE_WORD = compile_lazily(f"{CONSONANTS.pattern}|{CYRILLIC_NOISE.pattern}")
NOISE = WordSearch(lambda word: NOISE_LETTERS.search(word) and NOISE_WORD.search(word))


def make_word_pairs(*words: tuple[str, str]) -> frozenset[tuple[str, str]]:
    """Each word of the first text of a tuple, followed by each of the second."""
    return frozenset(
        (before, after) for befores, afters in words for before in befores.split() for after in afters.split()
    )


# Function words that never follow each other: the words before, and those after.
IMPOSSIBLE_PAIRS = make_word_pairs(
    ("the a an", "the a an of is are and to with by at from for or"),
    ("of with by from for to at", "of is are and to for with at by on"),
    ("the a an", "have has had be been was were he she they which"),
    ("a an", "in on under"),
    ("has have had wearing", "wearing holding looking sitting standing walking she he they"),
    ("el los las un una", "el la los las un una y es con por"),
    ("con por para en", "con por para en y es"),
    ("le les un une", "le les un une et est avec dans sur pour"),
    ("avec dans sur pour", "avec dans sur et est"),
    ("ein eine einen einem dem des", "ein eine einen und ist mit auf für"),
    ("dem einem einen", "dem der die haben sind sein laufen sitzt steht"),
    ("haben sind", "laufen sitzen stehen gehen ist hat war wo wer"),
    ("wo wer was weil", "und oder aber nicht weil wo"),
    ("los las unos", "es está tiene en el y"),
    ("à au aux des", "est sont a ont et le la"),
    ("um uma os", "um uma e é com por em"),
    ("com por em", "com por em e é"),
    ("in on at", "of is are"),
    ("la las el los", "en por para"),
    ("hacia desde", "con en para es"),
    ("le la les", "dans vers pour sur chez sous"),
    ("le la les", "de des du"),
    ("dans vers chez sous sur", "que vers pour dans chez sous"),
    ("da do das dos na no nas nos", "em com para é"),
    ("da na das nas", "de da do"),
    ("für von aus bei", "mit für aus von bei ist"),
    ("в на с к из от по о у для без", "в на с к из от по о у для без"),
    ("في على إلى عن مع", "في على إلى عن مع و من"),
)
# Pairs that no noun phrase begins with, and those that are rare: one of each shows it, too.
SURE_PAIRS = frozenset(pair for pair in IMPOSSIBLE_PAIRS if pair[0] in ("the", "an") or pair == ("a", "in"))
RARE_PAIRS = make_word_pairs(
    ("is are was were", "and or but of thus"),
    ("and or but", "and or but of because"),
    ("of with by from for to at in on into onto under behind near", "and or but because is are was were"),
    ("into onto upon", "has have had"),
    ("which that who", "wherefore thus of and or"),
    ("red blue green yellow brown purple seven five six", "the a an"),
)
CLASHES = make_word_pairs(*CLASHING_WORDS)
MIN_CLASHES = 2
CLASH_END = compile_lazily(r" (?:the|an?|of|with|and|which|if|into|than|between|under|had)[.!]?\s*\Z")
SUSPECT_PAIRS = IMPOSSIBLE_PAIRS | CLASHES
# A sentence ends with a noun or an adverb before a preposition, and never with these.
WRONG_END = compile_lazily(r" (?:and|or|the|an?|of) (?:with|to|of|under|in|at|by|from)[.!]?\s*\Z")
# The name of a sign or a key: "the and symbol".
NAMED_WORD = compile_lazily(
    r"\b(?:the|an?) (?:and|at|of|is|for|to|or|by|with|from)"
    r" (?=(?:signs?|symbols?|buttons?|keys?|switch|words?|letters?)\b)",
    re.IGNORECASE,
)
# Names of code: three parts, as no brand has, or two parts glued to the end of a sentence.
HUMP = compile_lazily("[a-z][A-Z]")
IDENTIFIER = compile_lazily(r"(?<![\w.@/#-])[a-z]+(?:[A-Z][a-z]+){2,}(?!\w)|(?<=[a-z][.!?])(?:[A-Z][a-z]+){2,}\W*\Z")
# A grade, a vitamin, a team.
LETTER = compile_lazily(r"(?<=[a-z] )A(?= )")
# An article, a preposition or a particle that stands three times in a row, or twice in two places.
FUNCTION_WORD = "the|an?|of|to|is|are|and|with|at|for|from|de|el|le|les|des|una|der|den|dem|mit|und|et|em|в|с|и|ли|же"
REPEATED_WORD = compile_lazily(rf"(?<![\w'’-])({FUNCTION_WORD})(?: \1)+(?![\w'’-])", re.IGNORECASE)
MIN_COPIES, LOOP_COPIES = 3, 12
TRIPLED_PARTICLE = compile_lazily(r"的的的|在在在|了了了|是是是|着着着|和和和|ののの|ををを|ががが|はははを")
# So many different words that directly follow themselves. One is emphasis, two may be grammar ("die, die die").
MIN_DOUBLED_WORDS = 3
# A word of single letters between spaces; in Korean, with an ending that is not a word. Each begins with a literal.
LETTERS_APART = compile_lazily(r" (?:[^\W\d_] ){4,}[^\W\d_](?!\w)")
HANGUL_ENDING = compile_lazily(r" [을를는습니까]")
# Korean consonants directly before vowels outside of syllables, and Arabic letters that end words or stand within them
# at the beginning of one: then the letters are in reversed order.
BROKEN_LETTERS = compile_lazily(
    r"[\u3131-\u314eةىءئؤي](?:[\u314f-\u3163]|(?<=[ةىءئؤ])(?<!\w.)[\u0620-\u064a]{2,}|(?<=ي)(?<!\w.)ف(?!\w))"
)
HANGUL_VOWEL = compile_lazily(r"[\u314f-\u3163]")
MIN_LOOSE_SYLLABLES = 2


def find_disorder(text: str, task: Task, language: str) -> str:
    """Letters and words in no order that a sentence has."""
    if find_gibberish(text) and (found := find_gibberish(remove_quotations(text).replace(task.tag, " "))):
        return found
    rest = text.removeprefix(task.tag)
    if find_word_salad(rest, language) and (found := find_word_salad(remove_quotations(rest), language)):
        return found
    if not rest.isascii() and find_mixed_word(rest, language):
        return find_mixed_word(remove_quotations(rest), language)
    return ""


def find_gibberish(text: str) -> str:
    """One of the parts that show it, or empty."""
    if not text.isascii() and (repeated := TRIPLED_PARTICLE.search(text)):
        return repeated[0]
    parts = [found[0] for found in DOUBLED_MARK.finditer(text)] if DOUBLED_MARK.search(text) else []
    if HUMP.search(text) and (identifier := IDENTIFIER.search(text)) and not is_about_code(text):
        return identifier[0]
    words = split_in_lower_case(text)
    if LETTERS_APART.search(text) and (apart := find_letters_apart(text)):
        return apart
    if not text.isascii() and BROKEN_LETTERS.search(text) and (broken := find_broken_letters(text)):
        return broken
    if len(parts) < MIN_GIBBERISH and any(map(eq, words, words[1:])):
        words = (*words[:-1], words[-1].rstrip(".!?。！？؟…"))
        doubled = sorted(
            {word for word, following in pairwise(words) if word == following and word.isalpha()} - BABY_TALK
        )
        if len(doubled) >= MIN_DOUBLED_WORDS:
            return f"{doubled[0]} {doubled[0]}"
        parts = [found[0] for found in REPEATED_WORD.finditer(text)]
        if any(MIN_COPIES <= part.count(" ") + 1 < LOOP_COPIES for part in parts):
            return parts[0]
    has_noise = NOISE.is_in(split_at_blanks(text))
    if len(parts) < MIN_GIBBERISH:
        parts = sorted(set(CONSONANTS.findall(text))) if has_noise else []
    if len(parts) < MIN_GIBBERISH:
        has_pairs = not SUSPECT_PAIRS.isdisjoint(pairwise(words))
        parts = find_wrong_pairs(text) if has_pairs else []
        if has_pairs and len(parts) < MIN_GIBBERISH:
            parts = find_clashes_of_words(text) or parts
    if len(parts) < MIN_GIBBERISH and not text.isascii():
        parts = PARTICLES.findall(text) or (sorted(set(CYRILLIC_NOISE.findall(text))) if has_noise else [])
        if len(parts) == 1 and (CHINESE_DISORDER.search(text) or CHINESE_SLIPS.search(text)):
            parts = parts * MIN_GIBBERISH
        if not parts and CHINESE_END.search(text):
            parts = [found[0] for found in CHINESE_SLIPS.finditer(text)]
        # Most texts have none of the words that a fault needs.
        if len(parts) < MIN_GIBBERISH and ("因" in text or "所以" in text or "于" in text or "然而" in text):
            parts += sorted(set(CHINESE_FAULTS.findall(text)))
    if len(parts) < MIN_GIBBERISH and not text.isascii():
        may_be_salad = len(words) > MIN_LONE_CHARACTERS and not SET_APART.search(text)
        lone = LONE_CHARACTER.findall(text) if may_be_salad else []
        parts = lone if len(lone) >= MIN_LONE_CHARACTERS else []
    return str(parts[0]) if len(parts) >= MIN_GIBBERISH else ""


def find_wrong_pairs(text: str) -> list[str]:
    """Pairs of words that never follow each other. A sure one, outside of names, counts twice beside a rare one."""
    words = split_in_lower_case(LETTER.sub("", NAMED_WORD.sub("", text)))
    found = IMPOSSIBLE_PAIRS.intersection(pairwise(words))
    parts = [" ".join(pair) for pair in pairwise(words) if pair in found and (pair[0] != pair[1] or len(found) > 1)]
    if len(parts) == 1 and WRONG_END.search(text):
        return parts * MIN_GIBBERISH
    if len(parts) == 1 and found <= SURE_PAIRS and parts[0] in text:
        behind = parts[0].split()[1]
        rare = [pair for pair in RARE_PAIRS.intersection(pairwise(words)) if pair[0] != behind]
        return parts * MIN_GIBBERISH if rare else parts
    return parts


def find_clashes_of_words(text: str) -> list[str]:
    """Different pairs of English words that clash, if there are several. A word that ends no sentence counts as one."""
    words = split_in_lower_case(NAMED_WORD.sub("", text))
    found = dict.fromkeys(pair for pair in pairwise(words) if pair in CLASHES)
    is_several = len(found) + (CLASH_END.search(text) is not None) >= MIN_CLASHES
    return [" ".join(pair) for pair in found] * MIN_CLASHES if found and is_several else []


def find_letters_apart(text: str) -> str:
    for found in LETTERS_APART.finditer(text):
        letters = found[0].split()
        # The alphabet; a sign; a word that is spelled.
        is_written = letters == sorted(letters) or found[0].isupper() or SPELLING.search(text, 0, found.start())
        is_written = is_written or (HAN_LETTER.search(found[0]) and SET_APART.search(text))
        is_korean = "\uac00" <= letters[0] <= "\ud7a3"
        if not is_written and (not is_korean or HANGUL_ENDING.search(found[0])):
            return found[0].strip()
    return ""


def find_broken_letters(text: str) -> str:
    """Loose syllables of Korean, or Arabic letters in reversed order."""
    found = BROKEN_LETTERS.findall(text)
    loose = [part for part in found if HANGUL_VOWEL.search(part)]
    parts = [part for part in found if part not in loose] or (loose if len(loose) >= MIN_LOOSE_SYLLABLES else [])
    return str(parts[0]) if parts else ""
