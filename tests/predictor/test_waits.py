"""How long requests wait for a thread, and how many tokens a model is at work on: numbers to be scaled by."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from predictor.counters import LATELY_S, Counters, Waits
from predictor.export import exposition
from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.models import Models
from predictor.runtimes.python import PythonClass
from predictor.runtimes.runtime import Files
from predictor.served import Served
from predictor.workers import Workers
from tests.support.clock import FakeClock
from tests.support.until import until


def test_what_waited_lately_counts_and_what_is_long_ago_does_not() -> None:
    waits = Waits()
    for wait_s in (1.0, 3.0):
        waits.begun(waits.enter(100.0 - wait_s), 100.0)
    assert waits.seconds(100.0) == 2.0
    assert waits.seconds(100.1 + LATELY_S) == 0.0


def test_who_waits_already_longer_than_others_have_counts_most() -> None:
    waits = Waits()
    waits.begun(waits.enter(99.0), 100.0)
    waits.enter(95.0)
    assert waits.seconds(100.0) == 5.0


def test_who_left_waits_no_more() -> None:
    waits = Waits()
    waits.left(waits.enter(95.0))
    assert waits.seconds(100.0) == 0.0


async def test_the_pool_tells_how_long_its_jobs_wait() -> None:
    """One thread, one long job: the next waits for it."""
    clock, waits = FakeClock(), Waits()
    workers, go_on = Workers(1, waits, clock), threading.Event()

    async def receive() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    first = asyncio.create_task(workers.run(lambda: go_on.wait(20), receive))  # type: ignore[arg-type]
    await until(lambda: len(waits.lately) == 1)
    second = asyncio.create_task(workers.run(lambda: True, receive))  # type: ignore[arg-type]
    await until(lambda: len(waits.waiting) == 1)
    clock.advance(4.0)
    assert waits.seconds(clock.monotonic()) == 4.0
    go_on.set()
    assert (await first, await second) == (True, True)
    assert waits.seconds(clock.monotonic()) == 2.0
    assert not waits.waiting
    workers.close()


def gauge(text: str, name: str) -> float | None:
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return next((sample.value for sample in samples if sample.name == name), None)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param("return 1500", 1500.0, id="a number"),
        pytest.param("return None", None, id="nothing at present"),
        pytest.param("return 'many'", None, id="no number"),
        pytest.param("raise RuntimeError('no')", None, id="an error"),
        pytest.param("", None, id="no such method"),
    ],
)
def test_tokens_of_a_class_of_ones_own(tmp_path: Path, body: str, tokens: float | None) -> None:
    """What it does not say rightly takes no other number with it."""
    method = f"    def tokens_in_flight(self):\n        {body}\n" if body else ""
    script = f"class Model:\n    def predict(self, instances):\n        return instances\n{method}"
    (tmp_path / "model.py").write_text(script)
    served = Served("m", Progress(FakeClock()))
    served.hold(Held(PythonClass().open(Files(tmp_path, ("model.py",)))))
    try:
        text = exposition(Models(served), Counters(), FakeClock())[0].decode()
    finally:
        sys.path.remove(str(tmp_path))
    assert gauge(text, "torpor_predictor_tokens_in_flight") == tokens
    assert gauge(text, "torpor_predictor_queue_wait_seconds") == 0.0
