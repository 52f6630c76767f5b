"""Models of a repository that ask one another, as a process: ensembles, and BLS of the Python backend."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.predictor.process import started
from tests.predictor.runtimes.triton.repository import write
from tests.support.triton import aio as triton

pytestmark = pytest.mark.slow

X = 'input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ] output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]'
PYTHON = 'backend: "python" max_batch_size: 8 dynamic_batching { } '
TIMES = """
import threading
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        found = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() * FACTOR for each in requests]
        if any((each > 1000).any() for each in found):
            raise ValueError("secret")
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", each)]) for each in found]
"""
SUMS = TIMES.replace("* FACTOR", '+ pb_utils.get_input_tensor_by_name(each, "z").as_numpy()')
SUMS_CONFIG = PYTHON + X + 'input [ { name: "z" data_type: TYPE_FP32 dims: [ 2 ] } ]'
COUNTS = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for number in range(3):
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("y", np.array([number, 0], np.float32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
ASKS = """
import asyncio
import numpy as np
import triton_python_backend_utils as pb_utils

def request(name, x, **more):
    return pb_utils.InferenceRequest(
        model_name=name, requested_output_names=["y"], inputs=[pb_utils.Tensor("x", x)], **more)

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(each, "x").as_numpy()) for each in requests]

    def answer(self, x):
        kind = int(x[0, 0])
        if kind == 9:
            found = [x]  # nobody is asked
        elif kind == 1:
            found = [asyncio.run(self.both(x))]
        elif kind == 2:
            answers = request("counts", x[0]).exec(decoupled=True)
            found = [sum(pb_utils.get_output_tensor_by_name(each, "y").as_numpy() for each in answers).reshape(1, 2)]
        else:
            response = request("none" if kind == 3 else "counts" if kind == 4 else "triples", x * 1000).exec()
            return pb_utils.InferenceResponse(error=response.error())
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", each) for each in found])

    async def both(self, x):
        answers = await asyncio.gather(*(request(name, x).async_exec() for name in ("triples", "fives")))
        return sum(pb_utils.get_output_tensor_by_name(each, "y").as_numpy() for each in answers)
"""
CHAIN = (
    'platform: "ensemble" max_batch_size: 8 '
    + X
    + """
ensemble_scheduling {
  step [
    { model_name: "sums" model_version: -1 input_map { key: "x" value: "t" } input_map { key: "z" value: "f" }
      output_map { key: "y" value: "y" } },
    { model_name: "triples" input_map { key: "x" value: "x" } output_map { key: "y" value: "t" } },
    { model_name: "fives" input_map { key: "x" value: "x" } output_map { key: "y" value: "f" } }
  ]
}
"""
)


def repository(folder: Path) -> Path:
    found = folder / "repository"
    for name, factor in (("triples", "3"), ("fives", "5")):
        write(found / name, {"config.pbtxt": PYTHON + X, "1/model.py": TIMES.replace("FACTOR", factor)})
    write(found / "sums", {"config.pbtxt": SUMS_CONFIG, "1/model.py": SUMS})
    decoupled = 'backend: "python" model_transaction_policy { decoupled: true } '
    write(found / "counts", {"config.pbtxt": decoupled + X, "1/model.py": COUNTS})
    write(found / "asks", {"config.pbtxt": PYTHON + X, "1/model.py": ASKS})
    write(found / "a-chain", {"config.pbtxt": CHAIN})
    write(found / "a-chain-of-chains", {"config.pbtxt": CHAIN.replace('"triples"', '"a-chain"')})
    return found


async def ask(client: triton.InferenceServerClient, model: str, *rows: list[float]) -> Any:
    given = triton.InferInput("x", [len(rows), 2], "FP32")
    given.set_data_from_numpy(np.array(rows, np.float32))
    return (await client.infer(model, [given])).as_numpy("y").tolist()


async def test_ensembles(tmp_path: Path) -> None:
    """Also of ensembles, also more at once than there are threads; an error says which model it was."""
    env = {"TORPOR_PREDICTOR_THREADS": "2"}
    async with started(tmp_path, f"file://{repository(tmp_path)}", "triton", **env) as process:
        await process.get("/readyz")
        async with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            assert await ask(client, "a-chain", [1, 2], [3, 4]) == [[8, 16], [24, 32]]
            assert await ask(client, "a-chain-of-chains", [1, 2]) == [[13, 26]]
            many = [ask(client, "a-chain-of-chains", [number, 0]) for number in range(40)]
            async with asyncio.timeout(20):
                assert await asyncio.gather(*many) == [[[13 * number, 0]] for number in range(40)]
            with pytest.raises(triton.InferenceServerException, match=r"model 'fives': execute of .* ValueError"):
                await ask(client, "a-chain", [250, 0])
            config = (await client.get_model_config("a-chain")).config
            assert (config.platform, len(config.ensemble_scheduling.step)) == ("ensemble", 3)
            stats = (await client.get_inference_statistics("sums")).model_stats[0]
            assert stats.inference_count == 2 + 2 + 2 * 40


async def test_requests_of_models(tmp_path: Path) -> None:
    """One, several at once, of a decoupled one; errors come in the response."""
    env = {"TORPOR_PREDICTOR_THREADS": "1"}
    async with started(tmp_path, f"file://{repository(tmp_path)}", "triton", **env) as process:
        await process.get("/readyz")
        async with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            async with asyncio.timeout(20):
                assert await asyncio.gather(*[ask(client, "asks", [1, 2]) for _ in range(8)]) == [[[8, 16]]] * 8
            assert await ask(client, "asks", [2, 0]) == [[3, 0]]
            for kind, says in ((3, "model 'none' is not here"), (4, "decoupled: ask it by"), (5, "raised ValueError")):
                with pytest.raises(triton.InferenceServerException, match=says):
                    await ask(client, "asks", [kind, 0])


async def test_an_ensemble_by_request(tmp_path: Path) -> None:
    """Brings the models that it asks."""
    env = {"TORPOR_PREDICTOR_MODEL_CONTROL": "explicit"}
    async with started(tmp_path, f"file://{repository(tmp_path)}", "triton", **env) as process:
        await process.get("/readyz")
        async with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            await client.load_model("a-chain")
            assert await ask(client, "a-chain", [1, 2]) == [[8, 16]]
            assert not await client.is_model_ready("asks")
            await client.unload_model("fives")
            with pytest.raises(triton.InferenceServerException, match="'fives' was unloaded"):
                await ask(client, "a-chain", [1, 2])


async def test_models_in_processes_of_their_own(tmp_path: Path) -> None:
    """An ensemble asks them; they ask nobody, and say why."""
    place = tmp_path / "repository"
    for name, factor in (("triples", "3"), ("fives", "5")):
        write(place / name, {"config.pbtxt": PYTHON + X, "1/model.py": TIMES.replace("FACTOR", factor)})
    write(place / "sums", {"config.pbtxt": SUMS_CONFIG, "1/model.py": SUMS})
    write(place / "asks", {"config.pbtxt": PYTHON + X, "1/model.py": ASKS})
    write(place / "a-chain", {"config.pbtxt": CHAIN})
    async with started(tmp_path, f"file://{place}", "triton", TORPOR_PREDICTOR_PROCESSES="1") as process:
        await process.get("/readyz", timeout_s=60)
        async with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            assert await ask(client, "a-chain", [1, 2]) == [[8, 16]]
            with pytest.raises(triton.InferenceServerException, match=r"no other models here to ask: .* of its own"):
                await ask(client, "asks", [3, 0])


async def test_what_asks_others_is_not_computed_on_the_loop(tmp_path: Path) -> None:
    """Though it has always been brief, and its client is alone: the loop would wait for itself."""
    async with started(tmp_path, f"file://{repository(tmp_path)}", "triton") as process:
        await process.get("/readyz")

        async def answer(kind: int) -> list[float]:
            tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [kind, 2]}
            found = await process.http.post("/v2/models/asks/infer", json={"inputs": [tensor]})
            data: list[float] = found.json()["outputs"][0]["data"]
            return data

        async with asyncio.timeout(20):
            for _ in range(300):  # more in a row than are tried in threads
                assert await answer(9) == [9, 2]
            assert await answer(1) == [8, 16]
