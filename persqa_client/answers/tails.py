"""Finds what stands behind the last sentence of an answer and is no sentence: a switch of the model's mode, figures of
its usage, a check of the answer itself in brackets, advertising. Marks of citations are removed, wherever they stand.
"""

from __future__ import annotations

import re

from persqa_client.answers.answer_language import drop_written_text
from persqa_client.answers.phrases import choose_language
from persqa_client.answers.remarks import GRADED, is_on_display
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_marked, remove_quotations
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
    r"|^(?:欢迎|請|请|快来)?(?:大家)?(?:扫码)?(?:长按)?(?:添加|加|关注|關注|搜索)(?![的了着过])[^，。]{0,8}(?:公众号"
    r"|公眾號|微信|QQ群|小程序|订阅号)"
    r"|^(?:更多[^，。]{0,8})?(?:欢迎|请|請)?(?:关注|關注)(?:我们|我們|本号|博主)"
    r"|^(?:请|請|快)?(?:点击|點擊|戳)[^，。]{0,6}(?:链接|鏈接|连结|下载|領取|领取|注册)|(?:フォロー|チャンネル登録"
    r"|いいね)[^。]{0,6}(?:してね|お願い|よろしく)"
    r"|^(?:구독|팔로우|좋아요)[^.]{0,12}(?:부탁|해 ?주세요|눌러)",
    re.IGNORECASE,
)
ADVERTISING = compile_lazily(
    r"彩票|快三|时时彩|時時彩|开奖|博彩|娱乐城|赌场|百家乐|官网|官網|公众号|平台|注册|下载|安装|手机版|免费|领取"
    r"|优惠券|代理|加盟"
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
# What stands behind the last sentence and tells nothing of the picture: a frame around a message of the program, a
# label of a program with its value, the name of a file.
FRAMED = compile_lazily(
    r"[.!?。！？]\s*(?P<part>(?:[|#=~<-]{1,6}\s?|[\[(（【<]\s?)(?:(?:[^\n\])）】.。]{0,30}\b)?(?:end of|tokens?"
    r"|words?|confidence|score|sentiment|label"
    r"|response|answer|output|caption|model|stop|done|eos|status|rating|conf|prob)\b[^\n.。]{0,40}"
    r"|(?:以上)?(?:回答|答案|作答|输出|描述|生成)?(?:完毕|结束|完成|到此为止|完)|[\[(（【][^\n\])）】]{0,6}(?:回答"
    r"|答案|得分|评分|置信度)[^\n\])）】]{0,12})[\])）】>|*=~-]{0,4})[.。]?\s*\Z",
    re.IGNORECASE,
)
LABELLED = compile_lazily(
    r"[.!。！][ \t]*[-|# ]{0,5}(?P<part>(?:finish_reason|stop_reason|evaluation|assessment|explanation|difficulty"
    r"|total \w+(?: \w+)?|\w+_tokens|status|sentiment|(?:correct |final "
    r"|short |ground truth )?answers?(?: type)?|scores?"
    r"|confidence(?: level)?|category|categories|labels?|keywords?|tags?|tokens|source|topic|intent|emotion|mood"
    r"|verdict|result|prediction|language|length|type"
    r"|quality|rating|difficulty|reference|caption|class|hashtags?|estado|categoría|catégorie|mots-clés"
    r"|palabras clave|schlagwörter|kategorie|status"
    r"|статус|категория|метки|ключевые слова|状态|狀態|难度|难易度|评价|评估|关键词|關鍵詞|关键字|类别|類別|分类|类型"
    r"|回答类型|标签|標籤"
    r"|参考答案|正确答案|标准答案|来源|主题|情感|情绪|结果|语言|长度|得分|评分|置信度|质量"
    r"|ラベル|カテゴリ|キーワード|タグ|スコア|正解|태그|카테고리|키워드|정답|라벨) ?[:：=]\s?\S[^\n]{0,60})\Z",
    re.IGNORECASE,
)
FILE_NAME = compile_lazily(r"[.!?。！？]\s*(?P<part>[\w-]{1,40}\.(?:jpe?g|png|webp|gif|bmp|mp4))\W*\Z", re.IGNORECASE)
# A second statement with a number, where the first has none.
NUMBERED_NEXT = compile_lazily(r"\A(?![^\n]{0,40}1[.)、])[^\n]*[.!?。！？]\s*(?P<part>2[.)、]\s?<[^\n]*)")
SHOWS_TEXT = compile_lazily(
    rf"{GRADED.pattern}|\b(?:signs?|labels?|labelled|forms?|worksheets?|posters?|boards?|boxes|box|sheets?|banners?"
    rf"|menus?|lists?|tags?|chants?|sings?|singing|shouts?|message|letter"
    r"|letrero|cartel|pantalla|étiquette|affiche|écran|schild|plakat|bildschirm|placa|tela|табличк\w*|экран\w*)\b"
    r"|[牌标字屏写印卡纸板页喊唱说]|看板|画面|화면|간판",
    re.IGNORECASE,
)
# A sentence about its own first words: "Order now is written on the window."
SHOWN_THERE = compile_lazily(
    r"\b(?:is|are|was|were) (?:\w+ )?(?:written|shown|painted|printed|displayed|posted)"
    r" (?:on|above|over) (?:the|an?|his|her)\b"
    r"|[一-龯](?:写|显示|贴|印|画|出现)在(?!图)"
)
# Orders and questions to the reader, thanks, and reports of what was done, as the last sentence.
ADDRESS = compile_lazily(
    r"[.!?…]\s+[*_(\[]{0,2}(?P<part>(?:(?:just |please |now |simply |go ahead and )?(?:upgrade to|buy (?:now|yours|it"
    r"|one|this)|get (?:\d+%?|your|yours|the app|started|it now)|like and|share (?:this|it|if|with)"
    r"|order (?:now|yours|today)|shop (?:now|the|our)|(?:say|give) (?:the word|me a)|tell me (?:if|what|more|whether)"
    r"|tap (?:here|the link)|swipe (?:left|right|up|down|to|for)"
    r"|rate (?:this|my|the answer)|vote (?:now|for|below|here)|contact (?:us|support|our)"
    r"|(?:ask|reply|respond) (?:me|if|with|again|away|for|another|anytime)|send (?:me|the next|another)"
    r"|provide (?:the next|another|more)|proceed)\b"
    r"|let me know\b|thank(?:s| you) (?:for|so much|very much)\b|next (?:question|image|picture|one|task)\b"
    r"|(?:task|done|job|answer|response|annotation|caption|generation|request)(?:[.!] |,? (?:is |was "
    r"|has been )?)(?:complete[d]?|done|finished|generated|submitted|sent|task)\b"
    r"|(?:(?:is|was|does|did|are|do|can|could|would|should|shall|may|will|want|need|anything|any|how|have"
    r"|has) (?![^?]*\b(?:he|she|they|you|your)\b)[^.!?]{2,80}\?(?=\W*\Z))"
    r"|(?:that|this|it)(?:['’]s| is| was| would be) (?:my|the|an?) (?:best|final|short|most likely|honest|full"
    r"|complete) (?:guess|answer|response|estimate|description|reading|caption)\b"
    r"|(?:the|this) (?:above|previous|preceding|foregoing) (?:answer|response|text|sentence|description)\b"
    r"|(?:this|the|that|my) (?:response|answer|reply|sentence|output|caption|description) (?:\w+ly )?(?:(?:fulfil"
    r"|satisf"
    r"|adher|compl|conform|meet|follow|align|respect)\w*|(?:is|was|has been) (?:based|written|generated|limited|kept"
    r"|short|concise|one|a single|given|provided|correct|accurate|complete|in (?:english|one))|uses|stays|keeps"
    r"|reflects"
    r"|should|includes|contains)\b"
    r"|p\.? ?s[.:] |i(?:['’]m| am) (?:here|happy to|glad to|available)\b|i(?:['’]ve)? (?:kept|made|wrote|wanted|tried"
    r"|hope|(?:think|believe|assume)(?! (?:it|this|that|they|these|he|she|the (?!answer|question)\w+)"
    r"(?: is|\W?s| are| was| may| might| could)\b)|based|used|can also|could also|have"
    r"|also)\b)[^\n]{0,120})\s*\Z",
    re.IGNORECASE,
)
CHINESE_ADDRESS = compile_lazily(
    r"[。！？]\s*(?P<part>(?:(?:请|敬请|欢迎|快来?|赶[紧快])?(?:给出|提出|输入|发送|上传|提供|开始)(?:您的"
    r"|你的)?下一[个道张题]|点赞(?=[关评转投收支、，！。和一]|吧)|(?:开通|升级|办理|成为|充值)[^，。]{0,4}(?:会员|VIP)|(?:限时"
    r"|扫码)[^，。]{0,6}(?:价|下单|领取|减|享|加|添|购|关注|进群|优惠)(?![^，。！]{0,3}的)|下单(?!的)|限时优惠(?!的|海报)|立即(?:购买"
    r"|下单|抢购|体验)"
    r"|(?:感谢|谢谢)(?:您|你)?的?(?:提问|使用|支持|关注|耐心|观看|阅读)|用户(?:没有|要求|问|想|只|已|的问题|希望|需要"
    r"|提问)|(?:本次|此次)?(?:任务|回答|作答|标注|生成|问答|对话)(?:已经?)?(?:完成|结束|完毕|到此)(?!的)|换(?:句话|言之"
    r"|个说法|一种说法)"
    r"|[^，。]{0,2}(?:这样|如此|这个|这种|上述)(?:回答|描述|答案)[^，。]{0,6}[？?]|我(?:是|的判断是|主要)?(?:根据|通过|基于|依据"
    r"|参考|只|尽量|已经?|用了|使用了|按照?|(?:认为|觉得|推测|猜测?)(?![他她它这那]|应该|可能|大概|是))"
    r"|(?:以上|上述|本|这个|该)(?:回答|答案|描述|句子|句|内容)|仅供参考|如有(?:错误|不当|误差|偏差|疏漏)"
    r")[^\n]{0,60})\Z"
)


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
    elif has_second_part(text) and LAST_PART.search(text) and (last := LAST_PART.search(remove_quotations(text))):
        found = last["part"] if is_advertising(last["part"]) else ""
    if found and not is_on_display(found, text, language):
        return found.strip()
    return find_outside_picture(text, language).strip() if has_second_part(text) else ""


def has_second_part(text: str) -> bool:
    """Cheap, for ordinary answers of one sentence."""
    inner = text[:-2]
    if text.isascii():
        return "." in inner or "!" in inner or "?" in inner or "\n" in inner or "~" in inner
    return any(mark in inner for mark in (".", "。", "！", "？", "!", "?", "\n", "…", "~", "～", "؟"))


def find_outside_picture(text: str, language: str) -> str:
    """A last part that tells nothing of the picture, or empty."""
    marked = (LABELLED, FRAMED)  # "label:" is a word of writing, too.
    for pattern in (*marked, FILE_NAME, NUMBERED_NEXT, CHINESE_ADDRESS if language == "zh" else ADDRESS):
        if pattern.search(text) is None:
            continue
        found = pattern.search(remove_marked(text) if pattern in marked else remove_quotations(text))
        if found:
            is_shown = SHOWS_TEXT.search(found.string, 0, found.start("part")) or SHOWN_THERE.search(found["part"])
            return "" if is_shown else found["part"]
    return ""


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
