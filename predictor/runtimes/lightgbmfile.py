"""Check a model file of LightGBM's before the library reads it: what it trips over there ends the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from predictor.runtimes.safetensors import CorruptError
from predictor.runtimes.trees import Indices, check_range, check_tree, indices

BEGIN = "tree"
END = "end of trees"
PARAMETERS = "parameters:"
END_OF_PARAMETERS = "end of parameters"
MAX_FEATURES = 2**31
MAX_CLASSES = 10**6
_CATEGORICAL = 1
"""The bit of `decision_type` that says so."""
_SIZES = "tree_sizes="


def check(name: str, text: str) -> None:
    """Raise CorruptError, naming the file and what is wrong with it, unless the library can do no harm with it."""
    if text.partition("\n")[0].strip() != BEGIN:
        raise CorruptError(f"{name} is no model of LightGBM's: its first line is not {BEGIN!r}")
    head, *trees = _sections(name, text)
    try:
        _check(_fields(head), [_fields(each) for each in trees])
    except CorruptError as error:
        raise CorruptError(f"{name} is corrupt: {error}") from error
    except (KeyError, ValueError, OverflowError) as error:
        raise CorruptError(f"{name} is corrupt: {error!r}") from error


def without_sizes(text: str) -> str:
    """Return the text without the places of its trees.

    With them the library reads trees side by side, in threads whose errors end the process; without, one by one.
    """
    at = text.find(f"\n{_SIZES}")
    return text if at < 0 else text[:at] + text[text.index("\n", at + 1) :]


def _sections(name: str, text: str) -> list[list[str]]:
    """Return the lines of the head, and of each tree."""
    trees, end, rest = text.partition(f"\n{END}\n")
    if not end:
        raise CorruptError(f"{name} is truncated: it has no line {END!r}")
    _check_rest(name, rest)
    sections: list[list[str]] = [[]]
    for line in trees.split("\n"):
        if line.startswith("Tree="):
            if line.strip() != f"Tree={len(sections) - 1}":
                raise CorruptError(f"{name} is corrupt: {line[:40]!r} comes after {len(sections) - 1} trees")
            sections.append([])
        else:
            sections[-1].append(line)
    return sections


def _check_rest(name: str, rest: str) -> None:
    """The parameters it was trained with, which the library reads until they end: beyond the text, if they do not."""
    _, begin, parameters = rest.partition(f"\n{PARAMETERS}\n")
    lines, end, _ = parameters.partition(f"\n{END_OF_PARAMETERS}\n")
    if not (begin and end):
        raise CorruptError(f"{name} is truncated: it has no lines {PARAMETERS!r} to {END_OF_PARAMETERS!r}")
    for line in filter(None, lines.split("\n")):
        if not (line.startswith("[") and line.endswith("]") and ": " in line):
            raise CorruptError(f"{name} is corrupt: {line[:40]!r} is no parameter")


def _fields(lines: Sequence[str]) -> dict[str, str]:
    """Return what stands before and after the first `=` of each line."""
    found: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals and key in found:
            raise CorruptError(f"{key} is there twice")
        found[key] = value
    return found


def _check(head: Mapping[str, str], trees: Sequence[Mapping[str, str]]) -> None:
    features = int(head["max_feature_idx"]) + 1
    classes, per_round = int(head["num_class"]), int(head.get("num_tree_per_iteration", head["num_class"]))
    if not 0 < features < MAX_FEATURES:
        raise CorruptError(f"max_feature_idx is {features - 1}")
    for each in ("feature_names", "feature_infos"):
        if each in head and len(head[each].split()) != features:
            raise CorruptError(f"{each} has {len(head[each].split())} entries for {features} features")
    if not 0 < classes == per_round <= MAX_CLASSES or len(trees) % per_round:
        raise CorruptError(f"{len(trees)} trees are not {per_round} in each round, for {classes} classes")
    for word in head.get("objective", "").split():
        if word.startswith("num_class:") and word != f"num_class:{classes}":
            raise CorruptError(f"its objective is for {word}, and num_class is {classes}")
    for index, tree in enumerate(trees):
        _check_tree(f"tree {index}", tree, features)


def _check_tree(where: str, tree: Mapping[str, str], features: int) -> None:
    leaves, sets = int(tree["num_leaves"]), int(tree["num_cat"])
    if leaves < 1 or sets < 0:
        raise CorruptError(f"{where} has {leaves} leaves and {sets} sets of categories")
    _check_numbers(where, tree, "leaf_value", leaves)
    if leaves > 1:
        _check_nodes(where, tree, leaves, features, sets)
    if tree.get("is_linear", "0").strip() != "0":
        _check_linear(where, tree, leaves, features)


def _check_nodes(where: str, tree: Mapping[str, str], leaves: int, features: int, sets: int) -> None:
    nodes = leaves - 1
    split, left, right = (_whole(where, tree, each, nodes) for each in ("split_feature", "left_child", "right_child"))
    kinds = _whole(where, tree, "decision_type", nodes) if "decision_type" in tree else np.zeros(nodes, np.int64)
    thresholds = _check_numbers(where, tree, "threshold", nodes)
    check_range(f"{where}: split_feature", split, 0, features)
    check_range(f"{where}: decision_type", kinds, 0, 128)
    children = np.concatenate([left, right])
    check_range(f"{where}: its children", children, -leaves, nodes)
    # A leaf is written as ~n; after the inner nodes, all have numbers of one kind.
    check_tree(f"{where}: its children", np.where(children < 0, nodes + ~children, children), nodes + leaves)
    for each in ("leaf_weight", "leaf_count"):
        if tree.get(each, "").strip():
            _check_numbers(where, tree, each, leaves)
    for each in ("internal_value", "internal_weight", "internal_count", "split_gain"):
        if tree.get(each, "").strip():
            _check_numbers(where, tree, each, nodes)
    if sets:
        bounds = _whole(where, tree, "cat_boundaries", sets + 1)
        words = len(tree["cat_threshold"].split())
        check_range(f"{where}: cat_threshold", _whole(where, tree, "cat_threshold", words), 0, 2**32)
        if bounds[0] != 0 or (np.diff(bounds) < 0).any() or bounds[-1] != words:
            raise CorruptError(f"{where}: cat_boundaries do not divide cat_threshold")
    chosen = np.array(thresholds)[kinds & _CATEGORICAL != 0]
    if len(chosen) and not (0 <= chosen.min() <= chosen.max() < sets):
        raise CorruptError(f"{where}: it has {sets} sets of categories, and splits by others")


def _check_linear(where: str, tree: Mapping[str, str], leaves: int, features: int) -> None:
    counts = _whole(where, tree, "num_features", leaves)
    check_range(f"{where}: num_features", counts, 0, features + 1)
    total = int(counts.sum())
    check_range(f"{where}: leaf_features", _whole(where, tree, "leaf_features", total), 0, features)
    _check_numbers(where, tree, "leaf_const", leaves)
    _check_numbers(where, tree, "leaf_coeff", total)


def _whole(where: str, tree: Mapping[str, str], key: str, length: int) -> Indices:
    try:
        return indices(f"{where}: {key}", [int(each) for each in tree[key].split()], length)
    except (ValueError, OverflowError) as error:
        raise CorruptError(f"{where}: {key}: {error}") from error


def _check_numbers(where: str, tree: Mapping[str, str], key: str, length: int) -> list[float]:
    """Return the numbers; raises CorruptError unless there are `length` of them."""
    try:
        numbers = [float(each) for each in tree[key].split()]
    except ValueError as error:
        raise CorruptError(f"{where}: {key}: {error}") from error
    if len(numbers) != length:
        raise CorruptError(f"{where}: {key} has {len(numbers)} values where {length} are needed")
    return numbers
