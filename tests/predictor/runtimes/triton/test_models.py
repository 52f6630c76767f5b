"""Models of a Triton repository, unchanged: ONNX, TorchScript and Python, as their configurations describe them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from predictor.loading.held import Held
from predictor.model import Model
from tests.predictor.runtimes.triton.repository import onnx_model, opened, torchscript, write
from torpor.errors import InvalidInputError, LoadError, ModelError, NotFoundError, TorporError, UnsupportedError
from torpor.protocol.tensors import Tensor

ONNX = """
backend: "onnxruntime" max_batch_size: 4
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" } ]
dynamic_batching { }
"""
TORCH = """
platform: "pytorch_libtorch" max_batch_size: 2
input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "INPUT__1" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "OUTPUT__1" data_type: TYPE_FP32 dims: [ 2 ] },
         { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""
PYTHON = """
backend: "python" max_batch_size: 4
input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] },
        { name: "t" data_type: TYPE_STRING dims: [ 1 ] optional: true } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]
parameters { key: "factor" value: { string_value: "3" } }
"""
SCRIPT = """
import json
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.config = json.loads(args["model_config"])
        self.factor = int(self.config["parameters"]["factor"]["string_value"])
        kind = pb_utils.get_output_config_by_name(self.config, "y")["data_type"]
        self.dtype = pb_utils.triton_string_to_numpy(kind)

    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            text = pb_utils.get_input_tensor_by_name(request, "t")
            word = text.as_numpy().ravel()[0] if text is not None else b""
            if word == b"raise":
                raise KeyError("secret")
            if word == b"refuse":
                error = pb_utils.TritonError("not that", pb_utils.TritonError.INVALID_ARG)
                responses.append(pb_utils.InferenceResponse(error=error))
                continue
            if word == b"few":
                return []
            if word == b"other":
                response = pb_utils.InferenceRequest(model_name="n", inputs=[]).exec()
                raise pb_utils.TritonModelException(response.error().message())
            given = x.astype(np.float64) if word == b"type" else x
            y = pb_utils.Tensor("y", (given * self.factor).astype(np.float64 if word == b"type" else self.dtype))
            responses.append(pb_utils.InferenceResponse(output_tensors=[y]))
        return responses

    def finalize(self):
        print("finalized")
"""


def infer(model: Model, **inputs: object) -> dict[str, list[object]]:
    given = [
        Tensor(name, array if isinstance(array, np.ndarray) else np.asarray(array)) for name, array in inputs.items()
    ]
    return {each.name: each.array.tolist() for each in model.infer(given)}


def floats(*rows: object) -> np.ndarray:
    return np.array(rows, np.float32)


def test_onnx(tmp_path: Path) -> None:
    """The highest version; the batch is before the shapes of the configuration; labels and batches are the model's."""
    for version in ("1", "2", "10"):
        onnx_model(tmp_path / version / "model.onnx")
    onnx_model(tmp_path / "011" / "model.onnx")
    write(tmp_path, {"config.pbtxt": ONNX, "labels.txt": "a\nb\nc\nd\n"})
    model = opened(tmp_path)
    assert model.signature.inputs[0].shape == (-1, 4)
    assert infer(model, x=floats([1, 2, 3, 4])) == {"y": [[2, 4, 6, 8]]}
    assert model.predict([[1, 2, 3, 4], [0, 0, 0, 1]]) == [[2, 4, 6, 8], [0, 0, 0, 2]]
    held = Held(model)
    assert held.labels == {"y": ["a", "b", "c", "d"]}
    assert held.batching is not None
    assert (held.batching.max_size, held.joins) == (4, True)
    for array, says in (
        (floats([1, 2, 3]), r"x.shape: \[1, 3\]"),
        (floats(*[[1, 2, 3, 4]] * 5), r"x.shape: \[5, 4\] is not allowed; this model takes 4 rows"),
        (floats(1, 2, 3, 4), r"x.shape: \[4\]"),
        (np.array([[1, 2, 3, 4]]), "x.datatype: 'INT64'"),
    ):
        with pytest.raises(InvalidInputError, match=says):
            infer(model, x=array)
    with pytest.raises(InvalidInputError, match="'z' is not allowed; this model takes x"):
        infer(model, z=floats([1, 2, 3, 4]))
    model.close()


def test_without_a_configuration(tmp_path: Path) -> None:
    """An ONNX file says enough; anything else does not. One model alone in a repository is found there."""
    onnx_model(tmp_path / "only" / "1" / "model.onnx")
    assert infer(opened(tmp_path), x=floats([1, 2, 3, 4])) == {"y": [[2, 4, 6, 8]]}
    write(tmp_path / "only", {"2/model.py": SCRIPT})
    with pytest.raises(NotFoundError, match=r"there is no 2/model.onnx; without a config.pbtxt only ONNX"):
        opened(tmp_path)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_torchscript(tmp_path: Path) -> None:
    """Arguments and answers by the numbers in their names."""
    torchscript(tmp_path / "1" / "model.pt")
    write(tmp_path, {"config.pbtxt": TORCH})
    found = infer(opened(tmp_path), INPUT__0=floats([5, 6]), INPUT__1=floats([1, 2]))
    assert found == {"OUTPUT__1": [[4, 4]], "OUTPUT__0": [[6, 8]]}


def test_shapes_are_changed(tmp_path: Path) -> None:
    """What clients send and what the model takes may be shaped differently, both ways."""
    onnx_model(tmp_path / "1" / "model.onnx")
    config = """
    backend: "onnxruntime" max_batch_size: 4
    input [ { name: "x" data_type: TYPE_FP32 dims: [ 2, 2 ] reshape { shape: [ 4 ] } } ]
    output [ { name: "y" data_type: TYPE_FP32 dims: [ 1, 4 ] reshape { shape: [ 4 ] } } ]
    model_warmup [ {
        name: "w" batch_size: 2
        inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 2, 2 ] zero_data: true } }
    } ]
    """
    write(tmp_path, {"config.pbtxt": config})
    assert infer(opened(tmp_path), x=floats([[1, 2], [3, 4]])) == {"y": [[[2, 4, 6, 8]]]}


def test_python(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"config.pbtxt": PYTHON, "1/model.py": SCRIPT})
    model = opened(tmp_path)
    assert infer(model, x=floats([1, 2], [3, 4])) == {"y": [[3, 6], [9, 12]]}
    for word, kind, says in (
        ("raise", ModelError, "execute of TritonPythonModel raised KeyError; the pod's log"),
        ("refuse", InvalidInputError, "not that"),
        ("few", ModelError, "execute returned 0 responses"),
        ("type", ModelError, r"output 'y' is FP64 \[1, 2\], and config.pbtxt says FP32 \[2\]"),
        ("other", ModelError, "there are no other models here to ask"),
    ):
        with pytest.raises(kind, match=says):
            infer(model, x=floats([1, 2]), t=np.array([[word.encode()]], object))
    model.close()
    assert "finalized" in capfd.readouterr().out


def test_a_decoupled_model(tmp_path: Path) -> None:
    """Any number of answers, also from a thread of its own; not by infer."""
    script = """
    import threading
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def execute(self, requests):
            for request in requests:
                count = int(pb_utils.get_input_tensor_by_name(request, "n").as_numpy()[0])
                threading.Thread(target=self.count, args=(request.get_response_sender(), count)).start()

        def count(self, sender, count):
            for number in range(count):
                tensor = pb_utils.Tensor("i", np.array([number], np.int32))
                sender.send(pb_utils.InferenceResponse([tensor]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    """
    config = """
    backend: "python" model_transaction_policy { decoupled: true }
    input [ { name: "n" data_type: TYPE_INT32 dims: [ 1 ] } ]
    output [ { name: "i" data_type: TYPE_INT32 dims: [ 1 ] } ]
    """
    model = opened(write(tmp_path, {"config.pbtxt": config, "1/model.py": script}))
    held = Held(model)
    assert held.streams is not None
    for count in (0, 3):
        answers = held.streams.stream([Tensor("n", np.array([count], np.int32))], {})
        assert [each[0].array.tolist() for each in answers] == [[number] for number in range(count)]
    with pytest.raises(UnsupportedError, match="decoupled: ask it by ModelStreamInfer"):
        infer(model, n=np.array([1], np.int32))


@pytest.mark.parametrize(
    ("files", "kind", "says"),
    [
        pytest.param({"config.pbtxt": ONNX}, NotFoundError, "there is no folder of a version", id="no version"),
        pytest.param({"config.pbtxt": ONNX, "1/x.txt": ""}, NotFoundError, "there is no 1/model.onnx", id="no model"),
        pytest.param(
            {"a/config.pbtxt": ONNX, "b/1/x": ""},
            InvalidInputError,
            "storageUri: 'a, b' is not allowed",
            id="several models",
        ),
        pytest.param({"config.pbtxt": PYTHON, "1/model.py": "def ("}, InvalidInputError, "model.py: ", id="no Python"),
        pytest.param(
            {"config.pbtxt": PYTHON, "1/model.py": "x = 1"}, LoadError, "no class TritonPythonModel", id="no class"
        ),
        pytest.param(
            {"config.pbtxt": PYTHON, "1/model.py": "class TritonPythonModel: pass"},
            LoadError,
            "no method `execute`",
            id="no execute",
        ),
        pytest.param(
            {"config.pbtxt": PYTHON.replace("factor", "f"), "1/model.py": SCRIPT},
            LoadError,
            "KeyError: 'factor'",
            id="no initialize",
        ),
        pytest.param(
            {
                "config.pbtxt": PYTHON + "version_policy { specific { versions: [ 1 ] } }",
                "1/model.py": SCRIPT,
                "2/model.py": SCRIPT,
            },
            InvalidInputError,
            "version_policy.specific.versions: '1' is not allowed; the highest version that is there is 2",
            id="another version",
        ),
        pytest.param(
            {"config.pbtxt": PYTHON + "batch_input [ { } ]", "1/model.py": SCRIPT},
            InvalidInputError,
            r"batch_input.* does not offer this",
            id="not offered",
        ),
    ],
)
def test_what_cannot_be_served(tmp_path: Path, files: dict[str, str], kind: type[TorporError], says: str) -> None:
    write(tmp_path, files)
    with pytest.raises(kind, match=says):
        opened(tmp_path)


@pytest.mark.parametrize("keeps", [True, False])
def test_answers_are_kept_where_the_configuration_says_so(tmp_path: Path, keeps: bool) -> None:  # noqa: FBT001
    """And the server has room for them."""
    onnx_model(tmp_path / "1" / "model.onnx")
    config = ONNX.replace('label_filename: "labels.txt"', "")
    write(tmp_path, {"config.pbtxt": config + ("response_cache { enable: true }" if keeps else "")})
    model = opened(tmp_path)
    assert (Held(model, cache_bytes=1000).cache is not None) is keeps
    assert Held(model).cache is None


def test_a_name_that_the_model_has_not(tmp_path: Path) -> None:
    onnx_model(tmp_path / "1" / "model.onnx")
    write(tmp_path, {"config.pbtxt": ONNX.replace('"x"', '"w"').replace('label_filename: "labels.txt"', "")})
    with pytest.raises(LoadError, match=r"config.pbtxt: input 'w': the model has x"):
        opened(tmp_path)


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    onnx_model(tmp_path / "1" / "model.onnx")
    write(tmp_path, {"config.pbtxt": ONNX})
    with pytest.raises(NotFoundError, match=r"output\[0\].label_filename: there is no labels.txt"):
        opened(tmp_path)


def test_its_configuration_is_what_initialize_gets(tmp_path: Path) -> None:
    """With all that was left out, as Triton completes it."""
    script = """
    import json
    class TritonPythonModel:
        def initialize(self, args):
            config = json.loads(args["model_config"])
            raise ValueError(json.dumps([config["max_batch_size"], config["input"][0]["dims"], args["model_version"]]))
        def execute(self, requests): pass
    """
    write(tmp_path, {"config.pbtxt": PYTHON, "1/model.py": script})
    with pytest.raises(LoadError) as caught:
        opened(tmp_path)
    assert json.loads(str(caught.value).removeprefix("ValueError: ")) == [4, [2], "1"]


def test_helpers_are_each_models_own(tmp_path: Path) -> None:
    """Of the same name; of a model that is loaded again, what is there now."""
    script = """
    import helper
    import triton_python_backend_utils as pb_utils
    class TritonPythonModel:
        def execute(self, requests):
            found = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() * helper.FACTOR for each in requests]
            return [pb_utils.InferenceResponse([pb_utils.Tensor("y", each)]) for each in found]
    """
    config = PYTHON.replace('parameters { key: "factor" value: { string_value: "3" } }', "")
    models = []
    for name, version, factor in (("a", 1, 2), ("b", 1, 3), ("a", 2, 5)):
        files = {"config.pbtxt": config, f"{version}/model.py": script, f"{version}/helper.py": f"FACTOR = {factor}"}
        models.append(opened(write(tmp_path / name, files)))
    x = floats([1, 10])
    assert [infer(each, x=x)["y"] for each in models] == [[[2, 20]], [[3, 30]], [[5, 50]]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(np.array([1, 2], np.float32).tobytes(), "", id="right"),
        pytest.param(
            np.array([666, 2], np.float32).tobytes(), "model_warmup 'w': execute of .* ValueError", id="fails"
        ),
        pytest.param(b"1", "model_warmup 'w': x.* 8 bytes, and there are 1", id="another length"),
        pytest.param(None, "model_warmup 'w': x: there is no warmup/f", id="none"),
    ],
)
def test_warmed_up_by_a_file(tmp_path: Path, content: bytes | None, says: str) -> None:
    """Each row of the batch is what the file has."""
    script = """
    import triton_python_backend_utils as pb_utils
    class TritonPythonModel:
        def execute(self, requests):
            x = pb_utils.get_input_tensor_by_name(requests[0], "x").as_numpy()
            if x.tolist() != [[1, 2]] * 3:
                raise ValueError(x)
            return [pb_utils.InferenceResponse([pb_utils.Tensor("y", x)])]
    """
    warmup = """model_warmup { name: "w" batch_size: 3
        inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 2 ] input_data_file: "f" } } }"""
    write(tmp_path, {"config.pbtxt": PYTHON + warmup, "1/model.py": script})
    if content is not None:
        (tmp_path / "warmup").mkdir()
        (tmp_path / "warmup" / "f").write_bytes(content)
    if not says:
        opened(tmp_path)
        return
    with pytest.raises(TorporError, match=says):
        opened(tmp_path)
