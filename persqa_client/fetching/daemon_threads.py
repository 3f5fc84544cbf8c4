"""Calls that block, each in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Value = TypeVar("Value")


def start_thread(function: Callable[[], Value], *, name: str) -> asyncio.Future[Value]:
    """Calls the function in a new thread, which nothing waits for: a call that never returns, such as to a name server
    that does not answer, holds up neither other calls nor the end of the process.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Value] = loop.create_future()

    def settle(value: Value | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is None:
            result.set_result(value)  # type: ignore[arg-type] # without an error, there is a value
        else:
            result.set_exception(error)

    def call() -> None:
        value, error = None, None
        try:
            value = function()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=call, name=name, daemon=True).start()
    return result
