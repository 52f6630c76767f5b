"""Requests over a socket become batches: each gets its own answer, and what happens to one happens to no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from predictor.batching.batcher import Batcher
from predictor.batching.options import Batching, QueuePolicy
from predictor.loading.held import Held
from predictor.loading.progress import Progress
from predictor.served import Served
from tests.predictor.endpoints.pod import Gate, Pod, running
from tests.support.clock import FakeClock
from tests.support.until import until

BATCHING = Batching(max_size=4, levels=2, default_level=2, policy=QueuePolicy(max_size=6))


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    async with running(batching=BATCHING) as made:
        yield made


def body(*rows: Sequence[float], datatype: str = "FP64", **parameters: Any) -> dict[str, Any]:
    data = [each for row in rows for each in row]
    tensor = {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": datatype, "data": data}
    return {"inputs": [tensor], "parameters": parameters}


def infer(pod: Pod, *rows: Sequence[float], **options: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(pod.http.post("/v2/models/m/infer", json=body(*rows, **options)))


def predict(pod: Pod, *instances: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(pod.http.post("/v1/models/m:predict", json={"instances": instances}))


def batcher(pod: Pod) -> Batcher:
    assert pod.served.held is not None
    assert pod.served.held.batcher is not None
    return pod.served.held.batcher


async def held_up(pod: Pod) -> tuple[Gate, asyncio.Task[httpx.Response]]:
    """Have the model at work on one request, so that all others wait."""
    gate = Gate()
    pod.model.before = gate
    first = infer(pod, [0, 0])
    await gate.someone_waits()
    return gate, first


async def waiting(pod: Pod, count: int) -> None:
    await until(lambda: batcher(pod).waiting == count)


async def test_who_comes_meanwhile_is_one_batch(pod: Pod) -> None:
    """At most `max_size` rows; each gets its own rows back, by V2 and V1."""
    gate, first = await held_up(pod)
    tasks = []
    for number in range(1, 4):
        tasks.append(infer(pod, [number, number], [number, -number]))
        await waiting(pod, number)
    gate.opened.set()
    for number, task in enumerate(tasks, 1):
        doubled = (await task).json()["outputs"][0]
        assert (doubled["shape"], doubled["data"]) == ([2, 2], [2 * number] * 3 + [-2 * number])
    assert (await first).json()["outputs"][0]["data"] == [0, 0]
    assert [len(each) for each in pod.model.computed] == [1, 4, 2]
    stats = (await pod.http.get("/v2/models/m/stats")).json()["model_stats"][0]
    assert (stats["inference_count"], stats["execution_count"]) == (7, 3)
    assert [each["batch_size"] for each in stats["batch_stats"]] == [1, 2, 4]


async def test_metrics_by_our_names_and_tritons(pod: Pod) -> None:
    """Requests, rows, executions, who waits, failures by their reason, batches by size."""
    gate, first = await held_up(pod)
    late = await infer(pod, [1, 1], timeout=1000)
    tasks = [infer(pod, [number, 0], [0, number]) for number in range(2)]
    await waiting(pod, 2)
    numbers = await metrics(pod)
    labels = 'model="m",version="1"'
    assert numbers[f"torpor_predictor_model_waiting{{{labels}}}"] == 2
    assert numbers[f"nv_inference_pending_request_count{{{labels}}}"] == 2
    gate.opened.set()
    await asyncio.gather(first, *tasks)
    assert late.status_code == 504
    numbers = await metrics(pod)
    for ours, tritons, value in (
        ("model_requests_total", "request_success", 3),
        ("model_inferences_total", "count", 5),
        ("model_executions_total", "exec_count", 2),
    ):
        assert numbers[f"torpor_predictor_{ours}{{{labels}}}"] == value
        assert numbers[f"nv_inference_{tritons}{{{labels}}}"] == value
    assert numbers['torpor_predictor_model_failures_total{model="m",reason="REJECTED",version="1"}'] == 1
    assert numbers['nv_inference_request_failure{model="m",reason="REJECTED",version="1"}'] == 1
    assert numbers[f'torpor_predictor_model_batch_rows_bucket{{le="2",{labels}}}'] == 1
    assert numbers[f'torpor_predictor_model_batch_rows_bucket{{le="4",{labels}}}'] == 2
    seconds = numbers['torpor_predictor_model_seconds_total{model="m",part="queue",version="1"}']
    assert seconds == pytest.approx(numbers[f"nv_inference_queue_duration_us{{{labels}}}"] / 1e6, abs=1e-5)
    assert seconds > 0


async def metrics(pod: Pod) -> dict[str, float]:
    lines = (await pod.http.get("/metrics")).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


async def test_v1_and_v2_are_not_mixed(pod: Pod) -> None:
    """Nor what has other types."""
    gate, first = await held_up(pod)
    tasks = [predict(pod, 1, 2), infer(pod, [1, 1], datatype="FP32"), predict(pod, 3), infer(pod, [2, 2])]
    await waiting(pod, 4)
    gate.opened.set()
    answers = [(await task).json() for task in tasks]
    assert [answers[0]["predictions"], answers[2]["predictions"]] == [[2, 4], [6]]
    assert [answers[index]["outputs"][0]["datatype"] for index in (1, 3)] == ["FP32", "FP64"]
    await first
    assert {1, 2, 3} in [set(each) for each in pod.model.computed if isinstance(each[0], int)]
    assert len(pod.model.computed) == 4


async def test_a_bad_request_fails_alone(pod: Pod) -> None:
    """The others of its batch are answered; what its own failure was is said to it."""
    gate, first = await held_up(pod)
    tasks = [predict(pod, 1), predict(pod, None), predict(pod, 3)]  # nothing is twice None
    await waiting(pod, 3)
    gate.opened.set()
    answers = [await task for task in tasks]
    assert [each.status_code for each in answers] == [200, 500, 200]
    assert answers[2].json()["predictions"] == [6]
    await first


async def test_sys_exit_of_a_model_ends_no_thread(pod: Pod) -> None:
    gate, first = await held_up(pod)
    tasks = [infer(pod, [1, 1]), infer(pod, [2, 2])]
    await waiting(pod, 2)

    def leave() -> None:
        raise SystemExit(3)

    pod.model.before = leave
    gate.opened.set()
    for task in tasks:
        answer = await task
        assert (answer.status_code, answer.json()["error"]) == (500, "the model raised SystemExit")
    await first
    pod.model.before = lambda: None
    assert (await infer(pod, [3, 3])).status_code == 200


async def test_a_model_that_gives_too_little_is_asked_for_each(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then everybody has an answer that is his own."""
    gate, first = await held_up(pod)
    double = type(pod.model).predict
    monkeypatch.setattr(type(pod.model), "predict", lambda self, instances: double(self, instances)[:1])
    tasks = [predict(pod, 1), predict(pod, 2)]
    await waiting(pod, 2)
    gate.opened.set()
    assert [(await task).json()["predictions"] for task in tasks] == [[2], [4]]
    await first


async def test_time_to_wait(pod: Pod) -> None:
    """It ends while the model is at work on somebody else, and not the request that is being computed."""
    gate, first = await held_up(pod)
    late = await infer(pod, [1, 1], timeout=20_000)
    assert late.status_code == 504
    assert late.json()["error"] == "the request waited 20 ms for the model, which is all that it may"
    assert not first.done()
    patient = infer(pod, [2, 2], timeout=30_000_000)
    await waiting(pod, 1)
    gate.opened.set()
    assert (await patient).status_code == 200
    assert (await first).status_code == 200
    assert [len(each) for each in pod.model.computed] == [1, 1]
    assert pod.served.statistics.failures == {"REJECTED": 1}


async def test_time_to_wait_for_a_thread() -> None:
    """The model is idle, and all threads are at work for others: that is waiting too."""
    async with running(threads=1, batching=BATCHING) as pod:
        gate = Gate()
        pod.model.before = gate
        other = Served("other", Progress(FakeClock()))
        other.hold(Held(pod.model))
        pod.models.add(other)
        busy = asyncio.create_task(pod.http.post("/v1/models/other:predict", json={"instances": [1]}))
        await gate.someone_waits()
        late = await infer(pod, [1, 1], timeout=20_000)
        assert (late.status_code, late.json()["reason"]) == (504, "DeadlineExceeded")
        gate.opened.set()
        assert (await busy).status_code == 200
        assert (await infer(pod, [1, 1], timeout=20_000_000)).status_code == 200


async def test_whoever_leaves_is_not_computed(pod: Pod) -> None:
    gate, first = await held_up(pod)
    _, writer = await pod.connect()
    content = json.dumps(body([5, 5])).encode()
    writer.write(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    await waiting(pod, 1)
    writer.close()
    await waiting(pod, 0)
    gate.opened.set()
    await first
    assert pod.model.computed == [[[0, 0]]]


async def test_the_queue_is_bounded(pod: Pod) -> None:
    gate, first = await held_up(pod)
    tasks = [infer(pod, [number, 0]) for number in range(6)]
    await waiting(pod, 6)
    refused = await infer(pod, [7, 7])
    assert (refused.status_code, refused.json()["reason"]) == (503, "QueueFull")
    # Another level has places of its own.
    urgent = infer(pod, [8, 8], priority=1)
    await waiting(pod, 7)
    gate.opened.set()
    assert {(await task).status_code for task in (first, urgent, *tasks)} == {200}


async def test_who_is_more_important_is_first(pod: Pod) -> None:
    gate, first = await held_up(pod)
    tasks = []
    for number in range(1, 5):
        tasks.append(infer(pod, [number, 0]))
        await waiting(pod, number)
    tasks.append(infer(pod, [9, 0], priority=1))
    await waiting(pod, 5)
    gate.opened.set()
    await asyncio.gather(first, *tasks)
    assert [row[0] for row in pod.model.computed[1]] == [9, 1, 2, 3]
    assert [row[0] for row in pod.model.computed[2]] == [4]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"priority": -1}, "parameters.priority"),
        ({"timeout": 1.5}, "parameters.timeout"),
        ({"timeout": "soon"}, "time"),
    ],
)
async def test_wishes_that_are_none(pod: Pod, parameters: dict[str, Any], field: str) -> None:
    """Whether it would wait or not."""
    lone = await infer(pod, [1, 1], **parameters)
    gate, first = await held_up(pod)
    for answer in (lone, await infer(pod, [1, 1], **parameters)):
        assert answer.status_code == 400
        assert field in answer.json()["error"]
    gate.opened.set()
    assert (await first).status_code == 200


async def test_at_the_end_whoever_waits_is_answered() -> None:
    """SIGTERM comes while one is computed and others wait: all of them are answered, by HTTP and by the long way."""
    async with running(batching=BATCHING) as pod:
        gate, first = await held_up(pod)
        tasks = [infer(pod, [number, number]) for number in range(1, 5)]
        long = asyncio.create_task(pod.http.post("/v2/models/m/infer?long", json=body([9, 9])))
        await waiting(pod, 5)
        pod.server.end()
        gate.opened.set()
        answers = [await task for task in (first, *tasks, long)]
        assert [each.status_code for each in answers] == [200] * 6
        assert [each.json()["outputs"][0]["data"][0] for each in answers] == [0, 2, 4, 6, 8, 18]


async def test_a_batch_may_be_waited_for() -> None:
    """With a delay an idle model waits for a preferred size, and no longer once it is there."""
    async with running(batching=Batching(max_size=8, preferred=(2,), delay_s=20)) as pod:
        first = infer(pod, [1, 1])
        await until(lambda: pod.served.held is not None and pod.served.held.batcher is not None)
        await waiting(pod, 1)
        assert not first.done()
        second = infer(pod, [2, 2])
        assert {(await task).status_code for task in (first, second)} == {200}
        assert [len(each) for each in pod.model.computed] == [2]


async def test_a_delay_ends() -> None:
    async with running(batching=Batching(max_size=8, delay_s=0.02)) as pod:
        assert (await infer(pod, [1, 1])).status_code == 200


async def test_so_many_instances_at_once() -> None:
    """Two executions, and the third waits; answers in the order of their beginning where that is kept."""
    async with running(threads=3, batching=Batching(max_size=1, instances=2, keeps_order=True)) as pod:
        gates, order = [Gate(), Gate()], iter(range(9))

        def before() -> None:
            number = next(order)
            if number < 2:
                gates[number]()

        pod.model.before = before
        tasks = [infer(pod, [1, 0])]
        await gates[0].someone_waits()
        tasks.append(infer(pod, [2, 0]))
        await gates[1].someone_waits()
        tasks.append(infer(pod, [3, 0]))
        await waiting(pod, 1)
        gates[1].opened.set()
        await until(lambda: len(pod.model.computed) == 2)  # the second, then the third
        assert not any(task.done() for task in tasks)
        gates[0].opened.set()
        assert {(await task).status_code for task in tasks} == {200}


async def test_no_workers_at_all(pod: Pod) -> None:
    """Who waits is told when the last one is taken away, and who comes later at once."""
    gate, first = await held_up(pod)
    task = infer(pod, [1, 1])
    await waiting(pod, 1)
    pod.served.turns.resize(0)
    assert (await task).status_code == 503
    assert (await infer(pod, [1, 1])).status_code == 503
    gate.opened.set()
    assert (await first).status_code == 200
    pod.served.turns.resize(1)
    assert (await infer(pod, [1, 1])).status_code == 200


async def test_a_lone_brief_request_waits_for_no_thread() -> None:
    """Once the model is known to be brief, it is computed on the loop."""
    async with running(batching=BATCHING, inline=True) as pod:
        for number in range(2000):  # as many in a row as are brief: the machine has other things to do
            assert (await infer(pod, [number, 0])).status_code == 200
            if pod.served.pace.is_brief(100):
                break
        assert pod.served.pace.is_brief(100)
        threads_before = pod.served.statistics.executions
        assert (await infer(pod, [1, 1])).json()["outputs"][0]["data"] == [2, 2]
        assert pod.served.statistics.executions == threads_before + 1
        assert batcher(pod).is_idle
