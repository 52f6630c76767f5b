"""Objects are found by owner, label and index, whatever happened to them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.view import Index, View
from tests.support.cluster import FakeCluster
from torpor.kube import Informer
from torpor.spec.kinds import CONFIG_MAP, Object


def config_map(name: str, owner: str, label: str, value: str) -> Object:
    metadata: Object = {"name": name, "namespace": "n", "resourceVersion": "1"}
    metadata["labels"] = {"l": label} if label else {}
    metadata["ownerReferences"] = [{"uid": owner, "controller": True}, {"uid": "other", "controller": False}]
    return {"metadata": metadata, "data": {"v": value}}


VALUE = Index("value", lambda obj: (obj["data"]["v"],))
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from("xy"), st.sampled_from(["", "p", "q"])),
    max_size=20,
)


@given(STEPS)
def test_what_is_found_is_what_is_there(steps: list[tuple[str, bool, str, str]]) -> None:
    """After any changes each index gives just those objects that a look at all of them would, in order."""
    informer = Informer(FakeCluster(), CONFIG_MAP)  # type: ignore[arg-type]  # it fits
    view = View([informer], [(CONFIG_MAP, VALUE)])
    for name, there, owner, label in steps:
        informer._set(("n", name), config_map(name, owner, label, owner + label) if there else None)
        items = [informer.items[key] for key in sorted(informer.items)]
        for uid in "xy":
            wanted = [each for each in items if each["metadata"]["ownerReferences"][0]["uid"] == uid]
            assert view.owned(CONFIG_MAP, {"metadata": {"uid": uid}}) == wanted
            assert view.by(CONFIG_MAP, VALUE, uid + "p") == [each for each in wanted if each["data"]["v"] == uid + "p"]
        for value in "pq":
            wanted = [each for each in items if each["metadata"]["labels"].get("l") == value]
            assert view.labelled(CONFIG_MAP, "n", "l", value) == wanted
        assert view.labelled(CONFIG_MAP, "elsewhere", "l", "p") == []
        assert view.owned(CONFIG_MAP, {"metadata": {"uid": "other"}}) == [], "only the controller counts"
        assert sorted(map(str, view.all(CONFIG_MAP))) == sorted(map(str, items))
