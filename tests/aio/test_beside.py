"""Work beside other work."""

from __future__ import annotations

import asyncio

import pytest

from torpor.aio.beside import beside, done_before


class Beside:
    """Work that goes on until it is cancelled."""

    def __init__(self) -> None:
        self.began = self.ended = False

    async def run(self) -> None:
        self.began = True
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def fail() -> None:
    raise LookupError("lost")


async def test_it_goes_on_until_the_block_ends() -> None:
    """Then it is cancelled, and has ended before the block is left."""
    one, two = Beside(), Beside()
    async with beside(one.run, two.run):
        await asyncio.sleep(0)
        assert not one.ended
    assert one.ended
    assert two.ended


async def test_if_it_fails_so_does_the_block() -> None:
    """With the error as it is, and the other work ended."""
    other = Beside()
    async with asyncio.timeout(5):
        with pytest.raises(LookupError, match="lost"):
            async with beside(other.run, fail):
                await asyncio.Event().wait()
    assert other.ended


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    """Who waits for it need not look into groups."""
    other = Beside()
    with pytest.raises(LookupError, match="lost"):
        async with beside(other.run):
            await fail()
    assert other.ended == other.began


async def test_several_errors_are_all_told() -> None:
    """None hides another."""
    with pytest.raises(ExceptionGroup) as caught:
        async with beside(fail, fail):
            await asyncio.Event().wait()
    assert [type(each) for each in caught.value.exceptions] == [LookupError, LookupError]


async def test_work_that_is_done_first_is_done() -> None:
    """And what it raises is raised."""
    stop = asyncio.Event()
    assert await done_before(stop, asyncio.sleep(0))
    with pytest.raises(LookupError, match="lost"):
        await done_before(stop, fail())


async def test_work_that_is_stopped_first_is_cancelled() -> None:
    """It has ended when this returns."""
    stop, work = asyncio.Event(), Beside()
    asyncio.get_running_loop().call_soon(stop.set)
    async with asyncio.timeout(5):
        assert not await done_before(stop, work.run())
    assert work.ended
