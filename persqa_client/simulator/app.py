"""The routes beside the chat: models, health, version, metrics, tokenize, stats; all else is 404. Answers HTTP."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from persqa_client.simulator.answers import count_prompt
from persqa_client.simulator.chat import Endpoint, chat, parse, refused
from persqa_client.simulator.error_responses import Refusal
from persqa_client.simulator.metrics import format_metrics
from persqa_client.simulator.prompt import Chat, Turn, read_chat
from persqa_client.simulator.settings import SimSettings

SERVER = "persqa-simulator"
"""The Server header, so that nobody takes its answers for a model's."""

VERSIONS = {False: "0.32.0-simulator", True: "0.11.0-simulator"}
"""By whether guided_regex is obeyed: vLLM's releases that behave so."""

MAX_BODY = 1 << 30

ENDPOINT = web.AppKey("endpoint", Endpoint)

ROUTES = {
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
    """The application of one simulated endpoint, with counters of its own.

    Raises SettingsError where the folder for pictures can't be had. Run it with ``handler_cancellation`` on, or
    clients that have gone keep their slots (simulator/server.py does).
    """
    app = web.Application(client_max_size=MAX_BODY)
    app[ENDPOINT] = Endpoint(settings)
    handlers: dict[str, Handler] = {
        "/v1/chat/completions": chat_route,
        "/v1/models": models,
        "/sim/stats": stats,
        "/health": health,
        "/version": version,
        "/metrics": metrics,
        "/tokenize": tokenize,
    }
    for path, handler in handlers.items():
        if settings.shape == "vllm" or path not in VLLM_ONLY:
            app.router.add_route(ROUTES[path], path, handler)
    app.router.add_route("*", "/{rest:.*}", not_there)
    app.on_response_prepare.append(sign)
    app.on_cleanup.append(close)
    return app


async def sign(request: web.Request, response: web.StreamResponse) -> None:
    """Say in each answer who gives it."""
    response.headers["Server"] = SERVER


async def close(app: web.Application) -> None:
    """Let the endpoint's threads go."""
    app[ENDPOINT].album.close()


async def chat_route(request: web.Request) -> web.StreamResponse:
    """POST /v1/chat/completions."""
    return await chat(request.app[ENDPOINT], request)


async def models(request: web.Request) -> web.Response:
    """GET /v1/models; every entry says that it is a simulator, whatever name it goes by."""
    endpoint = request.app[ENDPOINT]
    try:
        endpoint.check_key(request)
    except Refusal as refusal:
        return refused(refusal, endpoint.hosted)
    return json_response({"object": "list", "data": [model_card(name, endpoint) for name in endpoint.settings.models]})


def model_card(name: str, endpoint: Endpoint) -> dict[str, Any]:
    """One entry of the list of models."""
    card: dict[str, Any] = {"id": name, "object": "model", "created": endpoint.started, "simulator": True}
    if endpoint.hosted:
        return {**card, "owned_by": SERVER}
    return {**card, "owned_by": "vllm", "root": name, "parent": None, "max_model_len": endpoint.settings.max_model_len}


async def health(request: web.Request) -> web.Response:
    """GET /health: an empty 200, or 503 once the engine is dead."""
    return web.Response(status=503 if request.app[ENDPOINT].dead else 200)


async def version(request: web.Request) -> web.Response:
    """GET /version."""
    return json_response({"version": VERSIONS[request.app[ENDPOINT].settings.guided]})


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in Prometheus' text format."""
    endpoint = request.app[ENDPOINT]
    slots, counts = endpoint.slots, endpoint.counts
    values = {
        "num_requests_running": slots.running,
        "num_requests_waiting": slots.waiting,
        "kv_cache_usage_perc": slots.running / slots.size,
        "prompt_tokens_total": counts.prompt_tokens,
        "generation_tokens_total": counts.completion_tokens,
        "mm_cache_hits_total": endpoint.album.hits,
        "admission_rejections_total": counts.admission_rejections,
    }
    text = format_metrics(values, endpoint.settings.models[0])
    return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def tokenize(request: web.Request) -> web.Response:
    """POST /tokenize: counts the tokens of messages or of a prompt; their numbers mean nothing."""
    endpoint = request.app[ENDPOINT]
    try:
        body = parse(await request.read(), request.content_type)
        prompt = body.get("prompt") if isinstance(body, dict) else None
        asked = Chat((Turn("user", prompt),), None, "", {}) if isinstance(prompt, str) else read_chat(body)
        pictures = [] if endpoint.settings.blind else await endpoint.album.facts(asked.parts)
        count = count_prompt(asked, pictures, endpoint.settings)
    except Refusal as refusal:
        return refused(refusal, endpoint.hosted)
    limit = endpoint.settings.max_model_len
    return json_response({"count": count, "max_model_len": limit, "tokens": list(range(count)), "token_strs": None})


async def stats(request: web.Request) -> web.Response:
    """GET /sim/stats: what happened so far, as JSON."""
    return json_response(request.app[ENDPOINT].counts.stats())


async def not_there(request: web.Request) -> web.Response:
    """Any other path, or a method that a path does not have."""
    known = request.path in ROUTES
    if request.app[ENDPOINT].hosted:
        return refused(Refusal(404, f"Invalid URL ({request.method} {request.path})"), hosted=True)
    if known:
        return json_response({"detail": "Method Not Allowed"}, status=405)
    return json_response({"detail": "Not Found"}, status=404)


def json_response(value: Any, status: int = 200) -> web.Response:
    """An answer of JSON, by the fast encoder."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
