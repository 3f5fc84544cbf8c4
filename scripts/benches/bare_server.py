"""Serves chat requests with always the same answer, after a delay, until SIGTERM. Prints its base URL.

usage: bare_server.py SECONDS [BODIES.jsonl]    appends the bodies of the requests to a file, one in each line
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from aiohttp import web

ANSWER = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"bench-model","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"<mam> holds up a dark blue balloon over a white box."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":900,"completion_tokens":12,"total_tokens":912}}'
)


async def main(latency: float, record: Path | None) -> None:
    numbers = count(1)

    async def chat(request: web.Request) -> web.Response:
        if record is None:
            while await request.content.readany():
                pass
            answer = ANSWER
        else:
            body = await request.read()
            with record.open("ab") as file:
                file.write(body + b"\n")
            # A client may take a reply with the id of an earlier one for that one, and send its request again.
            answer = ANSWER.replace(b'"1"', b'"%d"' % next(numbers))
        await asyncio.sleep(latency)
        return web.Response(body=answer, content_type="application/json")

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
    asyncio.run(main(float(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None))
