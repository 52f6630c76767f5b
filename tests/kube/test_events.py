"""Events: written without making anyone wait, counted instead of repeated."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.cluster import FakeCluster
from tests.support.until import until
from torpor import errors
from torpor.kube import Recorder
from torpor.kube.events import WAITING_LIMIT
from torpor.spec.kinds import EVENT, Object

ABOUT: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
}


@contextlib.asynccontextmanager
async def recording(cluster: FakeCluster) -> AsyncIterator[Recorder]:
    recorder = Recorder(cluster, "tester")  # type: ignore[arg-type]
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_an_event_says_about_whom_what_and_by_whom() -> None:
    """All that `kubectl describe` shows is there."""
    cluster = FakeCluster()
    async with recording(cluster) as recorder:
        recorder.emit(ABOUT, "Warning", "Reason", "what happened")
        await until(lambda: cluster.all(EVENT))
    [event] = cluster.all(EVENT)
    assert event["metadata"]["namespace"] == "ns"
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "d",
        "namespace": "ns",
        "uid": "u",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Reason", "what happened")
    assert (event["source"], event["count"]) == ({"component": "tester"}, 1)


async def test_the_same_again_is_counted() -> None:
    """Three times the same is one event with count three; another message is another event."""
    cluster = FakeCluster()
    async with recording(cluster) as recorder:
        for message in ("same", "same", "other", "same"):
            recorder.emit(ABOUT, "Normal", "Reason", message)
        await until(lambda: [event["count"] for event in cluster.all(EVENT)] == [3, 1])


async def test_an_event_that_aged_out_is_written_anew() -> None:
    """The API drops events after an hour; the next one of its kind begins at one again."""
    cluster = FakeCluster()
    async with recording(cluster) as recorder:
        recorder.emit(ABOUT, "Normal", "Reason", "same")
        await until(lambda: cluster.all(EVENT))
        cluster.remove(EVENT, cluster.all(EVENT)[0]["metadata"]["name"], "ns")
        recorder.emit(ABOUT, "Normal", "Reason", "same")
        await until(lambda: [event["count"] for event in cluster.all(EVENT)] == [1])


async def test_an_api_that_is_down_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An event is lost, with a line in the log; those after it are written."""
    caplog.set_level("INFO")
    cluster = FakeCluster()
    async with recording(cluster) as recorder:
        recorder.emit(ABOUT, "Normal", "Reason", "same")
        await until(lambda: cluster.all(EVENT))

        def refuse() -> None:
            cluster.before_patch = None
            raise errors.UnavailableError("down")

        cluster.before_patch = refuse
        recorder.emit(ABOUT, "Normal", "Reason", "same")
        recorder.emit(ABOUT, "Normal", "Reason", "another")
        await until(lambda: len(cluster.all(EVENT)) == 2)
    assert "not written: down" in caplog.text


async def test_emit_never_blocks_and_keeps_the_newest() -> None:
    """With nobody writing, memory is bounded and the oldest are dropped."""
    cluster = FakeCluster()
    recorder = Recorder(cluster, "tester")  # type: ignore[arg-type]
    for number in range(WAITING_LIMIT + 5):
        recorder.emit(ABOUT, "Normal", "Reason", f"{number:05}")
    task = asyncio.create_task(recorder.run())
    await until(lambda: len(cluster.all(EVENT)) == WAITING_LIMIT)
    assert min(event["message"] for event in cluster.all(EVENT)) == "00005"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_long_messages_and_names_fit_the_api() -> None:
    """The API refuses messages over 1024 characters and names over 253."""
    cluster = FakeCluster()
    async with recording(cluster) as recorder:
        recorder.emit({"metadata": {"name": "n" * 253}}, "Normal", "Reason", "m" * 5000)
        await until(lambda: cluster.all(EVENT))
    [event] = cluster.all(EVENT)
    assert len(event["message"]) == 1024
    assert len(event["metadata"]["name"]) <= 253
    assert event["metadata"]["namespace"] == "default"
