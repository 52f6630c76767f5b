"""The model repository extension: what is there, loaded anew, sent away."""

from __future__ import annotations

import asyncio

import pytest

from predictor.statistics import Statistics
from tests.predictor.endpoints.pod import Gate, Pod, running
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

INDEX = "/v2/repository/index"
LOAD, UNLOAD = "/v2/repository/models/m/load", "/v2/repository/models/m/unload"
INFER = "/v2/models/m/infer"
REQUEST = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}


async def test_the_index_says_what_is_there(pod: Pod) -> None:
    """And why not; `ready` leaves out what is not."""
    answer = await pod.http.post(INDEX)
    assert answer.json() == [{"name": "m", "version": "1", "state": "READY", "reason": ""}]
    pod.reset(loaded=False)
    answer = await pod.http.post(INDEX, json={})
    assert answer.json() == [{"name": "m", "version": "1", "state": "LOADING", "reason": "loading"}]
    assert (await pod.http.post(INDEX, json={"ready": True})).json() == []
    answer = await pod.http.post(INDEX, json={"ready": 1})
    assert (answer.status_code, answer.json()["error"]) == (400, "ready: 1 is not allowed; use true or false")


async def test_unloaded_and_loaded_again(pod: Pod) -> None:
    """Between the two it is known, not ready, and not there."""
    assert (await pod.http.post(UNLOAD)).json() == {"name": "m", "unload": True}
    assert (await pod.http.post(INDEX)).json()[0] == {
        "name": "m",
        "version": "1",
        "state": "UNAVAILABLE",
        "reason": "unloaded",
    }
    for path in ("/v2/models/m/ready", "/readyz", "/v2/health/ready"):
        assert (await pod.http.get(path)).status_code in {404, 503}
    answer = await pod.http.post(INFER, json=REQUEST)
    assert (answer.status_code, answer.json()["error"]) == (404, "model 'm' was unloaded from this server")
    assert (await pod.http.post(LOAD)).json() == {"name": "m", "load": True}
    assert (await pod.http.get("/readyz")).status_code == 200
    assert (await pod.http.post(INFER, json=REQUEST)).status_code == 200


async def test_a_model_that_is_used_is_unloaded_after_its_answer(pod: Pod) -> None:
    """The request that came before is answered; the one that comes after is not."""
    gate = Gate()
    pod.model.before = gate
    asked = asyncio.create_task(pod.http.post(INFER, json=REQUEST))
    await gate.someone_waits()
    unloaded = asyncio.create_task(pod.http.post(UNLOAD))
    await until(lambda: pod.served.held is None)
    assert (await pod.http.get("/readyz")).status_code == 404
    assert not unloaded.done()
    gate.opened.set()
    assert (await asked).status_code == 200
    assert (await unloaded).status_code == 200


async def test_a_model_that_made_room_is_back_for_a_request(pod: Pod) -> None:
    """Until then it is ready for one, describes itself, and says in the index why it is not there."""
    await pod.served.make_room("n").closed()
    (entry,) = (await pod.http.post(INDEX)).json()
    assert (entry["state"], entry["reason"]) == ("UNAVAILABLE", "evicted to make room for n")
    for path in ("/readyz", "/v2/health/ready", "/v2/models/m/ready", "/v1/models/m"):
        assert (await pod.http.get(path)).status_code == 200
    described = (await pod.http.get("/v2/models/m")).json()
    assert (described["versions"], described["platform"]) == (["1"], "test_doubler")
    assert (await pod.http.get("/v2/models/m/config")).json()["name"] == "m"
    assert pod.served.held is None
    for path in (INFER, "/v2/models/m/versions/1/infer"):
        assert (await pod.http.post(path, json=REQUEST)).status_code == 200
        assert pod.served.state == "READY"
        await pod.served.make_room("n").closed()
    for path in ("/v1/models/m:predict", "/predictions/m"):
        assert (await pod.http.post(path, json={"instances": [1]})).status_code == 200
        await pod.served.make_room("n").closed()
    assert (await pod.http.post(UNLOAD)).status_code == 200
    assert (await pod.http.post(INFER, json=REQUEST)).status_code == 404


async def test_a_model_on_its_way_is_neither_loaded_nor_unloaded(loading: Pod) -> None:
    """409: two loads of one model are one too many."""
    for path in (LOAD, UNLOAD):
        answer = await loading.http.post(path)
        assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        pytest.param("/v2/repository/models/n/load", {}, 404, "'n' is not here", id="another model"),
        pytest.param("/v2/repository/r/models/m/load", {}, 404, "no repository 'r'", id="a repository"),
        pytest.param(LOAD, {"parameters": {"config": "{}"}}, 501, "parameters.config", id="a configuration"),
        pytest.param(
            LOAD, {"parameters": {"file:1/../../x": "aGk="}}, 501, "parameters.file:1", id="a file (CVE-2023-31036)"
        ),
        pytest.param(LOAD, {"parameters": []}, 400, "parameters: []", id="parameters that are none"),
        pytest.param(UNLOAD, [], 400, "body: ", id="a body that is no object"),
    ],
)
async def test_what_is_wrong_is_told(pod: Pod, path: str, body: object, status: int, says: str) -> None:
    """And nothing has happened."""
    answer = await pod.http.post(path, json=body)
    assert answer.status_code == status
    assert says in answer.json()["error"]
    assert pod.served.held is not None


async def test_without_permission_nothing_is_loaded_or_unloaded() -> None:
    """The index is for all; the rest is the owner's."""
    async with running(is_controlled=False) as pod:
        assert (await pod.http.post(INDEX)).status_code == 200
        for path in (LOAD, UNLOAD):
            answer = await pod.http.post(path)
            assert answer.status_code == 403
            assert "TORPOR_PREDICTOR_MODEL_CONTROL=explicit" in answer.json()["error"]
        assert pod.served.held is not None


async def test_statistics_count_what_was_answered(pod: Pod) -> None:
    """Inferences are rows; where their time went adds up."""
    pod.served.statistics = Statistics()
    two = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}]}
    assert (await pod.http.post(INFER, json=two)).status_code == 200
    assert (await pod.http.post(INFER, json={"inputs": []})).status_code == 400
    for path in ("/v2/models/m/stats", "/v2/models/m/versions/1/stats", "/v2/models/stats"):
        (found,) = (await pod.http.get(path)).json()["model_stats"]
        assert (found["name"], found["version"]) == ("m", "1")
        assert (found["inference_count"], found["execution_count"]) == (2, 1)
        times = {name: each for name, each in found["inference_stats"].items() if each["count"]}
        assert {name: each["count"] for name, each in times.items()} == dict.fromkeys(times, 1)
        parts = sum(times[name]["ns"] for name in ("queue", "compute_input", "compute_infer", "compute_output"))
        assert parts == times["success"]["ns"]
        assert "fail" in times


async def test_the_configuration_is_tritons(pod: Pod) -> None:
    """Types by its names, shapes whole."""
    answer = await pod.http.get("/v2/models/m/config")
    assert answer.json()["input"] == [{"name": "x", "data_type": "TYPE_FP64", "dims": [-1, 2]}]
    assert answer.json()["max_batch_size"] == 0
