"""The endpoints of a world on loopback and in real time, as a program: ``python -m tests.simulation.loopback SEED``.

Prints the ports as JSON once they listen. The phases begin at the first request. The program ends when its standard
input is closed.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from dataclasses import replace
from functools import cached_property

import httpx2
from aiohttp import web

from persqa_client.simulator.server import listen
from tests.simulation.endpoint import EndpointSettings, SimulatedEndpoint, Timeline
from tests.simulation.world import World, draw_world

ROWS = 300
# The times of a drawn world are divided by this.
HASTE = 12.0


def draw_hasty_world(seed: int) -> World:
    world = draw_world(seed, ROWS)
    world.endpoints = [hasten(settings) for settings in world.endpoints]
    return world


def hasten(settings: EndpointSettings) -> EndpointSettings:
    phases = [replace(phase, since=phase.since / HASTE) for phase in settings.timeline.phases]
    crash = replace(settings.crash, seconds=settings.crash.seconds / HASTE)
    return replace(settings, timeline=Timeline(phases), latency=settings.latency / HASTE, crash=crash)


class Stage:
    """The endpoints, from the first request on."""

    def __init__(self, world: World) -> None:
        self.world = world

    @cached_property
    def endpoints(self) -> list[SimulatedEndpoint]:
        start = asyncio.get_running_loop().time()
        rng = random.Random(self.world.seed)
        endpoints = []
        for number, settings in enumerate(self.world.endpoints):
            phases = [replace(phase, since=phase.since + start) for phase in settings.timeline.phases]
            settings = replace(settings, timeline=Timeline(phases))
            endpoint = SimulatedEndpoint(number, settings, self.world.answer, random.Random(rng.random()), ignore)
            endpoint.start()
            endpoints.append(endpoint)
        return endpoints

    def make_app(self, number: int) -> web.Application:
        async def handle(request: web.Request) -> web.StreamResponse:
            asked = httpx2.Request(request.method, f"http://simulated{request.path}", content=await request.read())
            try:
                reply = await self.endpoints[number].handle_async_request(asked)
            except ConnectionError:
                if request.transport is not None:
                    request.transport.close()
                return web.Response(status=500)  # not sent
            headers = {name: value for name, value in reply.headers.items() if name != "content-length"}
            return web.Response(status=reply.status_code, body=reply.content, headers=headers)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{rest:.*}", handle)
        return app


def ignore(event: str) -> None:
    """Keeps no trace."""


async def serve(seed: int) -> None:
    stage = Stage(draw_hasty_world(seed))
    listeners = [await listen(stage.make_app(number), "127.0.0.1", 0) for number in range(len(stage.world.endpoints))]
    print(json.dumps([listener.port for listener in listeners]), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for listener in listeners:
        await listener.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
