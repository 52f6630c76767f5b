"""What is started is stopped: on success, on failure, and on Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def stopped(process: asyncio.subprocess.Process, patience_s: float) -> AsyncIterator[None]:
    """Ask the process to end when the block ends; after `patience_s` end it."""
    try:
        yield
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(patience_s):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
