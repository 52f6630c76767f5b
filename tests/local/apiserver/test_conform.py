"""Objects against their schemas: what stays, what goes, and what is said."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.local.apiserver.kinds.table import RESOURCES
from torpor.local.apiserver.schema import conform, node

DEPLOYMENT = node("io.k8s.v1.Deployment")


def test_unknown_fields_and_nulls_go() -> None:
    """The former are named, by their whole path; a null is the same as nothing."""
    obj = {
        "spec": {"replicas": None, "selector": {}, "template": {"spec": {"containers": [{"name": "c", "colour": 1}]}}}
    }
    kept, found = conform(DEPLOYMENT, obj | {"x": 1})
    assert found.unknown == ["spec.template.spec.containers[0].colour", "x"]
    assert kept == {"spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "c"}]}}}}


def test_numbers_are_as_the_schema_wants_them() -> None:
    """3.0 is 3; a quantity may be either, and stays as it was written."""
    container = {"name": "c", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "ports": [{"containerPort": 80.0}]}
    kept, found = conform(node("io.k8s.v1.Container"), container)
    assert (kept, found.mistakes) == (container | {"ports": [{"containerPort": 80}]}, [])
    assert type(kept["ports"][0]["containerPort"]) is int


@pytest.mark.parametrize("quantity", ["1", "0.5", "100m", "1Gi", "1e3", "-1", "+1", ".5", "5.", "1E", "12Ki", 3, 1.5])
def test_quantities(quantity: Any) -> None:
    """As Kubernetes writes them."""
    assert conform(node("io.k8s.v1.ResourceRequirements"), {"limits": {"cpu": quantity}})[1].mistakes == []


@pytest.mark.parametrize("quantity", ["", "m", "1 Gi", "1GiB", "0x1", "1,5", "--1", ".", True, "\uff11"])
def test_quantities_that_are_none(quantity: Any) -> None:
    """Named by their path."""
    [mistake] = conform(node("io.k8s.v1.ResourceRequirements"), {"limits": {"cpu": quantity}})[1].mistakes
    assert mistake.path == "limits.cpu"


@pytest.mark.parametrize(
    "time", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456Z", "2026-01-01t00:00:00z", "2024-02-29T23:59:59+05:30"]
)
def test_times(time: str) -> None:
    """RFC 3339."""
    assert conform(node("io.k8s.v1.Event"), {"lastTimestamp": time})[1].mistakes == []


@pytest.mark.parametrize(
    "time", ["", "2026-01-01", "2026-02-29T00:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01 00:00:00Z"]
)
def test_times_that_are_none(time: str) -> None:
    """Also those that look right and are on no calendar: whoever reads them later trusts them."""
    assert [mistake.path for mistake in conform(node("io.k8s.v1.Event"), {"lastTimestamp": time})[1].mistakes] == [
        "lastTimestamp"
    ]


words = st.sampled_from(
    [
        "metadata",
        "name",
        "labels",
        "spec",
        "status",
        "template",
        "containers",
        "env",
        "ports",
        "predictor",
        "data",
        "x",
        "traffic",
    ]
)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.sampled_from(["", "a", "1Gi", "MQ=="])
    ),
    lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(words, each, max_size=4)),
    max_leaves=8,
)


@given(st.sampled_from(RESOURCES), st.dictionaries(words, values, max_size=4))
def test_anything_is_checked(resource: Any, obj: dict[str, Any]) -> None:
    """It comes from outside, and is left as it was; what was kept once is kept again, with nothing to say of it."""
    before = copy.deepcopy(obj)
    kept, found = conform(resource.node, obj)
    assert obj == before
    again, more = conform(resource.node, kept)
    assert again == kept
    assert more.unknown == []
    assert (len(more.mistakes), more.missing) == (len(found.mistakes), found.missing)
