"""A model of a Triton repository as a process, asked by Triton's client: infer, metadata, configuration, streams."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.predictor.process import started
from tests.predictor.runtimes.triton.repository import onnx_model, write
from tests.support.triton import sync as triton

pytestmark = pytest.mark.slow

CONFIG = """
name: "m" backend: "onnxruntime" max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" } ]
dynamic_batching { preferred_batch_size: [ 4 ] max_queue_delay_microseconds: 100 }
"""
COUNTS = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for number in range(int(pb_utils.get_input_tensor_by_name(request, "n").as_numpy()[0])):
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("i", np.array([number], np.int32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
DECOUPLED = """
backend: "python" model_transaction_policy { decoupled: true }
input [ { name: "n" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "i" data_type: TYPE_INT32 dims: [ 1 ] } ]
"""


async def test_an_onnx_model(tmp_path: Path) -> None:
    """Found alone in its repository; by gRPC and HTTP what it takes is what its configuration says."""
    onnx_model(tmp_path / "repository" / "m" / "1" / "model.onnx")
    write(tmp_path / "repository" / "m", {"config.pbtxt": CONFIG, "labels.txt": "a\nb\nc\nd\n"})
    async with started(tmp_path, f"file://{tmp_path}/repository", "triton") as process:
        await process.get("/readyz")
        with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            assert list(client.get_model_metadata("m").inputs[0].shape) == [-1, 4]
            config = client.get_model_config("m").config
            assert (config.max_batch_size, list(config.input[0].dims)) == (8, [4])
            assert list(config.dynamic_batching.preferred_batch_size) == [4]
            given = triton.InferInput("x", [2, 4], "FP32")
            given.set_data_from_numpy(np.arange(8, dtype=np.float32).reshape(2, 4))
            found = client.infer("m", [given], outputs=[triton.InferRequestedOutput("y", class_count=1)])
            assert found.as_numpy("y").tolist() == [[b"6.000000:3:d"], [b"14.000000:3:d"]]
        document = (await process.get("/v2/models/m/config")).json()
        assert document["dynamic_batching"]["max_queue_delay_microseconds"] == 100
        assert (document["name"], document["platform"], document["input"][0]["dims"]) == ("m", "onnxruntime_onnx", [4])
        status, log = await process.stop()
    assert status == 0, log


async def test_a_decoupled_model(tmp_path: Path) -> None:
    """Its answers come by ModelStreamInfer, one by one."""
    write(tmp_path / "m", {"config.pbtxt": DECOUPLED, "1/model.py": COUNTS})
    async with started(tmp_path, f"file://{tmp_path}/m", "triton") as process:
        await process.get("/readyz")
        answers: queue.Queue[Any] = queue.Queue()
        with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            client.start_stream(lambda result, error: answers.put((result, error)))
            given = triton.InferInput("n", [1], "INT32")
            given.set_data_from_numpy(np.array([3], np.int32))
            client.async_stream_infer("m", [given])
            found = [answers.get(timeout=20) for _ in range(3)]
            client.stop_stream()
        assert [result.as_numpy("i").tolist() for result, error in found if error is None] == [[0], [1], [2]]
