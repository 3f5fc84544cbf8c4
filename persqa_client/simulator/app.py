"""HTTP application of a simulated endpoint."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from persqa_client.simulator.answers import count_prompt_tokens
from persqa_client.simulator.chat import EndpointState, handle_chat, parse_body, render_error
from persqa_client.simulator.chat_requests import ChatMessage, ChatRequest, parse_chat_request
from persqa_client.simulator.error_responses import ErrorResponse
from persqa_client.simulator.metrics import format_metrics
from persqa_client.simulator.settings import SimSettings

# Identifies the simulator in the Server header.
SERVER = "persqa-simulator"

# vLLM release by support for guided_regex.
VERSIONS = {False: "0.32.0-simulator", True: "0.11.0-simulator"}

MAX_BODY_BYTES = 1 << 30

STATE = web.AppKey("state", EndpointState)

METHODS = {
    "/v1/chat/completions": "POST",
    "/v1/models": "GET",
    "/sim/stats": "GET",
    "/health": "GET",
    "/version": "GET",
    "/metrics": "GET",
    "/tokenize": "POST",
}
VLLM_ONLY = ("/health", "/version", "/metrics", "/tokenize")


def make_app(settings: SimSettings) -> web.Application:
    """Raises SettingsError if the folder for images can't be created.

    Serve it with ``handler_cancellation``; otherwise a disconnected client keeps its slot.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[STATE] = EndpointState(settings)
    handlers: dict[str, Handler] = {
        "/v1/chat/completions": post_chat_completion,
        "/v1/models": get_models,
        "/sim/stats": get_stats,
        "/health": get_health,
        "/version": get_version,
        "/metrics": get_metrics,
        "/tokenize": post_tokenize,
    }
    for path, handler in handlers.items():
        if settings.shape == "vllm" or path not in VLLM_ONLY:
            app.router.add_route(METHODS[path], path, handler)
    app.router.add_route("*", "/{rest:.*}", answer_not_found)
    app.on_response_prepare.append(set_server_header)
    app.on_cleanup.append(close_state)
    return app


async def set_server_header(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER


async def close_state(app: web.Application) -> None:
    app[STATE].images.close()


async def post_chat_completion(request: web.Request) -> web.StreamResponse:
    return await handle_chat(request.app[STATE], request)


async def get_models(request: web.Request) -> web.Response:
    state = request.app[STATE]
    try:
        state.check_key(request)
    except ErrorResponse as error:
        return render_error(error, state.hosted)
    return json_response({"object": "list", "data": [make_model_card(name, state) for name in state.settings.models]})


def make_model_card(name: str, state: EndpointState) -> dict[str, Any]:
    card: dict[str, Any] = {"id": name, "object": "model", "created": state.started, "simulator": True}
    if state.hosted:
        return {**card, "owned_by": SERVER}
    return {**card, "owned_by": "vllm", "root": name, "parent": None, "max_model_len": state.settings.max_model_len}


async def get_health(request: web.Request) -> web.Response:
    return web.Response(status=503 if request.app[STATE].engine_dead else 200)


async def get_version(request: web.Request) -> web.Response:
    return json_response({"version": VERSIONS[request.app[STATE].settings.guided]})


async def get_metrics(request: web.Request) -> web.Response:
    state = request.app[STATE]
    slots, counts = state.slots, state.counts
    values = {
        "num_requests_running": slots.running,
        "num_requests_waiting": slots.waiting,
        "kv_cache_usage_perc": slots.running / slots.size,
        "prompt_tokens_total": counts.prompt_tokens,
        "generation_tokens_total": counts.completion_tokens,
        "mm_cache_hits_total": state.images.cache_hits,
        "admission_rejections_total": counts.admission_rejections,
    }
    text = format_metrics(values, state.settings.models[0])
    return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def post_tokenize(request: web.Request) -> web.Response:
    """Counts tokens; the token ids are meaningless."""
    state = request.app[STATE]
    try:
        body = parse_body(await request.read(), request.content_type)
        prompt = body.get("prompt") if isinstance(body, dict) else None
        if isinstance(prompt, str):
            chat = ChatRequest((ChatMessage("user", prompt),), None, "", {})
        else:
            chat = parse_chat_request(body)
        images = [] if state.settings.blind else await state.images.read(chat.images)
        count = count_prompt_tokens(chat, images, state.settings)
    except ErrorResponse as error:
        return render_error(error, state.hosted)
    limit = state.settings.max_model_len
    return json_response({"count": count, "max_model_len": limit, "tokens": list(range(count)), "token_strs": None})


async def get_stats(request: web.Request) -> web.Response:
    return json_response(request.app[STATE].counts.stats())


async def answer_not_found(request: web.Request) -> web.Response:
    if request.app[STATE].hosted:
        return render_error(ErrorResponse(404, f"Invalid URL ({request.method} {request.path})"), hosted=True)
    if request.path in METHODS:
        return json_response({"detail": "Method Not Allowed"}, status=405)
    return json_response({"detail": "Not Found"}, status=404)


def json_response(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
