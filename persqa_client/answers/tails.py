"""Finds what stands behind the last sentence of an answer and is no sentence: a switch of the model's mode, figures of
its usage, a check of the answer itself in brackets, advertising. Marks of citations are removed, wherever they stand.
"""

from __future__ import annotations

import re

from persqa_client.answers.answer_language import drop_written_text
from persqa_client.answers.phrases import choose_language
from persqa_client.answers.remarks import is_on_display
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_quotations
from persqa_client.types import Task

# Marks that have no other meaning: [citation:2], [cite: 1, 2], [^1], 【7†source】.
CITATION = compile_lazily(
    r" ?\[(?:\^\d{1,3}|(?:citation|cite|ref|source|webpage|网页|引用|来源) ?[:：]? ?\d{1,3}(?:[,，] ?\d{1,3})*)\]"
    r"| ?【\d{1,3}(?::\d{1,3})?†[^】\n]{0,40}】"
)
# A number in brackets or between carets where no word of the sentence can stand: directly behind one and before a mark
# or the end. Keys and buttons have a verb before them, and powers a unit.
NUMBERS = r"(?:\[\d{1,2}(?:[,，–-] ?\d{1,2})*\]|\^\d{1,2}\^)+"
NUMBERED = compile_lazily(
    rf"(?<=[^\W\d_])(?<!\d[a-z])(?<!\d [a-z])(?<!\d[a-z]{{2}})(?<!\d [a-z]{{2}})"
    rf"{NUMBERS}(?=\s*(?:[.,;!?。，；！？、]|\Z))"
    rf"|(?<=[.!?。！？]) ?{NUMBERS}(?=\s*\Z)"
)
KEY_BEFORE = compile_lazily(r"[按点點选選击擊写寫标標印刻第](?:下|了|住|着|到|选|击)?\Z|\b(?:key|button)\Z")
# A switch of models that think, and a command behind the last sentence.
SWITCH = compile_lazily(r"[\s.!?。！？]/(?:no_?)?think\b|[.!?。！？~～]\s{0,3}/[a-z_]{3,20}\s*\Z")
# Figures with their names in the last lines, and names for what a model uses.
PAIRS = compile_lazily(
    r"[.!?。！？)）]\s*(?:\n|[\[(（【—–|-])\s*(?P<lines>[^\n.!?。！？]{1,40}\d(?:[^\n!?。！？]|\n(?!\n)){0,200})\Z"
)
PAIR = compile_lazily(r"[^\W\d][^\d\n:：=/|]{0,24}[:：= ]?\s*[*_]{0,2}\s*[~≈$]?\d[\d.,]*\s?[A-Za-z%/가-힣一-龯]{0,8}")
USAGE = compile_lazily(
    r"(?<![A-Za-z])(?:tokens?|latency|elapsed|usage|throughput|duration|inference|generation time|response time"
    r"|processing time)\b|_tokens|耗时|耗時|用时|用時|用量|延迟|推理时间|响应时间|トークン|処理時間"
    r"|応答時間|토큰|소요 ?시간"
    r"|токен|время (?:ответа|генерации)|temps de (?:réponse|génération)|tiempo de (?:respuesta|generación)"
    r"|tempo de (?:resposta|geração)|antwortzeit|dauer der",
    re.IGNORECASE,
)
# In brackets at the end: the length, the format or the language of the answer, and what was required of it.
SELF_CHECK = compile_lazily(
    r"[.!?。！？]\s*[*_]{0,2}[(（\[【](?P<inner>[^()（）\[\]【】\n]{2,60})[)）\]】][*_]{0,2}[.。]?\s*\Z"
)
ABOUT_ANSWER = compile_lazily(
    r"^(?:answer|response) (?:length|format|language)\b|^(?:回答|答案)(?:长度|格式|语言)"
    r"|^(?:total(?:ly)?:? ?|in total ?|insgesamt ?|(?:en )?total:? ?)?\d{1,3} (?:words?|characters?|wörter"
    r"|worte|zeichen|mots|palabras|caracteres|palavras|слов[ао]?|символ\w*)(?=\W|$)"
    r"(?! (?:are|is|on|in|of|auf|sur|en|em|на)\b)"
    r"|\b(?:(?<!\w )as (?:requested|required|instructed)|(?:length|format|word|language) (?:requirements?|limit"
    r"|constraints?)|requirements? (?:is |are )?(?:met|satisfied|fulfilled)"
    r"|meets? (?:the|all) (?:\w+ )?(?:requirements?|constraints?))\b"
    r"|anforderung(?:en)? (?:erfüllt|eingehalten)|wie (?:gewünscht|verlangt|gefordert)\b|(?:comme|tel que) demandé"
    r"|consignes? respectée|según lo (?:solicitado|pedido)|requisitos? cumplid|(?:conforme|como) solicitado"
    r"|requisitos? atendid|требовани\w+ (?:соблюд|выполн)|как (?:требовалось|было запрошено)"
    r"|(?:^|[，,；：:])(?:全文|本句|回答|答案)?总?共\s?\d{1,3}\s?个?字|字数|字數|(?:格式|语言|长度)正确"
    r"|(?:^|[，,；])(?:已|均|完全)?(?:符合|满足|滿足|按照?|依照|遵循)[^，,。]{0,6}(?:要求|格式|限制|规定|指令)"
    r"|文字数|(?:条件|要件|指示|形式)(?:を満た|に従|に沿|どおり|通り)|요구 ?(?:사항|조건)|글자 ?수|형식 ?(?:준수|충족)"
    r"|^\d{1,3} ?(?:글자|자|字|文字)(?=\W|$)",
    re.IGNORECASE,
)
# Calls to the reader, and words of advertising of which no description has two.
LAST_PART = compile_lazily(r"[.!?。！？~～…\n]+\s*(?P<part>(?:[^.。！？!?~～…\n<>]|\.(?=\w)){4,80}[!！.。?？…]?)\s*\Z")
CALL = compile_lazily(
    r"(?:^|, )¡?(?:please |don['’]t forget to )?(?:follow (?:us|me|our)\b|subscribe (?:to|now|for)\b"
    r"|click (?:here|the link|on the link|below)"
    r"|(?:visit|check out) (?:us|our|www\b)|sign up (?:now|today|for)\b|download (?:now|our|the app)\b"
    r"|join (?:us|our)\b"
    r"|s[ií]g(?:ue|a)(?:nos|-nos)|suscr[ií]bete|inscreva-se|abonnez-vous|suivez-nous"
    r"|folg(?:t|en sie|e) uns|abonnier\w* "
    r"|подпи(?:сывайтесь|сывайся|шись|шитесь)\b|ставьте лайк|تابعونا|اشترك)"
    r"|^(?:欢迎|請|请|快来)?(?:大家)?(?:扫码)?(?:长按)?(?:添加|加|关注|關注|搜索)(?![的了着过])[^，。]{0,8}(?:公众号|公眾號|微信|QQ群|小程序|订阅号)"
    r"|^(?:更多[^，。]{0,8})?(?:欢迎|请|請)?(?:关注|關注)(?:我们|我們|本号|博主)"
    r"|^(?:请|請|快)?(?:点击|點擊|戳)[^，。]{0,6}(?:链接|鏈接|连结|下载|領取|领取|注册)|(?:フォロー|チャンネル登録|いいね)[^。]{0,6}(?:してね|お願い|よろしく)"
    r"|^(?:구독|팔로우|좋아요)[^.]{0,12}(?:부탁|해 ?주세요|눌러)",
    re.IGNORECASE,
)
ADVERTISING = compile_lazily(
    r"彩票|快三|时时彩|時時彩|开奖|博彩|娱乐城|赌场|百家乐|官网|官網|公众号|平台|注册|下载|安装|手机版|免费|领取|优惠券|代理|加盟"
    r"|客服|扫码|充值|提现|微信号|关注|资源包"
    r"|\b(?:best price|promo code|discount code|free (?:bonus|download|trial)|casino|betting|cheap|online now)\b",
    re.IGNORECASE,
)
# A paragraph that begins with a dash is a signature; these are by who operates the service.
SIGNED = compile_lazily(r"\n\s*[—–-]{1,3}\s*(?P<part>[^\n<>]{4,80})\s*\Z")
OPERATOR = compile_lazily(
    r"本(?:站|接口|服[务務]|平台|API)|公益(?:接口|站|API)|中[转轉]站|[镜鏡]像站|更多[^，。]{0,4}(?:模型|接口|API)"
    r"|(?:QQ|微信|交流|TG) ?群"
    r"|\b(?:powered|provided|served|generated|sponsored|hosted) by\b|\bfree API\b|\bmore models\b"
    r"|\bAPI (?:relay|proxy)\b"
    r"|(?<!\w)(?:t\.me|https?:)/",
    re.IGNORECASE,
)
DESCRIBED = compile_lazily(
    r"[的是在有着正她他它牌屏写印站坐拿看]|手机上|店|\b(?:the|an?|is|are|has|have|his|her|its)\b", re.IGNORECASE
)
MIN_ADVERTISING = 2


def remove_citations(text: str, task: Task) -> str:
    """Removes marks of citations. What is quoted stays, and what is written on something or belongs to code."""
    if "[" not in text and "†" not in text and "^" not in text:
        return text
    own = remove_quotations(text)
    for found in CITATION.findall(own):
        text = text.replace(found, "", 1)
    if not NUMBERED.search(own) or is_about_code(text):
        return text
    language = choose_language(task.question) or ""
    kept = drop_written_text(own, language)
    for found in NUMBERED.finditer(own):
        if found[0] in kept and not KEY_BEFORE.search(own, 0, found.start()):
            text = text.replace(found[0], "", 1)
    return text


def find_tail(text: str, language: str) -> str:
    """The text after the last sentence that is no sentence itself; empty if there is none."""
    found = ""
    if "/" in text and (switch := SWITCH.search(remove_quotations(text))):
        found = switch[0]
    elif (pairs := PAIRS.search(text)) and are_figures(pairs["lines"]):
        found = pairs["lines"]
    elif text.rstrip(".。*_ ").endswith((")", "）", "]", "】")) and (check := SELF_CHECK.search(text)):
        found = check["inner"] if ABOUT_ANSWER.search(check["inner"]) else ""
    elif "\n" in text and (signed := SIGNED.search(text)) and OPERATOR.search(signed["part"]):
        found = signed["part"]
    elif LAST_PART.search(text) and (last := LAST_PART.search(remove_quotations(text))):
        found = last["part"] if is_advertising(last["part"]) else ""
    if not found or is_on_display(found, text, language):
        return ""
    return found.strip()


def are_figures(lines: str) -> bool:
    """Whether the lines have little but figures with their names, one of which is the model's usage."""
    pairs = PAIR.findall(lines)
    rest = PAIR.sub("", lines)
    is_all = pairs and sum(map(str.isalpha, rest)) <= sum(map(len, pairs)) // 2
    return bool(is_all) and USAGE.search(lines) is not None


def is_advertising(part: str) -> bool:
    if CALL.search(part):
        return True
    return len(set(ADVERTISING.findall(part))) >= MIN_ADVERTISING and DESCRIBED.search(part) is None
