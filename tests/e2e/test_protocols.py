"""One model at zero, and the official clients of every protocol: each call finds it through the door."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.http
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent, from_http

from tests.support.laptop import Laptop
from tests.support.manifests import SOON, inference_service
from tests.support.models import save_iris
from tests.support.triton import service_pb2

pytestmark = pytest.mark.e2e

NAME = "iris-protocols"
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])


@pytest.fixture(scope="module")
def asleep(laptop: Laptop) -> Iterator[None]:
    save_iris(laptop.data_dir / f"volumes/default/models/{NAME}")
    service = inference_service(NAME, "sklearn", f"pvc://models/{NAME}")
    service["metadata"].setdefault("annotations", {}).update(SOON)
    laptop.apply(service)
    laptop.wait_ready("isvc", NAME)
    laptop.wait_zero(f"{NAME}-predictor")
    yield
    laptop.kubectl("delete", "isvc", NAME, "--wait=false")


def rows(module: Any) -> Any:
    found = module.InferInput("input-0", ROWS.shape, "FP64")
    found.set_data_from_numpy(ROWS)
    return found


@pytest.mark.usefixtures("asleep")
def test_a_grpc_call_wakes_a_model_and_the_others_find_it(laptop: Laptop) -> None:
    """gRPC on the door's gRPC port, V2 in binary, in JSON that is compressed, and a CloudEvent on the other.

    The pod has one port for all.
    """
    host = laptop.host(NAME)["Host"]
    options = [("grpc.default_authority", host), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{laptop.grpc_port}", options) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )
        request = service_pb2.ModelInferRequest(model_name=NAME, id="7", raw_input_contents=[ROWS.tobytes()])
        request.inputs.add(name="input-0", datatype="FP64", shape=ROWS.shape)
        answer, call = infer.with_call(request, timeout=90)
    assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == [0, 2]
    assert answer.id == "7"
    assert "torpor-cold-start" in dict(call.initial_metadata())

    by_path = f"127.0.0.1:{laptop.http_port}/serving/default/{NAME}"
    triton = tritonclient.http.InferenceServerClient(by_path, network_timeout=60)
    try:
        result = triton.infer(NAME, [rows(tritonclient.http)])
        assert result.as_numpy("output-0").tolist() == [0, 2]
        assert triton.get_inference_statistics(NAME)["model_stats"][0]["inference_count"] == 4
    finally:
        triton.close()

    many = np.tile(ROWS, (10_000, 1))
    document = {"inputs": [{"name": "input-0", "datatype": "FP64", "shape": many.shape, "data": many.ravel().tolist()}]}
    with laptop.client(NAME) as http:  # it takes gzip, and says so
        told = http.post(f"/v2/models/{NAME}/infer", json=document)
    assert told.headers["content-encoding"] == "gzip"
    assert told.json()["outputs"][0]["data"] == [0, 2] * 10_000

    event = CloudEvent({"type": "test.asked", "source": "/tests"}, {"instances": ROWS.tolist()})
    headers, body = to_binary(event)
    with laptop.client(NAME) as http:
        told = http.post(f"/v1/models/{NAME}:predict", content=body, headers=headers)
    assert from_http(dict(told.headers), told.content).data == {"predictions": [0, 2]}
