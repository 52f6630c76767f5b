"""A stateful model of a Triton repository as a process: many sequences at once over HTTP, each with its own sums."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.predictor.process import Predictor, started
from tests.predictor.runtimes.triton.repository import write

pytestmark = pytest.mark.slow

PORTS = """
backend: "python" max_batch_size: 4
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
OLDEST = (
    PORTS
    + """
sequence_batching {
    oldest { max_candidate_sequences: 3 }
    state [ { input_name: "before" output_name: "after" data_type: TYPE_FP32 dims: [ 1 ] } ]
}
"""
)
BY_STATE = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        given = {each.name(): each.as_numpy() for each in requests[0].inputs()}
        total = given["x"] + given["before"]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", total), pb_utils.Tensor("after", total)])]
"""
DIRECT = (
    PORTS
    + """
sequence_batching {
    direct { }
    control_input [
        { name: "START" control [ { kind: CONTROL_SEQUENCE_START bool_false_true: [ false, true ] } ] },
        { name: "READY" control [ { kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true ] } ] }
    ]
}
"""
)
BY_SLOT = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.totals = np.zeros((4, 1), np.float32)

    def execute(self, requests):
        given = {each.name(): each.as_numpy() for each in requests[0].inputs()}
        rows = len(given["x"])
        ready, start = given["READY"], given["START"]
        before = np.where(start, 0, self.totals[:rows])
        self.totals[:rows] = np.where(ready, before + given["x"], self.totals[:rows])
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", self.totals[:rows].copy())])]
"""


async def play(process: Predictor, sequence: int | str, values: list[float]) -> list[float]:
    """Send a whole sequence; returns what was answered to each."""
    found = []
    for index, value in enumerate(values):
        tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [value]}
        parameters: dict[str, Any] = {"sequence_id": sequence}
        parameters |= {"sequence_start": index == 0, "sequence_end": index == len(values) - 1}
        answer = await process.http.post("/v2/models/m/infer", json={"inputs": [tensor], "parameters": parameters})
        assert answer.status_code == 200, answer.text
        outputs = answer.json()["outputs"]
        assert [each["name"] for each in outputs] == ["y"]
        found += outputs[0]["data"]
    return found


@pytest.mark.parametrize(("config", "script"), [(OLDEST, BY_STATE), (DIRECT, BY_SLOT)], ids=["oldest", "direct"])
async def test_sequences(tmp_path: Path, config: str, script: str) -> None:
    """More than there may be at once; by texts and numbers; a request of none is refused."""
    write(tmp_path / "m", {"config.pbtxt": config, "1/model.py": script})
    async with started(tmp_path, f"file://{tmp_path}/m", "triton") as process:
        await process.get("/readyz")
        assert (await process.get("/v2/models/m")).json()["inputs"] == [
            {"name": "x", "datatype": "FP32", "shape": [-1, 1]}
        ]
        tasks = {
            number: asyncio.create_task(
                play(process, number if number % 2 else f"s{number}", [float(number * step) for step in range(1, 9)])
            )
            for number in range(1, 9)
        }
        for number, task in tasks.items():
            assert await task == [number * step * (step + 1) / 2 for step in range(1, 9)]
        await refuses(process.http)
        status, log = await process.stop()
    assert status == 0, log


async def refuses(http: httpx.AsyncClient) -> None:
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}
    lone = await http.post("/v2/models/m/infer", json={"inputs": [tensor]})
    assert (lone.status_code, "sequence_id: None" in lone.json()["error"]) == (400, True)
    by_v1 = await http.post("/v1/models/m:predict", json={"instances": [[1]]})
    assert (by_v1.status_code, by_v1.json()["reason"]) == (501, "Unsupported")
