"""The whole process: health first, a model behind it, and an end that says why."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest

from predictor.app import serve
from predictor.loading.progress import Progress
from predictor.loading.room import Room
from predictor.loading.source import Source
from predictor.model import Model
from predictor.settings import Settings
from tests.predictor.process import started
from tests.support.models import save_python_model
from tests.support.until import until
from torpor.aio.clock import Clock
from torpor.cli.timeline import parse_progress
from torpor.web.listen import listening

pytestmark = pytest.mark.slow

LOADS_WHEN_TOLD = """
import pathlib, time

class Model:
    def load(self):
        print("loading", flush=True)
        while not pathlib.Path(__file__).with_name("go").exists():
            time.sleep(0.01)

    def predict(self, instances):
        pathlib.Path(__file__).with_name("computing").touch()
        while instances == ["wait"] and not pathlib.Path(__file__).with_name("answer").exists():
            time.sleep(0.01)
        return [instance * 2 for instance in instances]
"""

RAISES = """
class Model:
    def load(self):
        raise RuntimeError("no licence found")

    def predict(self, instances):
        return instances
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that loads when there is a file `go`, and doubles."""
    return save_python_model(tmp_path / "model", LOADS_WHEN_TOLD)


async def test_from_nothing_to_an_answer(tmp_path: Path, model: Path) -> None:
    """Health at once, ready when warm, answers, metadata, progress with all five stages, exit 0 on SIGTERM."""
    started_at = time.time()
    async with started(tmp_path, f"file://{model}", TORPOR_POD_STARTED_AT=str(started_at)) as predictor:
        await predictor.get("/healthz")
        assert (await predictor.http.get("/readyz")).status_code == 503
        early = await predictor.http.post("/v1/models/m:predict", json={"instances": [1]})
        assert (early.status_code, early.json()["reason"]) == (503, "Unavailable")
        (model / "go").touch()
        await predictor.get("/readyz")
        answer = await predictor.http.post("/v1/models/m:predict", json={"instances": [1, 2]})
        assert answer.json() == {"predictions": [2, 4]}
        progress = parse_progress((await predictor.http.get("/progress")).json())
        assert progress.state == "ready"
        assert [stage.name for stage in progress.stages] == ["resolve", "fetch", "verify", "open", "warm"]
        assert (progress.listening_at or 0) > started_at
        assert (await predictor.http.get("/v2/models/m")).json()["name"] == "m"
        status, log = await predictor.stop()
    assert status == 0, log
    assert {orjson.loads(line)["level"] for line in log.splitlines()} == {"info"}
    assert not (tmp_path / "termination-message").exists()


@pytest.mark.e2e  # importing the SDK alone takes five seconds
async def test_the_kserve_sdk_by_v1_and_v2(tmp_path: Path, model: Path) -> None:
    """Liveness, readiness and numbers, as its users ask for them."""
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    (model / "go").touch()
    async with started(tmp_path, f"file://{model}") as predictor:
        await predictor.get("/readyz")
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as v1:
            assert await v1.is_server_live(predictor.url)
            assert await v1.is_model_ready(predictor.url, "m")
            answer = await v1.infer(predictor.url, {"instances": [1.5]}, model_name="m")
            assert answer == {"predictions": [3.0]}
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as v2:
            assert await v2.is_server_live(predictor.url)
            assert await v2.is_server_ready(predictor.url)
            assert await v2.is_model_ready(predictor.url, "m")
            tensor = InferInput("instances", [3], "INT64")
            tensor.set_data_from_numpy(np.array([1, 2, 3], np.int64), binary_data=False)
            result = await v2.infer(predictor.url, InferRequest("m", [tensor], request_id="seven"), model_name="m")
        assert (result.id, result.model_name) == ("seven", "m")
        assert result.outputs[0].as_numpy().tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    ("source", "path", "stage", "says"),
    [
        pytest.param(RAISES, "model", "open", "no licence found", id="a load that raises"),
        pytest.param(RAISES, "absent", "resolve", "absent", id="a folder that is not there"),
    ],
)
async def test_a_load_that_fails_is_told_and_ends_the_process(
    tmp_path: Path, source: str, path: str, stage: str, says: str
) -> None:
    """To who watches, as the last event; to Kubernetes, as message and exit status; to the log, in one line."""
    save_python_model(tmp_path / "model", source)
    async with started(tmp_path, f"file://{tmp_path / path}") as predictor:
        await predictor.get("/healthz")
        response = await predictor.http.get("/progress", headers={"Accept": "text/event-stream"})
        last = orjson.loads(response.text.strip().splitlines()[-1].removeprefix("data: "))
        assert last["state"] == "failed"
        assert says in last["error"]["message"]
        status, log = await predictor.ended()
    assert status == 1
    message = predictor.message.read_text()
    assert message.startswith(f"{stage}: ")
    assert says in message
    last_line = orjson.loads(log.splitlines()[-1])
    assert last_line["level"] == "error"
    assert message in last_line["message"]
    assert "exception" not in last_line


async def test_a_load_that_ends_in_a_bug_is_told_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a failed load, with the traceback in the log; the process does not stay behind, neither ready nor failed."""

    async def load(source: Source, progress: Progress, clock: Clock, room: Room) -> Model:
        return 1 / 0  # type: ignore[return-value]

    message = tmp_path / "message"
    settings = Settings(Source("m", "python", "file:///m", tmp_path), termination_log=message)
    with listening("127.0.0.1", 0, host_key="HOST", port_key="PORT") as listener:
        assert await serve(settings, listener, load) == 1
    assert message.read_text() == "open: ZeroDivisionError: division by zero"
    assert "test_app.py" in caplog.text


async def test_sigterm_lets_a_request_in_flight_finish(tmp_path: Path, model: Path) -> None:
    """New connections are refused, the answer comes, the exit status is 0."""
    (model / "go").touch()
    async with started(tmp_path, f"file://{model}") as predictor:
        await predictor.get("/readyz")
        asked = asyncio.create_task(predictor.http.post("/v1/models/m:predict", json={"instances": ["wait"]}))
        await until((model / "computing").exists, 30)
        predictor.process.send_signal(signal.SIGTERM)
        await predictor.refuses()
        (model / "answer").touch()
        assert (await asked).json() == {"predictions": ["waitwait"]}
        status, log = await predictor.ended()
    assert status == 0, log


async def test_sigterm_while_it_loads_does_not_wait_for_the_model(tmp_path: Path, model: Path) -> None:
    """The thread that loads cannot be stopped; the process can."""
    async with started(tmp_path, f"file://{model}") as predictor:
        await predictor.get("/healthz")
        async with predictor.http.stream("GET", "/progress", headers={"Accept": "text/event-stream"}) as events:
            async for line in events.aiter_lines():
                if '"open"' in line:
                    break
        status, log = await predictor.stop()
    assert status == 0, log


async def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    """On stderr, with the name of the variable; exit 1."""
    async with started(tmp_path, "file:///nowhere", TORPOR_PREDICTOR_THREADS="many") as predictor:
        status, log = await predictor.ended()
    assert status == 1
    assert log == (
        "torpor predictor: TORPOR_PREDICTOR_THREADS: 'many' is not allowed; use a whole number from 1 to 1024 threads\n"
    )


async def test_a_port_that_is_taken_is_one_line(tmp_path: Path, model: Path) -> None:
    """Before anything is loaded."""
    async with started(tmp_path, f"file://{model}") as first:
        await first.get("/healthz")
        async with started(tmp_path, f"file://{model}", PORT=str(first.port)) as second:
            status, log = await second.ended()
    assert status == 1
    assert log.startswith(f"torpor predictor: PORT: {first.port} is not allowed; a port is needed that is free")


def test_nothing_heavy_is_imported_before_it_listens() -> None:
    """numpy alone would cost as much as half of what is there."""
    code = "import sys, predictor.__main__, predictor.app, torpor.telemetry.logs; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    modules = set(done.stdout.split())
    assert {"predictor.endpoints.v2", "uvicorn"} <= modules
    assert not modules & {"numpy", "torch", "sklearn", "boto3", "prometheus_client", "yaml", "kubernetes", "aiohttp"}
