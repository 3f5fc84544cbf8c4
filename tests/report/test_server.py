"""The server of a page: whom it answers, what it has, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from PIL import Image

from persqa_client.errors import SettingsError
from persqa_client.report.served_runs import ServedRuns
from persqa_client.report.server import PageServer
from persqa_client.storage.decisions import read_decisions
from tests.report.runs import WrittenRun, make_failure, make_record, write_pictures

ANSWER = "<mam> holds a cup."


@asynccontextmanager
async def serve(folder: Path, *, editable: bool = False) -> AsyncIterator[tuple[PageServer, httpx.AsyncClient]]:
    write_pictures(folder, "1.png", size=(640, 480))
    (folder / "2.png").write_text("not a picture")
    runs = ServedRuns([WrittenRun(folder).finish([make_record(1), make_record(2), make_failure(3)])])
    while runs.advance(strict=True):
        pass
    server = PageServer(runs, editable=editable)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(server.serve(0, ready.set_result))
    try:
        async with httpx.AsyncClient(base_url=await ready) as client:
            yield server, client
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        runs.close()


async def test_the_page_and_its_rows_are_served(tmp_path: Path) -> None:
    async with serve(tmp_path) as (_, client):
        page = await client.get("")
        assert page.status_code == 200
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "no-store"
        state = (await client.get("state")).json()
        assert (state["rows"], state["pictures"]) == (3, 3)
        assert (await client.get("state", params={"version": state["version"]})).json() == {"version": state["version"]}
        part = (await client.get("rows", params={"outcome": "accepted", "size": 1, "page": 1})).json()
        assert ([row["id"] for row in part["rows"]], part["count"]) == (["2"], 2)
        figures = (await client.get("figures")).json()
        assert figures["outcomes"] == [["", 2], ["refusal", 1]]


async def test_pictures_are_served_small_or_large(tmp_path: Path) -> None:
    async with serve(tmp_path) as (_, client):
        part = (await client.get("rows")).json()
        url = part["pictures"][0][1]
        for address, size in ((url, (160, 120)), (f"{url}?large", (640, 480))):
            response = await client.get(address)
            assert response.headers["Content-Type"] == "image/jpeg"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            (tmp_path / "got.jpg").write_bytes(response.content)
            with Image.open(tmp_path / "got.jpg") as image:
                assert image.size == size
        broken = await client.get(part["pictures"][1][1])
        assert broken.status_code == 404
        assert broken.text.startswith("2.png is text")


HOSTILE_HEADERS = [
    pytest.param({"Host": "evil.example"}, id="another host, as after DNS rebinding"),
    pytest.param({"Host": "127.0.0.1:1"}, id="another port"),
    pytest.param({"Origin": "http://evil.example"}, id="another origin"),
    pytest.param({"Origin": "null"}, id="a file or a frame"),
    pytest.param({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, id="an image on another site"),
    pytest.param({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, id="another port of this machine"),
]


@pytest.mark.parametrize("headers", HOSTILE_HEADERS)
async def test_other_sites_are_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    async with serve(tmp_path, editable=True) as (_, client):
        for path in ("", "state", "rows", "figures"):
            assert (await client.get(path, headers=headers)).status_code == 403
        body = {"row": 1, "epoch": 0, "answer": ANSWER, "kind": "accept"}
        assert (await client.post("decide", json=body, headers=headers)).status_code == 403
    assert "qa.decisions.jsonl" not in os.listdir(tmp_path)


async def test_the_address_needs_its_token(tmp_path: Path) -> None:
    async with serve(tmp_path) as (server, client):
        root = server.url.removesuffix(f"{server.token}/")
        for path in ("", "state", f"{server.token[:-1]}/", "é/", f"x/{server.token}/"):
            assert (await client.get(f"{root}{path}")).status_code == 404
        # A link in another program opens the page.
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert (await client.get("", headers=link)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("rows?order=none", "rows?page=-1", "rows?size=0", "rows?page=99999999999999999999", "rows?also=x"),
        *("rows?run=x", "rows?shortest=x", "figures?question=x", "rows?page=9223372036854775807&size=60"),
        *("picture/0/x/0", "picture/0/99999999999999999999/0"),
    ],
)
async def test_what_is_no_request_is_refused(tmp_path: Path, path: str) -> None:
    async with serve(tmp_path) as (_, client):
        response = await client.get(path)
        assert (response.status_code, response.text.count("\n")) == (400, 0)


@pytest.mark.parametrize("path", ["picture/0/1/1", "picture/0/9/0", "picture/1/1/0", "../../etc/passwd", "qa.jsonl"])
async def test_nothing_else_is_served(tmp_path: Path, path: str) -> None:
    async with serve(tmp_path) as (_, client):
        assert (await client.get(path)).status_code == 404


async def test_a_page_that_only_shows_has_no_routes_that_write(tmp_path: Path) -> None:
    async with serve(tmp_path) as (server, client):
        for path in ("decide", "check"):
            assert (await client.post(path, json={})).status_code == 404
        routes = {route.method for route in server.make_app().router.routes()}
        assert routes == {"GET", "HEAD"}


async def test_decisions_are_stored(tmp_path: Path) -> None:
    async with serve(tmp_path, editable=True) as (_, client):
        body = {"row": 1, "epoch": 0, "answer": ANSWER}
        assert (await client.post("decide", json=body | {"kind": "accept"})).status_code == 200
        assert (await client.post("decide", json=body | {"comment": "good"})).status_code == 200
        checked = await client.post("check", json={"row": 1, "epoch": 0, "text": "A cup."})
        assert checked.json()["code"] == "no_tag"
        assert [(each.kind, each.comment) for each in read_decisions(tmp_path / "qa.jsonl")] == [("accept", "good")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"row": 1, "epoch": 0, "answer": "<mam> waves.", "kind": "accept"}, 409),
        ({"row": 9, "epoch": 0, "answer": ANSWER, "kind": "accept"}, 409),
        ({"row": 1, "epoch": 1, "answer": ANSWER, "kind": "accept"}, 409),
        ({"row": 1, "epoch": 0, "answer": ANSWER, "kind": "maybe"}, 400),
        ({"row": 1, "epoch": 0, "answer": ANSWER, "kind": "edit"}, 400),
        ({"row": 1, "epoch": 0, "answer": 3, "kind": "accept"}, 400),
        ({"row": "x", "epoch": 0, "answer": ANSWER}, 400),
        ({"row": [], "epoch": 0, "answer": ANSWER}, 400),
        ({"epoch": 0}, 400),
        ([], 400),
    ],
)
async def test_what_is_no_decision_is_refused(tmp_path: Path, body: object, status: int) -> None:
    async with serve(tmp_path, editable=True) as (_, client):
        response = await client.post("decide", json=body)
        assert (response.status_code, response.text.count("\n")) == (status, 0)
        for content in (b"{", b"[" * 9000):
            text = await client.post("decide", content=content, headers={"Content-Type": "application/json"})
            assert text.status_code == 400
        form = await client.post("decide", content=b'{"row":1}', headers={"Content-Type": "text/plain"})
        assert form.status_code == 400
    assert "qa.decisions.jsonl" not in os.listdir(tmp_path)


async def test_two_pages_at_once_lose_nothing(tmp_path: Path) -> None:
    async with serve(tmp_path, editable=True) as (_, client):
        bodies = [
            {"row": row, "epoch": 0, "answer": ANSWER, **change}
            for row in (1, 2)
            for change in ({"kind": "accept"}, {"comment": "one"}, {"comment": "two"}, {"kind": "reject"})
        ]
        responses = await asyncio.gather(*(client.post("decide", json=body) for body in bodies))
        assert {response.status_code for response in responses} == {200}
    assert (tmp_path / "qa.decisions.jsonl").read_bytes().count(b"\n") == len(bodies)
    for decision in read_decisions(tmp_path / "qa.jsonl"):
        assert decision.comment in ("one", "two")
        assert decision.kind in ("accept", "reject")


async def test_an_index_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async with serve(tmp_path) as (server, client):
        for name in ("find_rows", "count_figures", "describe"):
            monkeypatch.setattr(server._runs, name, fail)
        for path in ("rows", "figures", "state"):
            response = await client.get(f"{server.url}{path}")
            assert response.status_code == 500
            assert "the index can't be written" in response.text
            assert "disk I/O error" in response.text


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    runs = ServedRuns([WrittenRun(tmp_path).finish([make_record(1)])])
    try:
        with pytest.raises(SettingsError, match=f"port {port} can't be used"):
            await PageServer(runs).serve(port, lambda url: None)
    finally:
        runs.close()
        await runner.cleanup()
