"""Strategic merge patch: lists merge by the keys of their schema; directives say the rest."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.apiserver.test_merge import objects, scalars
from torpor.local.apiserver.patch.strategic import strategic_merge
from torpor.local.apiserver.schema import node
from torpor.local.apiserver.schema.node import ANYTHING
from torpor.local.apiserver.status import ApiError

POD = node("io.k8s.v1.PodSpec")
A, B, C = ({"name": name, "image": name} for name in "abc")


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="maps merge"),
        pytest.param({"a": 1, "b": 2}, {"a": None}, {"b": 2}, id="null takes away"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}, id="also deeper"),
        pytest.param(
            {"containers": [A, B]},
            {"containers": [{"name": "b", "image": "new"}]},
            {"containers": [A, {"name": "b", "image": "new"}]},
            id="items merge by their key",
        ),
        pytest.param({"containers": [A]}, {"containers": [B]}, {"containers": [A, B]}, id="a new item comes last"),
        pytest.param(
            {"containers": [A, B]},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": [B]},
            id="an item is deleted",
        ),
        pytest.param(
            {"containers": [A, B]},
            {"containers": [C, {"$patch": "replace"}]},
            {"containers": [C]},
            id="a list is replaced",
        ),
        pytest.param(
            {"containers": [A | {"ports": [{"containerPort": 1}]}]},
            {"containers": [{"name": "a", "ports": [{"containerPort": 2}]}]},
            {"containers": [A | {"ports": [{"containerPort": 1}, {"containerPort": 2}]}]},
            id="lists in items merge by their own key",
        ),
        pytest.param(
            {"containers": [A | {"command": ["x", "y"]}]},
            {"containers": [{"name": "a", "command": ["z"]}]},
            {"containers": [A | {"command": ["z"]}]},
            id="a list without a key is replaced",
        ),
        pytest.param(
            {"nodeSelector": {"a": "1", "b": "2"}},
            {"nodeSelector": {"$patch": "replace", "c": "3"}},
            {"nodeSelector": {"c": "3"}},
            id="a map is replaced",
        ),
        pytest.param(
            {"nodeSelector": {"a": "1"}},
            {"nodeSelector": {"$patch": "delete"}},
            {"nodeSelector": {}},
            id="a map is emptied",
        ),
        pytest.param(
            {"containers": [A, B]},
            {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]},
            {"containers": [B, A]},
            id="an order is set",
        ),
        pytest.param(
            {"containers": [A, B]},
            {"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}], "containers": [C]},
            {"containers": [C, A, B]},
            id="what the order leaves out stands where it stood among what it knows",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "emptyDir": {}, "x": 1}]},
            {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]},
            {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
            id="only some keys are retained",
        ),
        pytest.param(
            {"finalizers": ["a", "b", "c"]},
            {"$deleteFromPrimitiveList/finalizers": ["b"]},
            {"finalizers": ["a", "c"]},
            id="members are taken out",
        ),
    ],
)
def test_patches(target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    """As kubectl writes them."""
    assert strategic_merge(POD, target, patch) == result


def test_a_list_that_is_a_set() -> None:
    """Finalizers come in addition, each once."""
    metadata = node("io.k8s.v1.ObjectMeta")
    merged = strategic_merge(metadata, {"finalizers": ["a", "b"]}, {"finalizers": ["b", "c", "c"]})
    assert merged == {"finalizers": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        pytest.param([], "is an object", id="a list"),
        pytest.param({"$patch": "jump"}, "Unknown patch type found: jump", id="an unknown directive"),
        pytest.param({"$patch": {}}, "Unknown patch type found", id="a directive that is no text"),
        pytest.param({"$jump": 1}, r"unknown directive in the patch: \$jump", id="an unknown word"),
        pytest.param({"containers": [{"image": "x"}]}, "does not contain declared merge key: name", id="no key"),
        pytest.param({"containers": ["x"]}, "does not contain declared merge key: name", id="a text for an item"),
        pytest.param({"$retainKeys": ["a"], "b": 1}, "must contain all keys", id="a key that is not retained"),
        pytest.param({"$retainKeys": [{}], "b": 1}, "must contain all keys", id="a key that is no text"),
        pytest.param(
            {"$setElementOrder/containers": 1, "containers": []}, "must be a list", id="an order that is none"
        ),
        pytest.param({"$deleteFromPrimitiveList/x": 1}, "must be a list", id="members that are none"),
        pytest.param(
            {"containers": ["x", {"$patch": "replace"}]},
            "does not contain declared merge key: name",
            id="a text in a list",
        ),
    ],
)
def test_patches_that_make_no_sense(patch: Any, says: str) -> None:
    """400, with the directive."""
    with pytest.raises(ApiError, match=says) as caught:
        strategic_merge(POD, {"containers": [A]}, patch)
    assert caught.value.code == 400


words = st.sampled_from(
    [
        *("name", "image", "env", "ports", "containers", "volumes", "nodeSelector", "finalizers", "containerPort"),
        *(
            "$patch",
            "$retainKeys",
            "$setElementOrder/containers",
            "$deleteFromPrimitiveList/finalizers",
            "$setElementOrder/env",
        ),
    ]
)
anything = st.recursive(
    st.one_of(scalars, st.none(), st.sampled_from(["replace", "delete", "merge", "a", "b"])),
    lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(words, each, max_size=4)),
    max_leaves=8,
)


@given(st.dictionaries(words, anything, max_size=4), st.dictionaries(words, anything, max_size=4))
def test_any_patch_is_done_or_refused(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """It comes from outside; and neither it nor the object is touched."""
    before = copy.deepcopy((target, patch))
    try:
        strategic_merge(POD, target, patch)
    except ApiError as error:
        assert error.code == 400  # noqa: PT017  # refused is right, anything else is not
    assert (target, patch) == before


@given(objects, objects)
def test_without_a_schema_it_is_a_merge_of_maps(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """Applied again it changes nothing; an empty patch never does."""
    once = strategic_merge(ANYTHING, target, patch)
    assert strategic_merge(ANYTHING, once, patch) == once
    assert strategic_merge(ANYTHING, target, {}) == target
