"""A service asleep at zero loses nothing: bursts, cycles, clients that leave, pods that are killed."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import inference_service, knative_service
from tests.support.models import save_python_model

pytestmark = pytest.mark.e2e


@contextlib.contextmanager
def deployed(laptop: Laptop, obj: dict[str, Any]) -> Iterator[str]:
    """Apply an object, wait until it is ready, give its name, delete it."""
    kind, name = obj["kind"], obj["metadata"]["name"]
    resource = "isvc" if kind == "InferenceService" else "ksvc"
    laptop.apply(obj)
    try:
        laptop.wait_ready(resource, name)
        yield name
    finally:
        laptop.kubectl("delete", resource, name, "--wait=false")


@contextlib.asynccontextmanager
async def client(laptop: Laptop, name: str) -> Any:
    """An HTTP client without a limit of connections, whose requests go to one service."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{laptop.http_port}",
        headers=laptop.host(name),
        timeout=90,
        limits=httpx.Limits(max_connections=None),
    ) as http:
        yield http


def pods_of(laptop: Laptop, service: str) -> list[dict[str, Any]]:
    return laptop.list("pods", f"serving.knative.dev/service={service}")


async def test_200_requests_at_once_to_a_service_at_zero_are_all_answered_rightly(laptop: Laptop) -> None:
    """Each answer is its own request's; none is lost while the pods start."""
    save_python_model(laptop.data_dir / "volumes/default/models/doubler")
    obj = inference_service("doubler", "python", "pvc://models/doubler", predictor={"containerConcurrency": 10})
    with deployed(laptop, obj) as name:
        laptop.wait_zero(f"{name}-predictor")
        async with client(laptop, name) as http:

            async def ask(number: int) -> tuple[int, Any]:
                answer = await http.post(f"/v1/models/{name}:predict", json={"instances": [number]})
                return answer.status_code, answer.json()

            answers = await asyncio.gather(*(ask(number) for number in range(200)))
        assert answers == [(200, {"predictions": [number * 2]}) for number in range(200)]


@pytest.mark.timeout(300)
async def test_50_cycles_from_zero_to_one_and_back_lose_no_request(laptop: Laptop) -> None:
    """Ten services, five cycles each; half of them are asked again in the very moment their last pod is ending."""
    services = [knative_service(f"cycle-{number}") for number in range(10)]
    laptop.apply(*services)
    names = [each["metadata"]["name"] for each in services]
    for name in names:
        laptop.wait_ready("ksvc", name)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{laptop.http_port}", timeout=90) as http:

        async def cycle(name: str, ask_the_dying: bool) -> list[tuple[int, str]]:  # noqa: FBT001
            lost: list[tuple[int, str]] = []
            for _ in range(5):
                await asyncio.to_thread(_wait_scaled_down, laptop, name, gone=not ask_the_dying)
                asked = (http.get(f"/?n={number}", headers=laptop.host(name)) for number in range(3))
                answers = await asyncio.gather(*asked)
                lost += [(each.status_code, each.text) for each in answers if each.status_code != 200]
            return lost

        lost = await asyncio.gather(*(cycle(name, at % 2 == 0) for at, name in enumerate(names)))
    laptop.kubectl("delete", "ksvc", "--wait=false", *names)
    assert [each for cycles in lost for each in cycles] == []


def _wait_scaled_down(laptop: Laptop, name: str, *, gone: bool) -> None:
    """Until the Deployment asks for no pod, or, with `gone`, until there is none left."""
    selector = f"serving.knative.dev/service={name}"
    wait_for(lambda: laptop.replicas(selector) == 0, 90, f"{name} is told to go to zero", every_s=0.5)
    if gone:
        laptop.wait_zero(name)


async def test_a_client_that_hangs_up_while_queued_frees_its_place(laptop: Laptop) -> None:
    """Its request never reaches the pod, and those behind it are answered."""
    one = {"autoscaling.knative.dev/max-scale": "1"}  # five that wait may have more
    obj = knative_service("slow-start", concurrency=1, env={"START_SECONDS": "3"}, annotations=one)
    with deployed(laptop, obj) as name:
        laptop.wait_zero(name)
        async with client(laptop, name) as http:
            leaving = [asyncio.ensure_future(http.get(f"/?n=gone-{number}")) for number in range(5)]
            await asyncio.to_thread(wait_for, lambda: pods_of(laptop, name), 30, "a pod is started for them")
            staying = asyncio.ensure_future(http.get("/?n=stays"))
            for each in leaving:
                each.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            answer = await staying
            assert (answer.status_code, answer.json()["n"]) == (200, "stays")
        (pod,) = pods_of(laptop, name)
        log = laptop.kubectl("logs", pod["metadata"]["name"]).stdout
        assert "n=stays" in log
        assert "gone-" not in log


async def test_a_pod_killed_with_50_requests_in_flight_costs_those_and_no_other(laptop: Laptop) -> None:
    """They get a 502 that says why; 50 more that were queued behind them are answered by the pod's successor."""
    annotations = {"autoscaling.knative.dev/max-scale": "1"}
    with deployed(laptop, knative_service("mortal", concurrency=50, annotations=annotations)) as name:
        async with client(laptop, name) as http:
            victim = (await http.get("/?n=0")).json()["pid"]
            in_flight = [asyncio.ensure_future(http.get(f"/?n={number}&s=20")) for number in range(50)]
            (pod,) = pods_of(laptop, name)

            def all_arrived() -> bool:
                return laptop.kubectl("logs", pod["metadata"]["name"]).stdout.count("s=20") == 50

            await asyncio.to_thread(wait_for, all_arrived, 30, "50 requests are in flight", 0.1)
            queued = [asyncio.ensure_future(http.get(f"/?n={number}")) for number in range(50)]
            psutil.Process(victim).kill()
            failed = await asyncio.gather(*in_flight)
            answered = await asyncio.gather(*queued)
        assert collections.Counter(each.status_code for each in failed) == {502: 50}
        assert all(each.json()["reason"] == "UpstreamFailed" and each.json()["error"] for each in failed)
        assert collections.Counter(each.status_code for each in answered) == {200: 50}
        assert {each.json()["n"] for each in answered} == {str(number) for number in range(50)}
        successors = {each.json()["pid"] for each in answered}
        assert victim not in successors
        laptop.wait_ready("ksvc", name)


async def test_replicas_rise_under_load_and_no_pod_gets_more_than_its_concurrency(laptop: Laptop) -> None:
    """120 requests of half a second for pods that take four at once: three pods, and each is used."""
    with deployed(laptop, knative_service("grows", concurrency=4)) as name:
        async with client(laptop, name) as http:
            answers = await asyncio.gather(*(http.get(f"/?n={number}&s=0.5") for number in range(120)))
        assert {each.status_code for each in answered(answers)} == {200}
        assert len({each.json()["pid"] for each in answers}) == 3
        assert max(each.json()["most"] for each in answers) == 4, "all slots of a pod are used, and no more than those"


def answered(answers: list[httpx.Response]) -> list[httpx.Response]:
    """The answers, after a look at whether each is its own request's."""
    assert [each.json()["n"] for each in answers] == [str(number) for number in range(len(answers))]
    return answers
