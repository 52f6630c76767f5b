"""JSON merge patch and JSON patch, by their RFCs and by laws."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.local.apiserver.patch.merge import merge, operate
from torpor.local.apiserver.status import ApiError

# The table in appendix A of RFC 7386: original, patch, result.
RFC_7386 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

scalars = st.one_of(st.booleans(), st.integers(-3, 3), st.sampled_from(["", "a", "b"]))
keys = st.sampled_from(["a", "b", "c", "d"])
values = st.recursive(
    scalars, lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(keys, each, max_size=3)), max_leaves=6
)
objects = st.dictionaries(keys, values, max_size=4)
"""Without nulls: what the API holds has none."""
patches = st.dictionaries(
    keys,
    st.recursive(st.one_of(scalars, st.none()), lambda each: st.dictionaries(keys, each, max_size=3), max_leaves=5),
)


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7386, ids=[str(number) for number in range(1, 16)])
def test_rfc_7386(target: Any, patch: Any, result: Any) -> None:
    """Every example of the specification."""
    assert merge(target, patch) == result


@given(objects, patches)
def test_a_patch_that_was_applied_changes_nothing_more(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """And neither the object nor the patch is touched."""
    before = copy.deepcopy((target, patch))
    once = merge(target, patch)
    assert merge(once, patch) == once
    assert (target, patch) == before


@given(objects)
def test_patches_that_say_nothing_or_everything(target: dict[str, Any]) -> None:
    """An empty one leaves all, the object itself too, and one of nulls takes all away."""
    assert merge(target, {}) == target
    assert merge(target, target) == target
    assert merge(target, dict.fromkeys(target)) == {}


@given(objects, objects)
def test_from_any_object_to_any_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    """There is a patch: what is new or another, and null for what is gone."""
    assert merge(old, difference(old, new)) == new


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            patch[key] = difference(old[key], value)
        else:
            patch[key] = value
    return patch


@given(objects, patches, patches)
def test_of_two_patches_the_later_wins(target: dict[str, Any], first: dict[str, Any], second: dict[str, Any]) -> None:
    """Where it says anything of a key by a plain value."""
    both = merge(merge(target, first), second)
    for key, value in second.items():
        if value is None:
            assert key not in both
        elif not isinstance(value, dict):
            assert both[key] == value


# --- JSON patch: examples of RFC 6902, appendix A ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "operations", "result"),
    [
        pytest.param({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}, id="A.1 a member"),
        pytest.param({"a": [1, 2]}, [{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}, id="A.2 an element"),
        pytest.param({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}, id="A.3 remove a member"),
        pytest.param({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}, id="A.4 remove an element"),
        pytest.param({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}, id="A.5 replace"),
        pytest.param(
            {"a": {"b": 1}, "c": {}},
            [{"op": "move", "from": "/a/b", "path": "/c/d"}],
            {"a": {}, "c": {"d": 1}},
            id="A.6 move",
        ),
        pytest.param(
            {"a": 1}, [{"op": "add", "path": "/b", "value": {"c": 2}}], {"a": 1, "b": {"c": 2}}, id="A.10 nested"
        ),
        pytest.param(
            {"a": 1}, [{"op": "add", "path": "/b", "value": 2, "xyz": 3}], {"a": 1, "b": 2}, id="A.11 unknown members"
        ),
        pytest.param({"/": 9}, [{"op": "test", "path": "/~1", "value": 9}], {"/": 9}, id="A.14 escapes"),
        pytest.param({"a": [1]}, [{"op": "add", "path": "/a/-", "value": [2]}], {"a": [1, [2]]}, id="A.16 at the end"),
    ],
)
def test_rfc_6902(target: Any, operations: list[Any], result: Any) -> None:
    """Examples of the specification."""
    assert operate(target, operations) == result


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        pytest.param([{"op": "test", "path": "/a", "value": "1"}], 422, id="a text is no number"),
        pytest.param([{"op": "add", "path": "/x/y", "value": 1}], 422, id="A.12 into nothing"),
        pytest.param([{"op": "remove", "path": "/l/9"}], 422, id="an element that is not there"),
        pytest.param([{"op": "replace", "path": "/x", "value": 1}], 422, id="replace what is not there"),
        pytest.param([{"op": "move", "from": "/x", "path": "/y"}], 422, id="move what is not there"),
        pytest.param([{"op": "add", "path": 1, "value": 1}], 400, id="a path that is no text"),
        pytest.param([{"op": "add", "path": "/b"}], 400, id="no value"),
        pytest.param([{"op": "move", "path": "/b"}], 400, id="from nowhere"),
        pytest.param([None], 400, id="null"),
        pytest.param("text", 400, id="no list"),
    ],
)
def test_operations_that_fail(operations: Any, code: int) -> None:
    """400 for what is no patch, 422 for what does not fit the object, which stays."""
    target = {"a": 1, "l": [1]}
    with pytest.raises(ApiError) as caught:
        operate(target, operations)
    assert caught.value.code == code
    assert target == {"a": 1, "l": [1]}


pointers = st.lists(st.sampled_from(["a", "b", "0", "-", "~1", "1", ""]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
operation = st.dictionaries(
    st.sampled_from(["op", "path", "from", "value"]),
    st.one_of(st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), pointers, values, st.none()),
)


@given(objects, st.lists(st.one_of(operation, values), max_size=4))
def test_any_patch_is_done_or_refused(target: dict[str, Any], operations: list[Any]) -> None:
    """It comes from outside; and the object is left as it was."""
    before = copy.deepcopy(target)
    try:
        operate(target, operations)
    except ApiError as error:
        assert error.code in {400, 422}  # noqa: PT017  # either is right, anything else is not
    assert target == before
