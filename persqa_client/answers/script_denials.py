"""Finds denials of what was said of the tag in Chinese, Japanese, Korean and Arabic, by patterns of whole clauses."""

from __future__ import annotations

from persqa_client.lazy_pattern import compile_lazily

# Chinese: the denied verb is the end of the clause before.
CHINESE = compile_lazily(
    r"(?:^|[，。；])[^，。；]{0,12}?(?P<said>[^，。；]{2,12})[，；](?:并且|而且|同时|又|且)?"
    r"(?:完全|根本|一点也|一点都|丝毫|压根)?(?:没有|没在?)(?P<denied>[^，。；了]{1,6})[。；！]?$"
)
DENIED_BEFORE = compile_lazily(r"[没沒无無未]")
# The same object, in a sentence that begins with the tag.
CHINESE_OBJECT = compile_lazily(
    r"^<>[^，。；<没不]{0,12}(?P<verb>[一-龯])[着了][^，。；<]{0,12}?(?P<noun>[一-龯]{2,4})。<>(?:并|其实)?没有?(?P=verb)着?(?P=noun)"
    r"(?:，[手头脸身脖][^，。]{0,2}什么[都也]没有)?[。！]?$"
)
CHINESE_OBJECT_DENIED = compile_lazily(
    r"^<>(?:并|其实)?没有?在?(?P<verb>[一-龯])着?(?:任何)?(?P<noun>[一-龯]{1,4})[，。；](?:<>|[他她])?(?:正在?|在)?"
    r"[^，。；人他她旁边身另没不只后先图片曾妹姐哥弟爸妈爷奶友孩]{0,6}(?P=verb)[着了]?"
    r"(?:一[^，。；一没不]{1,10}?|(?<=[着了])[^，。；没不人他她旁边身另]{0,12}(?=[一-龯]{2}[。！]?$))"
    r"(?P=noun)[。！]?$"
)
# "Has" and "has no", in either order. What the noun of the statement ends with is the thing.
CHINESE_HAS = compile_lazily(
    r"^<>(?!有[时些点])(?:(?P<has>有|长着|留着)着?|(?P<verb>[打拿抱骑牵举撑端提握捧踩系扎])着)(?![^，。]*(?:玩具|假|纸|毛绒|塑料|画|曾|以前|原来|本来|之前|平时))"
    r"[^，。；没不<]{0,12}?(?P<noun>[一-龯]{2,6})[，。；](?:<>|[他她它]|并|也|但|但是|却|其实|完全|根本)*没有?"
    r"(?(has)|在?(?P=verb)着?)(?:任何)?(?P<denied>[一-龯]{1,4})[。！]?$"
)
CHINESE_HAS_NOT = compile_lazily(
    r"^<>(?:并|其实|完全|根本)?没有(?:任何)?(?P<noun>[一-龯]{1,4})[，。；](?:<>|[他她它])?(?:有着?|长着|留着)"
    r"(?![^，。]*(?:玩具|假|纸|毛绒|塑料|画))一?[^，。；没不一]{0,10}(?P=noun)[。！]?$"
)
# The same predicate with and without "not".
CHINESE_SAME = compile_lazily(
    r"^<>(?:并?不(?P<is>是|在)(?P<what>[^，。；]{1,10})[，。；](?:但是?|而且)?<>(?P=is)(?P=what)"
    r"|(?P<was>是|在)(?P<thing>[^，。；]{1,10})[，。；](?:但是?|而且|又|也)?(?:<>)?并?不(?P=was)(?P=thing)"
    r"|没有?在(?P<act>[一-龯]{2,4})[，。；]<>正?在[^，。；没不]{0,8}(?P=act))[。！]?$"
)
# The same act or look, with no other subject between: 在睡觉，没有在睡觉; 很开心，一点也不开心.
CHINESE_ACT = compile_lazily(
    r"^<>(?:(?:是|正)*在(?P<act>[一-龯]{2,6})[，。；](?:[^，。；人他她旁边身]{0,12}[，；])?"
    r"(?:<>|[他她它]|并|却|但|其实|根本|完全)*没有?在?(?P=act)"
    r"|(?P<verb>[一-龯])着(?P<thing>[一-龯]{1,4})[，。；](?:<>|[他她它]|并|却|但|又|也)*没有?(?P=verb)着?(?P=thing)"
    r"|(?:看起来|看上去)?(?:很|非常|十分|特别|挺)(?P<look>[一-龯]{2,3})[，。；](?:<>|但|却|也|又|并|同时|而且)*"
    r"(?:一点[也都]|根本|完全|丝毫)不(?P=look)"
    r")[。！]?$"
)
STRONG = compile_lazily(r"并且|而且|同时|又没|且没|完全没|根本没|一点[也都]没|丝毫没|压根没")
CHINESE_DOUBT = compile_lazily(
    r"像|似|想|要|忍|准备|差点|看起来|看上去|假装|昨|刚才|之前|其实|但|却|不过|虽|另|别人|只"
)
# Chinese: the denial first, with a word that excludes a turn, and no other subject before the second verb.
CHINESE_DENIAL = compile_lazily(
    r"^<>(?:没有|没|並沒有)在?(?P<verb>[^，。；了在]{1,4})[，；](?:并且|而且|同时|又|且)(?:<>)?"
    r"(?:[正在又还也]|在[^，。；没不]{1,6}[里上下旁边中]|[^，。；没不]{1,5}地){0,3}(?P=verb)[着了]?[。！]?$"
)
# Japanese and Korean: object and verb come back.
JAPANESE = compile_lazily(
    r"(?P<noun>[一-龯ァ-ヶーa-zぁ-ん]{1,10}?)を(?P<verb>[一-龯ぁ-ん]{1,5}?)[てで](?:い|お)(?:て|り|ます)(?:が)?[、。](?:しかも|同時に)?"
    r"(?:<>は)?(?P=noun)[はを](?:一切|全く|まったく|全然|少しも)?(?P=verb)[てで](?:い)?(?:ません|ない)(?=[。、]|です|$)"
)
# The same without an object, in either order.
JAPANESE_VERB = compile_lazily(
    r"<>は[^、。はがも]{0,20}?(?P<verb>[一-龯ぁ-ん]{1,5}[てで])い(?:て|ます)[、。](?:しかも|同時に)?(?:<>は)?"
    r"(?:一切|全く|まったく|全然|少しも)?(?P=verb)い(?:ません|ない)(?=[。、]|です|$)"
    r"|<>は(?:一切|全く|まったく|全然|少しも)?(?P<denied>[一-龯ぁ-ん]{1,5}[てで])い(?:ません|なくて)[、。](?:<>は)?"
    r"[^、。はがもを]{0,6}(?P=denied)います"
)
# The denial first, with the same object; both are the tag's. Before the object stand attributes only.
JAPANESE_OBJECT_DENIED = compile_lazily(
    r"^<>は(?P<noun>[一-龯ァ-ヶーa-zぁ-ん]{1,10}?)を(?P<verb>[一-龯ぁ-ん]{1,5}?[てで])(?:い(?:ません|ない|なくて)|おらず)[、。]"
    r"(?:<>(?:は[^、。はがも]{0,12}|が(?=(?P=verb)いる))|[^、。はがも]{0,8})(?:(?P=noun)を(?P=verb)い(?:ます|る)|(?P=verb)いる(?P=noun))"
    r"|^<>(?:に)?は(?P<part>[一-龯ァ-ヶーぁ-ん]{1,8}?)[がは](?:あり|生えてい|ついてい)(?:ません|なく)[て]?[、。]<>の(?P=part)は"
    r"(?![^。]*(?:ない|ません|隠|他|別|置|上に|下に|中に|ある|あり))"
)
KOREAN_OBJECT_DENIED = compile_lazily(
    r"^<>[은는이가] (?:손에 |머리에 |목에 |얼굴에 )?(?P<noun>[가-힣]{1,8})[을를은는] (?P<verb>[가-힣]{1,3}?)"
    r"(?:고 있지|지) 않(?:습니다|고|으며|았고|았습니다|아요)[,.]? ?"
    r"(?:<>[은는이가] (?:[가-힣]+ ){0,3}?|(?:손에 |머리에 |목에 )?"
    r"(?:[가-힣]+(?<![이가은는도]) |[가-힣]*[은는](?= (?P=noun)) ){0,2}?)(?P=noun)[을를] (?P=verb)(?:고 있|었|았)"
    r"|^<>[은는이가] (?P<thing>[가-힣]{1,8})[이가] 없(?:습니다|고|으며|어요)[,.]? <>[이가의] ?"
    r"(?:쓴|입은|든|신은|맨|멘|낀|(?:들|쓰|입|신|메)고 있는)? ?(?P=thing)[은는이가] (?![^.]*에(?:서|는)? )"
    r"|^<>[은는이가] (?P<place>\S+에 )?(?P<pose>[가-힣]{1,5}) 있지 않(?:습니다|아요)\. "
    r"<>[은는이가] (?(place)(?P=place)|(?:(?:\S+ )?\S+에 )?)(?P=pose) 있(?:습니다|어요)"
)
KOREAN_VERB = compile_lazily(
    r"<>[은는이가] (?:[^\s.,]{0,8}[^\s.,은는이가도] ){0,5}?(?P<verb>[가-힣]{1,5}) 있(?:고|으며|습니다|어요)[,.]? "
    r"(?:동시에 )?(?:<>[은는이가] )?(?:전혀 |아예 |절대 )?(?P=verb) 있지 않(?![은는])"
    r"|<>[은는이가] (?:전혀 |아예 |절대 )?(?P<denied>[가-힣]{1,5}) 있지 않(?:고|으며|습니다|아요)[,.]? (?:동시에 )?"
    r"(?:<>[은는이가] )?(?:[가-힣]{0,3}[^\W은는이가도] )?(?P=denied) 있(?:고|으며|습니다|어요)"
)
# "행복해 보입니다 … 행복해 보이지 않습니다".
KOREAN_LOOK = compile_lazily(
    r"<>[은는이가] (?:매우 |아주 |정말 )?(?P<look>[가-힣]{2,8}) 보(?:입니다|여요|이고|이며)[,.]? "
    r"(?:하지만 |그러나 |동시에 )?(?:<>[은는이가] )?(?:전혀 |아예 )?(?P=look) 보이지 않(?![은는])"
)
KOREAN = compile_lazily(
    r"(?P<noun>[가-힣]{1,8})[을를] (?P<verb>[가-힣]{1,4})고 있(?:고|으며|습니다)[,.]? "
    r"(?:동시에 )?(?:<>[은는] )?(?P=noun)[을를은는] (?:전혀 |아예 )?(?P=verb)(?:고 있)?지 않(?![은는])"
)
# Before the noun, the tag is the only subject.
JAPANESE_SUBJECT = compile_lazily(r"<>は[^はがも]*")
KOREAN_SUBJECT = compile_lazily(r"<>[은는이가] (?:\S*[^\s은는이가도] )*\S*")
# Arabic: the predicate behind the tag, and a denial of it without a subject or another word of its own.
ARABIC_VOWELS = compile_lazily(r"[\u064b-\u0652]")
ARABIC_DENIAL = compile_lazily(
    r"(?:[،؛,;.!؟\n] ?و?| [وف])(?:(?:<>|هو|هي|في (?:نفس |ذات )?(?:الوقت|الواقع)(?: نفسه| ذاته)?)،? )*"
    r"(?:ليس|ليست|غير|لا|لم|لن) (?P<denied>\w+)(?P<rest>(?: (?!و)\w+)*+)"
)
ARABIC_DOUBT = compile_lazily(
    r"(?<!\w)[وف]?(?:لكن\w*|بل|إلا|قبل|بعد|كان\w*|الآن|كأن\w*|[يت]بدو|أحيان\w*|فقط|عندما|إذا|مثل|ربما)(?!\w)"
)
# "At all" and "never", which add nothing to a denial.
ARABIC_EMPHASIS = compile_lazily(r" (?:على الإطلاق|إطلاقا|أبدا|البتة|مطلقا)(?!\w)")
# The denial first, without another word; the same verb or predicate with the tag, or with an adverb of its own.
ARABIC_DENIED_FIRST = compile_lazily(
    r"^<> (?:لا|ليس|ليست|لم) (?P<said>\w{3,}?(?: \w{3,}?)?)ا?(?:(?:[.،] ?و?(?:لكن )?| و)<> (?:هو |هي )?(?P=said)(?!\w)"
    r"|[،]? و(?:هو |هي )?(?P=said)(?:[.]|$| (?:ابتسامة|بشكل|بسعادة|بشدة|بعمق|كثيرا|بصوت|بسرعة)))"
)
ARABIC_PREDICATE = compile_lazily(r"<> (?:هو |هي )?(?P<word>\w{3,})")


def denies_in_japanese(text: str) -> bool:
    found = JAPANESE.search(text)
    if found is not None and JAPANESE_SUBJECT.fullmatch(text, 0, found.start()):
        return True
    return JAPANESE_VERB.search(text) is not None or JAPANESE_OBJECT_DENIED.search(text) is not None


def denies_in_korean(text: str) -> bool:
    found = KOREAN.search(text)
    if found is not None and KOREAN_SUBJECT.fullmatch(text, 0, found.start()):
        return True
    return any(pattern.search(text) for pattern in (KOREAN_VERB, KOREAN_LOOK, KOREAN_OBJECT_DENIED))


def denies_in_arabic(text: str) -> bool:
    """The accusative of the denied word ends with an alif, which does not count."""
    text = ARABIC_EMPHASIS.sub("", ARABIC_VOWELS.sub("", text))
    if ARABIC_DENIED_FIRST.search(text):
        return True
    said = ARABIC_PREDICATE.match(text)
    if said is None or ARABIC_DOUBT.search(text):
        return False
    for denial in ARABIC_DENIAL.finditer(text, said.end()):
        words = set(text[: denial.start()].split())
        if denial["denied"].rstrip("ا") == said["word"].rstrip("ا") and words.issuperset(denial["rest"].split()):
            return True
    return False


def denies_in_chinese(text: str) -> bool:
    if (
        CHINESE_OBJECT.search(text)
        or CHINESE_OBJECT_DENIED.search(text)
        or CHINESE_HAS_NOT.search(text)
        or CHINESE_SAME.search(text)
        or CHINESE_ACT.search(text)
    ):
        return True
    has = CHINESE_HAS.search(text)
    if has is not None and has["noun"].endswith(has["denied"]):
        return True
    if STRONG.search(text) is None or CHINESE_DOUBT.search(text):
        return False
    if CHINESE_DENIAL.search(text):
        return True
    found = CHINESE.search(text)
    if found is None or DENIED_BEFORE.search(text, found.start(), found.end("said")):
        return False
    return found["said"].rstrip("着了").endswith(found["denied"].strip("在着"))


DENIALS_BY_LANGUAGE = {
    "zh": denies_in_chinese, "ja": denies_in_japanese, "ko": denies_in_korean, "ar": denies_in_arabic,
}  # fmt: skip
