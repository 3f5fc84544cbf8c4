"""A secret that a server repeats is in no message, whichever way it comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

import pytest

from persqa_client.client.transport import Client
from persqa_client.config import Endpoint
from tests.client.attempts import failure
from tests.client.local_proxy import HOST
from tests.client.raw_server import RawReply, make_head, make_reply, serve_raw_reply

PLAIN = "a1b2c3d4e5f6g7h8"
SIGNS = "abc/def+12 34'\"5678="
BASIC = base64.b64encode(b"team:pass-word-1").decode()


def say(status: str, message: str, *, ascii_only: bool = False) -> RawReply:
    return make_reply(status, json.dumps({"error": {"message": message}}, ensure_ascii=ascii_only).encode())


def raw(body: str, *headers: str, status: str = "403 Forbidden") -> RawReply:
    return make_reply(status, body.encode(), *headers)


def stream(message: str) -> RawReply:
    event = f"data: {json.dumps({'error': {'message': message}})}\n\n"
    return make_reply("200 OK", event.encode(), "Content-Type: text/event-stream")


REPLIES = {
    "a word": say("403 Forbidden", f"No rights for {PLAIN}."),
    "between Chinese characters": say("403 Forbidden", f"令牌{PLAIN}无效"),
    "between escaped characters": say("403 Forbidden", f"令牌{PLAIN}无效", ascii_only=True),
    "after an underscore": say("401 Unauthorized", f"unknown token_{PLAIN}_x"),
    "after a line break": say("400 Bad Request", f"bad\n{PLAIN}\nkey"),
    "in capitals": say("400 Bad Request", f"bad {PLAIN.upper()}"),
    "in text that is no JSON": raw(f'{{"message": "bad\\n{PLAIN}\\u3002'),
    "in JSON in a sentence": say("400 Bad Request", "Provider said " + json.dumps({"error": f"x\n{PLAIN}"})),
    "in a page": raw(f"<html><body>bad<b>{PLAIN}</b></body></html>", status="500 Error"),
    "where the message is cut off": say("400 Bad Request", "x " * 195 + PLAIN),
    "in a 200": say("200 OK", f"bad\n{PLAIN}"),
    "in a 200 that is no JSON": raw(f"令牌{PLAIN}", status="200 OK"),
    "in a stream": stream(f"bad\n{PLAIN}"),
    "in a redirect": make_reply("302 Found", b"", f"Location: https://login.example/{PLAIN}/x?to={PLAIN}"),
    "in the user of a redirect": make_reply("302 Found", b"", f"Location: https://{PLAIN}:x@login.example/"),
    "in the fragment of a redirect": make_reply("302 Found", b"", f"Location: https://a.example/#{PLAIN}"),
    "in a malformed status line": RawReply(f"HTTP/1.1 {PLAIN} {PLAIN}\r\n\r\n".encode(), "close"),
    "in a malformed header": RawReply(make_head("200 OK")[:-2] + f"bad {PLAIN}\r\n\r\n".encode(), "close"),
    "in a finish reason": raw(json.dumps({"choices": [{"message": {}, "finish_reason": PLAIN}]}), status="200 OK"),
}

SPELLINGS = {
    "as it is": SIGNS,
    "with escaped slashes": json.dumps(SIGNS).strip('"').replace("/", "\\/"),
    "with escaped signs": "".join(char if char.isalnum() else f"\\u{ord(char):04x}" for char in SIGNS),
    "escaped twice": json.dumps(json.dumps(SIGNS))[3:-3],
    "in a URL": quote(SIGNS, safe=""),
    "in a URL, in small letters": quote(SIGNS, safe="").lower(),
    "in a URL in a URL": quote(quote(SIGNS, safe=""), safe=""),
    "in a form": quote(SIGNS, safe=" ").replace(" ", "+"),
    "in HTML": SIGNS.replace("'", "&#39;").replace('"', "&quot;").replace("+", "&#x2B;"),
}


def pieces(secret: str, size: int = 6) -> set[str]:
    return {secret[start : start + size].lower() for start in range(len(secret) - size + 1)}


async def judge(reply: RawReply, **settings: object) -> str:
    """Everything that is kept of a failed request."""
    async with (
        serve_raw_reply(reply) as url,
        Client(Endpoint.model_validate({"base_url": url, "model": "qwen", **settings}), timeout=5.0) as client,
    ):
        return f"{await failure(client)!r}".lower()


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
@pytest.mark.parametrize(
    "settings",
    [{"api_key": PLAIN}, {"headers": {"api-key": PLAIN}}, {"headers": {"authorization": f"Bearer {PLAIN}"}}],
    ids=["key", "header", "after the scheme"],
)
async def test_a_secret_is_in_no_decision(reply: RawReply, settings: Mapping[str, object]) -> None:
    said = await judge(reply, **settings)
    assert not [piece for piece in pieces(PLAIN) if piece in said]


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("is_json", [True, False], ids=["json", "text"])
async def test_a_secret_with_signs_is_found_in_every_spelling(spelling: str, is_json: bool) -> None:
    reply = say("403 Forbidden", f"Bad key {spelling}!") if is_json else raw(f"Bad key {spelling}!")
    said = await judge(reply, headers={"api-key": SIGNS})
    assert "bad key …!" in said
    assert "5678" not in said


@pytest.mark.parametrize(
    ("name", "value", "repeated"),
    [
        ("authorization", f"Basic {BASIC}", BASIC),
        ("authorization", f"Basic {BASIC}", "pass-word-1"),
        ("authorization", "Token abc", "abc"),
        ("x-auth", "ApiKey justletters", "justletters"),
        ("cookie", "session=s3cr3t-session; theme=dark", "s3cr3t-session"),
        ("x-signature", 'Credential="AK1234567890", Signature=f00ba4f00ba4', "f00ba4f00ba4"),
    ],
)
async def test_a_part_of_a_header_may_be_a_secret(name: str, value: str, repeated: str) -> None:
    said = await judge(say("400 Bad Request", f"Bad value: {repeated}, sorry"), headers={name: value})
    assert "bad value: …, sorry" in said


@pytest.mark.parametrize("status", [403, 502])
@pytest.mark.parametrize(
    ("user", "repeated"),
    [
        ("me:proxy-pass-99", "proxy-pass-99"),
        ("me:p%40ss", "p@ss"),
        ("me:proxy-pass-99", base64.b64encode(b"me:proxy-pass-99").decode()),
        ("only-a-user-99", "only-a-user-99"),
    ],
)
async def test_the_credentials_of_a_proxy_are_in_no_decision(
    monkeypatch: pytest.MonkeyPatch, status: int, user: str, repeated: str
) -> None:
    async with serve_raw_reply(say(f"{status} No", f"令牌{repeated}。")) as url:
        monkeypatch.setenv("ALL_PROXY", url.removesuffix("/v1").replace("//", f"//{user}@"))
        endpoint = Endpoint(base_url=f"http://{HOST}/v1", model="qwen")
        async with Client(endpoint, timeout=5.0) as client:
            assert "令牌…。" in repr(await failure(client))


async def test_the_reason_phrase_of_a_proxy_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve_raw_reply(RawReply(f"HTTP/1.1 403 no_{PLAIN}_\r\nContent-Length: 0\r\n\r\n".encode())) as url:
        monkeypatch.setenv("ALL_PROXY", url.removesuffix("/v1").replace("//", f"//{PLAIN}@"))
        async with Client(Endpoint(base_url=f"https://{HOST}/v1", model="qwen"), timeout=5.0) as client:
            decision = await failure(client)
    assert decision.code == "no_connection_proxy"
    assert PLAIN not in repr(decision)


async def test_a_short_key_does_not_change_the_programs_own_words() -> None:
    said = await judge(say("401 Unauthorized", "Bad key: key"), api_key="key")
    assert "bad …: …: the key is wrong or expired" in said
