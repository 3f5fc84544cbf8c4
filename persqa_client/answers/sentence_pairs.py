"""Finds two statements about the tag of which one denies what the other says, without a word of it in the same place.

An adjective may deny a thing: "<mam> is barefoot. <mam> wears white sneakers." Then both are whole sentences with
nothing that says where else the thing is, when, or whose it is. Or the denied predicate stands behind another one:
"<mam> is upset and crying. <mam> is calm and is not crying." A clause behind the first one counts as a statement about
the tag if nothing but a predicate is in it: "<mam> is alone, surrounded by friends."
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import permutations

from persqa_client.answers.comparisons import compares_pictures
from persqa_client.answers.contradictions import (
    ADVERB,
    CLAUSE_END,
    DOUBT,
    EMPHASIS,
    NO_OBJECT,
    are_forms,
    content_words,
    find_places,
    is_denial,
)
from persqa_client.answers.phrases import choose_language
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_quotations

MIN_TAGS = 2
# Ends of sentences, and commas before another one about the tag.
SENTENCE_END = compile_lazily(r"[.!?;…。！？；؟\n]+|[,，、،](?=\s*<>)")
# By language, the frame of the denial and of the statement, and pairs that go into them: words that mean "without it",
# and the thing with its verb.
ENGLISH_WORN = r"(?:wears|is wearing|has on) (?:(?!no\b|not\b|toy\b|fake\b|ankle\b)[\w'’-]+ ){0,5}?"
FRAMES = {
    "en": (r"(?:is|stands|walks|sits)(?: (?:standing|walking|sitting|\w+ly)){0,2} (?:%s)", r"(?:%s)"),
    "de": (r"(?:ist|steht|geht|sitzt|läuft)(?: (?:ganz|völlig))? (?:%s)", r"(?:%s)"),
    "es": (r"(?:está|va|camina|anda|es)(?: (?:completamente|totalmente))? (?:%s)", r"(?:%s)"),
    "fr": (r"(?:est|marche|reste)(?: (?:complètement|totalement))? (?:%s)", r"(?:%s)"),
    "pt": (r"(?:está|anda|é)(?: (?:completamente|totalmente))? (?:%s)", r"(?:%s)"),
    "ru": (r"(?:(?:стоит|ид[её]т|сидит|ходит|совершенно|полностью) ){0,2}(?:%s)", r"(?:%s)"),
    "zh": (r"(?:正|完全)?(?:%s)", r"(?:正|脚上|头上|身上|手里|手上|手中)?(?:%s)"),
    "ja": (r"は(?:%s)です", r"は(?:%s)"),
    "ko": (r"[은는] (?:%s)입니다", r"[은는] (?:%s)(?:습니다|어요)"),
    "ar": (r"(?:%s)", r"(?:%s)"),
}
# Attributes behind a noun, but no phrase of place.
BEHIND = r"(?: (?!(?:en|sur|dans|sous|à|dans|sobre|bajo|em|n[oa]s?|sob|de|como|comme|avec|con|com)\b)[\w'’-]+){0,3}"
LACKS: dict[str, tuple[tuple[str, str], ...]] = {
    "en": (
        (
            "barefoot(?:ed)?|shoeless",
            ENGLISH_WORN + "(?:shoes|sneakers|trainers|boots|sandals|slippers|loafers|heels)",
        ),
        (
            "bareheaded|hatless",
            ENGLISH_WORN + r"(?:hat|cap|beanie|helmet|beret)(?: on (?:the|his|her|its) head)?"
            r"|has (?:an? |the )(?:(?!toy\b|fake\b)[\w'’-]+ ){0,3}(?:hat|cap|beanie|helmet|beret) on",
        ),
        ("shirtless|topless|bare-chested", ENGLISH_WORN + "(?:shirt|t-shirt|sweater|blouse|pullover)"),
        (
            "empty-handed",
            r"(?:is holding|holds) (?:an?|two|some) (?:[\w-]+ ){0,3}(?:umbrella|cup|mug|bag|book|phone|ball|bottle"
            r"|bouquet|balloon|glass|box|camera|basket|guitar|microphone|flag|sandwich|apple|flower|flowers|newspaper)",
        ),
        (
            "bald",
            r"(?:has|with) (?:(?:a full head of|very|long|short|thick|curly|straight|wavy|\w+) ){1,4}hair"
            r"(?: (?:down|falling|reaching|tied) .*)?",
        ),
        ("clean-shaven|beardless", r"has (?:an? )?(?:[\w-]+ ){0,3}(?:beard|goatee)"),
        (
            "(?:all )?alone|by (?:him|her|it)self",
            r"is (?:(?:standing|sitting) )?(?:surrounded by|among|with) (?:(?:his|her|its|two|three|some|many) )?"
            r"(?:an? (?:\w+ )?(?:crowd|group) of )?(?:friends|people|others|children)",
        ),
        ("(?:fast |sound(?:ly)? )?asleep|sleeping(?: soundly)?", "(?:is )?(?:wide |fully |completely )awake(?: .*)?"),
        (
            "indoors",
            r"is (?:(?:standing|sitting|walking|playing) )?(?:outdoors|outside (?:on|in|under) (?:the|an?) "
            r"(?:lawn|grass|street|field|open|garden|yard|park|rain|snow)\b)(?: .*)?",
        ),
        ("(?:(?:perfectly|completely) )?(?:still|motionless)", r"is (?:running|sprinting|dancing|jumping)(?: .*)?"),
    ),
    "de": (
        (
            "barfuß",
            r"trägt (?:ein Paar )?(?:[a-zäöüß]+ ){0,2}(?:\w*[Ss]chuhe|\w*[Ss]tiefel|Sandalen|Sneakers?)",
        ),
        ("barhäuptig", r"trägt eine?n? (?:[a-zäöüß]+ ){0,2}(?:\w*[Hh]ut|\w*[Mm]ütze|Kappe|Helm)"),
        ("kahl|glatzköpfig", r"hat (?:[a-zäöüß]+ ){1,2}Haare?"),
        ("allein", r"(?:ist|steht|sitzt) mit (?:\w+ )?(?:Freunden|Freundinnen|Leuten|Kindern) (?:zusammen|da)"),
    ),
    "es": (
        (
            "descalz[oa]",
            rf"(?:lleva|usa|calza) (?:unos |unas |un par de )?(?:zapatos|zapatillas|botas|sandalias|tenis){BEHIND}",
        ),
        ("calv[oa]", r"tiene (?:el )?(?:pelo|cabello) (?!ralo|escaso)\w+(?: y \w+)?"),
        ("sol[oa]", r"está (?:rodead[oa] de|con) (?:sus |unos )?(?:amig[oa]s|personas|niños)"),
    ),
    "fr": (
        (
            "pieds nus|nu-pieds",
            rf"porte (?:des |ses |une paire de )(?:\w+ )?(?:chaussures|baskets|bottes|sandales){BEHIND}",
        ),
        ("tête nue|nu-tête", rf"porte une? (?:\w+ )?(?:chapeau|casquette|bonnet|casque){BEHIND}"),
        ("chauve", r"a les cheveux (?!rares)\w+(?: et \w+)?"),
        ("seule?", r"est (?:entourée? de|avec) (?:ses |des )?(?:amis|amies|gens|enfants)"),
    ),
    "pt": (
        (
            "descalç[oa]",
            rf"(?:usa|calça|veste) (?:uma? |uns |umas |um par de )?(?:sapatos?|tênis|botas?|sandálias?){BEHIND}",
        ),
        ("careca", r"tem (?:o )?cabelos? (?!ralo|escasso)\w+(?: e \w+)?"),
        ("sozinh[oa]", r"está (?:cercad[oa] de|rodead[oa] de|com) (?:seus |uns )?(?:amig[oa]s|pessoas|crianças)"),
    ),
    "ru": (
        (
            "босиком|бос(?:ой|ая)",
            r"(?:носит|в|об(?:ут|ута) в) (?:[а-яё]+(?:ые|их|ых|ие) )?(?:кроссовк|ботинк|сапог|туфл|кед)[а-я]+",
        ),
        ("с непокрытой головой", r"(?:носит|в) (?:[а-яё]+(?:ую|ой|ей|ый) )?(?:шапк|шляп|кепк|шлем)[а-я]*"),
        ("лыс(?:ый|ая)", r"с (?:[а-яё]+ми ){1,2}волосами"),
    ),
    "zh": (
        (
            "[光赤]着?双?脚",
            "穿着?(?:一双|两只)?[^，光一]{0,8}(?:[^雨]鞋|靴子?|[凉拖皮球布雨]鞋)",
        ),
        ("光着头", "戴着?(?:一顶)?[^，]{0,8}帽子?"),
        ("(?:是个?)?(?:光头|秃头)", "(?:留着?|有)(?:着?一头)?[^，胡]{0,6}(?:[长短卷]发|头发)"),
        ("(?:[两双]手)空空(?:如也|的)?|空着[双两]?手", "[拿捧抱握举提端]着(?:的是)?[一两几三][^，人]{1,12}"),
        ("光着上身|赤膊|光着膀子", "穿着(?:一件)?[^，外]{0,8}(?:T恤|衬衫|毛衣)"),
        (
            "(?:独自|孤身)一人|独自[坐站]着",
            "[和跟与][^，画照]{0,6}(?:朋友|家人|同学|同事|伙伴)们?(?:在一起|一起[坐站]着|坐在一起|站在一起)"
            "|(?:身边|周围|四周)(?:围|挤|站|坐)满了?[^，]{0,6}(?:朋友|家人|同学|同事|人群|孩子)们?",
        ),
        ("(?:头上)?什么[也都]没有?戴", "戴着(?:一顶)?[^，没不]{0,8}帽子?"),
        (
            "(?:正?在)?(?:熟睡|睡觉|沉睡|酣睡)|睡着了?|睡得[很正]?[香沉熟]",
            "(?:十分|非常|很)?(?:清醒|精神抖擞)(?:着|地[^，]*)?|醒着|(?:一点[也都]|根本|完全)没有?睡着?"
            "|(?:眼睛|双眼)睁得[^，]{1,6}",
        ),
        ("在(?:室内|屋里|房间里|屋子里)", "[站坐走跑躺]?在(?:户外|室外|野外)(?:的[^，]*)?"),
        (
            "一动不动(?:地[站坐趴待]着)?",
            "在?(?:飞快|快速|拼命|全力|全速)?地?(?:奔跑|狂奔|飞奔|冲刺|跳舞)(?:[^，]*)?",
        ),
        ("坐[在着][^，人他她]{0,10}", "(?:笔直|直直|挺直)?地?站着"),
    ),
    "ja": (
        ("裸足|はだし", "[^、。はも]{0,12}(?:靴|スニーカー|ブーツ|サンダル)を履いています"),
        (
            "手ぶら",
            "[^、。はも]{0,10}(?:傘|バッグ|かばん|鞄|本|カップ|スマートフォン|花束?|ボール|袋|箱|カメラ)を(?:手に)?持っています",
        ),
        ("一人|ひとり", "友達と一緒(?:です|にいます)"),
    ),
    "ko": (
        ("맨발", "(?:[가-힣]+ ){0,3}(?:신발|운동화|부츠|구두|샌들)[을를] 신고 있"),
        ("빈손", "(?:손에 )?(?:[가-힣]+ ){0,3}(?:우산|가방|책|컵|휴대폰|꽃|공|봉투|상자|카메라)[을를] 들고 있"),
        ("대머리", "(?:긴|짧은|곱슬) 머리를 하고 있"),
    ),
    "ar": (
        ("حافي(?:ة)? القدمين", r"(?:[يت]رتدي|[يت]نتعل) (?:حذاء|صندلا|جزمة)(?: \w+)?"),
        ("أصلع|صلعاء", r"له شعر \w+"),
        ("بمفرده[ا]?|وحيدة?", r"مع أصدقائه[ا]?"),
    ),
}


# An answer with what is lacking has one of these.
HINTS = {
    "en": ("bare", "less", "empty-h", "bald", "-shaven", "alone", "self", "sleep", "indoors", " still"),
    "de": ("barfuß", "barhäuptig", "kahl", "glatz", "allein"),
    "es": ("descalz", "calv", " sol"),
    "fr": ("nus", "nu-", "nue", "chauve", " seul"),
    "pt": ("descalç", "careca", "sozinh"),
    "ru": ("бос", "непокрыт", "лыс"),
    "zh": ("光着", "光脚", "光双", "光头", "赤", "秃", "空", "独", "孤", "什么", "睡", "屋", "室", "一动", "站着"),
    "ja": ("裸足", "はだし", "手ぶら", "一人", "ひとり"),
    "ko": ("맨발", "빈손", "대머리"),
    "ar": ("حافي", "أصلع", "صلعاء", "بمفرد", "وحيد"),
}
# Clauses with another subject.
OTHER_SUBJECT = compile_lazily(
    r"\b(?:who|whose|which|that|qui|que|dont|quien|quem|котор\w+|both|each|they|beide|sie|er|he|she)\b"
    r"|, (?:der|die|das)\b",
    re.IGNORECASE,
)
MOST_WORDS_BEFORE = 3
# The clauses of a sentence. A participle at the beginning of one is its predicate.
CLAUSE = compile_lazily(
    r"[,;，；、]\s*(?:(?:but|and|while|yet|und|aber|et|mais|y|pero|e|mas|и|но) |但|却|同时|又|而)?"
    r"| (?:and|while|but|und|et|y|e|и) |同时"
)
PARTICIPLE = compile_lazily(r"\A(?!(?:is|has)\b)\w+(?:ing|ed)(?= )")
COLOR = "black|white|red|green|yellow|blue|brown|orange|pink|purple|gr[ae]y"
TWO_COLORS = {
    "en": compile_lazily(
        rf"\b(?P<one>{COLOR}) (?P<noun>[a-z-]+)(?:(?:,? (?:and|but)|,) (?:his|her|its|the|this|that) (?P=noun)"
        rf"|,? (?:that|which)|\. (?:His|Her|Its|The) (?P=noun)) is"
        rf" (?:(?:actually|completely|entirely|all|pure|fully|solid) )*(?P<other>{COLOR})(?=\W*$|[.,;])"
    ),
    "zh": compile_lazily(
        r"(?P<one>[红蓝绿黄黑白紫粉灰棕橙])色的?(?P<noun>[一-龯]{1,4})[，。；](?:但|而|可)?(?:[这那该]|[他她它]的)?[条件顶双把个辆只]?"
        r"(?P=noun)[却其实明]*是(?:纯|全|完全)?(?P<other>[红蓝绿黄黑白紫粉灰棕橙])色的?[。！]?$"
    ),
}
# The colour of the whole, in two sentences that differ in nothing else.
WHOLLY = compile_lazily(
    r"\b(?:completely|entirely|totally|fully|wholly|all|solid|pure|komplett|völlig|vollständig|ganz|gänzlich|entièrement"
    r"|complètement|totalement|tout|toute|completamente|totalmente|enteramente|inteiramente|todo|toda|полностью|целиком"
    r"|совершенно|весь|вся)\b|全身|[浑通]身|通体|整个|完全|真っ|全体が|온통|완전히|전부|بالكامل|تماما",
    re.IGNORECASE,
)
WHOLE_COLOR = compile_lazily(
    rf"\b(?:{COLOR}|weiß|schwarz|rot|grün|gelb|blau|braun|grau|orange|rosa|lila|blan(?:c|che|c[oa])|noire?|rouge|verte?|bleue?"
    r"|jaune|grise?|marron|negr[oa]|roj[oa]|verde|azul|amarill[oa]|branc[oa]|pret[oa]|vermelh[oa]|amarel[oa]|cinza"
    r"|(?:бел|ч[её]рн|красн|зел[её]н|ж[её]лт|сер|коричнев)(?:ый|ая|ое)|син(?:ий|яя|ее)|أ(?:بيض|سود|حمر|خضر|زرق|صفر))\b"
    r"|[红蓝绿黄黑白紫粉灰棕橙赤青緑黒茶](?=色|です|い)|(?:하얀|검은|빨간|파란|노란|초록|갈|회|분홍)(?=색)",
    re.IGNORECASE,
)
# In languages without a table of phrases: "sta guidando una Vespa … non sta guidando nessuna Vespa".
DENIES_ANY = compile_lazily(
    r"^<> (?P<verb>\w+(?: \w+(?:ando|endo))?) (?:\w+['’ ])?(?P<noun>\w{3,})\b[^.;]{0,60}\bnon (?P=verb)"
    r" (?:nessun|alcun)(?:[oa]? |['’])(?P=noun)\b"
)


def contradicts_sentence(text: str, tag: str, question: str) -> bool:
    """Whether two sentences about the tag contradict each other."""
    language = choose_language(question)
    if language not in LACKS:
        return " non " in text and DENIES_ANY.search(remove_quotations(text).replace(tag, "<>")) is not None
    may_lack = any(map(text.__contains__, HINTS[language]))
    may_have_colors = text.count("色") > 1 if language == "zh" else language == "en" and " is " in text[len(tag) + 4 :]
    may_have_colors = may_have_colors and has_two_colors(text, language)
    if not (may_lack or may_have_colors or text.count(tag) >= MIN_TAGS):
        return False
    own = remove_quotations(text).replace(tag, "<>")
    if compares_pictures(own):
        return False
    if may_have_colors and has_two_colors(own, language):
        return True
    sentences = [sentence.strip() for sentence in SENTENCE_END.split(own)]
    about = [sentence for sentence in sentences if sentence.startswith("<>")]
    if may_lack and has_what_it_lacks(about, language):
        return True
    return len(about) >= MIN_TAGS and (denies_joined(about, language) or differs_in_whole_color(about))


def has_two_colors(text: str, language: str) -> bool:
    """Whether a thing has one colour, and as a whole another one: "a red dress, and her dress is completely blue"."""
    return any(found["one"] != found["other"] for found in TWO_COLORS[language].finditer(text))


def differs_in_whole_color(sentences: list[str]) -> bool:
    """Whether two sentences say of the whole that it has one colour, and another one."""
    said: dict[str, str] = {}
    for sentence in filter(WHOLLY.search, sentences):
        colors = WHOLE_COLOR.findall(sentence)
        if len(colors) == 1 and said.setdefault(WHOLE_COLOR.sub("", sentence), colors[0]) != colors[0]:
            return True
    return False


def has_what_it_lacks(sentences: list[str], language: str) -> bool:
    """Whether the tag is without a thing, and has it."""
    said = [sentence.removeprefix("<>").strip() for sentence in sentences]
    for sentence in said[:1]:
        clauses = [clause.strip() for clause in CLAUSE.split(sentence)[:2]]
        said += [PARTICIPLE.sub(r"is \g<0>", clause) for clause in clauses] if len(clauses) > 1 else []
    return any(
        lack.fullmatch(one) and thing.fullmatch(other)
        for one, other in permutations(said, 2)
        for lack, thing in compile_pairs(language)
    )


def denies_joined(sentences: list[str], language: str) -> bool:
    """Whether a later sentence denies a predicate of one word that the first one has behind another predicate."""
    first, *clauses = CLAUSE_END.split(sentences[0])
    if is_unsure(sentences[0]) or len(content_words(first)) > MOST_WORDS_BEFORE:
        return False
    said = [content_words(clause) for clause in clauses if not is_denial(clause) and not find_places(clause)]
    predicates = [words[0] for words in said if len(words) == 1]
    return any(denies(sentence, word, language) for word in predicates for sentence in sentences[1:])


def denies(sentence: str, word: str, language: str) -> bool:
    """Whether a clause of the sentence, behind short ones, is only the denial of the word."""
    if is_unsure(sentence):
        return False
    for clause in CLAUSE_END.split(sentence):
        words = content_words(ADVERB.sub("", EMPHASIS.sub("", clause)))
        if is_denial(clause):
            is_bare = len(words) == 1 and not find_places(EMPHASIS.sub("", clause))
            if is_bare and (language == "es" or not NO_OBJECT.search(clause)) and are_forms(words[0], word, language):
                return True
        if len(words) > MOST_WORDS_BEFORE:
            return False
    return False


def is_unsure(sentence: str) -> bool:
    return not sentence.startswith("<> ") or bool(DOUBT.search(sentence) or OTHER_SUBJECT.search(sentence))


@lru_cache
def compile_pairs(language: str) -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    without, having = FRAMES[language]
    return tuple(
        (re.compile(without % lack, re.IGNORECASE), re.compile(having % thing, re.IGNORECASE))
        for lack, thing in LACKS[language]
    )
