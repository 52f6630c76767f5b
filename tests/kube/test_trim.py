"""What is kept of objects: what the shape names, all else is gone; what many have in common is there once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.kube.trim import Leaf, Once, Shape, kept_of, trimmer

OWN, COMMON = Leaf.OWN, Leaf.COMMON
NAMES = st.sampled_from(["a", "b", "x.y/c", "x.y/d", "z/c"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)
SHAPES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([OWN, COMMON]),
    lambda inner: st.dictionaries(
        st.sampled_from(["a", "b", "x.y/", "z/c"]), inner | st.builds(Once, inner), max_size=4
    ),
).filter(lambda shape: not isinstance(shape, Leaf))


@pytest.mark.parametrize(
    ("shape", "whole", "kept"),
    [
        pytest.param({"a": OWN}, {"a": {"b": [1]}, "b": 2}, {"a": {"b": [1]}}, id="a-leaf-is-whole"),
        pytest.param({"a": {"b": OWN}}, {"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, id="down-the-tree"),
        pytest.param({"a": {"b": OWN}}, {"a": [{"b": 1, "c": 2}, {"c": 3}]}, {"a": [{"b": 1}, {}]}, id="each-item"),
        pytest.param({"a": {"b": OWN}}, {"a": None}, {"a": None}, id="null-where-a-mapping-should-be"),
        pytest.param({"a": {"b": OWN}}, {"a": "text"}, {"a": "text"}, id="text-where-a-mapping-should-be"),
        pytest.param({"a": {"x.y/": OWN}}, {"a": {"x.y/b": 1, "x.yz/b": 2}}, {"a": {"x.y/b": 1}}, id="by-prefix"),
        pytest.param({"a": OWN}, {}, {}, id="what-is-not-there-stays-away"),
        pytest.param({"a": Once({"b": COMMON})}, {"a": [{"b": "x", "c": 1}]}, {"a": [{"b": "x"}]}, id="cut-and-once"),
    ],
)
def test_table(shape: Shape, whole: dict[str, Any], kept: dict[str, Any]) -> None:
    before = copy.deepcopy(whole)
    assert trimmer(shape)(whole) == kept
    assert whole == before


@given(shape=SHAPES, whole=st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_kept_is_as_it_was(shape: Shape, whole: dict[str, Any]) -> None:
    """Each value that is there was there, at its place; nothing that is named is missing; and it is stable."""
    trim = trimmer(shape)
    kept = trim(whole)
    assert _is_part(kept, whole)
    assert kept.keys() == {name for name in whole if kept_of(shape, name) is not None}
    assert trim(kept) == kept


def _is_part(part: Any, whole: Any) -> bool:
    if isinstance(part, dict):
        return all(name in whole and _is_part(each, whole[name]) for name, each in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(_is_part, part, whole))
    return bool(part == whole)


def test_what_many_have_in_common_is_there_once() -> None:
    """Texts, and parts; what is an object's own is not kept beyond it."""
    trim = trimmer({"kind": COMMON, "spec": Once({"a": OWN}), "own": OWN})
    one, two = (trim({"kind": "Kind"[:each], "spec": {"a": [1], "b": each}, "own": {}}) for each in (3, 3))
    assert one["kind"] is two["kind"]
    assert one["spec"] is two["spec"]
    assert one["own"] is not two["own"]
