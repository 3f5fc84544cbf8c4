"""Finds things that an answer denies and then describes as present: "<mam> is not wearing a hat; his cap is black".

A thing that is denied may lie elsewhere, and somebody else may have it. So the second clause must place it where it is
worn, or describe it without a place.
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.phrases import fold_text
from persqa_client.lazy_pattern import compile_lazily

# Chinese: the thing at the end of the clause, and where such a thing is worn.
CHINESE_DENIAL = compile_lazily(
    r"^<>(?:身上|头[上部]|脸上|脖子上|手[上里]|脚上|目前|今天)?(?:并|也|完全|根本)?没有?在?"
    r"(?P<verb>佩?戴|穿|背|系|围|打|撑|留)?着?(?:任何)?(?P<noun>[一-龯]{1,5}?)[，。；]"
)
WORN_AT = {
    "帽": "头[上顶戴]",
    "眼镜": "鼻梁|鼻子|脸上|眼前",
    "口罩": "脸上|嘴上|口鼻",
    "围巾": "脖子|颈",
    "领带": "脖子|颈|胸前",
    "项链": "脖子|颈|胸前",
    "包": "背上|背后|身后|肩上",
    "手表": "手腕|手上|腕",
    "手套": "手上|双手",
    "鞋": "脚上",
    "外套": "身上",
    "伞": r"手[里中上](?=[撑打举的那])|头顶",
    "首饰": "脖子|颈|耳朵|耳垂|手腕|手指|手上",
}
KINDS = {"首饰": "项链|耳环|耳钉|耳坠|戒指|手镯|手链|吊坠"}
OTHERS = "[没不像似人只别另旁画过]|海报|照片|左边|右边|卫衣|连[衣帽]"
# A trace of the thing is left where it was worn: 鼻梁上有眼镜压出的印子.
TRACES = "[印痕迹勒压晒留兜]"
# What shows that it is there, and what says that it is elsewhere, to the end of the sentence: a description alone is
# there. Someone else's, a painted one or a broken one is not worn.
DESCRIBED = (
    "又|很|非常|十分|特别|格外|呈|(?:是|为)(?=[^。；]*[色红黄蓝绿白黑灰粉紫棕金银纹格花草毛皮布圆方长短])|上[有印绣]"
)
ELSEWHERE = "[放挂搭脱摘收扔落塞拿晾合湿破坏脏断画贴借爸妈爷奶哥弟姐妹妻夫叔姨友]|别人|他人|旁"
CHINESE_HELD = compile_lazily(
    r"^<>(?:手[里中上])?(?:什么(?:东西)?[都也]没有?拿|没有?拿(?:任何|什么)东西)[，。；](?:<>|[他她])?"
    r"(?:[左右双]手|手[里中上])?[拿提端握]着[一两]"
    r"|^<>[^，。；]{0,4}(?P<place>旁边|身边|身旁|周围|身后|面前)没有(?:别的|其他|任何)?人[，。；](?:<>)?(?P=place)的?"
    r"[^，。；没不]{0,4}[人孩](?:正|在|是|穿|戴|站|坐)"
    r"|^<>没有?(?:在|微)?笑[，。；](?:<>|[他她])?(?:脸上|面带|嘴角)[^，。；不没]{0,6}(?:笑容|微笑)(?!消失|已|收)"
    r"|^<>(?:正?在)?(?:微|大|开怀)?笑着?[，；](?:[^，。；人他她旁另]{0,8}[，；])?(?:脸上)?没有(?:任何|一丝)?(?:笑容|微笑|笑意)"
    r"|^<>是(?P<color>[黑白红黄蓝绿灰棕粉紫橙])色的?[，；](?:全身|整体|通体|浑身)都?是(?!(?P=color))[黑白红黄蓝绿灰棕粉紫橙]色的?[。！]?$"
    r"|^<>(?:没有?在?)(?P<laugh>[一-龯]{1,2})[，。；](?:<>|[他她])?(?P=laugh)得"
    r"|^<>(?:并?不是|并?没有|没)(?P<pose>[站坐躺跪蹲趴])着?的?[，。；](?:而是|但是?)?(?:<>|[他她])?正?(?P=pose)[在着](?!的|[^，。]{0,8}的是)"
    r"|^<>正?在(?P<act>[一-龯]{2,4})[，；](?:并|而且?|也|但)?(?:没有?|不)在?(?P=act)[。！]?$"
    r"|^<>头上(?:什么[都也])?没有?(?:戴|任何|什么|东西|帽子)*[，。；](?:<>|[他她])?(?:头上)?戴着一顶"
    r"|^<>(?:手[里中上])?(?P<hold>[拿捧抱握举提端])着(?:的是)?[一两几][^，。；没不]{1,14}[，。；](?:<>|[他她])(?:手[里中上])?"
    r"什么[^，。；别其另多]{0,4}[都也]没有?(?:(?P=hold)着?)?[。！]?$"
    r"|^<>(?P<hand>[左右双]?手)[里中上]?[拿握提端捧举]着[一两几][^，。；没不]{1,14}[，。；](?:<>|[他她])?的?(?P=hand)[里中上]?"
    r"什么[^，。；别其另多]{0,4}[都也]没有?(?:[拿握提端捧举]着?)?[。！]?$"
    r"|^<>(?:头上)?戴着一?顶?[^，。；没不]{0,8}帽子?[，。；](?:<>|[他她])?的?头上什么[^，。；别其另多]{0,4}[都也]没有?(?:戴着?)?[。！]?$"
    r"|^<>正?在室内[，；](?:<>)?正?[站坐躺走跑]在(?:户外|室外)"
)
CHINESE_AFFIRMED = compile_lazily(
    r"^<>(?![^。]*(?:平时|以前|刚才|之前|有时|原来|现在))[^，。；没不]{0,8}?(?P<verb>[戴背系围撑])着?[^，。；没不]{0,12}?"
    r"(?P<noun>[一-龯]{1,6})[，。；](?:<>|[他她并也却]|但是?|完全|根本)*(?:没有?|不)(?P=verb)着?(?:任何)?"
    r"(?P<denied>[一-龯]{1,4})[。！]?$"
)

ENGLISH_DENIAL = compile_lazily(
    r"^<> (?:(?:is not|isn't) (?:currently |actually )?wearing (?:an? |any )?"
    r"|(?:does not|doesn't) (?:have|wear) (?:an? |any )?|(?:has|wears|is wearing) no )"
    r"(?P<noun>[a-z-]{3,})(?=[.,;!]| and | but )"
)
# Adverbs and participles that say where the thing is instead.
NOT_WORN = (
    r"(?:(?:\w+ly|still|now|just|also) )?(?:on|in|at|by|under|over|off|next|beside|behind|near|nearby|around|hung"
    r"|placed|tucked|pushed|draped|folded|held|left|set|tied|slung|put|stored|gone|not|no|worn by|someone|those|his"
    r"|hers|down|missing|lost|visible|hidden|\w+ing)\b"
)
# Whose it is, that it can't be worn, or where it is: behind the description, up to the sentence's end.
UNWORN = (
    r"(?:[\w-]+(?<!<>)['’]s|for|broken|wet|soak\w+|dirty|torn|ripped|full of|empty|too|mine|borrowed|belongs?|owned"
    r"|l(?:ies?|ying|aid)|hangs?|hanging|stands?|sits?|rests?|lost|left|drying|dries|beside|next|nearby|away|home|table|chair"
    r"|floor|ground|hook|hanger|rack|locker|bag|basket|car|shelf|bench|bed)\b"
)
# The thing that is denied, and that the tag has in the present tense: "The hat <mam> is wearing is …".
ENGLISH_RELATIVE = compile_lazily(
    r"^<> (?:(?:is not|isn't|does not|doesn't) (?:wearing|carrying|holding|wear|carry|hold|have) (?:an? |any )?"
    r"|(?:has|wears|is wearing|is carrying|is holding) no )(?P<noun>[a-z-]{3,})(?:[.,;]|,? and)"
    r" the (?P=noun) (?:(?:that |which )?<> (?:is (?:wearing|carrying|holding)|wears|carries|holds|has)\b"
    rf"|of <> (?:is|are|has|have|looks?) (?!{NOT_WORN})(?![^.;!]*\b{UNWORN})"
    r"|(?:on|around) (?:<>'s|his|her) (?:arms?|legs?|neck|chin|face|head|wrists?|chest) (?:is|are|has|have|shows?) )"
)
ENGLISH_ANYTHING = compile_lazily(
    r"^<> is not (?P<verb>holding|wearing|carrying|eating|drinking|reading) anything(?:[.,;]|,? and)"
    r" (?:<>|he|she) is (?P=verb) (?:an?|the|two|three) (?!(?:\w+ )?(?:pose|breath|position|plank|handstand|room)\b)\w+"
)
# "<mam> wears a watch on her left wrist. She has nothing on either wrist."
ENGLISH_NOTHING = compile_lazily(
    r"^<> (?:is |was )?(?:wear|hold|carr|ha[sv])[a-z]* an? [^.;,]{3,40} (?:on|in|around) (?:the|his|her|their|its)"
    r" (?:(?P<side>left|right) )?(?P<part>wrist|hand|head|neck|arm|finger|foot|ankle)s?(?:[.;]|,? and|,? but)"
    r" (?:<> (?:has|have|is (?:wearing|holding)|wears|holds)|he has|she has|they have|there is|there['’]s|has) nothing"
    r" (?:on|in|around) (?:either|both|any|the|his|her|their|its) (?(side)(?:(?P=side) )?)(?P=part)s?\W*$"
)
FAMILIES = (
    "hats?|caps?|beanie|beret|fedora",
    "glasses|eyeglasses|spectacles",
    "shoes|sneakers|trainers|boots",
    "bags?|backpack|handbag|purse",
    "jewelry|jewellery|necklace|earrings|bracelet",
)
OTHER_PERSON = compile_lazily(
    r"\b(?:m[ae]n|wom[ae]n|person|people|boys?|girls?|child\w*|friends?|someone|somebody|others?|another|statue|poster|one)\b"
)

# In other languages: the denial of a verb with a noun that has no attribute; the noun as the tag's, with an attribute;
# and the same verb with the noun, to the end of the text. A noun that another one follows is another thing.
OTHER_DENIALS = {
    "fr": (
        compile_lazily(
            r"^<> n(?:e |['’])(?P<verb>porte|tient|a) (?:pas|aucune?) (?:de |d['’])?(?P<noun>\w{3,})(?=[.,;]| et )"
        ),
        r"\b(?:les? |la |l['’]){noun} (?:de <>|que <> (?:porte|tient|a)) (?:est|sont|a|ont)"
        r" (?!(?:sur|par|dans|à|au|en|sous|derrière|devant|près|resté|tombé|posé|accroché|rangé|perdu)\w*)",
        r" et (?:<> )?{verb} (?:une? |des |deux )?(?:\w+ )?{noun}"
        r"(?: (?!(?:de|du|des|sur|dans|à|en|au|audio|longue)\b)\w+){{0,2}}\.?$",
    ),
    "es": (
        compile_lazily(
            r"^<> no (?P<verb>lleva|tiene|usa|sostiene|viste) (?:puest[oa]s? )?(?:ning[uú]na? |una? )?"
            r"(?P<noun>\w{3,})(?=[.,;]| y )"
        ),
        r"\b(?:el|la|los|las) {noun} (?:de <>|que (?:lleva|tiene|usa|sostiene) <>|que <> (?:lleva|tiene|usa|sostiene))"
        r" (?:es|son|tienen?|parecen?) ",
        r" y (?:<> )?{verb} (?:un[oa]?s? )?(?:\w+ )?{noun}(?: (?!(?:de|del|en|sobre|para|por)\b)\w+){{0,2}}\.?$",
    ),
    "pt": (
        compile_lazily(
            r"^<> não (?P<verb>usa|tem|veste|segura|carrega) (?:nenhuma? |uma? )?(?P<noun>\w{3,})(?=[.,;]| e )"
        ),
        r"\b[oa]s? {noun} (?:d[eoa] ?<>|que <> (?:usa|tem|veste|segura|carrega)) (?:é|são|tem|têm|parecem?) ",
        r" e (?:<> )?{verb} (?:uma? |uns |umas )?(?:\w+ )?{noun}"
        r"(?: (?!(?:d[eoa]s?|em|n[oa]s?|sobre|para|por)\b)\w+){{0,2}}\.?$",
    ),
    "de": (
        compile_lazily(r"^<> (?P<verb>trägt|hat|hält) keine?n? (?P<noun>[A-ZÄÖÜ]\w{2,})(?=[.,;]| und )"),
        r"\b(?:[Dd]er|[Dd]ie|[Dd]as) {noun}(?: von <>|, (?:den|die|das) <> (?:trägt|hat|hält),) (?:ist|sind|hat|haben)"
        r" (?!(?:auf|in|im|am|an|neben|hinter|unter|weg|ab|nass|verloren|verschwunden)\b)",
        r" und (?:<> )?{verb} (?:eine?n? |zwei )?(?:[a-zäöüß]+ ){{0,2}}{noun}\.?$",
    ),
    "ru": (
        compile_lazily(
            r"^<> (?:не (?P<verb>носит|держит|надевает) |без )(?P<noun>\w{3,}?)[аыуиеяюов]{0,2}(?=[.,;]| и )"
        ),
        r"(?:\b(?i:{noun})\w{{0,2}} <> \w+(?:ая|яя|ый|ий|ой|ое|ее|ые)\b(?!.*(?:лежит|висит|стоит))"
        r"|\b[Нн]а (?:голове|шее|плечах|руках|глазах|носу|лице) (?:у )?<> (?:\w+ )?{noun}\w{{0,2}}\b)",
        r" и (?:<> )?{verb} (?:\w+(?:ую|ые|ый|ий|ое) )?{noun}\w{{0,2}}\.?$",
    ),
}
WORD = compile_lazily(r"[^\W_]+(?:['’]t)?")
# "<mam> lleva una gorra. <mam> no lleva nada en la cabeza.", where the question asks about the head: something that is
# worn there or held in a hand, because a shirt is no contradiction.
PLACED = compile_lazily(
    r"\b(?:hats?|caps?|helmet|beanie|beret|hood|crown|wig|sombrero|gorr[ao]|casco|boina|corona|chapéu|boné"
    r"|touca|capacete|coroa|chapeau|casquette|bonnet|casque|couronne|hut|mütze|kappe|helm|krone)\b"
    r"|^<> (?:(?:is )?hold\w*|carr\w+|sostiene|sujeta|segura|tient|hält)\b",
    re.IGNORECASE,
)
NOTHING = compile_lazily(
    r"<> (?:no |não |ne )?(?P<verb>(?:is )?\w+) (?:nada|rien|nothing|nichts)"
    r"(?: (?P<rest>[^.,;!?\n]{1,60}))?(?=[.,;!?]|\Z)"
)
PLACE = compile_lazily(
    r"(?<!\w)(?:en|em|n[oa]s?|on|in|at|around|over|with|sur|dans|à|au|aux|auf|an|am|im|mit|con|com|sobre|bajo)(?!\w)"
)

# A description is short. A longer clause says where the thing is, and these words that it can't be worn.
SHORT_DESCRIPTION = (
    r"(?=[^.;!?]{1,28}(?:[.;!?]|$))(?![^.;!?]*(?:cass[ée]|tremp|mouill|sales?\b|déchir|vides?\b|rot[oa]|mojad|suci[oa]|vac[ií][oa]"
    r"|quebrad|molhad|suj[oa]|rasgad|kaputt|nass|schmutz|zerriss|leer\b|\bqu[ei]\b))"
)

# A feeling that is denied, and then shown and called the reason, or stated: "is not cold and is shivering because it is
# very cold". What does not show it may have another reason: "is not cold and wears a coat because it is cold".
SHOWS_FEELING = (
    r"shivering|trembling|shaking|freezing|sweating|panting|fanning \w+self|yawning|dozing|crying|weeping|sobbing"
    r"|screaming|hiding|cowering|shouting|yelling|scowling|frowning|smiling|laughing|beaming|grinning|dripping"
)
VERY = "very|so|really|extremely|quite|too|completely|absolutely"
ENGLISH_FEELING = compile_lazily(
    r"<> (?:is not|isn['’]t) (?:at all |really |very |a bit )?(?P<feeling>[a-z]{3,}),?"
    rf" and (?:he |she |it )?is (?:(?:{SHOWS_FEELING})(?: \w+){{0,3}},? (?:because|since|as) (?:he|she|it|they|<>)"
    rf" (?:is|are|feels?) (?:(?:{VERY}) )?"
    rf"|(?:{VERY}) )(?P=feeling)\W*\Z"
)
CHINESE_FEELING = compile_lazily(
    r"^<>(?:一点[也都]|并)?不(?P<feeling>[冷热困累饿渴怕])[，。；](?:而且|并且|但|却|正在?|在|还|一直|不停地)*"
    r"(?:发抖|颤抖|哆嗦|打颤|出汗|流汗|冒汗|打哈欠|缩成一团)[^，。；]{0,4}，?因为(?:<>|[他她它])?"
    r"(?:很|非常|太|特别|十分)(?P=feeling)"
)


def describes_denied(text: str, language: str) -> bool:
    """``text`` begins with ``<>``, which stands for the tag."""
    if language == "zh":
        return describes_denied_in_chinese(fold_text(text, "zh") if "沒" in text else text)
    if language == "en":
        return describes_denied_in_english(fold_text(text, "en"))
    return language in OTHER_DENIALS and describes_denied_in(text, language)


def describes_denied_in_chinese(text: str) -> bool:
    if CHINESE_HELD.search(text) or CHINESE_FEELING.search(text):
        return True
    affirmed = CHINESE_AFFIRMED.search(text)
    if affirmed is not None and affirmed["noun"].removesuffix("子").endswith(affirmed["denied"].removesuffix("子")):
        return True
    denial = CHINESE_DENIAL.search(text)
    if denial is None:
        return False
    noun = denial["noun"] if len(denial["noun"]) < 2 else denial["noun"].removesuffix("子")
    return compile_chinese(noun, (denial["verb"] or "")[-1:]).match(text, denial.end()) is not None


@lru_cache(maxsize=256)
def compile_chinese(noun: str, verb: str) -> re.Pattern[str]:
    """The clause behind the denial: the thing where it is worn, behind the same verb, or as a topic."""
    named = KINDS.get(noun, re.escape(noun))
    between = rf"(?:(?!{OTHERS})[^，。；]){{0,12}}?"
    ways = [rf"(?:[这那][顶副条把双只个件]?)?(?:{named})(?:子|巴)?(?:{DESCRIBED})(?![^。；]{{0,24}}(?:{ELSEWHERE}))"]
    if noun in WORN_AT:
        ways.append(rf"(?:[左右])?(?:{WORN_AT[noun]}){between}(?:{named})(?![^，。；]{{0,6}}{TRACES})")
    if verb in set("戴系围撑背打"):
        ways.append(rf"正?{verb}着{between}(?:{named})(?:子)?(?=[，。；]|$)")
    return re.compile(rf"(?:而且?|但是?|<>|[他她它]|的)*(?:{'|'.join(ways)})")


def describes_denied_in_english(text: str) -> bool:
    if " nothing " in text and ENGLISH_NOTHING.search(text):
        return True
    if ENGLISH_FEELING.match(text) or ENGLISH_ANYTHING.search(text) or ENGLISH_RELATIVE.search(text):
        return True
    denial = ENGLISH_DENIAL.match(text)
    if denial is None or OTHER_PERSON.search(text):
        return False
    return compile_english(denial["noun"]).match(text, denial.end()) is not None


@lru_cache(maxsize=256)
def compile_english(noun: str) -> re.Pattern[str]:
    family = next((family for family in FAMILIES if re.fullmatch(family, noun)), re.escape(noun))
    return re.compile(
        r"[.,;!]?(?: and| but)? (?:his|her|its|their|<>'s|the)(?: [a-z-]+){0,3}? "
        rf"(?:{family})(?: on (?:<>'s|his|her|its|their) (?:head|face|nose|back|shoulders?|neck|feet|wrists?))? "
        rf"(?:is|are|has|have|looks?) (?!{NOT_WORN})(?![^.;!]*\b{UNWORN})"
    )


def describes_denied_in(text: str, language: str) -> bool:
    denial = OTHER_DENIALS[language][0].match(text)
    if denial is None:
        return False
    return compile_affirmed(language, denial["verb"] or "", denial["noun"]).search(text, denial.end()) is not None


@lru_cache(maxsize=256)
def compile_affirmed(language: str, verb: str, noun: str) -> re.Pattern[str]:
    """The thing as the tag's, or behind the same verb."""
    _, owned, again = OTHER_DENIALS[language]
    owned = owned.format(noun=re.escape(noun))
    if language != "ru":
        owned += SHORT_DESCRIPTION
    ways = [owned, again.format(verb=verb or "(?!)", noun=re.escape(noun))]
    return re.compile("|".join(ways), re.IGNORECASE if language != "de" else re.NOFLAG)


def has_nothing(sentences: list[str], question: str) -> bool:
    """Whether one sentence answers the question with a thing, and another one with nothing."""
    for sentence in sentences[1:]:
        found = NOTHING.match(sentence)
        if found is None or not sentences[0].startswith(f"<> {found['verb']} ") or PLACE.search(sentences[0]):
            continue
        if PLACED.search(sentences[0]) is None:
            continue
        asked = set(WORD.findall(question.lower()))
        if found["rest"] and asked.issuperset(WORD.findall(found["rest"].lower())):
            return True
    return False
