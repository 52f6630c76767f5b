"""A repository of several models as a process, asked by Triton's clients: which are loaded, and loading by request."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.predictor.process import started
from tests.predictor.runtimes.triton.repository import onnx_model, write
from tests.support.s3 import S3
from tests.support.triton import sync as triton

pytestmark = pytest.mark.slow

TIMES = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        found = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() * FACTOR for each in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", each)]) for each in found]
"""
CONFIG = """
backend: "python" version_policy { all { } }
input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""


def repository(folder: Path) -> Path:
    """`doubles` of ONNX; `times` of Python in versions 3 and 5, which multiply by them."""
    found = folder / "repository"
    onnx_model(found / "doubles" / "1" / "model.onnx")
    write(
        found / "times",
        {
            "config.pbtxt": CONFIG,
            "3/model.py": TIMES.replace("FACTOR", "3"),
            "5/model.py": TIMES.replace("FACTOR", "5"),
        },
    )
    return found


def index(client: triton.InferenceServerClient) -> dict[tuple[str, str], tuple[str, str]]:
    found = client.get_model_repository_index().models
    return {(each.name, each.version): (each.state, each.reason) for each in found}


def times(client: triton.InferenceServerClient, version: str = "") -> list[float]:
    given = triton.InferInput("x", [2], "FP32")
    given.set_data_from_numpy(np.array([1, 2], np.float32))
    found: list[float] = client.infer("times", [given], model_version=version).as_numpy("y").tolist()
    return found


async def test_all_models_of_a_repository(tmp_path: Path) -> None:
    """In all versions that their policies name; the highest answers where none is named."""
    async with started(tmp_path, f"file://{repository(tmp_path)}", "triton") as process:
        await process.get("/readyz")
        with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            ready = ("READY", "")
            assert index(client) == {("doubles", "1"): ready, ("times", "3"): ready, ("times", "5"): ready}
            assert (times(client), times(client, "3")) == ([5, 10], [3, 6])
            assert client.get_model_metadata("times").versions == ["3", "5"]
            assert client.get_model_config("doubles").config.backend == "onnxruntime"
            with pytest.raises(triton.InferenceServerException, match="'m' is not here; this server has 'doubles', 't"):
                client.get_model_metadata("m")
            with pytest.raises(triton.InferenceServerException, match="MODEL_CONTROL=explicit"):
                client.load_model("times")
        assert (await process.get("/progress")).json()["state"] == "ready"
        assert (await process.get("/v2/models")).json() == {"models": ["doubles", "times"]}


async def test_models_by_request(tmp_path: Path) -> None:
    """None but those that are named at the start; a load sees what has come, and what has gone, since."""
    place = repository(tmp_path)
    env = {"TORPOR_PREDICTOR_MODEL_CONTROL": "explicit", "TORPOR_PREDICTOR_LOAD_MODELS": "doubles"}
    async with started(tmp_path, f"file://{place}", "triton", **env) as process:
        await process.get("/readyz")
        with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            assert index(client)["times", "5"] == ("UNAVAILABLE", "unloaded")
            with pytest.raises(triton.InferenceServerException, match="unloaded"):
                times(client)
            client.load_model("times")
            assert times(client) == [5, 10]
            write(place / "times", {"7/model.py": TIMES.replace("FACTOR", "7")})
            shutil.rmtree(place / "times" / "3")
            client.load_model("times")
            assert times(client) == [7, 14]
            with pytest.raises(triton.InferenceServerException, match="has no version '3'"):
                times(client, "3")
            client.unload_model("doubles")
            assert index(client)["doubles", "1"] == ("UNAVAILABLE", "unloaded")
            write(place / "times", {"8/model.py": "1 +"})
            with pytest.raises(triton.InferenceServerException, match=r"model\.py"):
                client.load_model("times")
            assert times(client) == [7, 14]  # what answered answers on
            with pytest.raises(triton.InferenceServerException, match="'none' is not here"):
                client.load_model("none")
        await process.get("/readyz")  # one of many is away


async def test_one_that_fails_at_the_start(tmp_path: Path) -> None:
    """Ends the pod, and is named."""
    place = repository(tmp_path)
    write(place / "times", {"5/model.py": "1 +"})
    async with started(tmp_path, f"file://{place}", "triton") as process:
        status, log = await process.ended()
    assert (status, "model 'times': verify: " in log or "model 'times': model.py" in log) == (1, True), log


async def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    env = {"TORPOR_PREDICTOR_MODEL_CONTROL": "explicit", "TORPOR_PREDICTOR_LOAD_MODELS": "doubles, thirds"}
    async with started(tmp_path, f"file://{repository(tmp_path)}", "triton", **env) as process:
        status, log = await process.ended()
    assert status == 1
    assert "TORPOR_PREDICTOR_LOAD_MODELS: 'thirds' is not allowed; the repository has doubles, times" in log


async def test_one_model_alone(tmp_path: Path) -> None:
    """Has its folder's name, and the service's too, also where it is loaded and unloaded."""
    onnx_model(tmp_path / "repository" / "doubles" / "4" / "model.onnx")
    env = {"TORPOR_PREDICTOR_MODEL_CONTROL": "explicit", "TORPOR_PREDICTOR_LOAD_MODELS": "*"}
    async with started(tmp_path, f"file://{tmp_path}/repository", "triton", **env) as process:
        await process.get("/readyz")
        async with httpx.AsyncClient(base_url=process.url) as http:
            for name in ("m", "doubles"):
                for verb, status in (("unload", 404), ("load", 200)):
                    answer = await http.post(f"/v2/repository/models/{name}/{verb}")
                    assert answer.status_code == 200, answer.text
                    assert (await http.get("/v2/models/doubles")).status_code == status
            for name in ("doubles", "m"):
                answer = (await http.get(f"/v2/models/{name}")).json()
                assert (answer["name"], answer["versions"]) == ("doubles", ["4"])


async def test_from_s3(tmp_path: Path, s3: S3) -> None:
    """As from a folder."""
    s3.create_bucket("repositories")
    s3.upload(repository(tmp_path), "repositories", "all")
    env = {
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    async with started(tmp_path, "s3://repositories/all", "triton", **env) as process:
        await process.get("/readyz")
        with triton.InferenceServerClient(f"127.0.0.1:{process.port}") as client:
            assert (times(client), times(client, "3")) == ([5, 10], [3, 6])
            assert client.is_model_ready("doubles")
