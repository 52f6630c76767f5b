"""What a configuration leaves out: an ONNX file says it, and `auto_complete_config` of a Python model."""

from __future__ import annotations

from pathlib import Path

import pytest

from predictor.loading.held import Held
from tests.predictor.runtimes.triton.repository import onnx_model, opened, torchscript, write
from tests.predictor.runtimes.triton.test_models import floats, infer
from torpor.errors import InvalidInputError, LoadError, TorporError

SCRIPT = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        STEPS
        return config

    def execute(self, requests):
        found = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() for each in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", each)]) for each in found]
"""
PORTS = """config.add_input({"name": "x", "data_type": "TYPE_FP32", "dims": [2]})
        config.add_output({"name": "y", "data_type": "TYPE_FP32", "dims": [-1]})"""


@pytest.mark.parametrize(("most", "shape"), [("", (-1, 4)), ("max_batch_size: 8", (-1, 4))])
def test_an_onnx_file_says_its_ports(tmp_path: Path, most: str, shape: tuple[int, ...]) -> None:
    onnx_model(tmp_path / "1" / "model.onnx")
    output = 'output { name: "y" data_type: TYPE_FP32 dims: [ -1, 4 ] }' if not most else ""
    model = opened(write(tmp_path, {"config.pbtxt": f'backend: "onnxruntime" {most} {output}'}))
    assert (model.signature.inputs[0].name, model.signature.inputs[0].shape) == ("x", shape)
    assert infer(model, x=floats([1, 2, 3, 4])) == {"y": [[2, 4, 6, 8]]}
    configuration = Held(model).configuration
    assert configuration is not None
    assert configuration["input"][0]["data_type"] == "TYPE_FP32"


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_torchscript_does_not_say(tmp_path: Path) -> None:
    torchscript(tmp_path / "1" / "model.pt")
    with pytest.raises(InvalidInputError, match=r"config.pbtxt: input: 'nothing' .* a pytorch model does not say them"):
        opened(write(tmp_path, {"config.pbtxt": 'backend: "pytorch"'}))


def test_a_python_model_completes_it(tmp_path: Path) -> None:
    steps = f"""{PORTS}
        config.set_max_batch_size(4)
        config.set_dynamic_batching()"""
    model = opened(write(tmp_path, {"config.pbtxt": 'backend: "python"', "1/model.py": SCRIPT.replace("STEPS", steps)}))
    assert model.signature.inputs[0].shape == (-1, 2)
    assert infer(model, x=floats([1, 2])) == {"y": [[1, 2]]}
    batching = Held(model).batching
    assert batching is not None
    assert batching.max_size == 4


def test_what_is_said_stays(tmp_path: Path) -> None:
    """The same again is no contradiction."""
    config = 'backend: "python" max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }'
    steps = f"{PORTS}; config.set_max_batch_size(8)"
    model = opened(write(tmp_path, {"config.pbtxt": config, "1/model.py": SCRIPT.replace("STEPS", steps)}))
    configuration = Held(model).configuration
    assert configuration is not None
    assert (configuration["max_batch_size"], len(configuration["input"])) == (2, 1)


@pytest.mark.parametrize(
    ("steps", "kind", "says"),
    [
        pytest.param("return None", LoadError, "auto_complete_config returned NoneType", id="nothing"),
        pytest.param('config.add_input({"name": "x"})', LoadError, "ValueError: input lacks d", id="a port without"),
        pytest.param(
            'config.add_input({"name": "x", "data_type": "TYPE_INT8", "dims": [2]})',
            LoadError,
            "says otherwise of data_type of input 'x'",
            id="a contradiction",
        ),
        pytest.param(
            'config.add_output({"name": "y", "data_type": "FP32", "dims": [2]})',
            InvalidInputError,
            "auto_complete_config: .*FP32",
            id="no type",
        ),
    ],
)
def test_completed_wrongly(tmp_path: Path, steps: str, kind: type[TorporError], says: str) -> None:
    config = 'backend: "python" input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }'
    with pytest.raises(kind, match=says):
        opened(write(tmp_path, {"config.pbtxt": config, "1/model.py": SCRIPT.replace("STEPS", steps)}))
