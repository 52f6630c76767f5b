"""Sequences: one request after the other, with what was kept; others meanwhile; beginnings, ends, idleness, crowds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.batching.sequences import Sequences
from predictor.batching.sequencing import Control, Kind, Sequencing, State
from predictor.calls import Call, Infer
from tests.support.until import until
from torpor.errors import InvalidInputError, ModelError, QueueFullError
from torpor.protocol.inference import InferRequest
from torpor.protocol.tensors import Tensor

SEQUENCING = Sequencing(
    most=2,
    idle_s=60,
    controls=(
        Control("start", Kind.START, "INT32"),
        Control("ready", Kind.READY, "BOOL", false=False, true=True),
        Control("end", Kind.END, "FP32", 0.0, 1.0),
        Control("id", Kind.CORRID, "UINT64"),
    ),
    states=(State("before", "after", "FP64", (1,)),),
)


def call(value: float, id_: Any = 7, *, start: bool = False, end: bool = False, name: str = "x") -> Infer:
    parameters = {"sequence_id": id_, "sequence_start": start, "sequence_end": end, "top": 1}
    return Infer(InferRequest((Tensor(name, np.array([[value]])),), parameters=parameters))


class Sums:
    """Adds to what was kept; says what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def __call__(self, asked: Call) -> Sequence[Tensor]:
        assert isinstance(asked, Infer)
        given = {each.name: each.array for each in asked.request.inputs}
        self.told.append({name: array.ravel()[0].item() for name, array in given.items()})
        await self.gate.wait()
        if self.fails:
            raise ModelError("it failed")
        total = given["before"] + given["x"]
        return [Tensor("y", total), Tensor("after", total)]


async def total(sequences: Sequences, asked: Infer, ask: Sums) -> float:
    (answer,) = await sequences.answer(asked, ask)
    assert answer.name == "y"
    return float(answer.array.item())


async def test_what_is_kept_and_what_is_said() -> None:
    """From start to end; a second start begins anew; the client's own parameters go on, the sequence's do not."""
    sequences, ask = Sequences(SEQUENCING), Sums()
    assert await total(sequences, call(1, start=True), ask) == 1
    assert await total(sequences, call(2), ask) == 3
    assert await total(sequences, call(5, start=True), ask) == 5
    assert await total(sequences, call(1, end=True), ask) == 6
    assert len(sequences) == 0
    assert [each["start"] for each in ask.told] == [1, 0, 1, 0]
    assert [each["end"] for each in ask.told] == [0, 0, 0, 1]
    assert {each["id"] for each in ask.told} == {7}
    assert {each["ready"] for each in ask.told} == {True}
    with pytest.raises(InvalidInputError, match="sequence_id: 7 is not allowed; the first request"):
        await total(sequences, call(1), ask)


async def test_one_of_a_sequence_at_a_time() -> None:
    """In order of arrival, however long the first takes; of another sequence at once."""
    sequences, ask = Sequences(SEQUENCING), Sums()
    ask.gate.clear()
    tasks = [asyncio.create_task(total(sequences, call(number, start=number == 1), ask)) for number in (1, 10, 100)]
    other = asyncio.create_task(total(sequences, call(5, 8, start=True), ask))
    await until(lambda: len(ask.told) == 2)
    assert len(sequences) == 2
    ask.gate.set()
    assert [await task for task in (*tasks, other)] == [1, 11, 111, 5]


async def test_an_id_that_the_model_cannot_have() -> None:
    """A text, where it takes numbers: said to the client, and the sequence has not begun."""
    sequences, ask = Sequences(SEQUENCING), Sums()
    with pytest.raises(InvalidInputError, match="sequence_id: 'b' is not allowed; this model takes whole numbers up"):
        await total(sequences, call(5, "b", start=True, end=True), ask)
    assert (len(sequences), ask.told) == (0, [])


async def test_a_failure_changes_nothing_that_was_kept() -> None:
    sequences, ask = Sequences(SEQUENCING), Sums()
    await total(sequences, call(1, start=True), ask)
    ask.fails = True
    with pytest.raises(ModelError):
        await total(sequences, call(10), ask)
    ask.fails = False
    assert await total(sequences, call(2), ask) == 3


async def test_a_start_that_fails_or_leaves_begins_nothing() -> None:
    """Those behind it learn so, instead of going on from nowhere."""
    sequences, ask = Sequences(SEQUENCING), Sums()
    ask.fails = True
    with pytest.raises(ModelError):
        await total(sequences, call(1, start=True), ask)
    ask.fails = False
    with pytest.raises(InvalidInputError, match="the first request"):
        await total(sequences, call(2), ask)
    for id_ in (1, 2):
        await total(sequences, call(1, id_, start=True), ask)
    leaving = asyncio.create_task(total(sequences, call(1, start=True), ask))
    behind = asyncio.create_task(total(sequences, call(2), ask))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(InvalidInputError, match="the first request"):
        await behind
    assert len(sequences) == 2


async def test_a_sequence_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictor.batching.sequences.MOST_REQUESTS", 2)
    sequences, ask = Sequences(SEQUENCING), Sums()
    ask.gate.clear()
    tasks = [asyncio.create_task(total(sequences, call(1, start=True), ask)) for _ in range(2)]
    await until(lambda: len(ask.told) == 1)
    with pytest.raises(QueueFullError, match="2 requests of this sequence"):
        await total(sequences, call(1), ask)
    ask.gate.set()
    assert await asyncio.gather(*tasks) == [1, 1]


async def test_more_sequences_than_there_may_be() -> None:
    """They wait until one ends, in order; one whose client leaves gives its place to the next."""
    sequences, ask = Sequences(SEQUENCING), Sums()
    for id_ in (1, 2):
        await total(sequences, call(1, id_, start=True), ask)
    third, leaving, fourth = [
        asyncio.create_task(total(sequences, call(id_, id_, start=True, end=id_ == 3), ask)) for id_ in (3, 4, 5)
    ]
    await asyncio.sleep(0)
    assert not any(task.done() for task in (third, leaving, fourth))
    leaving.cancel()
    await total(sequences, call(1, 1, end=True), ask)
    assert [await third, await fourth] == [3, 5]
    assert len(sequences) == 2


async def test_an_idle_sequence_is_over() -> None:
    sequences, ask = Sequences(replace(SEQUENCING, idle_s=0.01)), Sums()
    await total(sequences, call(1, start=True), ask)
    await until(lambda: len(sequences) == 0)
    with pytest.raises(InvalidInputError, match="idle for too long"):
        await total(sequences, call(1), ask)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (call(1, None), "parameters.sequence_id: None is not allowed; this model is stateful"),
        (call(1, 0), "parameters.sequence_id: 0"),
        (call(1, id_=True), "parameters.sequence_id: True"),
        (call(1, "x" * 129), "parameters.sequence_id"),
        (call(1, start=1), "parameters.sequence_start: 1 is not allowed; use true or false"),  # type: ignore[arg-type]
        (call(1, start=True, name="before"), "inputs: 'before' is not allowed; this input is made by the server"),
        (Infer(InferRequest((Tensor("x", np.ones((2, 1))),), parameters={"sequence_id": 1})), r"x.shape: \[2, 1\]"),
    ],
)
async def test_what_is_refused(asked: Infer, says: str) -> None:
    sequences = Sequences(SEQUENCING)
    with pytest.raises(InvalidInputError, match=says):
        await total(sequences, asked, Sums())
    assert len(sequences) == 0


async def test_a_model_that_gives_no_state() -> None:
    async def ask(_: Call) -> Sequence[Tensor]:
        return [Tensor("y", np.ones((1, 1)))]

    with pytest.raises(ModelError, match="no output 'after'"):
        await Sequences(SEQUENCING).answer(call(1, start=True), ask)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(-5, 5), st.booleans()), min_size=1, max_size=20),
    st.integers(1, 3),
)
def test_any_interleaving_adds_up(requests: list[tuple[int, int, bool]], most: int) -> None:
    """Each sequence has its own sums, whatever the others do, and however few may be at work at once."""

    async def play() -> None:
        sequences, ask = Sequences(replace(SEQUENCING, most=most)), Sums()
        expected: dict[int, list[float]] = {}
        tasks: dict[int, list[asyncio.Task[float]]] = {}
        last = {id_: index for index, (id_, _, _) in enumerate(requests)}
        for index, (id_, value, starts) in enumerate(requests):
            sums = expected.setdefault(id_, [])
            begins = starts or not sums
            sums.append(value + (0 if begins else sums[-1]))
            asked = call(value, id_, start=begins, end=last[id_] == index)
            tasks.setdefault(id_, []).append(asyncio.create_task(total(sequences, asked, ask)))
            await asyncio.sleep(0)
        for id_, each in tasks.items():
            assert await asyncio.gather(*each) == expected[id_]
        assert len(sequences) == 0

    async def in_time() -> None:
        async with asyncio.timeout(20):
            await play()

    asyncio.run(in_time())
