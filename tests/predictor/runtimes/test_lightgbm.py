"""LightGBM models: answers are the library's own, refusals come before it, and broken files end nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.model import TensorSpec
from predictor.runtimes import cpus
from predictor.runtimes.lightgbm import LightGBM
from predictor.runtimes.lightgbmfile import check
from tests.predictor.runtimes.opening import opened, survived
from torpor.errors import ForbiddenError, InvalidInputError, NotFoundError, TorporError
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.slow

DICE = np.random.default_rng(0)
FEATURES = 6
ROWS = DICE.normal(size=(300, FEATURES))
ROWS[DICE.random(ROWS.shape) < 0.1] = np.nan
CODES = np.column_stack([DICE.integers(0, 6, 300), DICE.normal(size=300)])
YES = (np.nan_to_num(ROWS[:, 0]) + np.nan_to_num(ROWS[:, 1]) > 0).astype(int)
CLASSES = DICE.integers(0, 3, 300)
BINARY = {"objective": "binary"}


@pytest.fixture(scope="module", autouse=True)
def whole() -> None:
    """The runtime imports the library without its estimators, which one test needs: so it is imported before."""
    import lightgbm  # noqa: F401


def trained(settings: dict[str, Any], rows: Any = ROWS, labels: Any = YES, **more: Any) -> Any:
    import lightgbm

    basics = {"verbose": -1, "min_data_in_leaf": 5, "num_leaves": 7, "num_threads": 1}
    return lightgbm.train(basics | settings, lightgbm.Dataset(rows, label=labels, **more), 6)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has categories, and one that has not."""
    folder = tmp_path_factory.mktemp("saved")
    trained(BINARY).save_model(folder / "model.txt")
    trained({}, CODES, categorical_feature=[0]).save_model(folder / "categories.txt")
    return folder


@pytest.mark.parametrize("name", ["model.txt", "model.bst"])
@pytest.mark.parametrize(
    ("settings", "labels", "shape"),
    [
        pytest.param(BINARY, YES, (-1,), id="two-classes"),
        pytest.param({"objective": "multiclass", "num_class": 3}, CLASSES, (-1, 3), id="a-probability-for-each"),
        pytest.param({"objective": "multiclassova", "num_class": 3}, CLASSES, (-1, 3), id="one-against-all"),
        pytest.param({"objective": "poisson"}, YES, (-1,), id="a-count"),
        pytest.param({"boosting": "dart"}, YES, (-1,), id="dart"),
        pytest.param({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, YES, (-1,), id="a-forest"),
        pytest.param({"linear_tree": True}, YES, (-1,), id="linear-trees"),
        pytest.param({"min_data_in_leaf": 1000}, YES, (-1,), id="trees-of-one-leaf"),
    ],
)
def test_answers_are_those_of_the_library(
    settings: dict[str, Any], labels: Any, shape: tuple[int, ...], name: str, tmp_path: Path
) -> None:
    """Bit for bit, by V1 and V2, with values that are missing and of either precision."""
    import lightgbm

    trained(settings, labels=labels).save_model(tmp_path / name)
    library = lightgbm.Booster(model_file=tmp_path / name)
    model = opened(LightGBM(), tmp_path)
    model.warm()
    for given in (ROWS, ROWS.astype(np.float32)):
        (output,) = model.infer([Tensor("input-0", given)])
        assert (output.name, output.datatype) == ("output-0", "FP64")
        np.testing.assert_array_equal(output.array, library.predict(given))
    instances = [[None if np.isnan(each) else float(each) for each in row] for row in ROWS[:20]]
    assert model.predict(instances) == library.predict(ROWS[:20]).tolist()
    assert model.signature.platform == "lightgbm_text"
    assert model.signature.inputs == (TensorSpec("input-0", "FP64", (-1, FEATURES)),)
    assert model.signature.outputs == (TensorSpec("output-0", "FP64", shape),)


def test_categories_are_their_numbers(saved: Path, tmp_path: Path) -> None:
    """As pandas numbers them, where it had them."""
    import lightgbm

    (tmp_path / "model.txt").write_bytes((saved / "categories.txt").read_bytes())
    right = lightgbm.Booster(model_file=saved / "categories.txt").predict(CODES)
    (output,) = opened(LightGBM(), tmp_path).infer([Tensor("input-0", CODES)])
    np.testing.assert_array_equal(output.array, right)


def test_of_no_rows_nothing(saved: Path) -> None:
    """And infinity is a number like any other."""
    model = opened(LightGBM(), saved)
    assert model.predict([]) == []
    (output,) = model.infer([Tensor("input-0", np.zeros((0, FEATURES)))])
    assert (output.shape, output.datatype) == ((0,), "FP64")
    assert len(model.predict([["Infinity", 0, 0, 0, 0, "NaN"]])) == 1
    with pytest.raises(InvalidInputError, match=r"instances\[0\]: \[1\] .* 6 features"):
        model.predict([[1]])


def test_it_has_the_pods_cpus(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is told so with each question: a file may say otherwise."""
    monkeypatch.setattr(cpus, "available", lambda: 3)
    model: Any = opened(LightGBM(), saved)
    told: list[Any] = []
    monkeypatch.setattr(
        model._booster, "predict", lambda rows, **settings: told.append(settings) or np.zeros(len(rows))
    )
    model.predict([[0] * FEATURES])
    assert told == [{"num_threads": 3}]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        pytest.param(["requirements.txt", "model.bst"], "model.bst", id="bst-before-txt"),
        pytest.param(["requirements.txt", "model.txt"], "model.txt", id="of-several-the-one-called-model"),
        pytest.param(["model.pkl", "any.txt"], "any.txt", id="text-before-a-pickle"),
    ],
)
def test_which_file_it_is(names: list[str], chosen: str) -> None:
    """One, and no other is fetched."""
    assert LightGBM().choose(names, allow_pickle=True) == (chosen,)


def test_no_file() -> None:
    """The message says what is wanted."""
    with pytest.raises(NotFoundError, match=r"ends with \.bst, \.txt, .*save_model"):
        LightGBM().choose(["a.json"], allow_pickle=True)


def test_a_pickle_needs_trust(tmp_path: Path) -> None:
    """Then it is the booster within the estimator."""
    import joblib
    import lightgbm

    estimator = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(ROWS, YES)
    joblib.dump(estimator, tmp_path / "model.joblib")
    with pytest.raises(ForbiddenError, match=r"model\.joblib is a pickle.*model\.txt.*allow-pickle"):
        opened(LightGBM(), tmp_path)
    model = opened(LightGBM(), tmp_path, allow_pickle=True)
    assert model.signature.platform == "lightgbm_pickle"
    np.testing.assert_array_equal(model.infer([Tensor("input-0", ROWS)])[0].array, estimator.booster_.predict(ROWS))
    (tmp_path / "model.joblib").unlink()
    (tmp_path / "model.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(InvalidInputError, match=r"model\.pkl: 'list' .* Booster"):
        opened(LightGBM(), tmp_path, allow_pickle=True)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("tree\n", "treee\n", "no model of LightGBM's", id="no-model"),
        pytest.param("end of trees", "", "truncated: it has no line 'end of trees'", id="no-end"),
        pytest.param("end of parameters", "", "truncated: .*'end of parameters'", id="no-end-of-parameters"),
        pytest.param("[boosting: gbdt]", "[boost", "'.boost' is no parameter", id="a-parameter-cut-short"),
        pytest.param("Tree=3", "Tree=4", "'Tree=4' comes after 3 trees", id="a-tree-that-is-missing"),
        pytest.param("max_feature_idx=1", "max_feature_idx=7", "feature_names has 2 entries for 8", id="features"),
        pytest.param("num_class=1", "num_class=9999999", "9999999 classes", id="outputs-without-end"),
        pytest.param("num_leaves=", "num_leaves=1", "values where 1", id="leaves"),
        pytest.param("split_feature=", "split_feature=9", "split_feature has 9", id="a-feature-that-is-none"),
        pytest.param("right_child=", "right_child=9", "its children has 9", id="a-child-that-is-none"),
        pytest.param("threshold=", "threshold=x", "threshold: could not convert", id="no-number"),
        pytest.param("cat_boundaries=0 1", "cat_boundaries=0 4", "do not divide cat_threshold", id="categories"),
        pytest.param("num_cat=1", "num_cat=0", "splits by others", id="no-categories"),
    ],
)
def test_what_would_end_the_process_is_found(saved: Path, old: str, new: str, says: str) -> None:
    """By its name, before the library sees it."""
    text = (saved / "categories.txt").read_text()
    check("model.txt", text)
    assert old in text
    with pytest.raises(TorporError, match=rf"model\.txt is .*{says}"):
        check("model.txt", text.replace(old, new, 1))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "model.txt").write_bytes(b"tree\n\xff\xff")
    with pytest.raises(InvalidInputError, match=r"model\.txt: 'byte 5' .*UTF-8"):
        opened(LightGBM(), tmp_path)


@pytest.mark.parametrize("name", ["model.txt", "categories.txt"])
def test_damaged_files_end_nothing(saved: Path, name: str) -> None:
    """Of hundreds, most are refused, and the others open: what they changed is a number."""
    found = survived("lightgbm", saved / name, 200)
    assert found["refused"] > 100
    assert found["opened"] > 0
