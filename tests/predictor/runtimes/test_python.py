"""Classes of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.model import Model, Signature, TensorSpec
from predictor.runtimes.python import PythonClass
from predictor.runtimes.runtime import Files
from tests.support.models import save_python_model
from torpor.errors import InvalidInputError, LoadError, ModelError, NotFoundError, TorporError
from torpor.protocol.tensors import Tensor

ECHO = "class Model:\n    def predict(self, instances):\n        return instances\n"


def opened(folder: Path, source: str) -> Model:
    runtime = PythonClass()
    save_python_model(folder, source)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    files = Files(folder, runtime.choose(names, allow_pickle=False))
    runtime.prepare()
    runtime.verify(files)
    return runtime.open(files)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """A model's modules are modules of the process."""
    before, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.path[:] = path


def predicting(tmp_path: Path, body: str) -> Model:
    return opened(tmp_path, f"import numpy as np\nclass Model:\n    def predict(self, instances):\n        {body}\n")


def test_a_class_is_loaded_once_and_asked(tmp_path: Path) -> None:
    """By V1 and by V2."""
    model = opened(tmp_path, ECHO + "    def load(self):\n        self.loaded = getattr(self, 'loaded', 0) + 1\n")
    assert model.predict([1, "a", {"b": None}]) == [1, "a", {"b": None}]
    (output,) = model.infer([Tensor("anything", np.array([[1.5], [2.5]]))])
    assert (output.name, output.datatype, output.array.tolist()) == ("output-0", "FP64", [[1.5], [2.5]])
    model.warm()
    model.close()


def test_files_and_modules_beside_it_are_found(tmp_path: Path) -> None:
    """For as long as it is open, its folder comes first."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "__init__.py").write_text("def twice(value):\n    return 2 * value\n")
    model = opened(
        tmp_path,
        "from beside import twice\nclass Model:\n    def predict(self, instances):\n"
        "        import late\n        return [late.add(twice(each)) for each in instances]\n",
    )
    (tmp_path / "late.py").write_text("def add(value):\n    return value + 1\n")
    assert sys.path[0] == str(tmp_path)
    assert model.predict([1]) == [3]
    model.close()
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("x = 1\n", "model.py has no `class Model`", id="no-class"),
        pytest.param("Model = 1\n", "model.py has no `class Model`", id="a-model-that-is-no-class"),
        pytest.param("class Model: ...\n", "no method `predict`", id="no-predict"),
        pytest.param("import nothing_of_this_name\n", "ModuleNotFoundError: No module named", id="import-that-fails"),
        pytest.param(
            "class Model:\n    def predict(self, i): ...\n    def __init__(self, x): ...\n", "TypeError", id="init"
        ),
        pytest.param(
            ECHO + "    def load(self):\n        raise RuntimeError('no licence found')\n",
            "^RuntimeError: no licence found$",
            id="load-that-raises",
        ),
        pytest.param(
            ECHO + "    def load(self):\n        raise SystemExit(3)\n", "SystemExit: 3", id="load-that-exits"
        ),
    ],
)
def test_what_cannot_be_opened_says_what_its_code_says(tmp_path: Path, source: str, says: str) -> None:
    """And leaves no folder on the search path."""
    with pytest.raises(LoadError, match=says) as caught:
        opened(tmp_path, source)
    assert caught.value.stage == "open"
    assert not caught.value.retryable
    assert str(tmp_path) not in sys.path


def test_what_python_cannot_compile_is_refused_before_it_is_run(tmp_path: Path) -> None:
    """With the line."""
    with pytest.raises(InvalidInputError, match=r"model.py.*line 1"):
        opened(tmp_path, "class Model(:\n")


def test_a_folder_without_model_py_says_what_is_there() -> None:
    """So that a wrong folder is recognised."""
    with pytest.raises(NotFoundError, match=r"no model.py.*among weights.json"):
        PythonClass().choose(["weights.json"], allow_pickle=False)


def test_caches_are_not_fetched() -> None:
    """Everything else is: only the class knows what it needs."""
    names = ["model.py", "__pycache__/model.pyc", "a/__pycache__/b.pyc", ".git/config", "weights.pkl"]
    assert PythonClass().choose(names, allow_pickle=False) == ("model.py", "weights.pkl")


@pytest.mark.parametrize(
    ("body", "predictions"),
    [
        pytest.param("return np.array([[1, 2], [3, 4]])", [[1, 2], [3, 4]], id="an-array"),
        pytest.param("return [np.float32(0.5), np.int64(2)]", [0.5, 2], id="numbers"),
        pytest.param("return [{'a': np.array([1])}, (np.True_,)]", [{"a": [1]}, [True]], id="deep-inside"),
        pytest.param("return tuple(instances)", ["x", "y"], id="a-tuple"),
    ],
)
def test_results_of_numpy_become_json(tmp_path: Path, body: str, predictions: list[Any]) -> None:
    """Wherever they are."""
    assert predicting(tmp_path, body).predict(["x", "y"]) == predictions


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param("return [1]", "returned 1 predictions for 2 instances", id="too-few"),
        pytest.param("return None", "returned NoneType; a list", id="nothing"),
        pytest.param("return {'a': 1}", "returned dict; a list", id="no-list"),
    ],
)
def test_a_class_that_answers_wrongly_is_told_so(tmp_path: Path, body: str, says: str) -> None:
    """It is the model's fault, and not the client's."""
    with pytest.raises(TorporError, match=says) as caught:
        predicting(tmp_path, body).predict(["x", "y"])
    assert not isinstance(caught.value, InvalidInputError)


def test_a_value_error_is_the_clients_fault(tmp_path: Path) -> None:
    """That is what it means in Python; the message goes to who asked."""
    with pytest.raises(InvalidInputError, match=r"instances.*age must be positive"):
        predicting(tmp_path, "raise ValueError('age must be positive')").predict([-1])


def test_any_other_error_is_the_models_own_failure(tmp_path: Path) -> None:
    """Who asked is told its type; its words, which may hold anything, go to the log alone."""
    with pytest.raises(ModelError, match="raised KeyError") as caught:
        predicting(tmp_path, "return {}['secret']").predict([1])
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("raised", ["SystemExit(3)", "KeyboardInterrupt"])
def test_one_request_does_not_end_the_server(tmp_path: Path, raised: str) -> None:
    """What would end a script is a failure of this request; the next one is answered."""
    model = predicting(tmp_path, f"if instances == ['end']: raise {raised}\n        return instances")
    with pytest.raises(ModelError, match=f"raised {raised.partition('(')[0]}"):
        model.predict(["end"])
    assert model.predict(["next"]) == ["next"]


@pytest.mark.parametrize(
    ("body", "datatype", "data"),
    [
        pytest.param("return [1, 2]", "INT64", [1, 2], id="numbers"),
        pytest.param("return [each == b'x' for each in instances]", "BOOL", [False, False], id="truths"),
        pytest.param("return [each.upper() for each in instances]", "BYTES", ["X", "Y"], id="texts-come-as-texts"),
        pytest.param("return [{'a': 1}, None]", "BYTES", ['{"a":1}', "null"], id="anything-else-is-json"),
        pytest.param("return [[1], [1, 2]]", "BYTES", ["[1]", "[1,2]"], id="ragged-is-json"),
    ],
)
def test_by_v2_predictions_are_a_tensor(tmp_path: Path, body: str, datatype: str, data: list[Any]) -> None:
    """Of their own type, where they have one."""
    (output,) = predicting(tmp_path, body).infer([Tensor("t", np.array([b"x", "y"], dtype=object))])
    assert (output.datatype, output.array.tolist()) == (datatype, data)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        pytest.param([], "takes one input", id="none"),
        pytest.param([Tensor("a", np.array([1])), Tensor("b", np.array([1]))], "a, b.*takes one input", id="two"),
        pytest.param([Tensor("a", np.array(1))], "shape.*first axis", id="a-scalar"),
    ],
)
def test_inputs_that_are_no_list_of_instances_are_refused(tmp_path: Path, inputs: list[Tensor], says: str) -> None:
    """The message names them."""
    with pytest.raises(InvalidInputError, match=says):
        opened(tmp_path, ECHO).infer(inputs)


TENSORS = """
class Model:
    inputs = [("x", "FP32", [-1, 2]), ("scale", "FP32", [1])]
    outputs = [("y", "FP32", [-1, 2])]
    labels = ["left", "right"]

    def infer(self, inputs, parameters):
        if parameters.get("fail"):
            raise ValueError("as asked")
        return {"y": inputs["x"] * inputs["scale"]}

    def stream(self, inputs):
        for row in inputs["x"]:
            yield {"y": row}

    def explain(self, instances):
        return [{"because": each} for each in instances]
"""


def tensors(**changes: Any) -> list[Tensor]:
    given = {"x": np.ones((3, 2), np.float32), "scale": np.array([2], np.float32)} | changes
    return [Tensor(name, array) for name, array in given.items() if array is not None]


def test_a_class_that_takes_tensors(tmp_path: Path) -> None:
    """Arrays by name in and out, as it declares them; with parameters, labels, explanations, a stream."""
    model = opened(tmp_path, TENSORS)
    assert model.signature == Signature(
        "python_class",
        (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("scale", "FP32", (1,))),
        (TensorSpec("y", "FP32", (-1, 2)),),
    )
    (y,) = model.infer(tensors())
    assert (y.name, y.array.tolist()) == ("y", [[2, 2]] * 3)
    assert model.labels == {"y": ["left", "right"]}
    assert model.explains
    assert model.explain(["a"]) == [{"because": "a"}]
    assert model.streams
    assert [answer[0].array.tolist() for answer in model.stream(tensors(), {})] == [[1, 1]] * 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(tensors(z=np.ones(1)), r"inputs\[2\]\.name: 'z' .* takes x, scale", id="one too many"),
        pytest.param(tensors(scale=None), "this model also takes scale", id="one too few"),
        pytest.param(tensors(x=np.ones((3, 2))), r"inputs\[0\]\.datatype: 'FP64' .* x is FP32", id="a datatype"),
        pytest.param(tensors(x=np.ones((3, 3), np.float32)), r"inputs\[0\]\.shape: \[3, 3\]", id="a fixed length"),
        pytest.param(tensors(x=np.ones(2, np.float32)), r"inputs\[0\]\.shape: \[2\]", id="a rank"),
    ],
)
def test_tensors_that_it_does_not_declare_are_refused(tmp_path: Path, given: list[Tensor], says: str) -> None:
    """Before the class sees them."""
    with pytest.raises(InvalidInputError, match=says):
        opened(tmp_path, TENSORS).infer(given)


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        pytest.param("raise ValueError('no')", InvalidInputError, "inputs: .* no", id="its word for a wrong value"),
        pytest.param("raise KeyError('secret')", ModelError, "infer of model.py raised KeyError", id="its own fault"),
        pytest.param("import sys; sys.exit(3)", ModelError, "raised SystemExit", id="it leaves"),
        pytest.param("return [1]", ModelError, "returned list; a dict of arrays is needed", id="no dict"),
    ],
)
def test_what_infer_raises_is_told(tmp_path: Path, body: str, error: type[Exception], says: str) -> None:
    """Whose fault it is, and nothing that is not for clients."""
    model = opened(tmp_path, f"class Model:\n    def infer(self, inputs):\n        {body}\n")
    assert model.signature.outputs == ()
    with pytest.raises(error, match=says) as raised:
        model.infer(tensors())
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("inputs = 3", "model.py: inputs: 3 .* use a list of", id="no list"),
        pytest.param('inputs = [("x", "FP32")]', r"model.py: inputs\[0\]: \('x', 'FP32'\)", id="two of three"),
        pytest.param('inputs = [("", "FP32", [1])]', "the name is a text", id="no name"),
        pytest.param('inputs = [("x", "FLOAT", [1])]', "'FLOAT' .* the datatype is one of", id="a datatype"),
        pytest.param('inputs = [("x", "FP32", [-2])]', r"\[-2\] .* where -1 is any", id="a length"),
        pytest.param("labels = 7", "model.py: labels: 7", id="labels that are none"),
    ],
)
def test_a_declaration_that_is_none_is_refused_while_it_loads(tmp_path: Path, line: str, says: str) -> None:
    """With the attribute, its value and what is allowed."""
    with pytest.raises(InvalidInputError, match=says):
        opened(tmp_path, f"class Model:\n    {line}\n    def infer(self, inputs):\n        return {{}}\n")
