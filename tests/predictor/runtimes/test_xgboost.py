"""XGBoost models: answers are the library's own, refusals come before it, and broken files end nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor.model import TensorSpec
from predictor.runtimes import cpus
from predictor.runtimes.xgboost import XGBoost
from predictor.runtimes.xgboostfile import check
from tests.predictor.runtimes.opening import opened, survived
from torpor.errors import ForbiddenError, InvalidInputError, LoadError, NotFoundError, TorporError
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.slow

DICE = np.random.default_rng(0)
FEATURES = 6
ROWS = DICE.normal(size=(300, FEATURES)).astype(np.float32)
ROWS[DICE.random(ROWS.shape) < 0.1] = np.nan
CODES = np.column_stack([DICE.integers(0, 6, 300), DICE.normal(size=300)])
YES = (np.nan_to_num(ROWS[:, 0]) + np.nan_to_num(ROWS[:, 1]) > 0).astype(int)
CLASSES = DICE.integers(0, 3, 300)
BINARY = {"objective": "binary:logistic"}
VECTOR_LEAVES = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}


@pytest.fixture(scope="module", autouse=True)
def whole() -> None:
    """The runtime imports the library without its estimators, which one test needs: so it is imported before."""
    import xgboost  # noqa: F401


def trained(settings: dict[str, Any], rows: Any = ROWS, labels: Any = YES, **more: Any) -> Any:
    import xgboost

    depth = {} if settings.get("booster") == "gblinear" else {"max_depth": 3}
    return xgboost.train({**depth, "nthread": 1, **settings}, xgboost.DMatrix(rows, labels, **more), 6)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model, in each format that there is."""
    folder = tmp_path_factory.mktemp("saved")
    booster = trained(BINARY)
    for suffix in ("ubj", "json"):
        booster.save_model(folder / f"model.{suffix}")
    return folder


@pytest.mark.parametrize("suffix", ["ubj", "json"])
@pytest.mark.parametrize(
    ("settings", "labels", "shape"),
    [
        pytest.param(BINARY, YES, (-1,), id="two-classes"),
        pytest.param({"objective": "multi:softprob", "num_class": 3}, CLASSES, (-1, 3), id="a-probability-for-each"),
        pytest.param({"objective": "multi:softmax", "num_class": 3}, CLASSES, (-1,), id="a-class"),
        pytest.param({"objective": "count:poisson"}, YES, (-1,), id="a-count"),
        pytest.param({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]}, YES, (-1, 2), id="quantiles"),
        pytest.param({"booster": "dart", "rate_drop": 0.3}, YES, (-1,), id="dart"),
        pytest.param({"gamma": 3, "tree_method": "exact", "max_depth": 8}, YES, (-1,), id="pruned"),
        pytest.param({"num_parallel_tree": 3, "subsample": 0.5}, YES, (-1,), id="a-forest"),
        pytest.param({"tree_method": "hist"}, np.stack([YES, CLASSES], 1), (-1, 2), id="two-targets"),
        pytest.param(VECTOR_LEAVES, np.stack([YES, CLASSES], 1), (-1, 2), id="two-targets-in-one-tree"),
    ],
)
def test_answers_are_those_of_the_library(
    settings: dict[str, Any], labels: Any, shape: tuple[int, ...], suffix: str, tmp_path: Path
) -> None:
    """Bit for bit, by V1 and V2, with values that are missing."""
    import xgboost

    trained(settings, labels=labels).save_model(tmp_path / f"model.{suffix}")
    right = xgboost.Booster(model_file=tmp_path / f"model.{suffix}").predict(xgboost.DMatrix(ROWS))
    model = opened(XGBoost(), tmp_path)
    model.warm()
    for given in (ROWS, ROWS.astype(np.float64)):
        (output,) = model.infer([Tensor("input-0", given)])
        assert (output.name, output.datatype) == ("output-0", "FP32")
        np.testing.assert_array_equal(output.array, right)
    instances = [[None if np.isnan(each) else float(each) for each in row] for row in ROWS[:20]]
    np.testing.assert_array_equal(model.predict(instances), right[:20].tolist())
    assert model.signature.inputs == (TensorSpec("input-0", "FP32", (-1, FEATURES)),)
    assert model.signature.outputs == (TensorSpec("output-0", "FP32", shape),)


def test_a_linear_model_answers_as_the_library_does(tmp_path: Path) -> None:
    """It has no trees, and no names of features either where it was trained with some."""
    import xgboost

    rows = np.nan_to_num(ROWS)
    booster = trained({"booster": "gblinear"}, rows, feature_names=list("abcdef"))
    booster.save_model(tmp_path / "model.json")
    (output,) = opened(XGBoost(), tmp_path).infer([Tensor("input-0", rows)])
    right = booster.predict(xgboost.DMatrix(rows, feature_names=list("abcdef")))
    np.testing.assert_array_equal(output.array, right)


def test_categories_are_their_numbers(tmp_path: Path) -> None:
    """As pandas numbers them, where it had them."""
    import xgboost

    kinds = ["c", "float"]
    settings = {"tree_method": "hist", "max_cat_to_onehot": 1}
    booster = trained(settings, CODES, feature_types=kinds, enable_categorical=True)
    booster.save_model(tmp_path / "model.ubj")
    (output,) = opened(XGBoost(), tmp_path).infer([Tensor("input-0", CODES)])
    right = booster.predict(xgboost.DMatrix(CODES, feature_types=kinds, enable_categorical=True))
    np.testing.assert_array_equal(output.array, right)
    assert len(set(right.tolist())) > 2


@pytest.mark.parametrize(
    ("suffix", "platform"),
    [pytest.param("ubj", "xgboost_ubj", id="ubj"), pytest.param("json", "xgboost_json", id="json")],
)
def test_a_bst_is_what_its_bytes_are(saved: Path, tmp_path: Path, suffix: str, platform: str) -> None:
    """KServe's runtime takes any file of this name."""
    import xgboost

    (tmp_path / "model.bst").write_bytes((saved / f"model.{suffix}").read_bytes())
    model = opened(XGBoost(), tmp_path)
    assert model.signature.platform == platform
    right = xgboost.Booster(model_file=saved / "model.ubj").predict(xgboost.DMatrix(ROWS[:1]))
    assert model.infer([Tensor("input-0", ROWS[:1])])[0].array.tolist() == right.tolist()


def test_of_no_rows_nothing(saved: Path, tmp_path: Path) -> None:
    """By V2 in the shape that an answer has."""
    (tmp_path / "model.ubj").write_bytes((saved / "model.ubj").read_bytes())
    model = opened(XGBoost(), tmp_path)
    assert model.predict([]) == []
    (output,) = model.infer([Tensor("input-0", np.zeros((0, FEATURES)))])
    assert (output.shape, output.datatype) == ((0,), "FP32")


def test_what_does_not_fit_is_refused(saved: Path, tmp_path: Path) -> None:
    """Infinity, which XGBoost takes for an error, by its place."""
    (tmp_path / "model.ubj").write_bytes((saved / "model.ubj").read_bytes())
    model = opened(XGBoost(), tmp_path)
    with pytest.raises(InvalidInputError, match=r"instances\[0\]\[2\]: inf .* finite"):
        model.predict([[0, 0, "Infinity", 0, 0, 0]])
    with pytest.raises(InvalidInputError, match=r"input-0.data\[0\]\[0\]: inf"):
        model.infer([Tensor("input-0", np.full((1, FEATURES), 1e300))])
    with pytest.raises(InvalidInputError, match=r"instances\[0\]: \[1\] .* 6 features"):
        model.predict([[1]])


def test_it_has_the_pods_cpus(saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And not the machine's."""
    monkeypatch.setattr(cpus, "available", lambda: 3)
    (tmp_path / "model.ubj").write_bytes((saved / "model.ubj").read_bytes())
    model: Any = opened(XGBoost(), tmp_path)
    assert '"nthread":"3"' in model._booster.save_config()


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        pytest.param(["config.json", "model.bst"], "model.bst", id="bst-before-json"),
        pytest.param(["model.bst", "model.ubj", "model.pkl"], "model.ubj", id="ubj-before-all"),
        pytest.param(["config.json", "model.json"], "model.json", id="of-several-the-one-called-model"),
        pytest.param(["deep/model.ubj", "a.json"], "a.json", id="none-in-folders"),
    ],
)
def test_which_file_it_is(names: list[str], chosen: str) -> None:
    """One, and no other is fetched."""
    assert XGBoost().choose(names, allow_pickle=True) == (chosen,)


def test_none_or_several_files() -> None:
    """The message says what is wanted."""
    with pytest.raises(NotFoundError, match=r"ends with \.ubj, .*save_model"):
        XGBoost().choose(["a.txt"], allow_pickle=True)
    with pytest.raises(InvalidInputError, match=r"a\.ubj, b\.ubj"):
        XGBoost().choose(["a.ubj", "b.ubj"], allow_pickle=True)


@pytest.mark.parametrize("wrapped", [True, False], ids=["an-estimator", "a-booster"])
def test_a_pickle_needs_trust(tmp_path: Path, *, wrapped: bool) -> None:
    """Then it is the booster within, and answers as one."""
    import xgboost

    estimator = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(ROWS, YES)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(estimator if wrapped else estimator.get_booster()))
    with pytest.raises(ForbiddenError, match=r"model\.pkl is a pickle.*model\.ubj.*allow-pickle"):
        opened(XGBoost(), tmp_path)
    model = opened(XGBoost(), tmp_path, allow_pickle=True)
    assert model.signature.platform == "xgboost_pickle"
    right = estimator.get_booster().predict(xgboost.DMatrix(ROWS))
    np.testing.assert_array_equal(model.infer([Tensor("input-0", ROWS)])[0].array, right)


def test_a_pickle_of_something_else(tmp_path: Path) -> None:
    """Or of nothing at all."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InvalidInputError, match=r"model\.pkl: 'dict' .* Booster"):
        opened(XGBoost(), tmp_path, allow_pickle=True)
    (tmp_path / "model.pkl").write_bytes(b"\x80")
    with pytest.raises(LoadError, match=r"model\.pkl cannot be unpickled: IndexError"):
        opened(XGBoost(), tmp_path, allow_pickle=True)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(b"", r"model\.bst is empty", id="nothing"),
        pytest.param(b"binf" + b"\0" * 200, "old binary format.* 3.1", id="binary"),
        pytest.param(b'{"learner": {}}', "no model of XGBoost's.*learner_model_param", id="another-json"),
        pytest.param(b'{"learner": ', "not JSON", id="json-cut-short"),
        pytest.param(b"{L\0\0\0\0", "truncated or corrupt", id="ubj-cut-short"),
        pytest.param(b"[]", "old binary format", id="a-list"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, raw: bytes, says: str) -> None:
    """Named, with what is wrong."""
    (tmp_path / "model.bst").write_bytes(raw)
    with pytest.raises(TorporError, match=says):
        opened(XGBoost(), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param(b'"num_feature":"6"', b'"num_feature":"9"', "feature", id="features"),
        pytest.param(b'"num_nodes":"', b'"num_nodes":"1', "values where 1", id="nodes"),
        pytest.param(b'"left_children":[1', b'"left_children":[0', "tree 0: its children has 0", id="a-way-back"),
        pytest.param(b'"left_children":[1', b'"left_children":[2', "a node with two parents", id="two-parents"),
        pytest.param(b'"left_children":[1', b'"left_children":[9999', "has 9999", id="a-child-that-is-none"),
        pytest.param(b'"split_indices":[', b'"split_indices":[77', "split_indices has 77", id="a-feature-that-is-none"),
        pytest.param(b'"tree_info":[0', b'"tree_info":[5', "tree_info has 5", id="an-output-that-is-none"),
        pytest.param(b'"num_class":"0"', b'"num_class":"900000000"', "6 trees for 900000000", id="outputs-without-end"),
    ],
)
def test_what_would_end_the_process_is_found(saved: Path, old: bytes, new: bytes, says: str) -> None:
    """By its name, before the library sees it."""
    raw = (saved / "model.json").read_bytes()
    check("model.json", raw)
    assert old in raw
    with pytest.raises(TorporError, match=rf"model\.json is corrupt: .*{says}"):
        check("model.json", raw.replace(old, new, 1))


@pytest.mark.parametrize("suffix", ["ubj", "json"])
def test_damaged_files_end_nothing(saved: Path, suffix: str) -> None:
    """Of hundreds, most are refused, and the others open: what they changed is a number."""
    found = survived("xgboost", saved / f"model.{suffix}", 200)
    assert found["refused"] > 100
    assert found["opened"] > 0
