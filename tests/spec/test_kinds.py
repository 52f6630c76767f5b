"""Where kinds live in the API."""

from __future__ import annotations

import pytest

from torpor.spec import kinds
from torpor.spec.kinds import Kind


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (kinds.POD.path(), "/api/v1/pods"),
        (kinds.POD.path("default"), "/api/v1/namespaces/default/pods"),
        (kinds.POD.path("default", "p", "log"), "/api/v1/namespaces/default/pods/p/log"),
        (kinds.NAMESPACE.path(), "/api/v1/namespaces"),
        (kinds.NAMESPACE.path("ignored", "n"), "/api/v1/namespaces/n"),
        (kinds.DEPLOYMENT.path("ns", "d", "scale"), "/apis/apps/v1/namespaces/ns/deployments/d/scale"),
        (kinds.KSERVICE.path("ns"), "/apis/serving.knative.dev/v1/namespaces/ns/services"),
    ],
)
def test_path(path: str, expected: str) -> None:
    """Collections, objects and subresources have the paths of the Kubernetes API."""
    assert path == expected


def all_kinds() -> list[Kind]:
    return [value for value in vars(kinds).values() if isinstance(value, Kind)]


def test_no_two_kinds_share_a_path() -> None:
    """Core Service and Knative Service have one plural, and different groups."""
    assert len({kind.path() for kind in all_kinds()}) == len(all_kinds())


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: f"{kind.api_version}/{kind.kind}")
def test_api_version_is_group_and_version(kind: Kind) -> None:
    """The core group has no name, and no slash."""
    assert kind.api_version.rpartition("/")[0] == kind.group
    assert kind.base.startswith("/apis/" if kind.group else "/api/")


def test_key_of() -> None:
    """Cluster-wide objects have the empty namespace."""
    assert kinds.key_of({"metadata": {"name": "a", "namespace": "b"}}) == ("b", "a")
    assert kinds.key_of({"metadata": {"name": "a"}}) == ("", "a")
