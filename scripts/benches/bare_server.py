"""Serves chat requests with always the same answer, after a delay, until SIGTERM. Prints its base URL.

usage: bare_server.py SECONDS
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

ANSWER = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"bench-model","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"<mam> wears a dark blue jacket over a white shirt."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":900,"completion_tokens":12,"total_tokens":912}}'
)


async def main(latency: float) -> None:
    async def chat(request: web.Request) -> web.Response:
        while await request.content.readany():
            pass
        await asyncio.sleep(latency)
        return web.Response(body=ANSWER, content_type="application/json")

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "bench-model", "object": "model"}]})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
