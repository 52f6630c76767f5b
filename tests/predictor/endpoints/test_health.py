"""Health, progress, metadata and metrics: from the first moment, and as the load goes on."""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from predictor.endpoints.v2 import EXTENSIONS
from tests.predictor.endpoints.pod import Pod, running
from torpor.cli.timeline import parse_progress
from torpor.errors import LoadError

pytestmark = pytest.mark.asyncio(loop_scope="module")

READY = [
    pytest.param("/readyz", {"status": "ready"}, id="Kubernetes"),
    pytest.param("/v1/models/m", {"name": "m", "ready": True}, id="v1 model"),
    pytest.param("/v2/health/ready", {"ready": True}, id="v2 server"),
    pytest.param("/v2/models/m/ready", {"name": "m", "ready": True}, id="v2 model"),
    pytest.param("/v2/models/m/versions/1/ready", {"name": "m", "ready": True}, id="v2 version"),
]


@pytest.mark.parametrize(("path", "answer"), READY)
async def test_ready_only_when_the_model_is_warm(loading: Pod, path: str, answer: object) -> None:
    """503 with Retry-After before, 200 after."""
    before = await loading.http.get(path)
    assert (before.status_code, before.json()["reason"]) == (503, "Unavailable")
    assert "retry-after" in before.headers
    loading.loaded()
    after = await loading.http.get(path)
    assert (after.status_code, after.json()) == (200, answer)


@pytest.mark.parametrize(("path", "answer"), READY)
async def test_a_load_that_failed_is_told_with_its_reason(loading: Pod, path: str, answer: object) -> None:
    """For as long as the process still lives."""
    loading.progress.failed(LoadError("fetch", "no such bucket"))
    told = await loading.http.get(path)
    assert (told.status_code, told.json()) == (
        503,
        {"error": "fetch: no such bucket", "reason": "ModelLoadFailed"},
    )


async def test_not_ready_while_it_ends(pod: Pod) -> None:
    """Kubernetes sends no more; what is here is still answered."""
    pod.models.is_ending = True
    assert (await pod.http.get("/readyz")).status_code == 503
    assert (await pod.http.post("/v1/models/m:predict", json={"instances": [1]})).status_code == 200


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        pytest.param("/", {"status": "alive"}, id="KServe's"),
        pytest.param("/healthz", {"status": "alive"}, id="Kubernetes'"),
        pytest.param("/v2/health/live", {"live": True}, id="v2"),
        pytest.param("/v1/models", {"models": ["m"]}, id="v1 list"),
        pytest.param("/v2/models", {"models": ["m"]}, id="v2 list"),
        pytest.param("/v2", {"name": "torpor", "version": "0.1.0", "extensions": list(EXTENSIONS)}, id="v2 server"),
    ],
)
async def test_what_needs_no_model_is_answered_while_it_loads(loading: Pod, path: str, answer: object) -> None:
    """By GET and by HEAD."""
    told = await loading.http.get(path)
    assert (told.status_code, told.json()) == (200, answer)
    assert (await loading.http.head(path)).status_code == 200


@pytest.mark.parametrize("path", ["/v2/models/m", "/v2/models/m/versions/1"])
async def test_metadata_is_the_models_signature(pod: Pod, path: str) -> None:
    """-1 is any length."""
    assert (await pod.http.get(path)).json() == {
        "name": "m",
        "versions": ["1"],
        "platform": "test_doubler",
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}],
        "outputs": [
            {"name": "double", "datatype": "FP64", "shape": [-1, 2]},
            {"name": "negative", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }


async def test_metadata_of_a_model_that_loads_is_503(loading: Pod) -> None:
    """It is known only when the model is open."""
    assert (await loading.http.get("/v2/models/m")).status_code == 503


async def test_progress_is_json(loading: Pod) -> None:
    """As the `torpor` command reads it."""
    loading.progress.listening()
    with loading.progress.stage("fetch"):
        progress = parse_progress((await loading.http.get("/progress")).json())
    assert (progress.state, [stage.name for stage in progress.stages]) == ("loading", ["fetch"])
    assert progress.listening_at is not None


async def following(response: httpx.Response, states: asyncio.Queue[str]) -> None:
    async for line in response.aiter_lines():
        if line:
            assert line.startswith("data: ")
            states.put_nowait(orjson.loads(line.removeprefix("data: "))["state"])


@pytest.mark.parametrize("end", ["ready", "failed"])
async def test_progress_is_a_stream_that_ends_with_the_load(loading: Pod, end: str) -> None:
    """Each event is the whole of what is known; the last is ready or failed."""
    states: asyncio.Queue[str] = asyncio.Queue()
    async with loading.http.stream("GET", "/progress", headers={"Accept": "text/event-stream"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        reading = asyncio.create_task(following(response, states))
        assert await asyncio.wait_for(states.get(), 10) == "loading"
        if end == "ready":
            loading.loaded()
        else:
            loading.progress.failed(LoadError("open", "no"))
        assert await asyncio.wait_for(states.get(), 10) == end
        await asyncio.wait_for(reading, 10)
    assert states.empty()


async def test_a_stream_of_progress_ends_with_the_server() -> None:
    """It would hold up the end for as long as the load takes."""
    async with (
        running(loaded=False) as pod,
        pod.http.stream("GET", "/progress", headers={"Accept": "text/event-stream"}) as response,
    ):
        lines = response.aiter_lines()
        await anext(lines)
        pod.server.end()
        assert [line async for line in lines if line] == []


async def test_a_watcher_that_leaves_breaks_nothing(loading: Pod) -> None:
    """The next one is told the same."""
    for _ in range(2):
        async with loading.http.stream("GET", "/progress", headers={"Accept": "text/event-stream"}) as response:
            assert "loading" in await anext(response.aiter_lines())


async def test_metrics_count_requests_and_the_load(loading: Pod) -> None:
    """Requests by protocol and status, durations, and the stages of the load."""
    with loading.progress.stage("fetch"):
        loading.progress.received(1000)
    await loading.http.post("/v1/models/m:predict", json={"instances": [1]})
    loading.loaded()
    await loading.http.post("/v1/models/m:predict", json={"instances": [1]})
    await loading.http.post("/v2/models/m/infer", json={})

    answer = await loading.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["torpor_predictor_requests_total", "2xx", "m", "v1"] == 1
    assert samples["torpor_predictor_requests_total", "5xx", "m", "v1"] == 1
    assert samples["torpor_predictor_requests_total", "4xx", "m", "v2"] == 1
    assert samples["torpor_predictor_request_duration_seconds_count", "m", "v1"] == 2
    assert samples["torpor_predictor_request_duration_seconds_bucket", "+Inf", "m", "v1"] == 2
    assert samples["torpor_predictor_requests_in_flight", "m"] == 0
    assert samples["torpor_predictor_ready", "m"] == 1
    assert samples["torpor_predictor_load_stage_bytes", "fetch", "m"] == 1000
    assert ("torpor_predictor_load_stage_seconds", "fetch", "m") in samples
