"""An event loop on a virtual clock: idle time is skipped, so that hours of a run take milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")

# Seconds that a turn of the loop takes, and the most turns between two jumps of the clock. A run that needs more is
# taken for a busy loop.
TURN, MAX_TURNS = 1e-6, 50_000


class Stuck(Exception):
    """Nothing can happen any more: no timer is set, or the loop never pauses."""


class NoSelector(selectors.BaseSelector):
    """Has no files. Instead of waiting it advances the clock."""

    def __init__(self, wait: Callable[[float | None], None]) -> None:
        self._wait = wait
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        # The loop registers one end of its own socket pair, to be woken by other threads.
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        self._keys[descriptor] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._wait(timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """``early``: seconds by which timers fire before their time, as those of uvloop do.

    Work for a thread is done at once, in the loop's own thread.
    """

    def __init__(self, early: float = 0.0) -> None:
        self._now = 0.0
        self._turns = 0
        self._early = early
        super().__init__(NoSelector(self._advance))
        # Timers are due within the resolution of the clock.
        self._clock_resolution = 1e-9 + early

    def time(self) -> float:
        return self._now

    def _advance(self, timeout: float | None) -> None:
        if timeout is None:
            raise Stuck(f"at {self._now:.3f} s: everything waits, and no timer is set")
        if timeout > self._early + TURN:
            self._now += timeout - self._early
            self._turns = 0
            return
        self._now += TURN
        self._turns += 1
        if self._turns > MAX_TURNS:
            raise Stuck(f"at {self._now:.3f} s: {MAX_TURNS:,} turns of the loop without a pause")

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], Value], *args: *Arguments
    ) -> asyncio.Future[Value]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def run_virtually(main: Coroutine[Any, Any, Value], *, early: float = 0.0) -> Value:
    """Like ``asyncio.run``, on a new virtual clock that starts at 0. Raises Stuck if the coroutine can never end."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(early)) as runner:
        return runner.run(main)
