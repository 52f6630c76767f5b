"""Policies of access and what they name: a mistake is refused when it is made; what is none passes."""

from __future__ import annotations

import base64
import itertools

import pytest

from tests.local.apiserver.objects import make
from tests.local.apiserver.server import Api
from torpor.spec.kinds import CONFIG_MAP, INFERENCE_SERVICE, KSERVICE, NAMESPACE, ROUTE, SECRET, Kind, Object

POLICY = "torpor.dev/access"
GOOD = f"sha256:{'a' * 64}; rate=5/s"
_COUNT = itertools.count()


@pytest.mark.parametrize("kind", [KSERVICE, ROUTE, INFERENCE_SERVICE, NAMESPACE], ids=lambda kind: str(kind.kind))
def test_policies(api: Api, namespace: str, kind: Kind) -> None:
    """Wherever one may stand. What cannot be read never becomes a lock that nobody can open, or a door without one."""
    within = namespace if kind.namespaced else ""
    name = f"access-{next(_COUNT)}"
    refused = api.create(kind, make(kind, name, within, annotations={POLICY: "keys="}), within, code=400)
    assert f"metadata.annotations[{POLICY}]: 'keys=' is not allowed" in refused["message"]
    api.create(kind, make(kind, name, within, annotations={POLICY: "keys=a"}), within)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param(KSERVICE, {"template": {"metadata": {"annotations": {POLICY: "keys=a"}}}}, id="a-template"),
        pytest.param(INFERENCE_SERVICE, {"predictor": {"annotations": {POLICY: "keys=a"}}}, id="a-predictor"),
    ],
)
def test_a_policy_in_the_wrong_place(api: Api, namespace: str, kind: Kind, spec: Object) -> None:
    """It would lock nothing, and look as if it did: refused."""
    made = make(kind, "a", namespace)
    [(part, change)] = spec.items()
    made["spec"] = {**made["spec"], part: {**made["spec"][part], **change}}
    refused = api.create(kind, made, namespace, code=400)
    assert "put it under the metadata.annotations of the service itself" in refused["message"]


def secret(namespace: str, labels: dict[str, str], **data: str) -> Object:
    made = make(SECRET, "keys", namespace, labels=labels)
    made.pop("stringData")
    return made | {"stringData": data}


def test_keys(api: Api, namespace: str) -> None:
    """A Secret that is labelled so has entries of keys alone; the refusal shows nothing of what it had."""
    ours = {POLICY: "keys"}
    refused = api.create(SECRET, secret(namespace, ours, abcd="tk_abcd_itself"), namespace, code=400)
    assert "data[abcd]" in refused["message"]
    for hidden in (b"tk_abcd_itself", base64.b64encode(b"tk_abcd_itself")):
        assert hidden.decode() not in str(refused)
    api.create(SECRET, secret(namespace, ours, abcd=GOOD), namespace)
    others = secret(namespace, {}, abcd="anything")
    others["metadata"]["name"] = "others"
    api.create(SECRET, others, namespace)


def test_issuers(api: Api, namespace: str) -> None:
    """Likewise a ConfigMap about an issuer."""
    about = {"issuer": "https://idp", "audience": "us", "jwks-url": "http://elsewhere.example.org/keys"}
    made = make(CONFIG_MAP, "idp", namespace, labels={POLICY: "jwt"}) | {"data": about}
    assert "data[jwks-url]" in api.create(CONFIG_MAP, made, namespace, code=400)["message"]
    made["data"]["jwks-url"] = "https://elsewhere.example.org/keys"
    api.create(CONFIG_MAP, made, namespace)
