"""The end, as streams see it: one on which nobody asks would hold the pod until its grace is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from torpor.errors import UnavailableError

T = TypeVar("T")


class Ending:
    """Whether the server is ending. Belongs to the event loop."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        self._begun.set()

    async def within(self, seconds: float | None) -> bool:
        """Say whether it begins in this time; None: wait for it."""
        try:
            async with asyncio.timeout(seconds):
                return await self._begun.wait()
        except TimeoutError:
            return False

    async def until(self, requests: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """Give the requests of a stream; raises UnavailableError once the server ends, between two of them.

        What is being answered then is answered; what came after it was not taken, and may be sent to another server.
        """
        begun = asyncio.ensure_future(self._begun.wait())
        getting: asyncio.Future[T] | None = None
        try:
            while True:
                getting = asyncio.ensure_future(anext(requests))
                await asyncio.wait({getting, begun}, return_when=asyncio.FIRST_COMPLETED)
                if begun.done():
                    raise ending()
                try:
                    request = getting.result()
                except StopAsyncIteration:
                    return
                yield request
        finally:
            begun.cancel()
            if getting is not None and not getting.cancel() and not getting.cancelled():
                getting.exception()  # nobody else looks at it


def ending() -> UnavailableError:
    return UnavailableError("this server is ending; another one answers")
