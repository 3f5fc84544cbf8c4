"""Serves the page about runs on the loopback interface, to a browser that has the address with its token."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from persqa_client.errors import RowError, SettingsError, StorageError
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.report.page import render_served_page
from persqa_client.report.row_index import index_error
from persqa_client.report.row_queries import ORDERS
from persqa_client.report.served_runs import PairQuery, RowQuery, RowsChanged, ServedRuns
from persqa_client.report.thumbnails import LARGE_SIDE, MAX_SIDE, ThumbnailCache

HOST = "127.0.0.1"
# Seconds between two looks at the files.
POLL_SECONDS = 0.5
MAX_BODY = 1 << 20
# Largest number of a row or a page: SQLite's.
MAX_NUMBER = 2**63 - 1
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
FILTERS = (
    *("search", "run", "outcome", "question", "language", "doubt", "group", "shortest", "longest"),
    *("repaired", "reasked", "doubtful", "failed", "decision"),
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageServer:
    """``editable``: whether the page may store decisions."""

    def __init__(self, runs: ServedRuns, *, editable: bool = False) -> None:
        self._runs = runs
        self._editable = editable
        self._thumbnails = ThumbnailCache()
        self.token = secrets.token_urlsafe(24)
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}/{self.token}/"

    async def serve(self, port: int, on_ready: Callable[[str], None]) -> None:
        """Serves until SIGINT or SIGTERM. Port 0 takes a free one. Raises SettingsError if the port is in use."""
        stopped = asyncio.Event()
        runner = web.AppRunner(self.make_app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        following: asyncio.Future[Any] | None = None
        try:
            self._port = await self._listen(runner, port)
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
            following = asyncio.gather(repeat(self._runs.advance), repeat(self._runs.group_answers))
            on_ready(self.url)
            waiting = asyncio.create_task(stopped.wait())
            await asyncio.wait((waiting, following), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        finally:
            if following is not None:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following  # raises what ended it
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner, port: int) -> int:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise SettingsError(f"port {port} can't be used ({reason}): choose another --port, or 0") from error
        return int(runner.addresses[0][1])

    def make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY)
        root = "/{token}"
        app.add_routes(
            [
                web.get(f"{root}/", self._get_page),
                web.get(f"{root}/state", self._get_state),
                web.get(f"{root}/rows", self._get_rows),
                web.get(f"{root}/pairs", self._get_pairs),
                web.get(f"{root}/figures", self._get_figures),
                web.get(f"{root}/picture/{{epoch}}/{{row}}/{{number}}", self._get_picture),
            ]
        )
        if self._editable:
            app.add_routes([web.post(f"{root}/check", self._check), web.post(f"{root}/decide", self._decide)])
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers only requests to this address, from this page, with the token."""
        hosts = {f"{name}:{self._port}" for name in (HOST, "localhost")}
        origin = request.headers.get("Origin")
        token = request.path.split("/")[1]
        is_own = origin is None or origin in {f"http://{host}" for host in hosts}
        is_foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        # A link on another page, such as in a mail, may open this one.
        is_link = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method == "GET"
        if request.headers.get("Host") not in hosts or not is_own or (is_foreign and not is_link):
            response: web.StreamResponse = make_text("This address serves its own page only.", 403)
        elif not hmac.compare_digest(token.encode(), self.token.encode()):
            response = make_text("Open the address that persqa view printed.", 404)
        else:
            response = await self._answer(request, handler)
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return make_text(error.reason, error.status)
        except RowsChanged:
            return make_text("The row has another answer now.", 409)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            return make_text(f"This request can't be answered: {error}", 400)
        except (SettingsError, StorageError) as error:
            return make_text(str(error), 500)
        except sqlite3.Error as error:
            return make_text(str(index_error(error)), 500)

    async def _get_page(self, request: web.Request) -> web.Response:
        page, policy = render_served_page(self._runs.names, editable=self._editable)
        response = web.Response(text=page, content_type="text/html")
        response.headers["Content-Security-Policy"] = f"{policy}; frame-ancestors 'none'"
        return response

    async def _get_state(self, request: web.Request) -> web.Response:
        known = request.query.get("version")
        if known == str(self._runs.version):
            return make_json({"version": self._runs.version})
        state = await asyncio.to_thread(self._runs.describe, may_be_old=known is not None)
        return make_json({"version": state["version"]} if known == str(state["version"]) else state)

    async def _get_rows(self, request: web.Request) -> web.Response:
        query = parse_query(request.query)
        return make_json(await asyncio.to_thread(self._runs.find_rows, query))

    async def _get_pairs(self, request: web.Request) -> web.Response:
        query = parse_pair_query(request.query)
        return make_json(await asyncio.to_thread(self._runs.find_pairs, query))

    async def _get_figures(self, request: web.Request) -> web.Response:
        filters = parse_filters(request.query)
        return make_json(await asyncio.to_thread(self._runs.count_figures, filters))

    async def _get_picture(self, request: web.Request) -> web.Response:
        epoch, row, number = (parse_number(request.match_info[name]) for name in ("epoch", "row", "number"))
        side = LARGE_SIDE if "large" in request.query else MAX_SIDE
        picture = await asyncio.to_thread(self._runs.find_picture, epoch, row, number)
        if picture is None:
            return make_text("No row names this picture.", 404)
        try:
            data = await asyncio.to_thread(self._thumbnails.make, picture, side)
        except RowError as error:
            return make_text(error.message, 404)
        # The file may change, so the browser keeps its copy for this page only.
        return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=300"})

    async def _check(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        number, epoch = int(body["row"]), int(body["epoch"])
        return make_json(await asyncio.to_thread(self._runs.check_edit, epoch, number, read_member(body, "text")))

    async def _decide(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        number, epoch = int(body["row"]), int(body["epoch"])
        change = {name: read_member(body, name) for name in ("kind", "text", "comment") if name in body}
        await asyncio.to_thread(self._runs.decide, epoch, number, read_member(body, "answer"), change)
        return make_json({"version": self._runs.version})


async def repeat(work: Callable[[], bool]) -> None:
    """Calls it in a thread again and again; with pauses if it has found nothing to do."""
    while True:
        has_worked = await asyncio.to_thread(work)
        # Also lets waiting requests have the index.
        await asyncio.sleep(0.002 if has_worked else POLL_SECONDS)


async def read_body(request: web.Request) -> Mapping[str, Any]:
    """Raises ValueError. The media type is one that a form of another site can't send."""
    if request.content_type != "application/json":
        raise ValueError("the body is not JSON")
    return load_object(await request.read())


def read_member(body: Mapping[str, Any], name: str) -> str:
    if not isinstance(body.get(name), str):
        raise ValueError(f"{name} is not a text")
    return str(body[name])


def parse_filters(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query[name] for name in FILTERS if query.get(name)}


def parse_query(query: Mapping[str, str]) -> RowQuery:
    order = query.get("order", "input")
    if order not in ORDERS:
        raise ValueError("there is no such order")
    page, size = parse_number(query.get("page", "0")), parse_number(query.get("size", "60"))
    if not size or page * size > MAX_NUMBER:
        raise ValueError("there is no such page")
    also = tuple(map(parse_number, filter(None, query.get("also", "").split(","))))
    return RowQuery(parse_filters(query), order, page, size, query.get("keep"), also)


def parse_pair_query(query: Mapping[str, str]) -> PairQuery:
    first, second, page, size = (
        parse_number(query.get(name, default))
        for name, default in (("first", "0"), ("second", "1"), ("page", "0"), ("size", "30"))
    )
    if not size or page * size > MAX_NUMBER:
        raise ValueError("there is no such page")
    return PairQuery(parse_filters(query), first, second, query.get("kind", ""), page, size)


def parse_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_NUMBER):
        raise ValueError("a number is expected")
    return int(text)


def make_json(value: object) -> web.Response:
    return web.Response(body=dump_compact(value), content_type="application/json")


def make_text(text: str, status: int) -> web.Response:
    return web.Response(text=text, status=status)
