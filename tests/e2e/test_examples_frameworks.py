"""The examples of XGBoost, LightGBM, ONNX and PyTorch: deployed as their own comments say, asleep, awake, and right."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tests.support.laptop import Laptop

pytestmark = pytest.mark.e2e

FRAMEWORKS = {"diabetes": "xgboost", "wine": "lightgbm", "file-types": "onnx", "digits": "pytorch"}
DIABETES = [[0.04, 0.05, 0.06, 0.02, -0.04, -0.03, -0.04, None, 0.02, -0.02]]
WINE = [[14.2, 1.7, 2.4, 15.6, 127, 2.8, 3.1, 0.28, 2.3, 5.6, 1.04, 3.9, 1065]]


def script(path: Path, *args: object, stdin: str | None = None) -> str:
    command = [sys.executable, str(path), *map(str, args)]
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture(scope="module")
def asleep(laptop: Laptop, examples: Path) -> Iterator[Path]:
    """All of them deployed together, and at zero; gives the folder that has their models."""
    models = laptop.data_dir / "volumes/default/models"
    script(examples / "xgboost/train.py", models / "diabetes")
    script(examples / "lightgbm/train.py", models / "wine")
    script(examples / "onnx/file_types.py", "export", models / "file-types")
    script(examples / "pytorch/train.py", models / "digits")
    documents = []
    for name, framework in FRAMEWORKS.items():
        manifest = (examples / f"{framework}.yaml").read_text()
        soon = f'  name: {name}\n  annotations: {{autoscaling.knative.dev/window: "6s"}}\n'
        documents.append(manifest.replace(f"  name: {name}\n", soon))
    done = laptop.torpor("apply", "--wait", "--timeout", "90s", "-f", "-", stdin="---\n".join(documents))
    assert done.returncode == 0, done.stderr
    for name in FRAMEWORKS:
        laptop.wait_zero(f"{name}-predictor")
    yield models
    laptop.kubectl("delete", "isvc", "--wait=false", *FRAMEWORKS)


def woken(laptop: Laptop, name: str, data: object) -> list[Any]:
    """Return the predictions of a model that slept."""
    done = laptop.torpor("predict", name, "--json", "-d", orjson.dumps(data).decode())
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert {"wake", "verify", "open", "warm"} <= told["stages"].keys()
    predictions: list[Any] = told["answer"]["predictions"]
    return predictions


def by_v2(laptop: Laptop, name: str, input_: str, datatype: str, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return the one output of a model that is awake."""
    tensor = {"name": input_, "datatype": datatype, "shape": [len(rows), len(rows[0])], "data": rows}
    done = laptop.torpor("predict", name, "--protocol", "v2", "-d", orjson.dumps({"inputs": [tensor]}).decode())
    assert done.returncode == 0, done.stderr
    (output,) = orjson.loads(done.stdout)["outputs"]
    assert isinstance(output, dict)
    return output


def test_xgboost(laptop: Laptop, asleep: Path) -> None:
    """What Booster.predict says, with a value that is missing."""
    import xgboost

    right = xgboost.Booster(model_file=asleep / "diabetes/model.ubj").predict(
        xgboost.DMatrix(np.array(DIABETES, float))
    )
    assert np.array(woken(laptop, "diabetes", DIABETES), np.float32).tolist() == right.tolist()
    rows = [["NaN" if each is None else each for each in row] for row in DIABETES]
    output = by_v2(laptop, "diabetes", "input-0", "FP32", rows)
    assert (output["shape"], np.array(output["data"], np.float32).tolist()) == ([1], right.tolist())


def test_lightgbm(laptop: Laptop, asleep: Path) -> None:
    """What Booster.predict says: a probability for each class."""
    import lightgbm

    right = lightgbm.Booster(model_file=asleep / "wine/model.txt").predict(np.array(WINE))
    assert woken(laptop, "wine", WINE) == right.tolist()
    output = by_v2(laptop, "wine", "input-0", "FP64", WINE)
    assert (output["shape"], output["data"]) == ([1, 3], right.ravel().tolist())


def test_onnx(laptop: Laptop, asleep: Path, examples: Path) -> None:
    """What ONNX Runtime says of this file, and what kind of file that is."""
    import onnxruntime

    program = examples / "onnx/file_types.py"
    request = script(program, "features", __file__)
    (tokens,) = orjson.loads(request)["instances"]
    session = onnxruntime.InferenceSession(asleep / "file-types/model.onnx", providers=["CPUExecutionProvider"])
    (right,) = session.run(None, {"bytes": np.array([tokens], np.int32)})
    predictions = woken(laptop, "file-types", [tokens])
    np.testing.assert_allclose(predictions, right, rtol=1e-4, atol=1e-7)
    assert script(program, "label", stdin=orjson.dumps({"predictions": predictions}).decode()).startswith("python ")
    output = by_v2(laptop, "file-types", "bytes", "INT32", [tokens])
    assert (output["name"], output["shape"]) == ("target_label", [1, 214])


def test_pytorch(laptop: Laptop, asleep: Path, examples: Path) -> None:
    """What the network itself says of three pictures, read from its weights by PyTorch alone."""
    import torch
    from safetensors.torch import load_file

    pictures = orjson.loads(script(examples / "pytorch/train.py", "request"))["instances"]
    network = runpy.run_path(str(asleep / "digits/model.py"))["Digits"]().eval()
    network.load_state_dict(load_file(asleep / "digits/model.safetensors"))
    with torch.inference_mode():
        right = network(torch.tensor(pictures)).numpy()
    predictions = woken(laptop, "digits", pictures)
    np.testing.assert_allclose(predictions, right, rtol=1e-4, atol=1e-7)
    assert np.argmax(predictions, axis=1).tolist() == [8, 9, 8]
