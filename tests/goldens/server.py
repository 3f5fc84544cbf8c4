"""A small OpenAI-compatible endpoint that records requests and gives canned answers, independent of the package.

An answer depends only on the seed, the question, the number of turns and ``max_tokens`` of its request, so it is the
same in whatever order requests arrive and in whatever form their pictures are sent.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import itertools
import json
import re
import threading
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web
from PIL import Image

MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"
PROBE_SYSTEM = "You answer briefly."
PROBE_ANSWER = "persqa-123456"
Form = Literal["structured_outputs", "guided_regex", "json_schema"]

COLOURS = {
    "red": (220, 20, 30),
    "green": (0, 160, 60),
    "blue": (20, 60, 220),
    "yellow": (255, 235, 0),
    "purple": (120, 30, 160),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
DATA_URI = re.compile(r"data:([\w/+.-]+);base64,([A-Za-z0-9+/=]*)")
NAME = re.compile(r"is called (.+?)\. Answer the question|叫做(.+?)。")
HOSTED_REFUSES = ("max_tokens", "top_k", "structured_outputs", "guided_regex", "continue_final_message")

Answer = tuple[str | None, str, str | None]
"""Content, finish reason and refusal of a message."""


def canonical(body: dict[str, Any]) -> dict[str, Any]:
    """The body with each picture's base64 replaced by a digest of its bytes."""
    text = json.dumps(body, ensure_ascii=False, sort_keys=True)
    return dict(json.loads(DATA_URI.sub(lambda found: f"data:{found[1]};{digest(found[2])}", text)))


def digest(encoded: str) -> str:
    data = base64.b64decode(encoded, validate=True)
    return f"sha256,{hashlib.sha256(data).hexdigest()[:16]},{len(data)}"


def by_uuid(body: dict[str, Any], sent: dict[str, str]) -> dict[str, Any]:
    """A copy in which pictures with a uuid have no bytes; what they had is noted in ``sent``."""
    body = json.loads(json.dumps(body))
    named = False
    for message in body["messages"]:
        for part in message["content"] if isinstance(message["content"], list) else []:
            if "uuid" in part:
                named = True
                if part["image_url"] is not None:
                    sent[part["uuid"]] = part["image_url"]["url"]
                part["image_url"] = "by uuid"
    if named:
        body.pop("stream", None)
        body.pop("stream_options", None)
    return dict(body)


def texts(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def good_answer(name: str, chinese: bool, number: int) -> str:
    if chinese:
        return f"{name}穿着一件深蓝色的外套，站在第{number % 90}号门前面，手里提着一只袋子。"
    return f"{name} wears a dark blue jacket over a white shirt and stands at door number {number % 90}."


def canned_answers(name: str, question: str, chinese: bool, number: int) -> dict[str, Answer]:
    """Answers that need repair, or that are rejected, by kind."""
    good = good_answer(name, chinese, number)
    bare = name.strip("<>")
    other = good_answer(name, not chinese, number)
    escaped = good.replace("<", "&lt;").replace(">", "&gt;")
    plain = {
        "html_tag": escaped,
        "bold_tag": good.replace(name, f"**{name}**"),
        "upper_tag": good.replace(name, name.upper()),
        "bare_tag": good.replace(name, bare),
        "fenced": f"```\n{good}\n```",
        "think": f"<think>\nIt is about {name}.\n</think>\n\n{good}",
        "label": f"回答：{good}" if chinese else f"Answer: {good}",
        "preamble": f"好的，以下是回答：\n{good}" if chinese else f"Sure! Here is the answer:\n{good}",
        "quoted": f'"{good}"',
        "empty": "",
        "refusal": "对不起，我无法识别图中的人物。" if chinese else "I'm sorry, but I can't help with that.",
        "pronoun_only": "这个人穿着一件深蓝色的外套。" if chinese else "The person wears a dark blue jacket.",
        "no_tag": "深蓝色的外套，白色的衬衫。" if chinese else "A dark blue jacket over a white shirt.",
        "only_tag": name,
        "echo": f"{name} {question}",
        "placeholder": good + " {name}",
        "unknown_markup": f"{good} <image> {good}",
        "unknown_tag": f"{name}和<zork>一起站在门口。" if chinese else f"{name} stands beside <zork> at the door.",
        "loop": name + ("穿着深蓝色的外套，" if chinese else " wears a blue coat and a hat,") * 12,
        "wrong_language": other,
        "name_leak": f"{good} Waldemar",
    }
    half = good[: len(good) // 2]
    ended: dict[str, Answer] = {
        "truncated": (half, "length", None),
        "content_filter": (half, "content_filter", None),
        "unfinished": (good, "tool_calls", None),
        "refusal_field": (None, "stop", "I can't help with that."),
    }
    return {**{kind: (text, "stop", None) for kind, text in plain.items()}, **ended}


class RecordingServer:
    """Serves on a free loopback port in a thread of its own.

    ``form`` is the way in which it can be held to a pattern. ``hosted`` makes it refuse what hosted models refuse.
    ``salt`` changes which requests get a bad answer; with ``salt=None`` all get a good one. Row requests from the
    ``limit``-th on, and those whose number is in ``never``, are held without an answer.
    """

    def __init__(
        self,
        *,
        form: Form | None = "structured_outputs",
        hosted: bool = False,
        salt: str | None = "first",
        limit: int | None = None,
        never: tuple[int, ...] = (),
    ) -> None:
        self.form = form
        self.hosted = hosted
        self.salt = salt
        self.limit = limit
        self.never = never
        self.bodies: list[dict[str, Any]] = []
        self._reply_numbers = itertools.count(1)
        self.answered: list[int] = []
        self.kinds: set[str] = set()
        self.url = ""
        self._pictures: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    @property
    def seeds(self) -> list[int]:
        """Seeds of all row requests; each belongs to one question of one row, or to its second ask."""
        return sorted(body["seed"] for body in self.bodies)

    def lines(self) -> list[str]:
        """The recorded bodies, one JSON text each, in an order that does not depend on arrival.

        Which request carries the bytes of a picture that has a uuid, and therefore streams, depends on timing. Each
        such picture stands as its uuid in the bodies, and with what was sent under it in a line of its own.
        """
        sent: dict[str, str] = {}
        bodies = [by_uuid(body, sent) for body in self.bodies]
        lines = [*bodies, *({uuid: picture} for uuid, picture in sent.items())]
        return sorted(json.dumps(line, ensure_ascii=False, sort_keys=True) for line in lines)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        if not self.hosted:
            app.router.add_get("/version", self._version)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        owner: dict[str, Any] = {"owned_by": "system"} if self.hosted else {"owned_by": "vllm", "max_model_len": 8192}
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", **owner}]})

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.12.0"})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        is_probe = texts(body["messages"][0]) == PROBE_SYSTEM
        if not is_probe:
            self.bodies.append(canonical(body))
            await self._hold(len(self.bodies))
        refused = next((name for name in HOSTED_REFUSES if name in body), None) if self.hosted else None
        if refused is not None:
            error = {"message": f"Unsupported parameter: '{refused}'.", "param": refused, "code": "unknown_parameter"}
            return web.json_response({"error": error}, status=400)
        parts = [part for message in body["messages"] if isinstance(message["content"], list)
                 for part in message["content"] if part["type"] == "image_url"]  # fmt: skip
        for part in parts:
            if part["image_url"] is None and part.get("uuid") not in self._pictures:
                return web.json_response({"error": {"message": "unknown uuid of an image", "code": 400}}, status=400)
        if not self.hosted:
            sent = (part for part in parts if part["image_url"] is not None and "uuid" in part)
            self._pictures |= {part["uuid"]: part["image_url"]["url"] for part in sent}
        answer = self._probe_answer(body, parts) if is_probe else self._row_answer(body)
        response = await self._send(request, body, answer, len(parts))
        if not is_probe:
            self.answered.append(body["seed"])
        return response

    async def _hold(self, number: int) -> None:
        while number in self.never or (self.limit is not None and number > self.limit):
            await asyncio.sleep(0.02)

    def _probe_answer(self, body: dict[str, Any], parts: list[dict[str, Any]]) -> Answer:
        if self.form is not None and self._is_held(body):
            return self._wrapped(body, PROBE_ANSWER), "stop", None
        if parts:
            picture = parts[0]["image_url"]
            found = DATA_URI.match(picture["url"] if picture else self._pictures[parts[0]["uuid"]])
            assert found is not None
            pixel = Image.open(io.BytesIO(base64.b64decode(found[2]))).convert("RGB").getpixel((0, 0))
            assert isinstance(pixel, tuple)
            return (
                min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], pixel, strict=True))),
                ("stop"),
                None,
            )
        begun = body.get("continue_final_message") is True
        return f"{' with h' if begun else 'H'}ello, number {body.get('seed')}.", "stop", None

    def _is_held(self, body: dict[str, Any]) -> bool:
        return ("response_format" if self.form == "json_schema" else str(self.form)) in body

    def _wrapped(self, body: dict[str, Any], text: str) -> str:
        wraps = self.form == "json_schema" and self._is_held(body)
        return json.dumps({"answer": text}, ensure_ascii=False) if wraps else text

    def _row_answer(self, body: dict[str, Any]) -> Answer:
        messages = body["messages"]
        prompt = texts(messages[1])
        found = NAME.search(prompt)
        name = (found[1] or found[2]) if found else "<mam>"
        question = re.split(r"\n(?:Question: |问题：)", prompt)[-1]
        room = body.get("max_tokens", body.get("max_completion_tokens"))
        roles = [message["role"] for message in messages]
        # A given beginning of the answer is part of the form, not of the question.
        turns = len(roles) - (roles[-1] == "assistant")
        key = json.dumps([self.salt, body["seed"], prompt, turns, room], ensure_ascii=True)
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big")
        chinese = "问题：" in prompt
        canned = canned_answers(name, question, chinese, number)
        kinds = list(canned)
        kind = [*kinds, *["good"] * len(kinds)][number % (2 * len(kinds))]
        if self.salt is None:
            kind = "good"
        self.kinds.add(kind)
        text, reason, refusal = canned.get(kind, (good_answer(name, chinese, number), "stop", None))
        if text is None:
            return text, reason, refusal
        if roles[-1] == "assistant":
            text = text.removeprefix(texts(messages[-1]))
        return self._wrapped(body, text), reason, refusal

    async def _send(
        self, request: web.Request, body: dict[str, Any], answer: Answer, pictures: int
    ) -> web.StreamResponse:
        text, reason, refusal = answer
        # A beginning that is continued has no end of its turn, nor the opening of another.
        opening = 0 if body.get("continue_final_message") else 6
        prompt = sum(6 + len(texts(message).encode()) // 4 for message in body["messages"]) + 100 * pictures + opening
        completion = len((text or refusal or "").encode()) // 4
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        head = {"id": f"chatcmpl-{next(self._reply_numbers)}", "created": 1, "model": MODEL}
        message = {"role": "assistant", "content": text, "refusal": refusal}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        chunk = {**head, "object": "chat.completion.chunk"}
        for event in (
            {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {**chunk, "choices": [], "usage": usage},
        ):
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response
