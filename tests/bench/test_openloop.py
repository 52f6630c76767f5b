"""The sender that keeps to its rate: when requests are due, and what is made of when they were answered."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarks.openloop import Record, Step, due, percentile, request_for, send

REQUEST = request_for("app.test", "/", "", [])


def record(steps: list[Step], answered: dict[int, float]) -> Record:
    made = Record(steps)
    for number, at in answered.items():
        made.sent[number], made.answered[number] = made.due[number], at
    return made


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 4)), min_size=1, max_size=4))
def test_requests_are_due_evenly(steps: list[tuple[int, int]]) -> None:
    """As many as the steps say, each step in its time, none before the one before it."""
    times = list(due([Step(rate, seconds) for rate, seconds in steps]))
    assert len(times) == sum(rate * seconds for rate, seconds in steps)
    assert times == sorted(times)
    assert times[-1] < sum(seconds for _, seconds in steps)


@pytest.mark.parametrize("text", ["100", "x5", "0x5", "100x0", "-1x5", "axb"])
def test_what_is_no_step(text: str) -> None:
    """A step has a rate and a time, both more than nothing."""
    with pytest.raises(ValueError, match=r"step|could not convert"):
        Step.read(text)


@pytest.mark.parametrize(
    ("share", "value"),
    [pytest.param(0.5, 2, id="median"), pytest.param(0.99, 4, id="p99"), pytest.param(0.0, 1, id="least")],
)
def test_percentile(share: float, value: float) -> None:
    """A value that was seen, of which so many are not over."""
    assert percentile([4, 1, 3, 2], share) == value
    assert percentile([], share) is None


def test_after_the_wake() -> None:
    """Those who waited for the first answer are not counted, nor those who came while they were served."""
    steps = [Step(10, 1)]
    made = record(steps, {0: 0.55, 1: 0.56, 4: 0.75, 6: 0.7, 8: 0.9, 9: 1.0})
    assert made.wake() == (0.55, 0.75)
    awake = made.summary()["after_wake"]
    assert isinstance(awake, dict)
    assert (awake["requests"], awake["answered"]) == (2, 2)
    assert awake["p95_us"] == pytest.approx(100_000)


def test_never_awake() -> None:
    """Without any answer nothing is after the wake, and there are no figures."""
    made = record([Step(10, 1)], {})
    assert made.wake() == (math.inf, math.inf)
    assert made.summary()["p95_us"] is None


@contextlib.asynccontextmanager
async def serving(answer: bytes, delay_s: float = 0.0, most: int = 10**9) -> AsyncIterator[int]:
    """A server that answers so many requests, each after a while; gives its port."""
    left, tasks = most, set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        tasks.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n") and left:
                left -= 1
                await asyncio.sleep(delay_s)
                writer.write(answer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)


async def test_rate_is_kept_where_answers_are_slow() -> None:
    """Sixty requests a second to a server that takes 200 ms: a closed loop with one connection would send five."""
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0.2) as port:
        said = await send(port, REQUEST, [Step(60, 0.5)])
    assert (said["planned"], said["sent"], said["answered"], said["errors"]) == (30, 30, 30, 0)
    assert said["p50_us"] >= 200_000  # type: ignore[operator]


async def test_failures_are_counted_and_named() -> None:
    """An error of the server's is no answer, nor is a connection that it ends."""
    async with serving(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n") as port:
        said = await send(port, REQUEST, [Step(50, 0.2)])
    assert (said["answered"], said["failed"]) == (0, {"status 503": 10})
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", most=4) as port:
        said = await send(port, REQUEST, [Step(50, 0.2)], patience_s=1)
    assert said["answered"] == 4
    assert said["errors"] == 6
