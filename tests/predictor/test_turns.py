"""Turns: at most so many at a time, in order of arrival, while the limit changes."""

from __future__ import annotations

import asyncio

import pytest

from predictor.turns import Turns
from torpor.errors import UnavailableError


class Crowd:
    """Tasks that hold a turn until they are let go."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.inside: list[int] = []
        self.exits: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    async def come(self, *numbers: int) -> None:
        for number in numbers:
            self.exits[number] = asyncio.Event()
            self.tasks[number] = asyncio.create_task(self._hold(number))
        await asyncio.sleep(0)

    async def go(self, number: int) -> None:
        self.exits[number].set()
        await self.tasks[number]
        await asyncio.sleep(0)

    async def _hold(self, number: int) -> None:
        async with self.turns:
            self.inside.append(number)
            await self.exits[number].wait()


async def test_order_and_limit() -> None:
    """Who leaves makes room for who came first."""
    crowd = Crowd(Turns(2))
    await crowd.come(1, 2, 3, 4)
    assert (crowd.inside, crowd.turns.taken, crowd.turns.waiting) == ([1, 2], 2, 2)
    await crowd.go(2)
    assert crowd.inside == [1, 2, 3]
    await crowd.go(1)
    await crowd.go(3)
    await crowd.go(4)
    assert (crowd.turns.taken, crowd.turns.waiting) == (0, 0)


async def test_the_limit_may_grow_shrink_and_go() -> None:
    """What is inside stays inside; none at all tells who waits."""
    crowd = Crowd(Turns(1))
    await crowd.come(1, 2, 3, 4)
    crowd.turns.resize(3)
    await asyncio.sleep(0)
    assert crowd.inside == [1, 2, 3]
    crowd.turns.resize(1)
    await crowd.go(1)
    assert (crowd.turns.taken, crowd.turns.waiting) == (2, 1)
    crowd.turns.resize(0)
    with pytest.raises(UnavailableError, match="no workers"):
        await crowd.tasks[4]
    await crowd.come(5)
    with pytest.raises(UnavailableError, match="no workers"):
        await crowd.tasks[5]
    crowd.turns.resize(None)
    await crowd.come(6, 7, 8, 9)
    assert crowd.turns.taken == 6
    for number in (2, 3, 6, 7, 8, 9):
        await crowd.go(number)
    assert crowd.turns.taken == 0


@pytest.mark.parametrize("is_called", [False, True])
async def test_who_gives_up_loses_nobody_a_turn(*, is_called: bool) -> None:
    """Also in the moment in which its turn comes."""
    crowd = Crowd(Turns(1))
    await crowd.come(1, 2, 3)
    if is_called:
        crowd.exits[1].set()
        while crowd.turns.waiting == 2:  # noqa: ASYNC110  # the very step in which it is called
            await asyncio.sleep(0)
        assert crowd.inside == [1]
    crowd.tasks[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await crowd.tasks[2]
    if not is_called:
        await crowd.go(1)
    await asyncio.sleep(0)
    assert crowd.inside == [1, 3]
    await crowd.go(3)
    assert (crowd.turns.taken, crowd.turns.waiting) == (0, 0)
