"""What is told of models that come and go, as metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from predictor.counters import Counters
from predictor.export import Collector
from tests.predictor.memory.world import World
from torpor.aio.clock import SystemClock


async def test_bytes_loads_evictions() -> None:
    """Of each version; what is not here takes nothing."""
    world = World(100)
    await world.add("a", "b", "c")
    await world.ask("a")
    registry = CollectorRegistry()
    registry.register(Collector(world.models, Counters(), SystemClock()))

    def number(name: str, model: str, **more: str) -> float | None:
        return registry.get_sample_value(f"torpor_predictor_model_{name}", {"model": model, "version": "1"} | more)

    assert [number("memory_bytes", each, kind="host") for each in "abc"] == [40, 0, 40]
    assert number("memory_bytes", "a", kind="gpu") == 0
    assert [number("loads_total", each) for each in "abc"] == [2, 1, 1]
    assert [number("evictions_total", each) for each in "abc"] == [1, 1, 0]
    seconds = number("load_seconds_total", "a")
    assert seconds is not None
    assert 0 < seconds < 60
