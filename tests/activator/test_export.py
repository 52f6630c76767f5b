"""The hot path's plain numbers, as metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from activator.export import DoorCollector
from activator.throttle.line import Ticket
from tests.activator.proxy.doorway import NAMESPACE, doorway
from tests.activator.throttle.revision import Client


def samples(collector: DoorCollector) -> dict[tuple[str, ...], float]:
    """Return what somebody who scrapes reads, by name, namespace, revision, and what else it is divided by."""
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    order = ("namespace", "revision", "code_class", "le")
    return {
        (sample.name, *(sample.labels[name] for name in order if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_numbers_of_revisions_with_requests_or_pods_are_shown() -> None:
    """A revision that sleeps has no series: ten thousand of them would be megabytes."""
    async with doorway() as made:
        made.revise("asleep")
        made.revise("app", concurrency=1)
        throttler = made.throttler("app")
        waiting = Client(0.0, Ticket(size=7))
        place = made.door.shelf.open(NAMESPACE, 0.0)
        place.keep(9)
        throttler.enter(waiting, made.door.clock.monotonic())
        counters = throttler.counters
        counters.codes[2] = 3
        counters.codes[5] = 1
        counters.retries = 2
        counters.upstream_errors = 1
        counters.disconnects = 4
        for value in (0.001, 0.002, 400.0):
            counters.durations.add(value)
        made.door.codes[4] = 5
        shown = samples(DoorCollector(made.door))
        throttler.cancel(waiting, made.door.clock.monotonic())
        made.door.shelf.drop(place)
    of = (NAMESPACE, "app")
    prefix = "torpor_activator_"
    assert shown[f"{prefix}requests_total", *of, "2xx"] == 3
    assert shown[f"{prefix}requests_total", *of, "5xx"] == 1
    assert shown[f"{prefix}requests_total", "", "", "4xx"] == 5
    assert shown[f"{prefix}requests_queued", *of] == 1
    assert shown[f"{prefix}requests_in_flight", *of] == 0
    assert shown[f"{prefix}queued_bytes", *of] == 7
    assert shown[f"{prefix}deferred_requests",] == 1
    assert shown[f"{prefix}deferred_bytes",] == 9
    assert shown[f"{prefix}retries_total", *of] == 2
    assert shown[f"{prefix}upstream_errors_total", *of] == 1
    assert shown[f"{prefix}client_disconnects_total", *of] == 4
    assert shown[f"{prefix}connections",] == 0
    assert not [key for key in shown if "asleep" in key]


async def test_a_histogram_adds_up() -> None:
    """Each bucket holds those before it; a value on a bound is within it; the last one holds all."""
    async with doorway() as made:
        made.revise("app", concurrency=1)
        counters = made.throttler("app").counters
        counters.codes[2] = 1
        for value in (0.001, 0.002, 0.3, 400.0):
            counters.durations.add(value)
        shown = samples(DoorCollector(made.door))
    name = "torpor_activator_request_duration_seconds"
    of = (NAMESPACE, "app")
    assert shown[f"{name}_bucket", *of, "0.001"] == 1
    assert shown[f"{name}_bucket", *of, "0.0025"] == 2
    assert shown[f"{name}_bucket", *of, "0.25"] == 2
    assert shown[f"{name}_bucket", *of, "300.0"] == 3
    assert shown[f"{name}_bucket", *of, "+Inf"] == shown[f"{name}_count", *of] == 4
    assert shown[f"{name}_sum", *of] == 400.303
