"""Server-side apply and field ownership, as laws: whoever wants what, in whatever order."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.local.apiserver.patch.apply import apply, merge
from torpor.local.apiserver.patch.fields import decode, differences, encode, paths, shown
from torpor.local.apiserver.patch.managers import Entry, Manager, after_update, ownable, read_entries, write_entries
from torpor.local.apiserver.patch.order import interleave, joined
from torpor.local.apiserver.schema import node
from torpor.local.apiserver.status import ApiError
from torpor.spec.kinds import Object

POD = node("io.k8s.v1.Pod")
NOW = "2026-01-01T00:00:00Z"


def pod(spec: dict[str, Any] | None = None, labels: dict[str, str] | None = None) -> Object:
    """A part of a pod, as somebody applies it."""
    metadata: Object = {"name": "p"} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata} | ({"spec": spec} if spec else {})


@dataclass
class Live:
    """An object, who owns what of it, and what happens to both."""

    obj: Object = field(default_factory=pod)
    entries: tuple[Entry, ...] = ()

    def apply(self, config: Object, manager: str = "me", *, force: bool = False) -> Object:
        done = apply(POD, self.obj, config, self.entries, Manager(manager, "Apply"), NOW, force=force)
        self.obj, self.entries = done.obj, done.entries
        return self.obj

    def update(self, obj: Object, manager: str = "hand") -> None:
        self.entries = after_update(POD, self.obj, obj, self.entries, Manager(manager, "Update"), NOW)
        self.obj = obj

    def owned(self, manager: str) -> set[str]:
        return {shown(path) for entry in self.entries if entry.manager.name == manager for path in entry.fields}


# --- examples --------------------------------------------------------------------------------------------------


def test_what_is_owned() -> None:
    """Leaves of what was said; items of a keyed list by their keys; nothing that is the server's."""
    live = Live()
    live.apply(pod({"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80}]}]}, {"a": "b"}))
    assert live.owned("me") == {
        ".metadata.labels.a",
        '.spec.containers[name="c"]',
        '.spec.containers[name="c"].name',
        '.spec.containers[name="c"].image',
        '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"]',
        '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"].containerPort',
    }


def test_an_item_goes_when_the_last_who_wants_it_goes() -> None:
    """Until then it keeps what others said of it, and what identifies it."""
    live = Live()
    live.apply(pod({"containers": [{"name": "c", "image": "x"}]}), "one")
    live.apply(pod({"containers": [{"name": "c", "command": ["y"]}]}), "two")
    live.apply(pod(), "one")
    assert live.obj["spec"]["containers"] == [{"name": "c", "command": ["y"]}]
    live.apply(pod(), "two")
    assert "containers" not in live.obj.get("spec", {})


def test_a_field_of_nobodys_is_taken_without_a_conflict() -> None:
    """What the server filled in, for instance."""
    live = Live(pod({"restartPolicy": "Always"}))
    assert live.apply(pod({"restartPolicy": "Never"}))["spec"] == {"restartPolicy": "Never"}


def test_an_atomic_list_has_one_owner() -> None:
    """Two who want different commands are in conflict as a whole."""
    live = Live()
    live.apply(pod({"containers": [{"name": "c", "command": ["a", "b"]}]}), "one")
    with pytest.raises(ApiError) as caught:
        live.apply(pod({"containers": [{"name": "c", "command": ["a", "c"]}]}), "two")
    assert [cause.field for cause in caught.value.causes] == ['.spec.containers[name="c"].command']


def test_each_conflict_is_named() -> None:
    """With who owns the field, and all of them at once."""
    live = Live()
    live.apply(pod(None, {"a": "1"}), "one")
    live.apply(pod({"restartPolicy": "Never"}), "two")
    with pytest.raises(ApiError) as caught:
        live.apply(pod({"restartPolicy": "Always"}, {"a": "2"}), "three")
    assert str(caught.value) == (
        "Apply failed with 2 conflicts: "
        'conflicts with "one" using v1:\n- .metadata.labels.a\nconflicts with "two" using v1:\n- .spec.restartPolicy'
    )


def test_new_items_come_behind_those_that_are_there() -> None:
    """A sidecar does not become the first container."""
    live = Live()
    live.apply(pod({"containers": [{"name": "a"}, {"name": "b"}]}), "one")
    live.apply(pod({"containers": [{"name": "x"}, {"name": "b"}]}), "two")
    assert [each["name"] for each in live.obj["spec"]["containers"]] == ["a", "x", "b"]


def test_what_is_written_can_be_read() -> None:
    """managedFields as Kubernetes has them; what is none is not guessed at."""
    live = Live()
    live.apply(pod({"containers": [{"name": "c", "image": "x"}]}, {"a": "b"}))
    written = write_entries(live.entries)
    assert written == [
        {
            "manager": "me",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:a": {}}},
                "f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}}}},
            },
        }
    ]
    assert read_entries(written) == live.entries
    for broken in ("x", [7], [{}], [{"manager": "a", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"x": {}}}]):
        assert read_entries(broken) is None


# --- laws ------------------------------------------------------------------------------------------------------

names = st.sampled_from("abc")
containers = st.lists(
    st.fixed_dictionaries(
        {"name": names},
        optional={
            "image": st.sampled_from("xy"),
            "command": st.lists(st.sampled_from("uv"), max_size=2),
            "env": st.lists(
                st.fixed_dictionaries({"name": names, "value": st.sampled_from("12")}),
                max_size=2,
                unique_by=lambda e: e["name"],
            ),
        },
    ),
    max_size=3,
    unique_by=lambda each: each["name"],
)
configs = st.builds(
    pod,
    st.one_of(
        st.none(),
        st.fixed_dictionaries(
            {},
            optional={
                "containers": containers,
                "restartPolicy": st.sampled_from(["Always", "Never"]),
                "hostname": names,
            },
        ),
    ),
    st.dictionaries(names, st.sampled_from("12"), max_size=2),
)


@given(st.lists(st.tuples(configs, st.sampled_from(["one", "two"]), st.sampled_from(["apply", "update"])), max_size=6))
def test_whoever_applies_gets_what_it_wants(steps: list[tuple[Object, str, str]]) -> None:
    """By force, over any past: it is there, it is owned, and applied once more it changes nothing."""
    live = Live()
    for config, manager, how in steps:
        if how == "update":
            live.update(copy.deepcopy(config), manager)
            continue
        before = copy.deepcopy((live.obj, config))
        obj = live.apply(config, manager, force=True)
        assert before[1] == config
        assert merge(POD, obj, config) == obj
        own = next((entry for entry in live.entries if entry.manager == Manager(manager, "Apply")), None)
        assert (own.fields if own else frozenset()) == ownable(paths(POD, config))
        entries = live.entries
        assert (live.apply(config, manager), live.entries) == (obj, entries)


@given(configs, configs)
def test_what_is_taken_back_is_gone(first: Object, second: Object) -> None:
    """After applying something else, nothing is there that nobody wants; after nothing, nothing of it is."""
    live = Live()
    live.apply(first)
    live.apply(second)
    assert ownable(paths(POD, live.obj)) >= ownable(paths(POD, second))
    fresh = Live()
    fresh.apply(second)
    assert _sorted(_without_empty(live.obj)) == _sorted(_without_empty(fresh.obj))


@given(configs, configs)
def test_without_force_nobody_loses(first: Object, second: Object) -> None:
    """Either there is a conflict and nothing changes, or what the first wanted is still there."""
    live = Live()
    live.apply(first, "one")
    before = (live.obj, live.entries)
    try:
        live.apply(second, "two")
    except ApiError as error:
        assert error.code == 409  # noqa: PT017  # a conflict is right, anything else is not
        assert (live.obj, live.entries) == before
    else:
        assert _sorted(merge(POD, live.obj, first)) == _sorted(live.obj)


def _without_empty(value: Any) -> Any:
    """An object without what is empty: that something was emptied may stay to be seen."""
    if isinstance(value, dict):
        kept = {key: _without_empty(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in ({}, [])}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


def _sorted(value: Any) -> Any:
    """The order of items is said by who came first, and is no part of what is wanted."""
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(each) for each in value), key=_text) if _keyed(value) else value
    return value


def _text(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _keyed(value: list[Any]) -> bool:
    return all(isinstance(each, dict) for each in value)


@given(configs)
def test_field_sets_are_written_and_read(config: Object) -> None:
    """FieldsV1 loses nothing."""
    fields = paths(POD, config)
    assert decode(encode(fields)) == fields


@given(configs, configs)
def test_differences(old: Object, new: Object) -> None:
    """Between an object and itself there is none; what changed is in the new, what is gone is not."""
    assert differences(POD, old, old) == (frozenset(), frozenset())
    changed, removed = differences(POD, old, new)
    assert ownable(changed) <= ownable(paths(POD, new))
    assert not ownable(removed) & ownable(paths(POD, new))


orders = st.lists(st.integers(0, 9), unique=True, max_size=7)


@given(orders, orders)
def test_two_orders_become_one(live: list[int], wanted: list[int]) -> None:
    """Everything once; what is wanted as it is wanted, and what else is there as it stood."""
    merged = joined(live, wanted)
    assert sorted(merged) == sorted({*live, *wanted})
    assert [each for each in merged if each in wanted] == wanted
    assert [each for each in merged if each not in wanted] == [each for each in live if each not in wanted]


@given(orders, orders)
def test_interleaving_keeps_both_orders(wanted: list[int], before: list[int]) -> None:
    """Of what is wanted, and of the others among themselves."""
    others = [each for each in before if each not in wanted]
    merged = interleave(wanted, others, before)
    assert [each for each in merged if each in wanted] == wanted
    assert [each for each in merged if each not in wanted] == others
