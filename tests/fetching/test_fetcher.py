"""Downloads from a hostile server: all are bounded, and each failure has its code."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver, ResolveResult

from persqa_client.errors import RowError, StorageError
from persqa_client.fetching.downloads import CheckedResolver, Downloader, open_session
from persqa_client.fetching.fetcher import PictureFetcher, choose_wait
from persqa_client.fetching.policy import AllowedHosts, FetchLimits, RefusedAddress
from persqa_client.fetching.stored_pictures import PARTS
from persqa_client.images.fetched_files import FETCHED_FOLDER
from persqa_client.images.references import describe_reference, estimate_reference_size, read_reference
from tests.fetching.hostile_server import PNG, HostileServer, run_hostile_server

SMALL = FetchLimits(
    max_bytes=200_000, timeout=2.0, read_timeout=0.3, attempts=3, first_wait=0.001, redirects=3, per_host=2
)
LOCALHOST = AllowedHosts.parse(["localhost"])


@pytest_asyncio.fixture
async def server() -> AsyncIterator[HostileServer]:
    async with run_hostile_server() as server:
        yield server


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest_asyncio.fixture
async def fetcher(tmp_path: Path, threads: ThreadPoolExecutor) -> AsyncIterator[PictureFetcher]:
    fetcher = make_fetcher(tmp_path, threads)
    yield fetcher
    await fetcher.aclose()


def make_fetcher(folder: Path, threads: ThreadPoolExecutor, **settings: Any) -> PictureFetcher:
    known: dict[str, Any] = {"allowed": LOCALHOST, "limits": SMALL}
    return PictureFetcher(folder / FETCHED_FOLDER, (folder,), threads, **known | settings)


def list_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def fail(fetcher: PictureFetcher, url: str) -> RowError:
    with pytest.raises(RowError) as caught:
        await fetcher.fetch(url)
    assert caught.value.message.startswith("http")
    assert "secret" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("path", "code", "requests"),
    [
        ("private", "fetch_refused", 1),
        ("metadata", "fetch_refused", 1),
        ("file", "fetch_refused", 1),
        ("user", "fetch_refused", 1),
        ("loop", "fetch_redirects", 4),
        ("nowhere", "fetch_redirects", 1),
        ("endless", "image_too_large", 1),
        ("chunks", "image_too_large", 1),
        ("long", "image_too_large", 1),
        ("short", "fetch_failed", 3),
        ("cut", "image_truncated", 1),
        ("gzip", "fetch_failed", 1),
        ("page", "image_not_a_picture", 1),
        ("empty", "image_empty", 1),
        ("silent", "fetch_timeout", 3),
        ("status/404", "fetch_missing", 1),
        ("status/403", "fetch_denied", 1),
        ("status/418", "fetch_failed", 1),
        ("status/500", "fetch_failed", 3),
        ("later", "fetch_failed", 1),
        ("headers", "fetch_failed", 1),
        ("lines", "fetch_failed", 1),
        ("garbage", "fetch_failed", 1),
    ],
)
async def test_each_failure_has_its_code(
    path: str, code: str, requests: int, fetcher: PictureFetcher, server: HostileServer, tmp_path: Path
) -> None:
    error = await fail(fetcher, server.url(f"{path}?key=secret"))
    assert (error.code, len(server.requests)) == (code, requests), error.message
    assert list_files(tmp_path) == []


async def test_a_slow_drip_ends_at_the_time_limit(
    server: HostileServer, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    fetcher = make_fetcher(tmp_path, threads, limits=FetchLimits(timeout=0.2, read_timeout=0.1))
    error = await fail(fetcher, server.url("drip"))
    await fetcher.aclose()
    assert (error.code, len(server.requests)) == ("fetch_timeout", 1)
    assert "0.2 s" in error.message


@pytest.mark.parametrize("path", ["a.png", "moved", "busy/1"])
async def test_a_picture_is_stored_and_found(
    path: str, fetcher: PictureFetcher, server: HostileServer, tmp_path: Path
) -> None:
    url = server.url(path)
    await fetcher.fetch(url)
    count = len(server.requests)
    # In the folder that holds the folder, as reports and exports look for it, and in that folder itself.
    assert read_reference(url, [tmp_path]) == read_reference(url, [tmp_path / FETCHED_FOLDER]) == PNG
    assert estimate_reference_size(url, [tmp_path]) == len(PNG)
    await fetcher.fetch(url)
    assert len(server.requests) == count


async def test_an_empty_file_of_a_power_failure_is_downloaded_again(
    fetcher: PictureFetcher, server: HostileServer, tmp_path: Path
) -> None:
    url = server.url("a.png")
    await fetcher.fetch(url)
    (stored,) = list_files(tmp_path)
    stored.write_bytes(b"")
    await fetcher.fetch(url)
    assert stored.read_bytes() == PNG


async def test_blanks_around_a_url_are_no_part_of_it(
    fetcher: PictureFetcher, server: HostileServer, tmp_path: Path
) -> None:
    url = f" \t{server.url('a.png')} "
    await fetcher.fetch(url)
    assert read_reference(url, [tmp_path]) == PNG
    assert describe_reference(" http://me:secret@a.example/a.png?key=secret") == " http://…@a.example/a.png?…"


async def test_neither_cookies_nor_referers_are_sent_on(fetcher: PictureFetcher, server: HostileServer) -> None:
    for path in ("a.png", "moved", "b.png"):
        await fetcher.fetch(server.url(path))
    heads = "".join(server.requests).lower()
    assert len(server.requests) == 4
    for header in ("cookie:", "referer:", "authorization:"):
        assert header not in heads


async def test_rows_with_the_same_picture_wait_for_one_download(fetcher: PictureFetcher, server: HostileServer) -> None:
    server.pause = 0.02
    await asyncio.gather(*[fetcher.fetch(server.url("a.png")) for _ in range(5)])
    errors = await asyncio.gather(*[fetcher.fetch(server.url("page")) for _ in range(5)], return_exceptions=True)
    assert server.counts == {"a.png": 1, "page": 1}
    assert {type(error) for error in errors} == {RowError}


async def test_a_host_gets_few_requests_at_once(fetcher: PictureFetcher, server: HostileServer) -> None:
    server.pause = 0.01
    await asyncio.gather(*[fetcher.fetch(server.url(f"a.png?{number}")) for number in range(8)])
    assert server.most == SMALL.per_host


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "http://127.0.0.1:{port}/a.png",
            "127.0.0.1, which is not a public address; if you trust it, give --fetch-allow 127.0.0.1",
        ),
        ("http://0x7f000001:{port}/a.png", "0x7f000001 (127.0.0.1), which"),
        ("http://[::ffff:127.0.0.1]:{port}/a.png", "not a public address"),
        ("http://me:secret@localhost:{port}/a.png", "names a user or password"),
        ("http:///a.png", "is not a URL such as"),
        ("http://localhost:0/a.png", "is not a URL such as"),
        ("http://[::1/a.png", "is not a URL such as"),
    ],
)
async def test_such_urls_are_not_asked_for(
    url: str, words: str, fetcher: PictureFetcher, server: HostileServer
) -> None:
    error = await fail(fetcher, url.format(port=server.port))
    assert error.code == "fetch_refused"
    assert words in error.message
    assert server.requests == []


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..example", f"{'a' * 64}.example"])
async def test_a_host_without_a_name_server_entry_is_asked_for_once(host: str, fetcher: PictureFetcher) -> None:
    error = await fail(fetcher, f"http://{host}/a.png")
    assert (error.code, "can't be resolved" in error.message) == ("fetch_failed", True)


class ChangingResolver(AbstractResolver):
    """The name has another address each time: that of the test of a rebinding."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0)
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


async def test_an_address_is_checked_each_time_a_name_is_resolved() -> None:
    resolver = CheckedResolver(ChangingResolver("8.8.8.8", "127.0.0.1"), AllowedHosts())
    assert [each["host"] for each in await resolver.resolve("a.example", 80)] == ["8.8.8.8"]
    with pytest.raises(RefusedAddress):
        await resolver.resolve("a.example", 80)


async def test_the_checked_address_is_the_one_that_is_connected_to(server: HostileServer) -> None:
    for allowed, is_reached in ((AllowedHosts.parse(["a.example"]), True), (AllowedHosts(), False)):
        session = open_session(allowed, SMALL, ChangingResolver("127.0.0.1"))
        downloader = Downloader(session, allowed, SMALL)
        pieces: list[bytes] = []
        try:
            if is_reached:
                await downloader.download(server.url("a.png", "a.example"), pieces.append)
            else:
                with pytest.raises(RowError, match=r"a\.example \(127\.0\.0\.1\), which is not a public"):
                    await downloader.download(server.url("a.png", "a.example"), pieces.append)
        finally:
            await session.close()
        assert b"".join(pieces) == (PNG if is_reached else b"")
    assert [f"Host: a.example:{server.port}" in head for head in server.requests] == [True]


@pytest.mark.parametrize(
    "target",
    [
        "a.png?Policy=x%2Fy%3D&type=image%2Fpng&name=a%20b%27%7E",
        "%2Fa%3Ab%2c.png",
        "redirect?/c.png?key=%2F%20%27",
    ],
)
async def test_a_url_is_asked_for_as_it_is_written(target: str, fetcher: PictureFetcher, server: HostileServer) -> None:
    """It may be signed."""
    await fetcher.fetch(server.url(target))
    assert server.requests[-1].split(" ")[1] == "/" + target.removeprefix("redirect?/")


async def test_names_that_nobody_answers_for_do_not_hold_up_others(
    server: HostileServer, tmp_path: Path, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, look_up = threading.Event(), socket.getaddrinfo

    def answer(host: Any, *arguments: Any, **more: Any) -> Any:
        if str(host).endswith(".silent"):
            answered.wait(5)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return look_up(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    fetcher = make_fetcher(tmp_path, threads, limits=FetchLimits(timeout=2.0, attempts=1))
    waiting = [asyncio.create_task(fetcher.fetch(f"http://{number}.silent/a.png")) for number in range(64)]
    await asyncio.sleep(0.05)
    await fetcher.fetch(server.url("a.png"))
    answered.set()
    codes = [each.code for each in await asyncio.gather(*waiting, return_exceptions=True) if isinstance(each, RowError)]
    assert codes == ["fetch_failed"] * 64
    await fetcher.aclose()


async def test_downloads_that_wait_have_no_file(
    server: HostileServer, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    fetcher = make_fetcher(tmp_path, threads, limits=FetchLimits(per_host=1))
    server.pause = 0.05
    waiting = [asyncio.create_task(fetcher.fetch(server.url(f"a.png?{number}"))) for number in range(8)]
    while not server.requests:
        await asyncio.sleep(0.001)
    assert len(list_files(tmp_path)) <= 1
    await asyncio.gather(*waiting)
    await fetcher.aclose()
    assert len(list_files(tmp_path)) == 8


async def test_a_folder_that_cannot_be_written_stops_the_run(
    server: HostileServer, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    (tmp_path / FETCHED_FOLDER).write_bytes(b"")
    fetcher = make_fetcher(tmp_path, threads)
    with pytest.raises(StorageError, match=FETCHED_FOLDER):
        await fetcher.fetch(server.url("a.png"))
    await fetcher.aclose()


async def test_a_fetcher_that_is_closed_leaves_no_part_behind(
    server: HostileServer, fetcher: PictureFetcher, tmp_path: Path
) -> None:
    waiting = asyncio.create_task(fetcher.fetch(server.url("silent")))
    while not server.requests:
        await asyncio.sleep(0.001)
    await fetcher.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert list_files(tmp_path) == []


async def test_what_a_killed_run_has_left_is_removed(
    fetcher: PictureFetcher, server: HostileServer, tmp_path: Path
) -> None:
    parts = tmp_path / FETCHED_FOLDER / PARTS
    parts.mkdir(parents=True)
    for name, age in (("old", 3700), ("of a run that goes on", 0)):
        (parts / name).write_bytes(b"half a picture")
        os.utime(parts / name, (time.time() - age,) * 2)
    await fetcher.fetch(server.url("a.png"))
    assert os.listdir(parts) == ["of a run that goes on"]


def test_the_wait_grows_and_a_server_may_name_it() -> None:
    limits = FetchLimits(first_wait=1.0, longest_wait=3.0)
    assert 0.5 <= choose_wait(1, None, limits) <= 1.0  # type: ignore[operator]
    assert 1.5 <= choose_wait(3, None, limits) <= 3.0  # type: ignore[operator]
    assert choose_wait(1, 2.5, limits) == 2.5
    assert choose_wait(1, 3.5, limits) is None
