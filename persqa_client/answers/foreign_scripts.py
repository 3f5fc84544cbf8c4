"""Finds words of another script within a sentence ("brown的leather包"), and words with letters of two scripts
("derжит").
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.foreign_words import ENGLISH_JOINTS, ENGLISH_MARKS
from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.language import HAN, LATIN_WORDS
from persqa_client.lazy_pattern import compile_lazily

# In Korean, a particle directly behind it shows a noun.
ING_FORM = compile_lazily(r"(?<![\w'’-])[a-z]{3,}ing(?![\w-])")
# Frequent English words of descriptions that are neither loans in other scripts nor names of brands. A colour may be a
# part of a name, and counts between words of the right language.
DESCRIPTIVE = (
    "hair eyes face head hands arms legs feet nose mouth ears tail fur shirt jacket trousers pants dress skirt"
    " hat scarf gloves sweater coat glasses sunglasses necklace earrings bracelet backpack handbag leather wood"
    " wooden cotton wool brick fabric street corner road bridge mountain mountains river lake beach forest garden"
    " building buildings wall window door floor ceiling kitchen table chair bench shelf background foreground sky"
    " clouds grass tree trees flower flowers leaves bottle plate bowl spoon knife umbrella dog dogs bird birds"
    " horse people woman smile expression relaxed gentle smooth bright striped stripes colorful serious tired"
    " excited surprised friendly camera vegetables fruit bread sitting standing smiling holding"
    " wearing looking eating drinking reading cooking playing riding sleeping talking lying watching waiting"
    " writing leaning jumping carrying laughing bicycle bicycles wheel wheels helmet skateboard motorcycle truck"
)
DESCRIPTIVE_WORDS = frozenset(DESCRIPTIVE.split())
# Loans in Chinese and Japanese only.
SPACED_DESCRIPTIVE_WORDS = DESCRIPTIVE_WORDS.union(("coffee", "happy", "sad"))
COLORS = "black|white|red|green|yellow|blue|brown|orange|pink|purple|grey|gray"
# The same in Chinese, within another language: no dish or place is called so.
CHINESE_DESCRIPTION = (
    "自行车 自行車 手机 手機 开心 開心 高兴 高興 微笑 帽子 眼镜 眼鏡 墨镜 衣服 外套 毛衣 衬衫 襯衫 裤子 褲子"
    " 裙子 鞋子 手套 围巾 圍巾 背包 雨伞 雨傘 桌子 椅子 窗户 窗戶 沙发 沙發 相机 相機 杯子 瓶子 头发 頭髮"
    " 眼睛 耳朵 尾巴 草地 街道 海滩 海灘 女人 男人 女孩 男孩 孩子 小狗 小猫 红色 紅色 蓝色 藍色 绿色 綠色"
    " 黄色 黃色 黑色 白色 灰色 棕色 粉色 紫色 橙色 木头 木頭 背景 安静 放松"
    " 咖啡 电脑 電腦 书包 書包 耳机 耳機 苹果 蘋果 水果 汽车 汽車 照片 笔记本 吉他 篮球 籃球 足球 公园 公園"
    " 疲惫 疲倦 难过 伤心 生气 惊讶 害怕 紧张 专注 兴奋 严肃 沮丧 困惑 害羞 悲伤 漂亮 愉快 满意"
    " 厨房 廚房 房间 房間 天空 大海 楼梯 樓梯 毛巾 篮子 籃子 箱子 盒子 鲜花 鮮花 蛋糕 面包 麵包 牛奶"
)
# Japanese has no such word with one of these.
NOT_JAPANESE = (
    "手机|手機|开心|高兴|裤子|褲子|裙子|鞋子|围巾|圍巾|雨伞|墨镜|衬衫|沙发|杯子|瓶子|头发|男孩|女孩|小狗|小猫"
)
CHINESE_NOT_JAPANESE = compile_lazily(NOT_JAPANESE)
# What stands on a sign or a card, or is translated.
ON_SIGN = compile_lazily(
    rf"[{HAN}]+(?= (?:signs?|signboard|cards?|flash ?cards?|letters|characters?|logo|labels?|stickers?|posters?"
    r"|banners?|buttons?|stands?|stalls?|shop|store|app)\b|,? (?:which means|meaning)\b)"
    rf"|\b(?:cards?|characters?|words?|signs?) (?:for|with|of) [{HAN}]+"
)
CHINESE_DESCRIPTIVE_WORDS = frozenset(CHINESE_DESCRIPTION.split())
# Latin words in a row within another script, with the letters on both sides.
LATIN_PART = compile_lazily(
    r"(?<![\w'’-])(?=[a-z]{3})[a-z]+(?: [a-z]+)*(?![\w'’-])"
    r"|(?<=[\u3040-\u9fff])[a-z]{3,}(?: [a-z]+)*(?![A-Za-z\d'’-])|\A\s*[a-z]{3,}(?=[\u4e00-\u9fff])"
    r"|(?<![\w'’-])[a-z]{3,}(?=[\uac00-\ud7a3])"
)
MOST_LOANS = 2
# Not a bottle, a box or a house, which brands are called after.
COLORED_THINGS = DESCRIPTIVE_WORDS.union(("umbrella", "dress", "shoes", "boots", "suit", "sofa")) - {"bottle", "bird"}
LATIN_PREDICATE = compile_lazily(r"(?:很|非常|十分|特别|看起来|看上去|显得) ?[a-z]{3,}")
COLOR_PART = compile_lazily(
    rf"(?<=[\u3040-\u9fff]) ?(?:{COLORS}) ?[的のな]"
    rf"|(?:[颜顏]色[是为為]|色は|색은|색깔[은이]) ?(?:{COLORS})(?![\w-])"
    rf"|(?<![\w-])(?:{COLORS})(?: colou?r)?(?:입니다|이며|이고|です)"
    rf"|(?<=[\u0400-\u06ff\uac00-\ud7a3] )(?:{COLORS}) (?=[\u0400-\u06ff\uac00-\ud7a3])(?!컬러|톤|색)"
)
# An English word that joins, between Chinese ones.
HAN_JOINT = compile_lazily(
    rf"(?<=[{HAN}，。]) ?(?:with|while|wearing|holding|looking|is|are) ?(?=[{HAN}])"
    rf"|(?<=[{HAN}]) ?(?:play(?! ?station)|walk|ride"
    rf"|read|eat|drink|watch|wear|hold|sit|stand|listen to) (?:[a-z]+ )?[a-z]{{3,}}(?![\w-])"
)
# An attribute in hiragana, before a Chinese noun.
KANA_ATTRIBUTE = compile_lazily(rf"(?<![\u3041-\u30ff])[\u3041-\u3096]{{2,}}[いなるた](?=[{HAN}])")
# A word in small letters of another script behind an article: no name, and not what is written there.
CYRILLIC_NOUN = compile_lazily(
    r"(?<![\w'’-])(?:an?|the|his|her|its|el|la|los|las|una?|le|les|une|der|die|das|den|dem|eine?[mnr]?|o|os|as|um|uma)"
    r" [а-яё]{3,}(?![\w-])(?! ?[(（])"
    # An ending of grammar, between two words of the sentence.
    r"|[a-z]{2,} [а-яё]{4,}(?:енно|но|ый|ая|ое|ые|ого|ть|ет|ит) [a-z]{2,}"
)
# Chinese that says what is depicted. An inscription seldom does, and stands behind a word for writing.
DEPICTION = compile_lazily(
    rf"(?:一[个個只隻条條朵片块塊颗顆棵张張][{HAN}]{{1,8}}|[{HAN}]的)(?:图案|圖案|花纹|花紋|图样|圖樣|形状|形狀|样子"
    rf"|图片|图形)"
)
WRITING_BEFORE = compile_lazily(
    r"\b(?:words?|characters?|letters|reads?|reading|says?|saying|text|phrase|named|called)\b[^.!?]*\Z"
)
# Chinese words that join others, and never are a name.
CHINESE_JOINTS = (
    "[和与與及或但而在从從把被给給对對的了是有很也都又跟向]|旁[边邊]|因[为為]|所以|但是|然[后後]|以及|而且|或者|非常"
    "|正在|[并並]且|[虽雖]然|如果|一[边邊]"
    "|[站坐走穿戴拿跑跳]在"
)
# Three Latin words in small letters, one of which is a frequent English one, in a script of another kind.
LATIN_RUN = compile_lazily(r"(?<![\w'’-])[a-z'’]+(?: [a-z'’]+){2,}(?![\w-])")
# Particles between words, and endings of verbs. Without them, Japanese is the name of a dish or a restaurant.
HIRAGANA = compile_lazily(
    r"[\u30a1-\u30fc\u3400-\u9fff][はがをにで][\u30a1-\u30fc\u3400-\u9fff]"
    r"|(?:ます|です|ました|でした|ません|ている)(?![\u3041-\u3096])|[はがを](?<=[\u3041-\u3096]{3})(?!\w)"
)
HIRAGANA_LANGUAGES = ("ko", "ru", "ar", "en", "es", "fr", "de", "pt")
# Chinese grammar in letters that Japanese has too.
CHINESE_GRAMMAR = compile_lazily(r"正在(?!庫)|[拿坐站]着(?![いたてるかさせまこ])|[，,]手里|[坐站穿戴拿]在")
HAN_RUN = compile_lazily(r"[\u3400-\u9fff]+")
HAN_BEFORE_PARTICLE = compile_lazily(
    r"(?<![\u3400-\u9fff])([\u3400-\u9fff]+)(?:을|를|과|와|이|가|에|에서|의|은|는|도|로|으로)(?![\uac00-\ud7a3])"
)
# Where a noun has to follow. In languages with Latin letters, names of dress and dishes stand there too ("a red 旗袍").
HAN_NOUNS = {
    "ru": compile_lazily(
        r"[а-яё]{3}(?:ый|ая|яя|ое|ого|ую|юю|ые|ых|ыми|[нвс]н?ой|ском|ным) [\u3400-\u9fff]{1,2}(?![\u3400-\u9fff])"
    ),
    "ko": compile_lazily(r"[\uac00-\ud7a3](?:색|한|운|은|는|던|린|진|큰) ([\u3400-\u9fff]+)"),
}


# The last characters in names of everyday things. Dishes, dress, instruments, festivals and places are left out: a text
# in another language may call them by their own names.
# Of places, only the bare kinds, which are no names.
THING = compile_lazily(
    r"地[图圖]|[书書狗猫鱼魚花鸟]|蘑菇|苹果|蘋果|香蕉|草莓|西瓜|葡萄|鸡蛋|雞蛋|胡萝卜|[钥鑰]匙|窗外|[门門]口"
    r"|[图圖][书書][馆館]|教室|[学學]校|[医醫]院|超市|商店|[车車]站|[报報][纸紙]|行李"
    r"|[\u3400-\u9fff]*(?:[伞傘椅桌凳柜櫃床毯垫墊枕帘簾窗墙牆栏欄杆梯阶階箱盒袋篮籃筐桶瓶杯盆勺铲鏟刷梳镜鏡球板车車艇机機树樹草叶葉枝帽"
    r"裤褲靴袜襪巾链鏈带帶扣绳繩壁罩鸦鴉蝶鸟鳥朵束瓣坪蓬幕罐]|[大外毛上风雨睡泳内]衣|(?:运动|球|皮|凉|拖|跟|雨)鞋"
    r"|衬衫|[托餐果]盘"
    r"|[玩工餐面文家道]具|毛线|喷泉|噴泉|沙滩|沙灘|沙发|沙發|水池|泳池|池塘|栅栏|柵欄|篱笆|籬笆"
    r"|台阶|楼梯|阳台|屋顶|天花板|地面|小屋|木屋|房屋|岩石|石头|石頭|木头|木頭|枕头|枕頭|骨头|骨頭|镜头|树木|樹木"
    r"|森林|树林|雪人|机器人|路人|行人"
    r"|工人|老人|男人|女人|客人|[小黑白花橘灰大]猫|[小黑白花灰大]狗|[小大]狗熊|风筝|風箏|键盘|鼠标|斗篷|围裙|圍裙"
    r"|蝴蝶结|手帕|铃铛|鈴鐺|蜡烛|蠟燭"
    r"|气泡|泡泡|彩虹|阳光|雪地|草丛|灌木|路灯|路燈|台灯|台燈|水壶|雨靴|背包|钱包|挎包|书包|手提包|垃圾|玩偶|娃娃"
    r"|麦克风|显示器|屏幕|皇冠|披风"
    r"|[椅桌盒瓶帽鞋袜裙裤梯篮箱杯盘勺叉镜绳毯垫被架柜房屋院车鸽兔猴孩叶影柱棍桶罐袋钉锤坑]子|木棍)"
)
# Drinks and food that English has its own word for. Behind "of", they may be the name on the menu.
FOOD = compile_lazily(
    r"an? [奶红紅绿綠冰果花]茶|an? (?:[果橙豆]汁|[啤红紅白]酒|[饮飲]料|汽水|冰[淇激][淋凌]|可[乐樂]|三明治|[汉漢]堡"
    r"|薯[条條片]|[饼餅]干|沙拉|披[萨薩]|[面麵][条條]|米[饭飯])"
)
# Names of people and pets, as next to somebody.
PET_NAME = compile_lazily(r"[小老阿].{1,2}|(.)\1|[雪毛皮绣]球|石头|木头|铃铛|彩虹|布丁|阳光|娃娃")
# Words before a noun, those before a name too, attributes, and what may follow a noun at once.
NOUN_PLACES = {
    "en": (
        "an?|the|some|his|her|their|its|two|three|four|five|several|many|these|those|under|beneath|behind|inside"
        "|onto|into"
        "|over|across|on top of|on|holding|holds|carrying|carries|wearing|wears",
        "next to|beside|near|by|with|of|and|against|in front of",
        r"(?:[a-z-]+(?:ed|ful|ish|less|ous|ic|al|den|len|ing|ny|ky|fy|gy|up)|black|white|red|green|yellow|blue|brown"
        r"|orange|pink"
        r"|purple|gr[ae]y|dark|light|bright|big|small|large|little|tiny|huge|long|short|tall|old|new|thick|thin|soft"
        r"|round|flat"
        r"|canvas|leather|cotton|plastic|metal|stone|paper|brick|glass)",
        r" (?:[a-z]+(?:ing|ed|ly)|on|in|at|with|and|to|from|of|by|under|over|behind|beside|near|next|around|through"
        r"|into|onto|along|while|as"
        r"|that|which"
        r"|who|is|are|for|for|above|across|against|between|or|hanging|but)\b",
    ),
    "de": (
        "ein|eine|eine[mnrs]|der|die|das|dem|den|des|sein|seine[mnrs]?|ihr|ihre[mnrs]?|zwei|drei|vier|mehrere|viele"
        "|unter|hinter"
        "|auf|über|hält|trägt",
        "neben|bei|mit|und|vor|an",
        r"[a-zäöüß]+e[mnrs]?",
        r" [a-zäöüß]",
    ),
    "fr": (
        "une?|l[ae]|les|des|du|son|sa|ses|leurs?|deux|trois|plusieurs|sous|derrière|sur|tient|porte",
        "près de|à côté de|avec|et|devant|contre|de",
        r"(?:grande?s?|petite?s?|vieille?s?|vieux|belles?|beaux?|joli[es]*|longue?s?|nouvelle)",
        " [a-zà-ü]",
    ),
    "es": (
        "una?|el|la|los|las|unos|unas|su|sus|dos|tres|varios|varias|bajo|debajo de|detrás de|encima de|sobre"
        "|sostiene|lleva",
        "junto a|al lado de|cerca de|con|y|delante de|frente a|de",
        r"(?:gran|grandes?|pequeñ[oa]s?|viej[oa]s?|bonit[oa]s?|larg[oa]s?|nuev[oa]s?|hermos[oa]s?|alt[oa]s?)",
        " [a-zà-ü]",
    ),
    "pt": (
        "uma?|[oa]s?|d[oa]s?|n[oa]s?|uns|umas|seus?|suas?|dois|duas|três|vários|várias|sob|debaixo de|atrás de|sobre"
        "|segura|usa|segurando"
        "|carrega",
        "junto a|ao lado de|perto de|com|e|em frente a|de",
        r"(?:grandes?|pequen[oa]s?|velh[oa]s?|bonit[oa]s?|long[oa]s?|nov[oa]s?|bel[oa]s?|alt[oa]s?)",
        " [a-zà-ü]",
    ),
    "ru": (
        "под|над|за|на|в|через|держит|несёт|носит|два|две|три|четыре|несколько|много|[а-яё]{3,}(?:ый|ий|ая|яя|ое|ого"
        "|ую|юю|ые|ых|ыми|[нвс]н?ой"
        "|ском|ным|им)",
        "рядом с|возле|около|у|с|и|перед|к|от",
        r"(?!)",
        " [а-яё]",
    ),
    "ar": (
        "تحت|فوق|خلف|وراء|على|يحمل|تحمل|يرتدي|ترتدي|يمسك|تمسك",
        "بجانب|قرب|مع|أمام|بجوار|من",
        r"(?!)",
        " [\u0621-\u064a]",
    ),
}


def has_many_loans(text: str) -> bool:
    """Whether English words stand in several places of a Chinese or Japanese text, and one of them is a phrase or what
    somebody looks like. Loans of fashion are nouns and attributes of one word: oversize的hoodie，搭配legging和boots.
    """
    parts = {part.strip() for part in LATIN_PART.findall(text)}
    return len(parts) > MOST_LOANS and (any(" " in part for part in parts) or LATIN_PREDICATE.search(text) is not None)


def count_english_marks(text: str, *, loans: bool) -> int:
    """Counts the marks of English in another script. With ``loans``, words of fashion (legging) do not count."""
    words = [word for word in LATIN_WORDS.findall(text) if word.islower() and len(word) > 1]
    if loans:
        return sum(word in FUNCTION_WORDS["en"] for word in words)
    marks = sum(2 if word in ENGLISH_JOINTS else word in ENGLISH_MARKS for word in words)
    return marks + len(ING_FORM.findall(text))


def has_english_run(text: str) -> bool:
    """Whether the text has a run of English words. A run that only an article begins, as in names of brands ("the north
    face"), does not count.
    """
    runs = (run.split() for run in LATIN_RUN.findall(text))
    return any(FUNCTION_WORDS["en"].intersection(words[words[0] == "the" :]) for words in runs)


def has_descriptive_word(text: str, *, loans: bool) -> bool:
    """Whether a part in Latin letters has nothing but such words: "brown的leather包". A name has other words too."""
    if COLOR_PART.search(text) or HAN_JOINT.search(text):
        return True
    words = DESCRIPTIVE_WORDS if loans else SPACED_DESCRIPTIVE_WORDS
    parts = [part.split() for part in LATIN_PART.findall(text)]
    return any(words.issuperset(part) or (not loans and is_colored_thing(part)) for part in parts)


def is_colored_thing(part: list[str]) -> bool:
    """Whether a colour and the word for a thing stand for it: "держит red umbrella"."""
    return len(part) > 1 and part[0] in COLORS.split("|") and part[-1] in COLORED_THINGS


def has_chinese_noun(text: str, asked: str) -> bool:
    """Whether Chinese stands for a word of a sentence: one that names nothing, or one where a noun has to follow."""
    if asked == "ko":
        # Its own names and terms are in traditional letters, if they are not in Hangul.
        runs = HAN_BEFORE_PARTICLE.findall(text) + HAN_NOUNS["ko"].findall(text)
        return any(run in CHINESE_DESCRIPTIVE_WORDS or not can_encode(run, "euc_kr") for run in runs)
    runs = HAN_RUN.findall(text)
    if not runs:
        return False
    text = ON_SIGN.sub(" ", text)
    if not CHINESE_DESCRIPTIVE_WORDS.isdisjoint(HAN_RUN.findall(text)) or has_chinese_thing(text, asked):
        return True
    return asked in HAN_NOUNS and HAN_NOUNS[asked].search(text) is not None


def has_chinese_thing(text: str, asked: str) -> bool:
    """Whether the name of a thing stands as the noun of a phrase of the language: "a small 毛线球 on the carpet"."""
    if asked not in NOUN_PLACES:
        return False
    for found in compile_noun_places(asked).finditer(text):
        may_be_name = found["with"] is not None and PET_NAME.fullmatch(found["run"]) is not None
        if (THING.fullmatch(found["run"]) and not may_be_name) or FOOD.fullmatch(found[0]):
            return True
    return False


@lru_cache
def compile_noun_places(language: str) -> re.Pattern[str]:
    nouns, names, adjectives, behind = NOUN_PLACES[language]
    return re.compile(
        rf"(?<![\w-])(?:(?:{nouns}) (?:{adjectives} ){{0,3}}|(?P<with>(?:{names}) ))(?P<run>[\u3400-\u9fff]{{2,5}})"
        rf"(?!\s?[(（«\"“]|,? (?:or|oder|ou|o|или|أو|meaning|which means)\b)(?=\s*(?:[,.;!?，。،؛؟]|$)|{behind})",
        re.IGNORECASE if language in ("ru", "ar") else re.NOFLAG,
    )


def has_depiction(text: str) -> bool:
    """``text`` has no quotations: "printed with 一只小熊的图案 on the front"."""
    found = DEPICTION.search(text)
    return found is not None and WRITING_BEFORE.search(text, 0, found.start()) is None


def has_hiragana(text: str, asked: str) -> bool:
    return asked in HIRAGANA_LANGUAGES and HIRAGANA.search(text) is not None


def has_chinese_words(text: str) -> bool:
    """Whether Japanese text has letters that only Chinese has since the reforms, or Chinese grammar."""
    if CHINESE_GRAMMAR.search(text) or CHINESE_NOT_JAPANESE.search(text):
        return True
    return any(is_chinese_only(letter) for run in HAN_RUN.findall(text) for letter in run)


@lru_cache(maxsize=4096)
def is_chinese_only(letter: str) -> bool:
    """Whether the Chinese standard has the letter and the Japanese ones don't."""
    return can_encode(letter, "gb2312") and not can_encode(letter, "euc_jisx0213")


def can_encode(letter: str, encoding: str) -> bool:
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


# Letters of another script within a word. A brand may have the ending of a case (iPhoneом, instagramа), and in Korean a
# particle may follow a word with Latin letters.
CYRILLIC_MIX = compile_lazily(
    r"(?<![\w'’-])(?=\w*(?:[a-z][\u0400-\u04ff]|[\u0400-\u04ff][a-z]))(?![a-z]{4,}(?:[аеиоуыюя]|о[вмй]|[аи]м|а[мх]"
    r"|ами)(?!\w))"
    r"[^\W\dA-Z_]{4,}(?![\w-])"
)
KOREAN_MIX = compile_lazily(r"[\uac00-\ud7a3](?<![티브반긴])[a-z]{2,}[\uac00-\ud7a3]")
ARABIC_MIX = compile_lazily(
    r"[\u0621-\u063a\u0641-\u064a]{2}(?<!\wال)(?<!\bال)[a-z]{2,}"
    r"|(?<!\w)[a-z]{2,}[\u0621-\u063a\u0641-\u064a]{2}"
)
CYRILLIC_OR_HANGUL = compile_lazily(r"[\u0400-\u04ff\uac00-\ud7a3]")
LATIN_MIX = compile_lazily(rf"{CYRILLIC_MIX.pattern}|[a-z]{{2,}}[\uac00-\ud7a3]+|[\uac00-\ud7a3]+[a-z]{{2,}}")
LATIN_SMALL = compile_lazily("[a-z]")


# The letters of the other script, and the mix.
MIXES = {
    **dict.fromkeys(("en", "es", "fr", "de", "pt"), (CYRILLIC_OR_HANGUL, LATIN_MIX)),
    "ru": (LATIN_SMALL, CYRILLIC_MIX),
    "ko": (LATIN_SMALL, KOREAN_MIX),
    "ar": (LATIN_SMALL, ARABIC_MIX),
}


def find_mixed_word(text: str, language: str) -> str:
    """``text`` is what follows the tag."""
    if text.isascii() or language not in MIXES:
        return ""
    others, mix = MIXES[language]
    found = mix.search(text) if others.search(text) else None
    return found[0] if found else ""
