"""Models of one process within their budget: who goes, who waits, who comes back, and what of all that can fail."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.loading.room import ANYWHERE
from predictor.memory.amount import Amount
from predictor.memory.keeper import grown
from tests.predictor.memory.world import World, source
from tests.support.until import until
from torpor.errors import ConflictError, LoadError, NotFoundError, UnavailableError


async def test_the_least_recently_used_makes_room_and_comes_back() -> None:
    """It says so meanwhile, and is measured, not guessed, from then on."""
    world = World(100)
    a, b = await world.add("a", "b")
    await world.ask("a")
    await world.add("c")
    assert (world.here(), world.taken) == (["a", "c"], 80)
    assert (b.state, b.reason, b.answers) == ("UNAVAILABLE", "evicted to make room for c", True)
    b.check()
    assert (await b.described()).platform == "test_doubler"
    await world.ask("b")
    assert (world.here(), a.state, a.reason) == (["b", "c"], "UNAVAILABLE", "evicted to make room for b")
    assert (b.state, b.reason) == ("READY", "")
    assert (b.stay.takes, b.stay.loads, b.stay.evictions, a.stay.evictions) == (Amount(40), 2, 1, 1)
    await world.repository.close()
    assert world.taken == 0


async def test_many_ask_and_it_is_loaded_once() -> None:
    """All are answered, with the load of one."""
    world = World(100)
    await world.add("a", "b", "c")
    world.loads.clear()
    await asyncio.gather(*(world.ask("a") for _ in range(20)))
    assert world.loads == ["a"]


async def test_one_in_use_goes_after_its_answer() -> None:
    """Whoever has it is answered by it; whoever asks for it meanwhile is answered when it is back."""
    world = World(100)
    (a,) = await world.add("a", size=80)
    with a.used() as held:
        registered = asyncio.create_task(world.add("b", size=80))
        await until(lambda: a.is_away)
        asked = asyncio.create_task(world.ask("a"))
        await asyncio.sleep(0)
        assert (a.held, a.state, world.loads) == (held, "READY", ["a"])
    await registered
    await asked
    assert (world.loads, world.peak, world.here()) == (["a", "b", "a"], 80, ["a"])


async def test_one_that_stays_in_use_keeps_another_out_for_so_long_only() -> None:
    """The error says which it was, and that one answers on."""
    world = World(100, patience_s=0.05)
    (a,) = await world.add("a", size=80)
    with a.used():
        with pytest.raises(UnavailableError, match=r"model 'b' needs 80 B of memory, and 'a' was in use for 0.05 s"):
            await world.add("b", size=80)
        assert not a.is_away
        await world.ask("a")
    assert world.here() == ["a"]


async def test_what_never_fits() -> None:
    """By its files, before it is opened; or once it is there, after which it is closed again."""
    world = World(100)
    await world.add("a")
    with pytest.raises(LoadError, match=r"model 'b' needs 120 B of memory, and all models together may take 100 B"):
        await world.add("b", size=120)
    world.files["c"] = 10
    with pytest.raises(LoadError, match="model 'c' needs 120 B"):
        await world.add("c", size=120)
    assert (world.here(), world.taken) == (["a"], 40)


async def test_larger_than_its_files_say() -> None:
    """Then more go; it stays."""
    world = World(100)
    world.files["c"] = 10
    await world.add("a", "b")
    await world.add("c", size=50)
    assert (world.here(), world.taken) == (["b", "c"], 90)


async def test_the_pod_s_own_model_stays() -> None:
    """However long nobody asks it."""
    world = World(100)
    await world.repository.load_first()
    await world.add("a", "b", "c")
    assert world.here() == ["first", "b", "c"]
    with pytest.raises(LoadError, match="what stays here takes 'first' 10 B"):
        await world.add("d", size=95)


async def test_a_load_that_fails_is_told_and_not_tried_for_each_request() -> None:
    """All who wait are told; the index says it; so does readiness; the next try is later."""
    world = World(100)
    a, _, _ = await world.add("a", "b", "c")
    world.failing.add("a")
    world.gates["a"] = asyncio.Event()
    asked = [asyncio.create_task(world.ask("a")) for _ in range(3)]
    await until(lambda: a.state == "LOADING")
    assert a.reason == "loading"
    world.gates["a"].set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(each) for each in told] == ["it is not there"] * 3
    assert all(isinstance(each, LoadError) and each.stage == "fetch" for each in told)
    assert world.half() is not None
    del told, asked
    await asyncio.sleep(0)  # the loop has them until its next turn
    gc.collect()
    assert world.half() is None
    assert (a.state, a.reason) == ("UNAVAILABLE", "fetch: it is not there")
    with pytest.raises(LoadError, match="it is not there"):
        a.check()
    world.failing.clear()
    with pytest.raises(LoadError, match="it is not there"):
        await world.ask("a")
    await world.repository.load("a")
    await world.ask("a")
    assert a.state == "READY"


async def test_nobody_waits_for_ever() -> None:
    """The load goes on for the next one."""
    world = World(100)
    a, _, _ = await world.add("a", "b", "c")
    world.gates["a"] = asyncio.Event()
    assert a.recall is not None
    a.recall._wait_s = 0.02  # type: ignore[attr-defined]
    with pytest.raises(UnavailableError, match=r"model 'a' is still being loaded after 0.02 s"):
        await world.ask("a")
    gone = asyncio.create_task(world.ask("a"))
    await asyncio.sleep(0)
    gone.cancel()
    world.gates["a"].set()
    await until(lambda: a.state == "READY")
    assert not a.is_used
    await world.ask("a")


async def test_a_reload_has_room_beside_the_old_one_or_fails() -> None:
    """The old one answers on: it is never sent away for its own successor."""
    world = World(100)
    await world.add("a", size=60)
    with pytest.raises(LoadError, match="what stays here takes 'a' 60 B"):
        await world.repository.load("a")
    await world.ask("a")
    await world.repository.unload("a")
    assert world.taken == 0
    await world.repository.load("a")
    assert world.here() == ["a"]


async def test_unloaded_is_not_evicted() -> None:
    """Who sent it away did not mean until the next request."""
    world = World(100)
    a, _, _ = await world.add("a", "b", "c")
    assert a.is_away
    await world.repository.unload("a")
    assert (a.state, a.reason) == ("UNAVAILABLE", "unloaded")
    with pytest.raises(NotFoundError, match="was unloaded"):
        await world.ask("a")
    with pytest.raises(NotFoundError, match="was unloaded"):
        await a.described()


async def test_known_and_loaded_when_it_is_asked() -> None:
    """Before that it takes nothing, and describes itself by being loaded."""
    world = World(100)
    a = world.repository.expect(source("a", 40), "1")
    with pytest.raises(ConflictError):
        world.repository.expect(source("a", 40), "1")
    assert (a.state, a.reason, world.taken) == ("UNAVAILABLE", "loaded when it is asked", 0)
    assert (await a.described()).platform == "test_doubler"
    assert (a.state, world.loads) == ("READY", ["a"])


async def test_what_is_being_closed_still_counts() -> None:
    """Its memory is not there for another one yet."""
    world = World(100)
    (a,) = await world.add("a", size=80)
    with a.used():
        unloaded = asyncio.create_task(world.repository.unload("a"))
        await until(lambda: a.held is None)
        registered = asyncio.create_task(world.add("b", size=80))
        await asyncio.sleep(0.01)
        assert world.taken == 80
    await asyncio.gather(unloaded, registered)
    assert (world.peak, world.here()) == (80, ["b"])


async def test_without_a_budget_none_goes() -> None:
    """And none waits for another one."""
    world = World(None)
    world.gates["a"] = asyncio.Event()
    first = asyncio.create_task(world.add("a"))
    await world.add("b", "c", size=10**15)
    world.gates["a"].set()
    await first
    assert world.here() == ["b", "c", "a"]


async def test_models_that_do_not_fit_together_take_turns() -> None:
    """Whoever waited for one has it before it goes for the next one: else all would be loaded for nobody."""
    world = World(100)
    for each in "abc":
        world.repository.expect(source(each, 60), "1")
    await asyncio.gather(*(world.ask(each, 3) for each in "abcabcab"))
    assert (world.loads, world.peak) == (["a", "b", "c"], 60)


@given(
    sizes=st.lists(st.integers(20, 60), min_size=3, max_size=6),
    asked=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 2)), min_size=6, max_size=40),
)
def test_under_pressure_no_request_fails(sizes: list[int], asked: list[tuple[int, int, int]]) -> None:
    """Many at once for models that do not fit together: all are answered, and the budget is kept at every moment."""

    async def scenario() -> None:
        world = World(100)
        for index, size in enumerate(sizes):
            world.repository.expect(source(str(index), size), "1")
        tasks: list[asyncio.Task[None]] = []
        for index, turns, pause in asked:
            tasks.append(asyncio.create_task(world.ask(str(index % len(sizes)), turns)))
            for _ in range(pause):
                await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)
        assert world.peak <= 100
        assert world.taken == sum(sizes[int(each)] for each in world.here())
        assert not any(each.is_used or (each.is_away and each.held) for each in world.models)
        await world.repository.close()
        assert world.taken == 0

    run(scenario())


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


@pytest.mark.parametrize(
    ("before", "after", "files", "takes"),
    [
        pytest.param(Amount(100), Amount(150), 10, Amount(50), id="what it has grown by"),
        pytest.param(Amount(100), Amount(105), 50, Amount(50), id="at least its files"),
        pytest.param(Amount(100), Amount(90), 0, Amount(0), id="others have gone meanwhile"),
        pytest.param(Amount(100, 10), Amount(110, 60), 50, Amount(10, 50), id="on a GPU it is not here as well"),
        pytest.param(Amount(100, 10), Amount(100, 30), 50, Amount(30, 20), id="one part of it is"),
    ],
)
def test_grown(before: Amount, after: Amount, files: int, takes: Amount) -> None:
    assert grown(before, after, files) == takes


async def test_anywhere_is_room() -> None:
    await ANYWHERE.make(10**18)
    await ANYWHERE.fill()
