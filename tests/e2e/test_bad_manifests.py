"""Manifests that are wrong: what the user is told, by the real kubectl and by `torpor`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import inference_service, knative_service

pytestmark = pytest.mark.e2e

GOOD = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: refused}
spec: {template: {spec: {containers: [{image: example.com/x, command: [sleep, "60"]}]}}}
"""


@pytest.mark.parametrize("client", ["kubectl", "torpor"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a: 1\nb: [1, }\n", ("yaml: line", "2:8"), id="malformed-yaml"),
        pytest.param(GOOD.replace("spec: {template", "spec: {tempalte"), ("tempalte", "tempalte"), id="unknown-field"),
        pytest.param(
            GOOD.replace("spec: {containers", "spec: {containerConcurrency: many, containers"),
            ("containerConcurrency", "containerConcurrency"),
            id="wrong-type",
        ),
        pytest.param(GOOD.replace("name: refused", "name: Not_DNS"), ("Not_DNS", "Not_DNS"), id="name-not-dns-1123"),
        pytest.param(GOOD.replace("name: refused", "name: a.b"), ("a.b", "a.b"), id="name-not-dns-1035"),
        pytest.param(GOOD.replace("name: refused", f"name: {'a' * 64}"), ("63", "63"), id="name-too-long"),
        pytest.param(GOOD.replace("kind: Service", "kind: Servant"), ("Servant", "Servant"), id="unknown-kind"),
        pytest.param(
            GOOD.replace("name: refused", 'name: refused, annotations: {autoscaling.knative.dev/min-scale: "-1"}'),
            ("min-scale", "min-scale"),
            id="an-annotation-out-of-range",
        ),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(laptop: Laptop, client: str, text: str, says: tuple[str, str]) -> None:
    """Both clients exit with 1 and name the place or the field; nothing is created."""
    run = laptop.kubectl if client == "kubectl" else laptop.torpor
    done = run("apply", "-f", "-", stdin=text)
    assert done.returncode == 1, done.stdout
    assert says[client == "torpor"] in done.stderr
    assert "Traceback" not in done.stderr
    assert laptop.kubectl("get", "ksvc", "refused").returncode == 1


def test_an_image_that_cannot_run_here_is_said_in_the_revision(laptop: Laptop) -> None:
    """A laptop has no container engine: an image without a command is refused in plain words."""
    obj = knative_service("image-only")
    del obj["spec"]["template"]["spec"]["containers"][0]["command"]
    laptop.apply(obj)

    def ready() -> dict[str, Any]:
        conditions = (laptop.get("ksvc", "image-only").get("status") or {}).get("conditions") or []
        return next((each for each in conditions if each["type"] == "Ready"), {})

    wait_for(lambda: ready().get("status") == "False", 60, "Ready is False", every_s=0.25)
    assert "command" in ready()["message"]
    laptop.kubectl("delete", "ksvc", "image-only", "--wait=false")


def test_what_knative_would_not_take_is_said_in_the_inference_service(laptop: Laptop) -> None:
    """An annotation is handed on to the Knative Service, which is refused for it."""
    predictor = {"annotations": {"autoscaling.knative.dev/window": "1h1"}}
    laptop.apply(inference_service("handed-on", "python", "pvc://models/none", predictor=predictor))

    def ready() -> dict[str, Any]:
        conditions = (laptop.get("isvc", "handed-on").get("status") or {}).get("conditions") or []
        return next((each for each in conditions if each["type"] == "Ready"), {})

    wait_for(lambda: ready().get("status") == "False", 60, "Ready is False", every_s=0.25)
    assert ready()["reason"] == "Refused"
    assert 'Service "handed-on-predictor" is refused' in ready()["message"]
    assert "autoscaling.knative.dev/window: '1h1'" in ready()["message"]
    laptop.kubectl("delete", "isvc", "handed-on", "--wait=false")
