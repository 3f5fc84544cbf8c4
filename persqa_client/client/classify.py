"""Classifies failed attempts: turns a response into an ErrorDecision.

``classify_response`` checks in a fixed order, and the first match counts:

1. Statuses that are unambiguous: a redirect, a 401.
2. The codes anywhere in the error: the key, the account or the model is refused; a field is refused (400, 422); the
   row's content is refused; the server is overloaded or has failed.
3. The message, for the same causes. It is used only if no code matches.
4. The status: overload, a failed server, a refusal without a reason, a refused row.

Only a status, a code or a stated time makes a request wait without a limit. After a message that asks to retry later,
the request is retried up to its number of attempts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from persqa_client.client.dialect import find_refused_field
from persqa_client.client.error_body import read_error_body, redact_secrets
from persqa_client.client.failed_reply import (
    ACCOUNT,
    BAD_KEY,
    CONTEXT_OVERFLOW,
    IN_FLIGHT,
    MODEL,
    NO_IMAGES,
    NO_PERMISSION,
    NO_PLACE,
    OVERLOAD,
    SERVER_FAILURE,
    TOO_MANY_IMAGES,
    WRONG_PATH,
    AttemptContext,
    FailedReply,
)
from persqa_client.types import ErrorDecision, Json, RetryAction

BUSY_STATUSES = frozenset({408, 409, 425, 429, 498, 503, 529})
# A gateway may repeat them in its own error, with another status.
REPEATED_OVERLOAD = frozenset({429, 503, 529})
# Statuses of client errors that mean a failed server or proxy: a failed dependency, a misdirected or closed connection,
# a cancelled operation.
FAILED_STATUSES = frozenset({421, 424, 444, 460, 499})
# Gateways also return these, without a reason, while the server behind them restarts.
UNROUTED_STATUSES = frozenset({403, 404, 405, 410})
NOT_IMPLEMENTED = 501

# Status codes of proxies for an unavailable server; servers use some of them for other errors.
UNREACHABLE_CODES = frozenset(
    {"connection_lost", "http_502", "http_504", "http_530", *(f"http_{status}" for status in range(520, 529))}
)

PROXY_AUTHENTICATION = 407
# The query, the fragment, and the name and password of a user.
URL_SECRETS = re.compile(r"[?#].*|(?<=//)[^/?#]*@", re.DOTALL)
# Seconds: longer than the window of a limit per minute, which some servers report like a used-up quota.
QUOTA_GRACE = 90.0


def classify_response(
    status: int, headers: Mapping[str, str], body: bytes, context: AttemptContext, *, now: float
) -> ErrorDecision:
    return _classify(FailedReply(status, headers, read_error_body(body, context.redactor), context, now))


def classify_error_in_200(body: Json, context: AttemptContext, *, streamed: bool, now: float) -> ErrorDecision:
    """Classifies the error as if its status were the one that it names. An error without a status is a server failure.

    Older vLLM versions report all streamed errors as 400, although bad requests fail before the stream.
    """
    error = read_error_body(body, context.redactor)
    named = error.named_status
    status = 200 if named is None or (streamed and named == 400) else named
    return _classify(FailedReply(status, {}, error, context, now, in_200=not streamed))


def _classify(reply: FailedReply) -> ErrorDecision:
    decision = (
        _classify_by_status(reply)
        or _find_refusing_endpoint(reply)
        or _find_refused_field(reply)
        or _find_refused_row(reply)
        or _find_dead_engine(reply)
        or _find_overload(reply)
        or _find_server_failure(reply)
    )
    return decision or _classify_the_rest(reply)


def _classify_by_status(reply: FailedReply) -> ErrorDecision | None:
    context = reply.context
    if reply.status == 401 and (reply.shows(BAD_KEY) or not reply.shows(ACCOUNT)):
        said = "" if reply.error.is_bare else reply.quote
        given = context.authentication
        message = f"Authentication failed (401 Unauthorized){said}: {given.reason}; {given.advice}"
        return reply.decide(RetryAction.STOP, "wrong_key", message)
    if reply.status == PROXY_AUTHENTICATION:
        return classify_proxy_answer(reply.status, context)
    if reply.status == NOT_IMPLEMENTED and reply.error.is_page and not context.has_answered:
        return _refuse_url(reply, "is not an OpenAI-compatible endpoint")
    if 300 <= reply.status < 400:
        # A login page's URL may contain tokens.
        target = URL_SECRETS.sub("", reply.headers.get("location", "another address"))
        target = redact_secrets(target, context.redactor)
        message = f"{context.base_url} redirects to {target}; use the final address as --base-url"
        return reply.decide(RetryAction.STOP, "redirected", message)
    return None


def _find_refusing_endpoint(reply: FailedReply) -> ErrorDecision | None:
    """The key, the account or the model is refused, so every row would be refused.

    A refusal with a status for overload stops the run only if it lasts: limits per minute are reported like used-up
    quotas, and gateways without a free channel report an unknown model. A server that states a time to retry after is
    only overloaded.
    """
    status, quote, context = reply.status, reply.quote, reply.context
    busy = status in BUSY_STATUSES
    if status == 402 and IN_FLIGHT.in_words(reply.error.words):
        message = f"The account's credit is reserved for requests in flight (402){quote}"
        return reply.decide(RetryAction.RETRY, "http_402", message)
    found = None
    if reply.shows(BAD_KEY):
        message = f"The key was refused ({reply.where}){quote}; check {context.authentication.settings}"
        found = ("wrong_key", message)
    elif reply.shows(NO_PERMISSION):
        found = ("forbidden", f"Access denied ({reply.where}){quote}; check the permissions of the key")
    elif reply.shows(NO_PLACE):
        found = ("forbidden", f"Requests from this place are refused ({reply.where}){quote}")
    elif status == 402:
        found = ("no_credit", f"The account has no credit (402 Payment Required){quote}")
    elif reply.shows(ACCOUNT):
        if ACCOUNT.names_a_quota(reply.error):
            found = ("no_quota", f"The account's quota is used up ({reply.where}){quote}")
        else:
            found = ("no_credit", f"The account is refused ({reply.where}){quote}")
    elif status == 404 and (reply.shows(NO_IMAGES) or reply.allows_no_images):
        found = ("no_pictures", f"The model takes no images ({reply.where}){quote}; use a vision-language model")
    elif reply.shows(MODEL) or (status == 404 and reply.names_the_model):
        problem = f"The server does not serve the model {context.model!r} ({reply.where})"
        found = ("unknown_model", f"{problem}{quote}; check --model")
    if found is None or (busy and reply.says_when):
        return None
    return reply.decide(RetryAction.STOP, *found, grace=QUOTA_GRACE if busy else 0.0)


def _find_refused_field(reply: FailedReply) -> ErrorDecision | None:
    if reply.status not in {400, 422}:
        return None
    name = find_refused_field(reply.error, reply.context.optional_fields)
    if name is None:
        return None
    message = f"The server does not support {name} ({reply.where}){reply.quote}"
    return reply.decide(RetryAction.ADAPT, "unsupported_parameter", message, parameter=name)


def _find_refused_row(reply: FailedReply) -> ErrorDecision | None:
    words = reply.error.words
    if "allowed-local-media-path" in words:
        return reply.decide(RetryAction.FAIL, "rejected", f"The server cannot open local files{reply.quote}")
    if reply.shows(CONTEXT_OVERFLOW):
        code = "context_overflow"
    elif TOO_MANY_IMAGES.search(words):
        code = "too_many_images"
    elif reply.status == 413:
        code = "too_large"
    elif reply.shows(NO_IMAGES) or (reply.status < 500 and reply.refuses_content):
        code = "rejected"
    else:
        return None
    return _reject_row(reply, code)


def _find_overload(reply: FailedReply) -> ErrorDecision | None:
    """Overload: by status, by code, or by a stated time to come back.

    A message alone is not enough: servers also report "please try again later" for an image that they cannot read, and
    such a row would wait for ever.
    """
    busy = reply.status in BUSY_STATUSES
    asked = OVERLOAD.in_codes(reply.error.codes) or (reply.states_a_time and not reply.has_failed)
    inner = reply.error.statuses - {reply.status}
    asked = asked or (bool(inner) and inner <= REPEATED_OVERLOAD)
    # The error pages of proxies ask to retry later for any error.
    if not busy and (not asked or reply.code in UNREACHABLE_CODES):
        return None
    message = f"The server is busy ({reply.where}){reply.quote}"
    return reply.decide(RetryAction.WAIT, reply.code, message, retry_after=reply.retry_after())


def _find_dead_engine(reply: FailedReply) -> ErrorDecision | None:
    words = reply.error.words
    if reply.status in BUSY_STATUSES or ("EngineCore" not in words and "EngineDead" not in words):
        return None
    return reply.decide(RetryAction.AWAIT_RECOVERY, "engine_dead", f"The server's engine has died ({reply.where})")


def _find_server_failure(reply: FailedReply) -> ErrorDecision | None:
    if reply.status >= 500 or reply.status < 200 or reply.status in FAILED_STATUSES:
        return reply.decide(RetryAction.RETRY, reply.code, f"Server error ({reply.where}){reply.quote}")
    if reply.status in {200, 400, 403, 404, 422} and reply.shows(SERVER_FAILURE):
        return reply.decide(RetryAction.RETRY, reply.code, f"The server failed ({reply.where}){reply.quote}")
    if reply.shows_overload_words:
        message = f"The server asks to try again ({reply.where}){reply.quote}"
        return reply.decide(RetryAction.RETRY, reply.code, message)
    return None


def _classify_the_rest(reply: FailedReply) -> ErrorDecision:
    status, quote, context = reply.status, reply.quote, reply.context
    if status == 200:
        return reply.decide(RetryAction.RETRY, "error_in_200", f"The server answered {reply.where}{quote}")
    unrouted = status in UNROUTED_STATUSES
    has_reason = reply.error.is_json and not reply.error.is_bare and not WRONG_PATH.in_words(reply.error.words)
    is_silent = not reply.error.words.strip() and not reply.error.codes  # servers give a reason if they reject a row
    bare = not has_reason if unrouted else reply.error.is_page or (status == 400 and is_silent)
    if bare and context.has_answered:
        message = f"The server refused the request without a reason ({status}){quote}"
        return reply.decide(RetryAction.RETRY, reply.code, message)
    if status == 403 and not context.has_answered:
        message = f"Access denied (403 Forbidden){quote}; check the permissions of the key, and --base-url"
        return reply.decide(RetryAction.STOP, "forbidden", message)
    if status == 404 and not bare:
        message = f"{context.base_url} cannot serve this request (404){quote}; check --model and the account's settings"
        return reply.decide(RetryAction.STOP, "not_available", message)
    if unrouted and status != 403:
        problem = "has no /chat/completions" if status == 404 else "is not an OpenAI-compatible endpoint"
        return _refuse_url(reply, problem)
    return _reject_row(reply, "rejected")


def _refuse_url(reply: FailedReply, problem: str) -> ErrorDecision:
    said = "" if reply.error.is_bare else reply.quote
    message = f"{reply.context.base_url} {problem} ({reply.status}){said}; {_advise_url(reply.context.base_url)}"
    return reply.decide(RetryAction.STOP, "wrong_url", message)


def _reject_row(reply: FailedReply, code: str) -> ErrorDecision:
    return reply.decide(RetryAction.FAIL, code, f"The server rejected this row ({reply.where}){reply.quote}")


def _advise_url(base_url: str) -> str:
    """Common mistakes: missing /v1, or the full address of the chat route."""
    parts = urlsplit(base_url)
    root = parts.path.removesuffix("/chat/completions")
    if root == parts.path:
        # The path contains a version as /v1, /v1beta/openai or /api/v3.
        if re.search(r"/v\d\w*(?:/|$)", root):
            return "check --base-url"
        root = f"{root.rstrip('/')}/v1"
    return f"did you mean --base-url {urlunsplit(parts._replace(path=root))}?"


def classify_proxy_answer(status: int, context: AttemptContext) -> ErrorDecision:
    """A proxy's own answer: to a CONNECT, or its request for credentials."""
    url = context.base_url
    variable = "HTTPS_PROXY" if url.startswith("https:") else "HTTP_PROXY"
    if status == PROXY_AUTHENTICATION:
        advice = f"put them into its address, as in {variable}=http://user:password@proxy:3128"
        message = f"The proxy for {url} asks for credentials ({status}): {advice}, or exclude the host by NO_PROXY."
        return ErrorDecision(RetryAction.STOP, "no_connection_proxy", message, status=status)
    if status >= 500 or status in BUSY_STATUSES or context.has_answered:
        message = f"The proxy for {url} answered {status}: it cannot reach the server at present."
        return ErrorDecision(RetryAction.RETRY, "connection_lost", message)
    message = (
        f"The proxy for {url} answered {status}, so it does not connect to this server: correct {variable} or NO_PROXY."
    )
    return ErrorDecision(RetryAction.STOP, "no_connection_proxy", message, status=status)
