"""Scaled by what pods report: asked for, summed up, and not guessed where it is not known."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.autoscaler.decide import Memory, Policy, Reason, Snapshot, decide
from activator.autoscaler.reported import FRESH_S, Reported, value_of
from activator.throttle.pod import Endpoint
from tests.activator.autoscaler.world import KEY, world
from tests.support.clock import FakeClock
from tests.support.until import until
from torpor.spec import names
from torpor.spec.autoscaling import Defaults, parse_scaling
from torpor.spec.kinds import REVISION
from torpor.spec.scalemetric import ScaleMetric, parse_scale_metric

TOKENS = parse_scale_metric("f", "tokens=1000")
WAIT = parse_scale_metric("f", "queue-wait=100ms")
PAGE = """# HELP torpor_predictor_tokens_in_flight Tokens.
# TYPE torpor_predictor_tokens_in_flight gauge
torpor_predictor_tokens_in_flight{model="m"} 1500.0
torpor_predictor_tokens_in_flight{model="n"} 250.0
# TYPE torpor_predictor_tokens_in_flight_before gauge
torpor_predictor_tokens_in_flight_before 9.0
"""


def test_the_series_of_a_gauge_are_summed_up() -> None:
    """And no others that begin like it."""
    assert value_of(PAGE, TOKENS.gauge, "p") == 1750.0


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("", id="nothing"),
        pytest.param("other 1\n", id="another"),
        pytest.param("torpor_predictor_tokens_in_flight NaN\n", id="nan"),
        pytest.param("torpor_predictor_tokens_in_flight +Inf\n", id="without end"),
        pytest.param("torpor_predictor_tokens_in_flight -1\n", id="less than nothing"),
        pytest.param("torpor_predictor_tokens_in_flight many\n", id="no number"),
        pytest.param("torpor_predictor_tokens_in_flight{model=\n", id="broken"),
    ],
)
def test_what_is_no_number_is_not_known(page: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the parser's own words differ
        value_of(page, TOKENS.gauge, "p")


class Page:
    """A pod's /metrics."""

    def __init__(self) -> None:
        self.value = "100"
        self.status = b"200 OK"
        self.asked = 0
        self.at = Endpoint("p", "u", "127.0.0.1", 0)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                body = f"{TOKENS.gauge} {self.value}\n".encode()
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (self.status, len(body), body))
                await writer.drain()


@contextlib.asynccontextmanager
async def page() -> AsyncIterator[Page]:
    made = Page()
    async with await asyncio.start_server(made.handle, "127.0.0.1", 0) as server:
        made.at = made.at._replace(port=server.sockets[0].getsockname()[1])
        yield made


async def test_all_pods_are_asked_and_one_that_does_not_tell_leaves_the_sum_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("activator.autoscaler.reported.PAUSE_S", 0.01)
    clock = FakeClock()
    async with page() as one, page() as other:
        reported = Reported(lambda _: [one.at, other.at], clock)
        assert reported.total(KEY, clock.monotonic()) is None
        asking = asyncio.create_task(reported.run())
        try:
            reported.want({KEY: TOKENS})
            await until(lambda: reported.total(KEY, clock.monotonic()) == 200)
            other.value = "50"
            await until(lambda: reported.total(KEY, clock.monotonic()) == 150)
            other.status = b"503 Service Unavailable"
            asked = other.asked
            await until(lambda: other.asked > asked + 1)
            assert reported.total(KEY, clock.monotonic() + FRESH_S) == 150
            assert reported.total(KEY, clock.monotonic() + FRESH_S + 0.1) is None
            reported.want({})
            assert reported.total(KEY, clock.monotonic()) is None
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


def policy(metric: ScaleMetric) -> Policy:
    return Policy(parse_scaling({}, concurrency=10), Defaults(), reported=metric)


@pytest.mark.parametrize(
    ("load", "ready", "waiting", "pods", "reason"),
    [
        pytest.param(1000.0, 1, 1, 1, Reason.STABLE, id="as much as one can take"),
        pytest.param(1001.0, 1, 1, 2, Reason.PANIC, id="a token more: twice the pods, at once"),
        pytest.param(3500.0, 3, 1, 4, Reason.STABLE, id="a little more than three can take"),
        pytest.param(0.0, 1, 3, 1, Reason.WAITING, id="no tokens, but requests"),
        pytest.param(None, 3, 3, 3, Reason.NO_DATA, id="not known"),
    ],
)
def test_decisions_by_tokens(load: float | None, ready: int, waiting: int, pods: int, reason: Reason) -> None:
    seen = Snapshot(1000.0, ready, ready, load, load, waiting, backlog=500)
    memory = Memory.begin(Snapshot(0.0, 1, 1, None, None), initialized=True)
    found = decide(policy(TOKENS), seen, memory)
    assert (found.pods, found.reason) == (pods, reason)


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.integers(1, 100))
def test_more_tokens_never_mean_fewer_pods(one: float, other: float, ready: int) -> None:
    less, more = sorted((one, other))
    memory = Memory.begin(Snapshot(0.0, ready, ready, None, None), initialized=True)
    found = [
        decide(policy(TOKENS), Snapshot(1000.0, ready, ready, load, load, 1), memory).pods for load in (less, more)
    ]
    assert found[0] <= found[1]


class Told:
    """Fits `Reported`; tests say what pods say."""

    def __init__(self, value: float | None) -> None:
        self.value = value
        self.wanted: dict[tuple[str, str], ScaleMetric] = {}

    def want(self, wanted: dict[tuple[str, str], ScaleMetric]) -> None:
        self.wanted = wanted

    def total(self, revision: tuple[str, str], now_s: float) -> float | None:
        del now_s
        return self.value if revision in self.wanted else None


async def test_from_zero_by_a_request_and_then_by_tokens() -> None:
    """One request with many tokens needs many pods; what is not known takes none away; with none left it sleeps."""
    told = Told(None)
    async with world(concurrency=10) as w:
        w.autoscaler._reported = told  # type: ignore[assignment]
        w.deploy(0, window="6s")
        annotations = {names.SCALE_METRIC: "tokens=1000", "autoscaling.knative.dev/window": "6s"}
        w.cluster.change(REVISION, KEY[1], KEY[0], {"metadata": {"annotations": annotations}})
        await w.arrive(1)
        assert w.replicas == 1
        await w.pass_seconds(6)
        assert told.wanted == {KEY: TOKENS}
        told.value = 3500.0
        await w.pass_seconds(4)
        assert w.replicas == 4
        told.value = None
        await w.pass_seconds(60)
        assert w.replicas == 4
        assert any("tokens 3500.00" in message for _, message in w.events)
        told.value = 0.0
        w.finish()
        await w.until_replicas(0)


async def test_no_wait_takes_pods_away_slowly_and_not_to_zero_under_load() -> None:
    """A wait says nothing of how much room is left, so the last seconds of those who are served count too."""
    told = Told(0.8)
    async with world(concurrency=10) as w:
        w.autoscaler._reported = told  # type: ignore[assignment]
        w.deploy(1)
        annotations = {names.SCALE_METRIC: "queue-wait=100ms", "autoscaling.knative.dev/window": "6s"}
        w.cluster.change(REVISION, KEY[1], KEY[0], {"metadata": {"annotations": annotations}})
        await w.arrive(5)
        await w.until_replicas(8)
        told.value = 0.0
        await w.pass_seconds(100)
        assert w.replicas == 1
        w.finish()
        await w.until_replicas(0)
