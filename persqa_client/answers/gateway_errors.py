"""Messages of gateways, proxies and model servers, which are in English for questions in any language.

Those of Envoy, One API, DashScope, OpenRouter, vLLM and SGLang are from public reports; those of nginx, LiteLLM and
Azure OpenAI have no source. The tables of the languages have messages about accounts, quotas and models in other
words (``[residue] messages``).
"""

from __future__ import annotations

import re

from persqa_client.lazy_pattern import compile_lazily

GATEWAY_ERROR = compile_lazily(
    r"(?i:\bupstream (?:connect error|request (?:timeout|failed)|timed out|prematurely|server (?:is|error))"
    r"|\bdisconnect/reset before|\breset reason ?:|\bno healthy upstream\b"
    r"|\b(?:maximum|max) context length\b|\bcontext (?:length|window) (?:is |was |has been )?exceeded\b"
    r"|\bmax_model_len\b"
    r"|\bprompt is too long\b|\bkv cache\b|\bengine (?:loop |core |process )(?:is |has )?(?:dead|died)\b"
    r"|\bexceeded your (?:current |monthly )?(?:quota|rate limit)\b|\b(?:quota|credits?) (?:exceeded|exhausted)\b"
    r"|\bquota is not enough\b|\binsufficient[_ ](?:user[_ ])?quota\b|\brate limit (?:reached|exceeded)\b"
    r"|\b(?:incorrect|invalid) api[ _-]key\b|\bno endpoints found\b|\bprovider returned error\b"
    r"|\bno available (?:channels?|deployments?|workers?|endpoints?)\b|\bcontent management policy\b"
    r"|\b(?:ensure that|make sure) your account is in good standing\b"
    r"|\bnever purchased credits\b|\blitellm\.|\bopenresty\b"
    r"|\bgateway time-?out\b|\bserver had an error (?:while )?process|\brequest[ _]id: [\w-]{12,}|\bnginx/\d"
    # The picture could not be fetched or decoded.
    r"|\b(?:failed|unable) to (?:download|fetch|load|retrieve|decode)"
    r" (?:the |an? )?(?:media|multi-?modal"
    r"|(?:image|picture|video|file)s?(?: data| file| content)? from (?:the )?(?:url|link))"
    r"|\bdownload(?:ing)? (?:of )?(?:the )?(?:media|multi-?modal|image)s?(?: resource| file)?"
    r" (?:has )?(?:timed out|failed)\b"
    r"|\b(?:image|media|multi-?modal)(?: file| data)? (?:download|fetch|decod|load)(?:ing|e)?"
    r" (?:timed out|timeout|failed)\b"
    r"|\bdata inspection process\b|\bcannot identify image file\b"
    r"|\b(?:engine|model) is currently (?:overloaded|loading)(?=[.,;:!]|$| with other))"
)
# Patterns in lower case; each message has one of these.
HINTS = (
    *("upstream", "reset", "context", "max_model", "prompt", "cache", "engine", "exceeded", "exhausted", "quota"),
    *(
        "limit",
        r"\bapi(?![a-z])",
        "endpoint",
        "provider",
        "available",
        "policy",
        "account",
        "credits",
        "download",
        "media",
        "modal",
        "image",
        "fetch",
        "inspection",
        "litellm",
        "openresty",
    ),
    *("gateway", "server", "request", "nginx", "overloaded", "loading"),
)
# Right behind the tag, before any predicate could say where it stands: the name of an exception, a level of a log, a
# message about a picture or a request that has another subject. Behind the last sentence, an error with a label.
BEHIND_TAG = compile_lazily(
    r"\s*(?:[\[(]?(?:ERROR|Error|FATAL|WARN(?:ING)?|CRITICAL)[\])]?(?: ?:|\s(?=[a-z\d\[]))"
    r"|(?:[\w]+\.)*_?[A-Z]\w*(?:Error|Exception|Timeout|Refused|Failure)\b ?[:(.]"
    r"|(?:(?:[Ii]nput |[Uu]ploaded |[Pp]rovided )?[Ii]mages?|[Pp]ictures?|[Pp]hotos?|[Ii]nput|[Ff]ile|[Rr]equest"
    r"|[Mm]odel|[Ss]erver|[Vv]ision encoder|[Gg]eneration|[Tt]okenizer|[Ww]orker|[Pp]rocess)"
    r" (?:(?:could not|couldn't|cannot|can't|failed to|was not|has not|did not|is not)(?: be| been)? (?:decoded?"
    r"|loaded?|processed?|parsed?|opened|fetch(?:ed)?|download(?:ed)?|read|completed?|found"
    r"|respond|start|supported|reached|available)\b|(?:stopped|aborted|cancell?ed|terminated|interrupted|crashed"
    r"|timed out|truncated)\b(?: ?[:.(]| by| due| at| after|\W*\Z))"
    r"|(?:[Mm]odel|[Ss]erver|[Ee]ndpoint|[Bb]ackend|API|[Pp]roxy)(?: endpoint| server)? returned (?:an? )?(?:status"
    r"|error|code|HTTP|empty|invalid)\b"
    r"|(?:[Tt]he )?[Oo]peration (?:was )?(?:aborted|cancell?ed|timed out)\b|(?:[A-Z][a-z]+ ){1,3}limit (?:has been"
    r"|was|is) (?:reached|exceeded)\b|(?:vllm|vLLM|sglang|SGLang)\b"
    r"|(?:[Uu]nexpected|[Ii]nvalid|[Mm]alformed) (?:token|input|character|json|JSON|image|response|request|end of"
    r"|argument|URL|url|base64|format)\b"
    r"|[A-Z]\w*(?:\.\w+)*: (?:StatusCode|status)\b|(?:HTTP|http)(?:/\d\.\d)? ?[45]\d\d\b|[45]\d\d [A-Z][a-z]+ [A-Z])"
)
ERROR_LAST = compile_lazily(
    r"[.!?。！？]\s*(?P<part>(?:Error|ERROR|Exception|Fehler|Erreur|Errore|Erro|Ошибка|错误|エラー|오류"
    r"|خطأ) ?[:：] ?\S[^\n]{0,120})\Z"
)
ERROR_CODE = compile_lazily(r"\b(?:error|status) code\b", re.IGNORECASE)
