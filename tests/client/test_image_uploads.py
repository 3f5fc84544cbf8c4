"""Which pictures a server has: the depot by values, and who goes first, who waits and who carries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from persqa_client.client.image_uploads import ImageUpload, ImageUploads, ServerImageCache
from persqa_client.limits.concurrency import ROOM
from persqa_client.types import ErrorDecision, RetryAction

MISS = ErrorDecision(
    RetryAction.FAIL,
    "rejected",
    "The server rejects this row (400): Cache miss for image at index 0 but data is not provided.",
    status=400,
)
A, B, C = "persqa-a", "persqa-b", "persqa-c"


def test_a_picture_is_there_once_it_arrived_and_until_it_is_lost() -> None:
    depot = ServerImageCache()
    assert depot.send([A, B]) == {A, B}
    assert depot.there([A, B]) == frozenset()
    depot.arrived([A])
    depot.end({A, B})
    assert depot.there([A, B]) == {A}
    depot.lost([A])
    assert depot.there([A]) == frozenset()


def test_what_is_there_or_on_its_way_is_not_sent_again() -> None:
    depot = ServerImageCache()
    depot.arrived([A])
    depot.send([B])
    assert depot.send([A, B, C]) == {C}
    assert depot.coming == {B, C}


def test_what_did_not_arrive_is_sent_again() -> None:
    depot = ServerImageCache()
    depot.end(depot.send([A]))
    assert depot.send([A]) == {A}


def test_what_was_not_used_for_long_is_forgotten_first() -> None:
    depot = ServerImageCache(most=2)
    depot.arrived([A, B])
    depot.there([A])
    depot.arrived([C])
    assert depot.there([A, B, C]) == {A, C}


@dataclass
class Wire:
    """Requests that end when they are told to; ``bodies`` are what each attempt names and carries, ``weight`` is what
    each picture has in tokens."""

    weight: int = 0
    uploads: ImageUploads = field(default_factory=ImageUploads)
    bodies: list[str] = field(default_factory=list)
    under_way: list[asyncio.Future[ErrorDecision | None]] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    deliveries: list[ImageUpload] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def ask(self, who: str, uuids: Iterable[str]) -> None:
        """A request, tried until it is answered or refused for good."""
        uuids = tuple(uuids)
        delivery = self.uploads.for_request(dict.fromkeys(uuids, self.weight))
        while True:
            delivery.retry = who in self.tried
            self.tried.add(who)
            async with delivery:
                named = delivery.known_uuids
                self.bodies.append(f"{who} {' '.join(u[-1] if u in named else u[-1].upper() for u in uuids)}".strip())
                reply: asyncio.Future[ErrorDecision | None] = asyncio.get_running_loop().create_future()
                self.under_way.append(reply)
                self.deliveries.append(delivery)
                verdict = await reply
                if verdict is None:
                    delivery.record_answer()
                    return
                verdict = delivery.reclassify(verdict, named)
            if verdict.action is RetryAction.FAIL:
                return
            if verdict.action is RetryAction.RETRY:
                await self.back_off()

    async def back_off(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def start(self, **requests: Iterable[str]) -> list[str]:
        self.tasks += [asyncio.create_task(self.ask(who, uuids)) for who, uuids in requests.items()]
        return await self.sent()

    async def sent(self) -> list[str]:
        """The bodies that went out since the last look."""
        for _ in range(20):
            await asyncio.sleep(0)
        news, self.bodies = self.bodies, []
        return news

    async def reply(self, verdict: ErrorDecision | None = None, *, to: int = 0) -> list[str]:
        """Ends one of the requests under way; what goes out then. Capitals are carried, small letters named."""
        self.under_way.pop(to).set_result(verdict)
        return await self.sent()

    async def begin(self, of: int = 0) -> list[str]:
        """Lets the answer of an attempt begin; what goes out then."""
        self.deliveries[of].mark_arrived()
        return await self.sent()

    async def reply_to_all(self, verdict: ErrorDecision | None = None) -> list[str]:
        replies, self.under_way = self.under_way, []
        for reply in replies:
            reply.set_result(verdict)
        return await self.sent()


BROKEN = ErrorDecision(RetryAction.RETRY, "connection_lost", "The connection broke off.")
ERROR = ErrorDecision(RetryAction.RETRY, "http_500", "The server failed.", status=500)


async def test_the_first_goes_ahead_and_the_others_follow_together() -> None:
    wire = Wire()
    assert await wire.start(q0=[A], q1=[A], q2=[A], q3=[A]) == ["q0 A"]
    assert await wire.reply() == ["q1 a", "q2 a", "q3 a"]
    assert await wire.reply_to_all() == []
    assert await wire.start(q4=[A]) == ["q4 a"]


async def test_other_pictures_are_not_waited_for_and_none_at_all_neither() -> None:
    assert await Wire().start(q0=[A], p0=[B], t0=[], t1=[]) == ["q0 A", "p0 B", "t0", "t1"]


async def test_the_next_carries_the_picture_when_the_first_fails() -> None:
    wire = Wire()
    await wire.start(q0=[A], q1=[A], q2=[A])
    assert await wire.reply(BROKEN) == ["q1 A"]
    assert await wire.reply() == ["q2 a", "q0 a"]


async def test_who_waited_twice_in_vain_waits_no_more() -> None:
    """A picture that a server never answers for must not hold up its questions one after the other."""
    wire = Wire()
    await wire.start(q0=[A], q1=[A], q2=[A], q3=[A])
    assert await wire.reply(ERROR) == ["q1 A"]
    assert await wire.reply(ERROR) == ["q2 A", "q3 A"]


async def test_a_cache_miss_is_answered_with_the_bytes_by_one_of_those_that_met_it() -> None:
    wire = Wire()
    await wire.start(q0=[A], q1=[A], q2=[A], q3=[A])
    await wire.reply()
    assert await wire.reply_to_all(MISS) == ["q1 A"]
    assert await wire.reply() == ["q2 a", "q3 a"]


async def test_a_second_miss_brings_the_bytes_whatever_the_server_is_thought_to_have() -> None:
    wire = Wire()
    await wire.start(q0=[A], q1=[A], q2=[A])
    await wire.reply()
    await wire.reply_to_all(MISS)
    assert await wire.reply() == ["q2 a"]
    assert await wire.reply(MISS) == ["q2 A"]
    assert await wire.reply() == []
    assert (wire.tasks[2].done(), wire.uploads.cache_misses) == (True, 3)


async def test_misses_of_one_request_end_whatever_others_bring() -> None:
    uploads = ImageUploads()
    delivery = uploads.for_request({A: 0})
    known = []
    for _ in range(3):
        uploads.depot.arrived([A])
        async with delivery:
            known.append(delivery.known_uuids)
            delivery.reclassify(MISS, delivery.known_uuids)
    assert known == [{A}, {A}, frozenset()]


async def test_of_several_pictures_those_that_are_there_are_named() -> None:
    wire = Wire()
    await wire.start(q0=[A])
    await wire.reply()
    assert await wire.start(q1=[A, B]) == ["q1 a B"]


async def test_a_miss_of_several_pictures_brings_them_all() -> None:
    wire = Wire()
    await wire.start(q0=[A, B])
    await wire.reply()
    assert await wire.start(q1=[A, B]) == ["q1 a b"]
    assert await wire.reply(MISS) == ["q1 A B"]


async def test_nobody_waits_in_a_circle() -> None:
    wire = Wire()
    assert await wire.start(p=[A, B], q=[B, C], r=[C, A]) == ["p A B"]
    assert await wire.reply() in (["q b C"], ["r C a"])
    assert await wire.reply() in (["q b c"], ["r c a"])
    await wire.reply()
    assert all(task.done() for task in wire.tasks)


@pytest.mark.parametrize("status", [200, None], ids=["an answer without content", "a broken connection"])
async def test_what_says_nothing_of_the_pictures_leaves_them_there(status: int | None) -> None:
    wire = Wire()
    await wire.start(q0=[A], q1=[A])
    await wire.reply()
    assert await wire.reply(ErrorDecision(RetryAction.RETRY, "some", "Some trouble.", status=status)) == ["q1 a"]


async def test_pressure_leaves_them_there() -> None:
    wire = Wire()
    await wire.start(q0=[A], q1=[A])
    await wire.reply()
    assert await wire.reply(ErrorDecision(RetryAction.WAIT, "http_503", "Busy.", status=503)) == ["q1 a"]


async def test_a_500_to_a_name_may_be_a_miss_too() -> None:
    wire = Wire()
    await wire.start(q0=[A], q1=[A])
    await wire.reply()
    assert await wire.reply(ERROR) == ["q1 A"]


def test_a_refusal_is_the_rows_own_only_where_the_bytes_went_with_it() -> None:
    delivery = ImageUploads().for_request({A: 0})
    assert delivery.reclassify(MISS, frozenset()) is MISS
    judged = delivery.reclassify(MISS, frozenset({A}))
    assert (judged.action, judged.message) == (RetryAction.RESEND, MISS.message)


async def test_one_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    wire = Wire()
    await wire.start(q0=[A], q1=[A], q2=[A])
    wire.tasks[0].cancel()
    assert await wire.sent() == ["q1 A"]


async def test_those_who_wait_can_be_cancelled() -> None:
    wire = Wire()
    await wire.start(q0=[A], q1=[A], q2=[A])
    wire.tasks[1].cancel()
    assert await wire.sent() == []
    assert await wire.reply() == ["q2 a"]


async def test_nothing_is_kept_of_requests_that_ended() -> None:
    uploads = ImageUploads(most=2)
    for number in range(5):
        async with uploads.for_request({str(number): 1}) as delivery:
            delivery.record_answer()
    async with uploads.for_request({"lost": 1}):
        pass
    assert (uploads.events, uploads.depot.coming) == ({}, set())
    assert uploads.depot.there(map(str, range(5))) == {"3", "4"}


HALF = ROOM // 2
"""Tokens: two such pictures may be on their way at once."""


async def test_the_others_follow_as_soon_as_the_first_answer_begins() -> None:
    wire = Wire(weight=1)
    await wire.start(q0=[A], q1=[A], q2=[A])
    assert await wire.begin() == ["q1 a", "q2 a"]
    assert await wire.reply() == []


async def test_an_answer_that_comes_to_nothing_after_all_leaves_nothing_there() -> None:
    wire = Wire(weight=1)
    await wire.start(q0=[A])
    await wire.begin()
    assert await wire.reply(BROKEN) == ["q0 A"]
    assert wire.uploads.depot.there([A]) == frozenset()


async def test_new_pictures_wait_until_those_before_them_are_in() -> None:
    wire = Wire(weight=HALF)
    assert await wire.start(q0=[A], p0=[B], r0=[C], r1=[C], t0=[]) == ["q0 A", "p0 B", "t0"]
    assert await wire.begin(1) == ["r0 C"]
    assert await wire.begin(3) == ["r1 c"]


async def test_a_picture_larger_than_the_room_goes_alone() -> None:
    wire = Wire(weight=2 * ROOM)
    assert await wire.start(q0=[A], p0=[B]) == ["q0 A"]
    assert await wire.begin() == ["p0 B"]


async def test_a_failed_first_gives_its_room_back_and_gets_room_before_what_is_new() -> None:
    wire = Wire(weight=ROOM)
    assert await wire.start(q0=[A], p0=[B], r0=[C]) == ["q0 A"]
    assert await wire.reply(BROKEN) == ["p0 B"]
    assert await wire.reply() == ["q0 A"]


@pytest.mark.parametrize("who", [0, 1], ids=["on its way", "waiting for room"])
async def test_one_that_is_cancelled_leaves_its_room_to_the_next(who: int) -> None:
    wire = Wire(weight=ROOM)
    await wire.start(q0=[A], p0=[B], r0=[C])
    wire.tasks[who].cancel()
    news = await wire.sent()
    assert (news or await wire.begin()) == (["p0 B"] if who == 0 else ["r0 C"])
    assert wire.uploads.depot.coming == ({B, C} if who == 0 else {C})
