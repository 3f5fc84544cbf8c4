"""Image uploads: which requests carry an image, which wait for it, and which send its uuid."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from persqa_client.client.image_uploads import ImageUpload, ImageUploads, ServerImageCache
from persqa_client.limits.concurrency import IMAGE_TOKEN_LIMIT
from persqa_client.types import ErrorDecision, RetryAction

MISS = ErrorDecision(
    RetryAction.FAIL,
    "rejected",
    "The server rejects this row (400): Cache miss for image at index 0 but data is not provided.",
    status=400,
)
A, B, C = "persqa-a", "persqa-b", "persqa-c"


def test_an_image_is_found_from_its_arrival_until_a_miss() -> None:
    cache = ServerImageCache()
    assert cache.find([A, B]) == frozenset()
    cache.add([A])
    assert cache.find([A, B]) == {A}
    cache.discard([A, B])
    assert cache.find([A]) == frozenset()


def test_the_least_recently_used_image_is_forgotten_first() -> None:
    cache = ServerImageCache(size=2)
    cache.add([A, B])
    cache.find([A])
    cache.add([C])
    assert cache.find([A, B, C]) == {A, C}


@dataclass
class Requests:
    """Requests whose responses the test decides.

    ``bodies`` describe what each attempt sent: ``q0 a B`` is request q0 with the uuid of image A and with image B
    itself. ``tokens`` is the size of each image.
    """

    tokens: int = 0
    uploads: ImageUploads = field(default_factory=ImageUploads)
    bodies: list[str] = field(default_factory=list)
    in_flight: list[asyncio.Future[ErrorDecision | None]] = field(default_factory=list)
    sent_before: set[str] = field(default_factory=set)
    uploads_started: list[ImageUpload] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, name: str, uuids: Iterable[str]) -> None:
        """Sends a request until it is answered or fails for good."""
        uuids = tuple(uuids)
        upload = ImageUpload(self.uploads, dict.fromkeys(uuids, self.tokens))
        while True:
            retry = name in self.sent_before
            self.sent_before.add(name)
            async with upload.attempt(retry=retry):
                named = upload.known_uuids
                self.bodies.append(f"{name} {' '.join(u[-1] if u in named else u[-1].upper() for u in uuids)}".strip())
                reply: asyncio.Future[ErrorDecision | None] = asyncio.get_running_loop().create_future()
                self.in_flight.append(reply)
                self.uploads_started.append(upload)
                decision = await reply
                if decision is None:
                    upload.record_answer()
                    return
                decision = upload.reclassify(decision, named)
            if decision.action is RetryAction.FAIL:
                return
            if decision.action is RetryAction.RETRY:
                await give_turns(5)

    async def start(self, **requests: Iterable[str]) -> list[str]:
        self.tasks += [asyncio.create_task(self.run(name, uuids)) for name, uuids in requests.items()]
        return await self.new_bodies()

    async def new_bodies(self) -> list[str]:
        await give_turns(20)
        new, self.bodies = self.bodies, []
        return new

    async def reply(self, decision: ErrorDecision | None = None, *, to: int = 0) -> list[str]:
        """Ends a request in flight; returns the bodies that are sent afterwards."""
        self.in_flight.pop(to).set_result(decision)
        return await self.new_bodies()

    async def begin_answer(self, of: int = 0) -> list[str]:
        """Lets the answer to an attempt begin; returns the bodies that are sent afterwards."""
        self.uploads_started[of].mark_arrived()
        return await self.new_bodies()

    async def reply_to_all(self, decision: ErrorDecision | None = None) -> list[str]:
        replies, self.in_flight = self.in_flight, []
        for reply in replies:
            reply.set_result(decision)
        return await self.new_bodies()


async def give_turns(count: int) -> None:
    """Gives the other tasks turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


BROKEN = ErrorDecision(RetryAction.RETRY, "connection_lost", "The connection broke off.")
ERROR = ErrorDecision(RetryAction.RETRY, "http_500", "The server failed.", status=500)


async def test_the_first_request_carries_the_image_and_the_others_follow_together() -> None:
    requests = Requests()
    assert await requests.start(q0=[A], q1=[A], q2=[A], q3=[A]) == ["q0 A"]
    assert await requests.reply() == ["q1 a", "q2 a", "q3 a"]
    assert await requests.reply_to_all() == []
    assert await requests.start(q4=[A]) == ["q4 a"]


async def test_requests_with_other_images_or_none_do_not_wait() -> None:
    assert await Requests().start(q0=[A], p0=[B], t0=[], t1=[]) == ["q0 A", "p0 B", "t0", "t1"]


async def test_the_next_request_carries_the_image_if_the_first_fails() -> None:
    requests = Requests()
    await requests.start(q0=[A], q1=[A], q2=[A])
    assert await requests.reply(BROKEN) == ["q1 A"]
    assert await requests.reply() == ["q2 a", "q0 a"]


async def test_after_two_failed_waits_a_request_carries_its_images() -> None:
    """An image that always fails must not delay its questions one after the other."""
    requests = Requests()
    await requests.start(q0=[A], q1=[A], q2=[A], q3=[A])
    assert await requests.reply(ERROR) == ["q1 A"]
    assert await requests.reply(ERROR) == ["q2 A", "q3 A"]


async def test_after_a_cache_miss_one_request_carries_the_image() -> None:
    requests = Requests()
    await requests.start(q0=[A], q1=[A], q2=[A], q3=[A])
    await requests.reply()
    assert await requests.reply_to_all(MISS) == ["q1 A"]
    assert await requests.reply() == ["q2 a", "q3 a"]


async def test_after_a_second_miss_a_request_carries_its_image() -> None:
    requests = Requests()
    await requests.start(q0=[A], q1=[A], q2=[A])
    await requests.reply()
    await requests.reply_to_all(MISS)
    assert await requests.reply() == ["q2 a"]
    assert await requests.reply(MISS) == ["q2 A"]
    assert await requests.reply() == []
    assert (requests.tasks[2].done(), requests.uploads.cache_misses) == (True, 3)


async def test_a_request_has_no_more_than_two_misses() -> None:
    uploads = ImageUploads()
    upload = ImageUpload(uploads, {A: 0})
    known = []
    for _ in range(3):
        uploads.cache.add([A])
        async with upload.attempt(retry=False):
            known.append(upload.known_uuids)
            upload.reclassify(MISS, upload.known_uuids)
    assert known == [{A}, {A}, frozenset()]


async def test_of_several_images_those_in_the_cache_go_by_uuid() -> None:
    requests = Requests()
    await requests.start(q0=[A])
    await requests.reply()
    assert await requests.start(q1=[A, B]) == ["q1 a B"]


async def test_after_a_miss_of_several_images_all_are_carried() -> None:
    requests = Requests()
    await requests.start(q0=[A, B])
    await requests.reply()
    assert await requests.start(q1=[A, B]) == ["q1 a b"]
    assert await requests.reply(MISS) == ["q1 A B"]


async def test_requests_do_not_wait_in_a_cycle() -> None:
    requests = Requests()
    assert await requests.start(p=[A, B], q=[B, C], r=[C, A]) == ["p A B"]
    assert await requests.reply() in (["q b C"], ["r C a"])
    assert await requests.reply() in (["q b c"], ["r c a"])
    await requests.reply()
    assert all(task.done() for task in requests.tasks)


@pytest.mark.parametrize("status", [200, None], ids=["an answer without content", "a broken connection"])
async def test_errors_that_do_not_concern_images_leave_the_cache_alone(status: int | None) -> None:
    requests = Requests()
    await requests.start(q0=[A], q1=[A])
    await requests.reply()
    assert await requests.reply(ErrorDecision(RetryAction.RETRY, "some", "Some trouble.", status=status)) == ["q1 a"]


async def test_a_busy_server_keeps_its_images() -> None:
    requests = Requests()
    await requests.start(q0=[A], q1=[A])
    await requests.reply()
    assert await requests.reply(ErrorDecision(RetryAction.WAIT, "http_503", "Busy.", status=503)) == ["q1 a"]


async def test_a_500_to_a_uuid_counts_as_a_miss() -> None:
    requests = Requests()
    await requests.start(q0=[A], q1=[A])
    await requests.reply()
    assert await requests.reply(ERROR) == ["q1 A"]


def test_a_rejection_fails_the_row_only_if_the_images_were_sent() -> None:
    upload = ImageUpload(ImageUploads(), {A: 0})
    assert upload.reclassify(MISS, frozenset()) is MISS
    judged = upload.reclassify(MISS, frozenset({A}))
    assert (judged.action, judged.message) == (RetryAction.RESEND, MISS.message)


async def test_the_next_request_carries_the_image_of_a_cancelled_one() -> None:
    requests = Requests()
    await requests.start(q0=[A], q1=[A], q2=[A])
    requests.tasks[0].cancel()
    assert await requests.new_bodies() == ["q1 A"]


async def test_waiting_requests_can_be_cancelled() -> None:
    requests = Requests()
    await requests.start(q0=[A], q1=[A], q2=[A])
    requests.tasks[1].cancel()
    assert await requests.new_bodies() == []
    assert await requests.reply() == ["q2 a"]


async def test_nothing_remains_of_requests_that_ended() -> None:
    uploads = ImageUploads(cache_size=2)
    for number in range(5):
        upload = ImageUpload(uploads, {str(number): 1})
        async with upload.attempt(retry=False):
            upload.record_answer()
    async with ImageUpload(uploads, {"lost": 1}).attempt(retry=False):
        pass
    assert uploads.in_progress == {}
    assert uploads.cache.find(map(str, range(5))) == {"3", "4"}


HALF = IMAGE_TOKEN_LIMIT // 2  # two such images may be on their way at once


async def test_the_others_follow_as_soon_as_the_first_answer_begins() -> None:
    requests = Requests(tokens=1)
    await requests.start(q0=[A], q1=[A], q2=[A])
    assert await requests.begin_answer() == ["q1 a", "q2 a"]
    assert await requests.reply() == []


async def test_an_answer_that_breaks_off_removes_the_image_from_the_cache() -> None:
    requests = Requests(tokens=1)
    await requests.start(q0=[A])
    await requests.begin_answer()
    assert await requests.reply(BROKEN) == ["q0 A"]
    assert requests.uploads.cache.find([A]) == frozenset()


async def test_new_images_wait_for_the_image_limit() -> None:
    requests = Requests(tokens=HALF)
    assert await requests.start(q0=[A], p0=[B], r0=[C], r1=[C], t0=[]) == ["q0 A", "p0 B", "t0"]
    assert await requests.begin_answer(1) == ["r0 C"]
    assert await requests.begin_answer(3) == ["r1 c"]


async def test_an_image_larger_than_the_limit_goes_alone() -> None:
    requests = Requests(tokens=2 * IMAGE_TOKEN_LIMIT)
    assert await requests.start(q0=[A], p0=[B]) == ["q0 A"]
    assert await requests.begin_answer() == ["p0 B"]


async def test_a_failed_upload_releases_its_tokens_and_is_retried_first() -> None:
    requests = Requests(tokens=IMAGE_TOKEN_LIMIT)
    assert await requests.start(q0=[A], p0=[B], r0=[C]) == ["q0 A"]
    assert await requests.reply(BROKEN) == ["p0 B"]
    assert await requests.reply() == ["q0 A"]


@pytest.mark.parametrize("who", [0, 1], ids=["on its way", "waiting for the limit"])
async def test_a_cancelled_upload_releases_its_tokens(who: int) -> None:
    requests = Requests(tokens=IMAGE_TOKEN_LIMIT)
    await requests.start(q0=[A], p0=[B], r0=[C])
    requests.tasks[who].cancel()
    new = await requests.new_bodies()
    assert (new or await requests.begin_answer()) == (["p0 B"] if who == 0 else ["r0 C"])
    assert requests.uploads.in_progress.keys() == ({B, C} if who == 0 else {C})
