"""Finds a thing with two opposite attributes: "an open window that is tightly closed", "a closed door, and the door is
wide open", "is completely dry and soaking wet". What is compared, changes or has two sides may have both.

Each language has its pairs of opposites, and the frames that place both at one thing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import permutations, product

from persqa_client.answers.phrases import choose_language
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations
from persqa_client.word_search import search_words, split_at_blanks

# Words for the states of a thing that exclude each other, whatever the thing is.
PAIRS = {
    "en": (
        ("open", "closed|shut|locked"),
        ("empty|deserted", "full|crowded|packed|filled"),
        ("dark|dimly lit|unlit", "brightly lit|bright|sunlit|well[- ]lit"),
        ("dry", "(?:soaking )?wet|soaked|drenched"),
        ("clean|spotless", "dirty|filthy|muddy"),
        ("young|teenage|baby", "elderly|old|aged|senior"),
        ("bald|hairless", "long[- ]haired|curly[- ]haired"),
        ("standing(?: upright| up)?", "sitting(?: down)?|seated|lying(?: down)?"),
        ("(?:fast |sound |soundly )?asleep|sleeping", "(?:wide )?awake"),
        ("indoors", "outdoors"),
        ("alive", "dead"),
        ("motionless|(?:standing |sitting )?still", "running|sprinting|jumping|dancing"),
        ("taller", "shorter"),
        ("male", "female"),
    ),
    "zh": (
        ("关着|關著|关闭|紧闭|緊閉|锁着", "(?:大|敞|打|半)?[开開](?:着|著)|敞开|打开"),
        ("空荡荡|空无一人|空空如也|空空荡荡", "挤满|坐满|站满|人山人海|拥挤不堪"),
        ("干燥|干爽", "湿透|湿漉漉|湿淋淋"),
        ("年轻|年幼", "年老|年迈|苍老"),
        ("干干净净|一尘不染", "脏兮兮|满是污渍|沾满泥"),
        ("漆黑|昏暗", "明亮|亮堂"),
    ),
}
ADVERB = r"(?:(?:\w+ly|very|quite|so|too|wide|all|half|actually|still|also|both) ){0,2}"
# A word behind the second one begins another thing ("an open and closed door"), except a phrase of place or a clause.
END = r"(?=\W*\Z|[.,;!]| (?:with|by|on|in|at|to|of|around|behind|and|while|for|from)\b)"
COLOR = "black|white|red|green|yellow|blue|brown|orange|pink|purple|gr[ae]y"
# The frames in English; %s are the two opposites, in either order.
ENGLISH_FRAMES = (
    # "An open window that is closed", "an empty road crowded with cars".
    rf"\b(?:an?|the|his|her|its) (?:\w+ly )?(?:%s) (?:\w+ )?[a-z]{{3,}},?(?: that is| which is"
    rf"| that's)? {ADVERB}(?:%s){END}",
    # "A closed door, and the door is open".
    r"\b(?:an?|the|his|her|its) (?:\w+ly )?(?:%s) (?P<noun{0}>[a-z]{{3,}})\b[^.;!?]{{0,60}}?(?:,|, and|, but| and|\."
    r"|;) ?(?:the|this|that|his|her|its) (?P=noun{0})"
    rf" is {ADVERB}(?:%s){END}",
    # "Is completely dry and soaking wet", "is standing, sitting on a bench".
    rf"\A<> is {ADVERB}(?:%s)(?: and|,| but| yet| and also| and at the same time| on [a-z ]{{1,20}} while"
    rf"| while) {ADVERB}(?:%s){END}",
    # "A young elderly woman".
    r"\b(?:is|as|sees|beside|with) an? (?:very )?(?:%s),? (?:very )?(?:%s) (?:m[ae]n|wom[ae]n|person|lady|gentleman"
    r"|boy|girl|dog|cat|child)\b",
)
CHINESE_FRAMES = (
    r"(?:%s)的(?P<noun{0}>[一-龯]{{1,4}}?)(?:[前后旁里外边上下]|旁边|前面|后面)?[，。；](?:但|而|可|不过)?(?:这"
    r"|那)?[扇个间条]?(?P=noun{0})(?:却|正|是|又)?(?:%s)(?:的|着|了)?[。，！]?",
    r"\A<>(?:的[一-龯]{{1,4}})?(?:全身|浑身)?(?:很|非常|十分)?(?:%s)[，而又且]{{1,2}}(?:全身|浑身|很|非常"
    r"|十分)*(?:%s)(?:的)?[。！]?\Z",
)
FRAMES = {"en": ENGLISH_FRAMES, "zh": CHINESE_FRAMES}
# Both may be true: of two things, one after the other, in part, on a picture, or in a figure of speech.
BOTH_TRUE = compile_lazily(
    r"\b(?:half|partly|partially|sometimes|alternat\w+|then|once|before|after|was|were|now|other|one|another|each"
    r"|between|either|or|neither|nor"
    r"|not|no|n't|never|mixture|contrast\w*|comparison|compared|than|sign|labell?ed|button|switch|toy|statue|painting"
    r"|poster|photo|reflection|while the"
    r"|\w*(?:fill|open|clos|empty|dry|wash|clean|wip|turn|light|switch)(?:s|es|ing)|young at heart|sides?"
    r"|(?:street|road|lot|alley|path|field|yard) full of|lit by|bright with"
    r"|slightly|almost|nearly|seems?|looks?|despite|although|though|yet|usually|normally)\b"
    r"|一半|有时|之前|刚才|原来|曾经|另一|其中|不|没|似乎|好像|平时|虽然|尽管|画|海报|照片|[一-龯]侧",
    re.IGNORECASE,
)
# Counts of one thing, of which the second is greater: "two dogs … the five dogs", 两只狗，三只狗.
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBER = "|".join(NUMBERS)
ENGLISH_COUNTS = compile_lazily(
    rf"\A<[^<>]*> (?:has|holds|owns|is holding|is walking|carries|is carrying|wears|is wearing) (?:exactly |only "
    rf"|just )?(?P<first>{NUMBER}|no) (?P<noun>[a-z]{{3,}}?)s?\b"
    rf"(?:, and|,| and|\.|;) (?:(?:all (?:of )?)?(?:the|these|his|her|its) (?P<second>{NUMBER}) (?P=noun)s\b"
    r"(?! (?:on|in|at|behind) )"
    rf"|(?P<both>both) (?:of )?(?:the |his |her )?(?P=noun)s\b"
    rf"|there are (?P<there>{NUMBER}) (?P=noun)s with (?:<|him|her)|(?P<all>all) (?P<number>{NUMBER}) (?P=noun)s\b)",
    re.IGNORECASE,
)
DIGITS = "一两三四五六七八九十"
CHINESE_COUNTS = compile_lazily(
    rf"\A<[^<>]*>[^，。；另其还]{{0,6}}?(?:有|牵着|抱着|拿着"
    rf"|养了)(?:正好)?(?P<first>[{DIGITS}])(?P<measure>[只个条本把张头匹位])(?P<noun>[一-龯]{{1,3}})[，。；]"
    rf"(?:这|那)?(?P<second>[{DIGITS}])(?P=measure)(?P=noun)(?:都|全|正|在(?![旁远后前附])|是)"
)


# A state and what it excludes: nobody is alone among friends, asleep with open eyes, barefoot in boots.
ENGLISH_PEOPLE = (
    r"(?:\w+ ){0,2}(?:friends|people|colleagues|children|kids|men|women|others|persons|girls|boys|relatives)\b(?!['’])"
)
ELSEWHERE = (
    r"(?![^.;]*\b(?:background|distance|behind|far|screen|poster|wall|phone|picture|photo|painting|past|away)\b)"
)
EXCLUDED = {
    "en": compile_lazily(
        rf"\A<> (?:is|sits|stands|appears)(?: \w+ing)? (?:all |completely )?(?:alone|by (?:him|her"
        rf"|it)self)\b(?: in [a-z ]{{1,20}})?,? (?:and |but )?(?:is |while )?"
        rf"(?:with(?! (?:two|his|her)\b)|surrounded by|accompanied by|talking (?:to|with)|chatting with|hugging"
        rf"|among) (?:(?:{NUMBER}|several|many|his|her|some|other|a group of"
        rf"|dozens of) ){{1,2}}{ENGLISH_PEOPLE}{ELSEWHERE}"
        r"|\b(?:asleep|sleeping)\b[^.;]{0,20}\b(?:eyes (?:are )?(?:wide )?open)\b"
        rf"|\bindoors,? (?:\w+ing )?(?:on|in|at) (?:an?|the) (?:\w+ )?(?:open field|meadow|beach){END}"
        rf"|\boutdoors,? in (?:the|an?|his|her) (?:\w+ )?(?:living room|bedroom|bathroom|office){END}"
        r"|\b(?:elderly|very old) (?:m[ae]n|wom[ae]n|person|lady)\b(?:(?! and | with )[^.;]){0,12}\b(?:in (?:his|her"
        r"|their) (?:\w+ )?(?:teens|twenties|thirties|20s|30s)|(?:of|aged) (?:about |around )?(?:five|six|seven|eight"
        r"|nine|ten|twelve)\b)"
        r"|\ban? (?:very )?(?:elderly|old) (?:toddler|baby|infant|teenager|schoolboy|schoolgirl)\b"
        r"|\blooks (?:very )?(?:happy|cheerful|joyful) (?:and|but) (?:very |deeply )?(?:sad|unhappy|miserable)\W*\Z"
        r"|\bis (?:completely |totally )?bald,? (?:with|and has) (?:long|short|curly|thick|wavy|straight"
        r"|\w+ed) (?:\w+ )?(?<!facial )(?<!chest )hair(?! (?:on|at|around|along|above|over|behind|near|by)\b)"
        r"|\bbarefoot,? (?:in|and wearing|wearing) (?:an? pair of )?(?:\w+ ){0,3}(?:boots|sneakers|shoes|sandals"
        r"|loafers|heels|trainers)\b"
        r"|\bis (?P<act>\w{3,}ing)(?: \w+)?,? but (?:is )?not (?P=act)(?: at all| anymore)?\W*\Z"
        rf"|\A<>['’]s (?P<one>{COLOR}) (?!(?:juice|soda|wine|tea|grapes?|eye|hair|ale|beans?|onions?|cabbage|pepper"
        rf"|light)\b)[a-z]+ is (?:\w+ly )?(?!(?P=one))(?:{COLOR})\W*\Z"
    ),
    "zh": compile_lazily(
        r"(?:独自(?:一人)?|孤身一人|一个人)(?:和|跟|与)(?:[两三四五六七八九十几]个|[几多数]位"
        r"|一群)[^，。]{0,6}(?:朋友|同学|同事|家人|孩子|人)"
        r"|(?:独自一人|孤零零|一个人)[^，。]{0,6}，(?:身边|周围|四周)?被?[两三四五六七八九十几]个?[^，。]{0,4}(?:朋友"
        r"|人|同学|同伴)[^，。]{0,3}(?:围着|包围|围绕|簇拥|陪伴)"
        r"|年轻的(?:老人|老太太|老爷爷|老奶奶|老头)|年[老迈]的(?:小(?:女孩|男孩|孩子?|朋友)|年轻人|小伙子|小姑娘|少年"
        r"|少女|婴儿)"
        r"|(?:开心|高兴|快乐|愉快)地?(?:大|微)?笑[^，。]{0,3}，(?:看起来|看上去|显得|表情)(?:很|非常|十分"
        r"|特别)*(?:伤心|难过|悲伤|沮丧|痛苦)[。！]?\Z"
        r"|(?:熟睡|睡着|睡觉)[^，。]{0,2}，(?:却|还|正|一双|瞪着|把){0,2}(?:睁大|睁着|瞪大)[^，。]{0,3}(?:眼睛|双眼)"
        r"|[光赤]着?脚，?穿着?一双[^，。拖凉袜]{0,6}(?:鞋|靴)"
        r"|(?:全身|浑身|通体)(?:雪白|洁白|纯白)[^。]{0,4}，[^，。]{0,4}(?:黑|灰|棕|橘)[猫狗兔马]|(?:全身|浑身"
        r"|通体)(?:漆黑|乌黑)[^。]{0,4}，[^，。]{0,4}白[猫狗兔马]"
        r"|睡着了?，正?在?(?:和|跟)[^，。]{1,6}(?:聊天|说话)(?!的)|\A<>站在[^，。的]{1,6}坐着(?!的)|\A<>坐在[^，。的]{1,6}站着(?!的)"
        r"|戴着(?:一[副顶])?(?P<worn>眼镜|帽子|口罩|手套|围巾)，[^，。左右另其一旁边人别]{0,4}没有?(?:任何|戴着?)?(?P=worn)"
        r"|深夜[^，。]{0,4}(?:阳光|烈日)下|空(?P<noun>[一-龯]{1,3})，(?:这个|那个)?(?P=noun)[里中](?:面)?(?:装|盛|放"
        r"|倒|塞)满"
        r"|\A<>的(?P<one>[红蓝绿黄黑白紫灰粉棕橙])色的?(?![猫狗兔马熊鸟羊牛])[一-龯]{1,3}(?:却"
        r"|其实)?是(?!(?P=one))[红蓝绿黄黑白紫灰粉棕橙]色的[。！]?\Z"
    ),
    "fr": compile_lazily(
        r"\bseule?\b,? (?:et )?(?:est )?(?:entourée? (?:de |d['’])|avec )(?:deux|trois|quatre|cinq|six|plusieurs"
        r"|nombreux|ses) (?:\w+ )?(?:amis|amies|personnes|enfants|gens)\b"
    ),
    "es": compile_lazily(
        r"\bsol[oa],? (?:y )?(?:está )?(?:rodead[oa] (?:de|por)|con|junto a) (?:dos|tres|cuatro|cinco|seis|varios"
        r"|muchos|sus|otras?) (?:\w+ )?(?:amig[oa]s|personas|niños|niñas)\b"
    ),
    "de": compile_lazily(
        r"\ballein,? (?:und )?(?:(?:ist |steht |sitzt )?(?:umgeben )?von|mit) (?:zwei|drei|vier|fünf|sechs|mehreren"
        r"|vielen) (?:\w+ )?(?:Freunden|Freundinnen|Leuten|Personen|Kindern|Menschen)\b"
        r"(?! (?:im Hintergrund|in der Ferne))"
    ),
    "pt": compile_lazily(
        r"\bsozinh[oa],? (?:e )?(?:está )?(?:cercad[oa]|rodead[oa]|com|junto) (?:de |por |a )?(?:dois|duas|três"
        r"|quatro|cinco|seis|vários|muitos|seus) (?:\w+ )?(?:amig[oa]s|pessoas|crianças)\b"
    ),
    "ru": compile_lazily(
        r"\A<>[^,.]{0,12}\bодн?(?:ин|на|инок[аи]?)?\b,? (?:и |а )?(?:его|е[её])? ?(?:окружа(?:ют|ет)|в окружении"
        r"|окруж[её]н[аы]?|вместе с|с) (?:дву[хм]|тр[её][хм]|четыр[её][хм]|пят[иь]ю?|шест[иь]ю?|пять|шесть"
        r"|нескольки\w+|двое|трое) (?:\w+ )?(?:друз\w+|люд\w+|дет\w+|человек\w*)"
    ),
    "ja": compile_lazily(
        r"(?:一人|ひとり)で、?(?:[二三四五六七八九十数\d]人の)?(?:友達|仲間|人々|家族)(?:たち)?(?:に囲まれ|と一緒に(?![写映撮]))"
    ),
    "ko": compile_lazily(
        r"혼자(?:서|이며|이고|인데)?,? (?:친구|사람|가족)(?:들)? ?(?:두|세|네|다섯|여섯|여러|\d)? ?명?(?:에게|과|와"
        r"|들에게|들과)? ?(?:함께|둘러싸여|같이)"
    ),
    "ar": compile_lazily(
        r"(?:وحد[هة]ا?|بمفرد[هة]ا?)،? (?:و?(?:يحيط|تحيط) به[ا]? |مع |محاط[اة]?ً? ب)(?:اثنين|ثلاثة|أربعة|خمسة|ستة|عدة"
        r"|العديد)(?: من)? (?:أصدقا\w+|أشخاص|أطفال|الأصدقاء|الأشخاص|الأطفال)"
    ),
}

# What is denied directly before it is no contradiction: "is not alone, surrounded by friends".
DENIED = compile_lazily(
    r"(?:\b(?:not|never|neither|nicht|kein\w*|no|ni|pas|não|nem|не|ни|ليس|ليست)|n't)(?: [\w']+){0,2} ?\Z"
    r"|[没沒不未](?:有|是|在)?\Z",
    re.IGNORECASE,
)
# Words that exclude something, and words of the two sides of the English pairs.
LONE = r"alone|himself|herself|itself|asleep|sleeping|indoors|outdoors|elderly|bald|barefoot|sad|unhappy|miserable"
LONE_WORDS = search_words(rf"\b(?:{LONE})\b")
EXCLUDING_WORDS = search_words(
    rf"\b(?:{LONE}|open|empty|deserted|dark|dimly|unlit|dry|clean|spotless|young|teenage|baby|hairless|standing|alive"
    r"|motionless|still|taller|male)\b"
)
OTHER_SIDE = search_words(
    r"\b(?:closed|shut|locked|full|crowded|packed|filled|lit|bright|brightly|sunlit|wet|soaked|drenched|dirty|filthy"
    r"|muddy|elderly|old|aged|senior|haired|sitting|seated|lying|awake|outdoors|dead|running|sprinting|jumping|dancing"
    r"|shorter|female)\b"
)
# One of these is in each text that ``EXCLUDED`` finds. Begins with a class of characters, to which ``re`` skips.
HINTS = {
    "zh": compile_lazily(
        r"[独孤一年笑睡光赤身体深空关關紧緊锁干漆昏有牵抱拿养色站坐戴]"
        r"(?:(?<=独)自|(?<=[站坐])在|(?<=戴)着|(?<=孤)[身零]|(?<=一)(?:个人|尘)|(?<=年)(?:轻|幼|[老迈]的)"
        r"|(?<=笑)[^。，]{0,3}，"
        r"|(?<=睡)[^，。]{0,3}，|(?<=[光赤])着?脚|(?<=[身体])[雪洁纯漆乌]|(?<=深)夜|(?<=空)(?:[荡无空]|[一-龯]{1,3}，)"
        r"|(?<=[关關锁])[着著闭]|(?<=[紧緊])[闭閉]|(?<=干)[燥爽干]|(?<=漆)黑|(?<=昏)暗"
        rf"|(?<=[有牵抱拿养])[着了]?(?:正好)?[{DIGITS}][只个条本把张头匹位][一-龯]{{1,3}}[，。；]|(?<=色)的[。！]?\Z)"
    ),
    "fr": compile_lazily("seul"),
    "es": compile_lazily(r"\bsol[oa]"),
    "de": compile_lazily("allein"),
    "pt": compile_lazily("sozinh"),
    "ru": compile_lazily("од[ин]"),
    "ja": compile_lazily("一人で|ひとりで"),
    "ko": compile_lazily("혼자"),
    "ar": compile_lazily("وحد|بمفرد"),
}


def has_opposites(text: str, tag: str, question: str) -> bool:
    """Whether a thing has two attributes that exclude each other, or two counts."""
    language = choose_language(question)
    if language not in EXCLUDED or not may_have_opposites(text, len(tag), language):
        return False
    if excludes_itself(own := text.replace(tag, "<>"), language):
        return True
    if language not in PAIRS:
        return False
    frames = [frame for one, other, frame in compile_opposites(language) if one.search(own) and other.search(own)]
    if not frames and any_count(language).match(own) is None:
        return False
    own = remove_quotations(own)
    if has_two_counts(own, language):
        return True
    return BOTH_TRUE.search(own) is None and any(frame.search(own) for frame in frames)


def may_have_opposites(text: str, start: int, language: str) -> bool:
    """Cheap, for ordinary answers."""
    if language != "en":
        return HINTS[language].search(text) is not None
    words = split_at_blanks(text)
    if EXCLUDING_WORDS.is_in(words):
        return OTHER_SIDE.is_in(words) or LONE_WORDS.is_in(words)
    return " but not " in text or text.startswith(("'s", "’s"), start) or ENGLISH_COUNTS.match(text) is not None


def excludes_itself(text: str, language: str) -> bool:
    pattern = EXCLUDED[language]
    if pattern.search(text) is None:
        return False
    own = remove_quotations(text)
    found = pattern.search(own)
    return found is not None and DENIED.search(own, 0, found.start()) is None


def has_two_counts(text: str, language: str) -> bool:
    """A part of what was counted may be mentioned, but not more of it."""
    found = any_count(language).match(text)
    if found is None:
        return False
    digits = NUMBERS if language == "en" else tuple(DIGITS)
    groups = {name: (value or "").lower() for name, value in found.groupdict().items()}
    second = groups["second"] or groups.get("there") or groups.get("number")
    if groups["first"] == "no" or second is None:
        return True
    return digits.index(second) > digits.index(groups["first"]) if second else groups["first"] == "one"


def any_count(language: str) -> re.Pattern[str]:
    return ENGLISH_COUNTS if language == "en" else CHINESE_COUNTS


@lru_cache
def compile_opposites(language: str) -> tuple[tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]], ...]:
    """For each pair, its two sides, and one pattern for all frames with both in either order."""
    patterns = []
    for pair in PAIRS[language]:
        parts = [
            frame.replace("{0}", str(place)).replace("{{", "{").replace("}}", "}") % order
            for place, (frame, order) in enumerate(product(FRAMES[language], permutations(pair)))
        ]
        texts = (*pair, "|".join(parts))
        one, other, frames = (re.compile(text, re.IGNORECASE) for text in texts)
        patterns.append((one, other, frames))
    return tuple(patterns)
