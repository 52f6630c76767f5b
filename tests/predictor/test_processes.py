"""`python -m predictor` with a model in processes of its own, as clients and Kubernetes see it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from tests.predictor.process import Predictor, started
from tests.predictor.processes.models import runs, save_ill
from tests.support.until import until

pytestmark = pytest.mark.slow

TWO = {"TORPOR_PREDICTOR_PROCESSES": "2", "TORPOR_PREDICTOR_CALL_TIMEOUT_SECONDS": "1"}


@pytest_asyncio.fixture
async def predictor(tmp_path: Path) -> AsyncIterator[Predictor]:
    settings = TWO | {"TORPOR_PREDICTOR_MODEL_CONTROL": "explicit"}
    async with started(tmp_path, f"file://{save_ill(tmp_path / 'ill')}", **settings) as predictor:
        await predictor.get("/readyz")
        yield predictor


def children(predictor: Predictor) -> list[int]:
    return [each.pid for each in psutil.Process(predictor.process.pid).children()]


async def predict(predictor: Predictor, *instances: Any) -> httpx.Response:
    return await predictor.http.post("/v1/models/m:predict", json={"instances": instances}, timeout=30)


async def shows(predictor: Predictor, name: str, value: str) -> None:
    """Return as soon as the metrics have this number."""
    async with asyncio.timeout(10):
        while True:
            lines = (await predictor.get("/metrics")).text.splitlines()
            if any(each.startswith(name) and each.endswith(f" {value}") for each in lines):
                return


async def test_each_answers_and_the_server_computes_nothing(predictor: Predictor) -> None:
    assert len(children(predictor)) == 2
    answers = await asyncio.gather(*(predict(predictor, "pid") for _ in range(20)))
    assert {each.json()["predictions"][0] for each in answers} <= set(children(predictor))


@pytest.mark.parametrize(
    ("how", "status", "says"),
    [
        ("exit", 503, "model 'm': its process ended with status 3"),
        ("kill", 503, "model 'm': its process was killed (SIGKILL)"),
        ("hang", 504, "model 'm' took longer than 1 s, the limit of a call; its process is started again"),
        ("unknown", 500, "predict of model.py raised ZeroDivisionError; the pod's log says more"),
        ("value", 400, "not like this"),
    ],
)
async def test_who_asks_learns_what_has_happened_and_others_nothing(
    predictor: Predictor, how: str, status: int, says: str
) -> None:
    ill, *well = await asyncio.gather(predict(predictor, how), *(predict(predictor, each) for each in range(20)))
    assert ill.status_code == status
    assert says in ill.json()["error"]
    assert [each.json() for each in well] == [{"predictions": [[each, {}]]} for each in range(20)]
    assert (await predictor.get("/v2/models/m/ready")).status_code == 200


async def test_the_numbers_say_what_was_started_again(predictor: Predictor) -> None:
    await predict(predictor, "exit")
    await predict(predictor, "hang")
    await shows(predictor, "torpor_predictor_model_processes{", "2.0")
    for reason in ("crash", "timeout"):
        await shows(predictor, f'torpor_predictor_model_restarts_total{{model="m",reason="{reason}"', "1.0")


async def test_tensors_and_parameters_get_there_too(predictor: Predictor) -> None:
    answer = await predictor.http.post(
        "/v2/models/m/infer",
        json={"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}], "parameters": {"a": 1}},
    )
    assert answer.json()["outputs"][0]["data"] == [1, 2]


async def test_while_none_starts_it_is_not_ready_and_then_it_is(predictor: Predictor, tmp_path: Path) -> None:
    broken = tmp_path / "ill" / "broken"
    broken.touch()
    for pid in children(predictor):
        os.kill(pid, signal.SIGKILL)
    told = await predictor.get("/readyz", 503)
    assert "ends in a row without an answer" in told.json()["error"]
    assert (await predict(predictor, 1)).status_code == 503
    index = (await predictor.http.post("/v2/repository/index", json={})).json()
    assert index[0]["state"] == "UNAVAILABLE"
    assert "ended with status 9" in index[0]["reason"]
    broken.unlink()
    await predictor.get("/readyz")
    assert (await predict(predictor, 1)).json() == {"predictions": [[1, {}]]}


async def test_unloading_ends_the_processes_once_what_they_are_at_is_answered(predictor: Predictor) -> None:
    before = children(predictor)
    slow = asyncio.create_task(predict(predictor, {"sleep": 0.5}))
    await shows(predictor, "torpor_predictor_requests_in_flight{", "1.0")
    assert (await predictor.http.post("/v2/repository/models/m/unload")).status_code == 200
    assert (await slow).status_code == 200
    assert not any(map(runs, before))
    assert (await predictor.http.post("/v2/repository/models/m/load", timeout=30)).status_code == 200
    assert len(children(predictor)) == 2


async def test_sigterm_ends_all(predictor: Predictor) -> None:
    before = children(predictor)
    status, log = await predictor.stop()
    assert status == 0
    assert not any(map(runs, before))
    assert "started again" not in log


async def test_kill_9_of_the_server_ends_all(predictor: Predictor) -> None:
    before = children(predictor)
    hanging = asyncio.create_task(predict(predictor, "hang"))
    await shows(predictor, "torpor_predictor_requests_in_flight{", "1.0")
    predictor.process.kill()
    async with asyncio.timeout(10):  # it ends when nobody holds its standard error any more
        await predictor.process.wait()
    await until(lambda: not any(map(runs, before)))
    with pytest.raises(httpx.HTTPError):
        await hanging


async def test_sigterm_while_it_loads_ends_all(tmp_path: Path) -> None:
    ill = save_ill(tmp_path / "ill")
    (ill / "stuck").touch()
    async with started(tmp_path, f"file://{ill}", **TWO) as predictor:
        await predictor.get("/healthz")
        await until(lambda: len(children(predictor)) == 2, timeout_s=20)
        before = children(predictor)
        status, _ = await predictor.stop()
        assert status == 0
        await until(lambda: not any(map(runs, before)))


async def test_a_crash_in_a_batch_costs_the_others_nothing(tmp_path: Path) -> None:
    """They are computed again, one by one."""
    settings = TWO | {"TORPOR_PREDICTOR_MAX_BATCH_SIZE": "8"}
    async with started(tmp_path, f"file://{save_ill(tmp_path / 'ill')}", **settings) as predictor:
        await predictor.get("/readyz")
        busy = [asyncio.create_task(predict(predictor, {"sleep": 0.5})) for _ in range(2)]
        await shows(predictor, "torpor_predictor_requests_in_flight{", "2.0")
        ill, *well = await asyncio.gather(predict(predictor, "exit"), *(predict(predictor, each) for each in range(20)))
        assert ill.status_code == 503
        assert [each.json() for each in well] == [{"predictions": [[each, {}]]} for each in range(20)]
        assert [(await each).status_code for each in busy] == [200, 200]
        await shows(predictor, 'torpor_predictor_model_restarts_total{model="m",reason="crash"', "2.0")
