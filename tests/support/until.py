"""Wait for what must come, with a deadline instead of a hope."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(fits: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Return as soon as `fits()` is true; raises TimeoutError that says what was waited for."""
    try:
        async with asyncio.timeout(timeout_s):
            while not fits():  # noqa: ASYNC110  # nobody sets an event for every condition
                await asyncio.sleep(0.001)
    except TimeoutError as error:
        raise TimeoutError(f"{timeout_s:g} s were not enough for {fits.__qualname__}") from error
