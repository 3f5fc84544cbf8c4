"""Processes that name the same folder share their limits. Here they are members of one process; the locks are real."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from persqa_client.config import Limits
from persqa_client.errors import Interrupted, SettingsError
from persqa_client.limits.account_folder import AccountFolder, AccountMember
from persqa_client.limits.concurrency import ConcurrencyLimit
from persqa_client.limits.rate_limit import RateLimiter
from persqa_client.limits.shared_limits import SharedLimits
from persqa_client.task_groups import loop_time

URL = "http://127.0.0.1:8000/v1"


class Sharer:
    """Sends requests that take a while, as many as it may, and notes when."""

    def __init__(self, folder: Path, seconds: float = 0.02, **limits: Any) -> None:
        settings = Limits(**{"concurrency": 8, **limits})
        self.permits = ConcurrencyLimit(settings.concurrency_cap)
        self.shared = SharedLimits(AccountFolder(folder), URL, settings, self.permits)
        self.rates = RateLimiter(settings, self.permits, shared=self.shared)
        self.seconds = seconds
        self.sent: list[float] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def work(self, tokens: int = 0) -> None:
        while True:
            self.rates.start()
            async with self.permits.permit(retry=False):
                await self.rates.acquire(tokens, retry=False)
                self.sent.append(loop_time())
                await asyncio.sleep(self.seconds)

    def begin(self, workers: int = 16, tokens: int = 0) -> None:
        self.tasks += [asyncio.create_task(self.work(tokens)) for _ in range(workers)]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.rates.close()
        await self.shared.aclose()

    async def wait_until_sent(self, count: int) -> None:
        while len(self.sent) < count:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def sharing(*sharers: Sharer) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await asyncio.gather(*(sharer.end() for sharer in sharers))


async def test_two_that_send_together_keep_the_rate_and_send_alike(memory_path: Path) -> None:
    both = [Sharer(memory_path, rps=40) for _ in range(2)]
    async with sharing(*both):
        for sharer in both:
            sharer.begin()
        while [sharer.permits.in_use for sharer in both] != [4, 4]:
            await asyncio.sleep(0.01)
        # They reserve more each time, up to 10 requests.
        await asyncio.sleep(0.75)
        begin = loop_time()
        await asyncio.sleep(1.25)
    sent = sorted(time for sharer in both for time in sharer.sent)
    # In any second; a request may be sent late, by up to what is reserved at once.
    windows = [sum(start <= time < start + 1 for time in sent) for start in sent]
    assert max(windows) <= 40 * 1.25 + 2
    assert len(sent) <= 40 * (sent[-1] - sent[0]) + 40 * 0.25 + 2
    counts = [sum(time > begin for time in sharer.sent) for sharer in both]
    assert max(counts) - min(counts) <= 12
    assert sum(counts) > 30


async def test_permits_move_to_those_that_can_use_them(memory_path: Path) -> None:
    one, other = Sharer(memory_path), Sharer(memory_path)
    async with sharing(one, other):
        one.begin()
        while one.permits.in_use < 8:
            await asyncio.sleep(0.01)
        other.begin()
        while (one.permits.in_use, other.permits.in_use) != (4, 4):
            assert one.permits.in_use + other.permits.in_use <= 8
            await asyncio.sleep(0.01)
        await other.end()
        while one.permits.in_use < 8:
            await asyncio.sleep(0.01)


async def test_what_the_server_says_of_the_account_holds_for_all(memory_path: Path) -> None:
    one, other = Sharer(memory_path, rps=50), Sharer(memory_path, rps=50)
    async with sharing(one, other):
        one.begin()
        other.begin()
        await other.wait_until_sent(3)
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s"}
        one.rates.observe_headers(headers)
        while not other.permits.paused:
            await asyncio.sleep(0.01)
        assert 25 < other.permits.seconds_paused <= 30
        # The news does not lengthen the pause when it comes back.
        until = loop_time() + one.permits.seconds_paused
        await asyncio.sleep(1.2)
        assert loop_time() + one.permits.seconds_paused == pytest.approx(until, abs=0.01)


async def test_tokens_are_those_of_all(memory_path: Path) -> None:
    """5,000 tokens at once, and then 1,000 a second: 100 for each request."""
    both = [Sharer(memory_path, tpm=60_000, concurrency=64) for _ in range(2)]
    async with sharing(*both):
        for sharer in both:
            sharer.begin(workers=32, tokens=100)
        while sum(len(sharer.sent) for sharer in both) < 58:
            await asyncio.sleep(0.01)
    sent = sorted(time for sharer in both for time in sharer.sent)
    assert len(sent) <= 50 + 10 * (sent[-1] - sent[0]) + 2 * 4


async def test_a_few_file_operations_a_second_are_enough(memory_path: Path) -> None:
    sharer = Sharer(memory_path, rps=400, concurrency=32)
    updates = Counter[str]()
    member_update = sharer.shared._member.update

    def count(change: Any) -> Any:
        updates["all"] += 1
        return member_update(change)

    sharer.shared._member.update = count  # type: ignore[method-assign]
    async with sharing(sharer):
        sharer.begin(workers=64)
        await sharer.wait_until_sent(600)
        seconds = sharer.sent[-1] - sharer.sent[0]
    assert updates["all"] <= 8 + 8 * seconds


async def test_a_sharer_that_is_closed_wakes_those_that_wait(memory_path: Path) -> None:
    sharer = Sharer(memory_path, rps=0.5)
    async with sharing(sharer):
        sharer.begin(workers=3)
        await sharer.wait_until_sent(1)
        sharer.rates.close()
        sharer.permits.close()
        done, _ = await asyncio.wait(sharer.tasks, timeout=10)
        assert {type(task.exception()) for task in done} == {Interrupted}


def test_other_limits_are_refused_while_a_process_has_them(memory_path: Path) -> None:
    first, second = (AccountMember(memory_path / "host", f"{rate} requests per minute") for rate in (60, 90))
    first.update(lambda account, now: account.share_permits(first.name, needs_of(now), 8))
    with pytest.raises(SettingsError, match=r"with other limits \(60 requests per minute\), and this one has 90"):
        second.update(lambda account, now: now)
    first.leave()
    second.update(lambda account, now: now)
    second.leave()


def needs_of(now: float) -> Any:
    from persqa_client.limits.account import ProcessNeeds

    return ProcessNeeds(8, 8, now)


# An account with these processes.
FORMED = '{"settings": "", "paused_until": 0, "reserved": {}, "processes": {%s}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"settings": 1}',
        '{"processes": {"a": {"x": 1}}}',
        FORMED % '"a": {"seen": null}',
        FORMED % '"a": {"held": "x"}',
    ],
)
def test_a_file_that_another_program_wrote_is_replaced(text: str, memory_path: Path) -> None:
    member = AccountMember(memory_path, "8 requests at once")
    (memory_path / "account.json").write_text(text)
    member.update(lambda account, now: account.share_permits(member.name, needs_of(now), 8))
    assert json.loads((memory_path / "account.json").read_text())["settings"] == "8 requests at once"
    member.leave()
    assert sorted(path.name for path in memory_path.rglob("*") if path.is_file()) == ["account.json", "account.lock"]


def test_no_file_outside_of_the_folder_is_taken_for_the_lock_of_a_process(memory_path: Path) -> None:
    (folder := memory_path / "host").mkdir()
    (kept := memory_path / "rows.jsonl").write_text("rows")
    (folder / "account.json").write_text(FORMED % '"../../rows.jsonl": {}')
    member = AccountMember(folder, "8 requests at once")
    member.update(lambda account, now: now)
    member.leave()
    assert kept.read_text() == "rows"


async def test_an_unexpected_error_ends_the_waiting(memory_path: Path) -> None:
    """As of a library that finds no locks in the file system."""
    sharer = Sharer(memory_path)

    def fail(change: Any) -> Any:
        raise NotImplementedError("no locks")

    sharer.shared._member.update = fail  # type: ignore[method-assign]
    async with sharing(sharer):
        sharer.begin(workers=3)
        done, _ = await asyncio.wait(sharer.tasks, timeout=10)
        assert len(done) == 3
        assert all("can't be shared through" in str(task.exception()) for task in done)


def test_a_folder_that_cant_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"--share-limits .*/file/x: no file can be made there \(Not a directory\)"):
        AccountFolder(tmp_path / "file" / "x").check()
