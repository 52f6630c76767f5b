"""A real pod's memory: models that come and go leave nothing behind, and more of them than fit are served as well."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from prometheus_client.parser import text_string_to_metric_families

from tests.predictor.process import Predictor, started
from tests.predictor.runtimes import graphs
from tests.support.models import save_python_model
from tests.support.ports import free_ports

pytestmark = pytest.mark.slow

WIDTH = 1024
ROW = {"inputs": [{"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": [1.0] * WIDTH}]}
TOKEN = {"Authorization": "Bearer secret"}
WARM = 10


def wide(folder: Path) -> Path:
    """Save a graph with 8 MB of weights; returns its folder."""
    dice = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(dice.standard_normal((WIDTH, WIDTH), dtype=np.float32), name) for name in ("v", "w")
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["h"]),
        helper.make_node("Relu", ["h"], ["g"]),
        helper.make_node("MatMul", ["g", "w"], ["y"]),
    ]
    ports = [[(name, TensorProto.FLOAT, ["n", WIDTH])] for name in "xy"]
    return graphs.save(folder, nodes, ports[0], ports[1], weights)


def neighbours(folder: Path) -> Path:
    """Save a classifier of scikit-learn that keeps 8 MB of rows; returns its folder."""
    import skops.io
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.random.default_rng(0).standard_normal((WIDTH, WIDTH))
    folder.mkdir(parents=True)
    skops.io.dump(KNeighborsClassifier(1, algorithm="brute").fit(rows, [0, 1] * (WIDTH // 2)), folder / "model.skops")
    return folder


def resident(predictor: Predictor) -> int:
    """Return the bytes of the process."""
    rollup = Path(f"/proc/{predictor.process.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Rss:"))


@pytest.mark.parametrize(
    ("format_", "save", "times"),
    [pytest.param("onnx", wide, 500, id="onnx"), pytest.param("sklearn", neighbours, 100, id="sklearn")],
)
async def test_many_times_loaded_and_unloaded(
    tmp_path: Path, format_: str, save: Callable[[Path], Path], times: int
) -> None:
    """Asked once each time; afterwards the process is as large as before, to a twentieth."""
    uri = save(tmp_path / "model").as_uri()
    async with started(tmp_path, uri, format_, TORPOR_PREDICTOR_MODEL_CONTROL="explicit") as predictor, read(predictor):
        await predictor.get("/readyz")
        sizes: list[int] = []
        for _ in range(WARM + times):
            answer = await predictor.http.post("/v1/models/m:predict", json={"instances": [[1.0] * WIDTH]})
            assert answer.status_code == 200, answer.text
            loaded = resident(predictor)
            assert (await predictor.http.post("/v2/repository/models/m/unload")).status_code == 200
            sizes.append(resident(predictor))
            assert loaded - sizes[-1] > 4_000_000, "its memory did not go with it"
            assert (await predictor.http.post("/v2/repository/models/m/load")).status_code == 200
        before, after = sizes[WARM - 1], sizes[-1]
        told(f"{format_}: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after, {max(sizes) / 1e6:.1f} MB at most")
        assert after <= before * 1.05


async def test_a_pod_whose_own_model_does_not_fit_ends(tmp_path: Path) -> None:
    """And leaves behind what it would need."""
    uri = wide(tmp_path / "model").as_uri()
    async with started(tmp_path, uri, "onnx", TORPOR_PREDICTOR_MEMORY_BUDGET="1Mi") as predictor:
        status, _ = await predictor.ended()
        assert status == 1
        says = "model 'm' needs 8.0 MiB of memory, and all models together may take 1.0 MiB"
        assert says in predictor.message.read_text()


async def test_more_models_than_fit_are_asked_at_once(tmp_path: Path) -> None:
    """Every request is answered, and what is here is within the budget whenever somebody looks."""
    own = save_python_model(tmp_path / "own").as_uri()
    folder = wide(tmp_path / "models" / "wide")
    (admin,) = free_ports(1)
    settings = {
        "TORPOR_PREDICTOR_MEMORY_BUDGET": "40Mi",
        "TORPOR_PREDICTOR_ADMIN_PORT": str(admin),
        "TORPOR_PREDICTOR_ADMIN_TOKEN": "secret",
        "TORPOR_PREDICTOR_ALLOWED_SOURCES": (tmp_path / "models").as_uri(),
    }
    names = [f"model-{index}" for index in range(6)]
    async with (
        started(tmp_path, own, **settings) as predictor,
        read(predictor),
        httpx.AsyncClient(headers=TOKEN, timeout=60) as manager,
    ):
        await predictor.get("/readyz")
        for name in names:
            query = {"url": folder.as_uri(), "model_name": name, "model_format": "onnx", "synchronous": "true"}
            answer = await manager.post(f"http://127.0.0.1:{admin}/models", params=query)
            assert answer.status_code == 200, answer.text
        held: list[float] = []

        async def client(number: int) -> None:
            dice = random.Random(number)
            for _ in range(15):
                answer = await predictor.http.post(f"/v2/models/{dice.choice(names)}/infer", json=ROW)
                assert answer.status_code == 200, answer.text
                held.append(await number_of(predictor, "torpor_predictor_model_memory_bytes"))

        await asyncio.gather(*(client(number) for number in range(12)))
        assert max(held) <= 40 * 2**20
        evictions = await number_of(predictor, "torpor_predictor_model_evictions_total")
        told(f"{evictions:g} evictions, {max(held) / 2**20:.1f} MiB at most")
        assert evictions > 6
        index = (await predictor.http.post("/v2/repository/index")).json()
        away = [each["reason"] for each in index if each["state"] == "UNAVAILABLE"]
        assert away
        assert all(each.startswith("evicted to make room for model-") for each in away)
        assert (await predictor.get("/readyz")).status_code == 200


@contextlib.asynccontextmanager
async def read(predictor: Predictor) -> AsyncIterator[None]:
    """Take the log while the block runs, so that the pipe has room for more of it."""
    log = predictor.process.stderr
    assert log is not None

    async def take() -> None:
        while await log.read(65536):
            pass

    taking = asyncio.create_task(take())
    try:
        yield
    finally:
        taking.cancel()
        await asyncio.wait({taking})


def told(figures: str) -> None:
    """Say what was measured, to those who run this by `pytest -s`."""
    sys.stdout.write(f"{figures}\n")


async def number_of(predictor: Predictor, name: str) -> float:
    """Return the sum over all series of a metric."""
    text = (await predictor.http.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name)
