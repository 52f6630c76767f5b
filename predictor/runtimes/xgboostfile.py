"""Check a file of XGBoost's before the library reads it, which believes what it reads: a wrong index is a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from predictor.runtimes.safetensors import CorruptError
from predictor.runtimes.trees import Indices, check_range, check_tree, indices
from predictor.runtimes.ubjson import UbjsonError
from predictor.runtimes.ubjson import read as read_ubjson

MAX_FEATURES = 2**31
MAX_CATEGORY = 2**24
"""XGBoost's own limit: categories come as FP32."""
_CATEGORICAL = 1
_NO_PARENT = frozenset({-1, 2**31 - 1})


def form(raw: bytes) -> str:
    """Return `json`, `ubj`, or `binary` for what older releases wrote; whatever the file is called."""
    if raw[:1] != b"{":
        return "binary"
    return "json" if raw[1:2] in b'"' or raw[1:2].isspace() else "ubj"


def check(name: str, raw: bytes) -> None:
    """Raise CorruptError, naming the file and what is wrong with it, unless the library can do no harm with it."""
    document = _parsed(name, raw)
    try:
        _check(document)
    except CorruptError as error:
        raise CorruptError(f"{name} is corrupt: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CorruptError(f"{name} is no model of XGBoost's, or corrupt: {error!r}") from error


def _parsed(name: str, raw: bytes) -> Any:
    if not raw:
        raise CorruptError(f"{name} is empty")
    try:
        return read_ubjson(raw) if form(raw) == "ubj" else _json(raw)
    except UbjsonError as error:
        raise CorruptError(f"{name} is truncated or corrupt: {error}") from error
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{name} is truncated or corrupt: it is not JSON: {error}") from error


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return json.loads(raw)  # XGBoost writes NaN and Infinity, which are no JSON to orjson


def _check(document: Mapping[str, Any]) -> None:
    learner = document["learner"]
    numbers = learner["learner_model_param"]
    features, classes = int(numbers["num_feature"]), int(numbers["num_class"])
    targets = int(numbers.get("num_target", 1))
    if not 0 < features < MAX_FEATURES:
        raise CorruptError(f"num_feature is {features}")
    if classes < 0 or targets < 1:
        raise CorruptError(f"num_class is {classes}, num_target is {targets}")
    for each in ("feature_names", "feature_types"):
        if len(learner.get(each, ())) not in {0, features}:
            raise CorruptError(f"{each} has {len(learner[each])} entries for {features} features")
    told = learner["objective"].get("softmax_multiclass_param", {}).get("num_class", classes)
    if int(told) != classes:
        raise CorruptError(f"num_class is {classes}, and of the objective {told}")
    outputs = max(1, classes, targets)
    booster = learner["gradient_booster"]
    if booster["name"] == "gblinear":
        weights = len(booster["model"]["weights"])
        if weights != (features + 1) * outputs:
            raise CorruptError(f"{weights} weights are not {features} features and a bias for {outputs} outputs")
    elif booster["name"] == "dart":
        trees = _check_trees(booster["gbtree"]["model"], features, outputs)
        if len(booster["weight_drop"]) != trees:
            raise CorruptError(f"weight_drop has {len(booster['weight_drop'])} entries for {trees} trees")
    else:
        _check_trees(booster["model"], features, outputs)


def _check_trees(model: Mapping[str, Any], features: int, outputs: int) -> int:
    """Return how many trees there are."""
    trees: Sequence[Mapping[str, Any]] = model["trees"]
    count = int(model["gbtree_model_param"]["num_trees"])
    if len(trees) != count:
        raise CorruptError(f"it has {len(trees)} trees, and says {count}")
    check_range("tree_info", indices("tree_info", model["tree_info"], count), 0, outputs)
    bounds = model.get("iteration_indptr")
    if bounds is not None:
        rounds = indices("iteration_indptr", bounds, len(bounds))
        if not len(rounds) or rounds[0] != 0 or rounds[-1] != count or (np.diff(rounds) < 0).any():
            raise CorruptError("iteration_indptr does not divide the trees")
    # Without a bound, a flipped bit is gigabytes of output for each row.
    if outputs > max(1, sum(_outputs(each) for each in trees)):
        raise CorruptError(f"it has {count} trees for {outputs} outputs")
    if {int(each.get("id", index)) for index, each in enumerate(trees)} != set(range(count)):
        raise CorruptError("its trees are not numbered one by one")
    for index, tree in enumerate(trees):
        if _outputs(tree) not in {1, outputs}:
            raise CorruptError(f"tree {index} has values for {_outputs(tree)} outputs of {outputs}")
        _check_tree(f"tree {index}", tree, features)
    return count


def _check_tree(where: str, tree: Mapping[str, Any], features: int) -> None:
    numbers = tree["tree_param"]
    nodes = int(numbers["num_nodes"])
    if nodes < 1 or int(numbers["num_feature"]) != features:
        raise CorruptError(f"{where} has {nodes} nodes, and {numbers['num_feature']} features of {features}")
    left, right, parents, split = (
        indices(f"{where}: {each}", tree[each], nodes)
        for each in ("left_children", "right_children", "parents", "split_indices")
    )
    outputs = _outputs(tree)
    for each in ("base_weights", "default_left", "loss_changes", "split_conditions", "sum_hessian"):
        # A node that has a value for each output has all of them among the weights.
        needed = nodes * outputs if each == "base_weights" else nodes
        if len(tree[each]) != needed:
            raise CorruptError(f"{where}: {each} has {len(tree[each])} values where {needed} are needed")
    inner = np.flatnonzero(left != -1)
    children = np.concatenate([left[inner], right[inner]])
    check_tree(f"{where}: its children", children, nodes)
    check_range(f"{where}: split_indices", split[inner], 0, features)
    if (parents[children] != np.concatenate([inner, inner])).any() or parents[0] not in _NO_PARENT:
        raise CorruptError(f"{where}: its parents are not those of its children")
    if outputs > 1 and "leaf_weights" in tree:  # since 3.1; a leaf's right child is then its place there
        check_range(f"{where}: its leaves", right[left == -1], 0, len(tree["leaf_weights"]) // outputs)
    _check_categories(where, tree, nodes)


def _outputs(tree: Mapping[str, Any]) -> int:
    """Return how many outputs a leaf has values for; older releases say 0 for one."""
    return max(1, int(tree["tree_param"].get("size_leaf_vector", 1)))


def _check_categories(where: str, tree: Mapping[str, Any], nodes: int) -> None:
    if "split_type" not in tree:  # before categories were known
        return
    kinds = indices(f"{where}: split_type", tree["split_type"], nodes)
    check_range(f"{where}: split_type", kinds, 0, _CATEGORICAL + 1)
    by_category = np.flatnonzero(kinds == _CATEGORICAL)
    chosen: Indices = indices(f"{where}: categories_nodes", tree["categories_nodes"], len(by_category))
    if (chosen != by_category).any():
        raise CorruptError(f"{where}: categories_nodes are not those of split_type")
    begin = indices(f"{where}: categories_segments", tree["categories_segments"], len(chosen))
    size = indices(f"{where}: categories_sizes", tree["categories_sizes"], len(chosen))
    values = indices(f"{where}: categories", tree["categories"], len(tree["categories"]))
    check_range(f"{where}: categories_segments", begin, 0, len(values) + 1)
    check_range(f"{where}: categories_sizes", size, 0, len(values) + 1)
    check_range(f"{where}: categories_segments with sizes", begin + size, 0, len(values) + 1)
    check_range(f"{where}: categories", values, 0, MAX_CATEGORY)
