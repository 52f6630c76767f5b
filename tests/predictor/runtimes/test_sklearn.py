"""scikit-learn models: answers, refusals, and what may be opened."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.model import Model, TensorSpec
from predictor.runtimes.runtime import Files
from predictor.runtimes.sklearn import ScikitLearn
from tests.support.models import save_iris
from torpor.errors import ForbiddenError, InvalidInputError, NotFoundError
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.slow

SETOSA, VIRGINICA = [5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]


def opened(folder: Path, *, allow_pickle: bool = False) -> Model:
    runtime = ScikitLearn()
    names = runtime.choose(sorted(path.name for path in folder.iterdir()), allow_pickle=allow_pickle)
    files = Files(folder, names, allow_pickle)
    runtime.verify(files)
    return runtime.open(files)


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Model:
    ScikitLearn().prepare()  # first: imported by anybody else, skops brings torch
    model = opened(save_iris(tmp_path_factory.mktemp("iris")))
    model.warm()
    return model


def test_answers_by_v1(iris: Model) -> None:
    """Plain numbers, one each; of nothing, nothing."""
    assert iris.predict([SETOSA, VIRGINICA]) == [0, 2]
    assert iris.predict([[1, 2, 3, 4]]) == iris.predict([[1.0, 2.0, 3.0, 4.0]])
    assert iris.predict([]) == []


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
def test_answers_by_v2(iris: Model, dtype: str) -> None:
    """Of every type of number."""
    (output,) = iris.infer([Tensor("input-0", np.array([SETOSA, [7, 3, 5, 2]]).astype(dtype))])
    assert (output.name, output.datatype, output.shape) == ("output-0", "INT64", (2,))
    assert output.array.tolist() == [0, 2]


def test_its_signature_has_what_it_was_trained_on(iris: Model) -> None:
    """Four numbers in, a class out."""
    signature = iris.signature
    assert signature.platform == "sklearn_skops"
    assert signature.inputs == (TensorSpec("input-0", "FP64", (-1, 4)),)
    assert signature.outputs == (TensorSpec("output-0", "INT64", (-1,)),)


@pytest.mark.parametrize(
    ("instances", "says"),
    [
        pytest.param([[1, 2, 3]], r"instances\[0\]: \[1, 2, 3\].*4 features", id="too-few-features"),
        pytest.param([SETOSA, [1, 2, 3, 4, 5]], r"instances\[1\].*4 features", id="too-many-in-the-second"),
        pytest.param([1], r"instances\[0\]: 1 .*a list of 4", id="no-row"),
        pytest.param(["four"], r"instances\[0\]: 'four'", id="a-text-of-four-letters"),
        pytest.param([["a", "b", "c", "d"]], "instances.*could not convert", id="texts"),
        pytest.param([[[1], [2], [3], [4]]], "instances", id="rows-of-rows"),
        pytest.param([[None, 1, 2, 3]], "instances.*NaN", id="a-missing-value-that-it-does-not-take"),
    ],
)
def test_v1_instances_that_do_not_fit_are_refused(iris: Model, instances: list[Any], says: str) -> None:
    """By position, with the number of features that the model takes."""
    with pytest.raises(InvalidInputError, match=says):
        iris.predict(instances)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        pytest.param([Tensor("x", np.zeros((1, 4)))], "inputs: 'x'.*named input-0", id="a-wrong-name"),
        pytest.param([], "inputs.*named input-0", id="none"),
        pytest.param([Tensor("input-0", np.zeros((1, 3)))], r"input-0.shape: \[1, 3\].*\[n, 4\]", id="a-wrong-shape"),
        pytest.param([Tensor("input-0", np.zeros(4))], r"input-0.shape: \[4\]", id="a-row-that-is-no-table"),
        pytest.param([Tensor("input-0", np.array([["a"] * 4]))], "input-0.datatype: 'BYTES'", id="a-wrong-datatype"),
    ],
)
def test_v2_tensors_that_do_not_fit_are_refused(iris: Model, inputs: list[Tensor], says: str) -> None:
    """The message names the field, its value, and what the model takes."""
    with pytest.raises(InvalidInputError, match=says):
        iris.infer(inputs)


def test_a_pipeline_for_texts_takes_texts(tmp_path: Path) -> None:
    """A model without a number of features gets the instances as they are; its classes are texts."""
    import skops.io
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(CountVectorizer(), MultinomialNB()).fit(["good day", "bad night"], ["plus", "minus"])
    skops.io.dump(pipeline, tmp_path / "model.skops")
    model = opened(tmp_path)
    assert model.predict(["a good one", "a bad one"]) == ["plus", "minus"]
    assert model.signature.outputs == (TensorSpec("output-0", "BYTES", (-1,)),)
    (output,) = model.infer([Tensor("input-0", np.array(["good"], dtype=object))])
    assert (output.datatype, output.array.tolist()) == ("BYTES", ["plus"])
    model.warm()


class Careless:
    """What a pickle can do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, ("__import__('pathlib').Path('/nowhere/at/all').touch()",))


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.pickle"])
def test_a_pickle_is_not_opened(tmp_path: Path, name: str) -> None:
    """The message says how to save it better, and how to trust it."""
    (tmp_path / name).write_bytes(pickle.dumps(Careless()))
    with pytest.raises(ForbiddenError, match=rf"{name} is a pickle.*skops.*torpor\.dev/allow-pickle: \"true\""):
        opened(tmp_path)


def test_a_pickle_is_opened_where_its_place_is_trusted(tmp_path: Path) -> None:
    """And is the model that was saved."""
    import joblib
    from sklearn.linear_model import LinearRegression

    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), tmp_path / "model.joblib")
    model = opened(tmp_path, allow_pickle=True)
    assert model.predict([[2]]) == [pytest.approx(4.0)]
    assert (model.signature.platform, model.signature.outputs[0].datatype) == ("sklearn_pickle", "FP64")


def test_skops_wins_over_a_pickle_beside_it(tmp_path: Path) -> None:
    """Trusted or not."""
    names = ["model.pkl", "model.skops", "readme.txt"]
    assert ScikitLearn().choose(names, allow_pickle=True) == ("model.skops",)


@pytest.mark.parametrize(
    ("names", "error", "says"),
    [
        pytest.param(["a.txt"], NotFoundError, "no file that ends with .skops, .joblib", id="none"),
        pytest.param(["a.skops", "b.skops"], InvalidInputError, "a.skops, b.skops", id="two"),
    ],
)
def test_one_model_is_needed(names: list[str], error: type[Exception], says: str) -> None:
    """Any name will do for a single one; of several, the one called model."""
    assert ScikitLearn().choose(["any.skops"], allow_pickle=False) == ("any.skops",)
    assert ScikitLearn().choose(["any.skops", "model.skops"], allow_pickle=False) == ("model.skops",)
    with pytest.raises(error, match=says):
        ScikitLearn().choose(names, allow_pickle=False)


class Own:
    """A type that nobody else knows."""

    def predict(self, rows: Any) -> list[int]:
        return [7 for _ in rows]


def test_unknown_types_in_a_skops_file_are_listed(tmp_path: Path) -> None:
    """And made only where the place is trusted."""
    import skops.io

    skops.io.dump(Own(), tmp_path / "model.skops")
    with pytest.raises(ForbiddenError, match=r"test_sklearn\.Own; .*torpor\.dev/allow-pickle"):
        opened(tmp_path)
    assert opened(tmp_path, allow_pickle=True).predict([1]) == [7]


def test_a_file_that_is_no_skops_is_named(tmp_path: Path) -> None:
    """Not a zip at all."""
    (tmp_path / "model.skops").write_bytes(b"\xff" * 100)
    with pytest.raises(InvalidInputError, match=r"model\.skops.*corrupt"):
        opened(tmp_path)


def test_what_cannot_predict_is_no_model(tmp_path: Path) -> None:
    """A scaler, for instance."""
    import skops.io
    from sklearn.preprocessing import StandardScaler

    skops.io.dump(StandardScaler().fit([[1.0], [2.0]]), tmp_path / "model.skops")
    with pytest.raises(InvalidInputError, match=r"StandardScaler.*`predict`"):
        opened(tmp_path)
