"""How many pods, and when none: by what pods report, by a cluster's defaults, by keep-alive and schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import SOON, inference_service, knative_service
from tests.support.models import save_python_model

pytestmark = pytest.mark.e2e

TOKENS_MODEL = '''"""Says that it is at work on as many tokens as a file has."""

from pathlib import Path


class Model:
    def predict(self, instances):
        return instances

    def tokens_in_flight(self):
        return float(Path({path!r}).read_text())
'''


def of_isvc(name: str) -> str:
    return f"serving.knative.dev/service={name}-predictor"


def test_tokens_that_pods_report_decide_how_many_there_are(laptop: Laptop, tmp_path: Path) -> None:
    """Three pods for as many tokens as three can take, none where there are none; the event says by what."""
    tokens = tmp_path / "tokens"
    tokens.write_text("1000")
    source = TOKENS_MODEL.replace("{path!r}", repr(str(tokens)))
    save_python_model(laptop.data_dir / "volumes/default/models/tokens", source)
    obj = inference_service("tokens", "python", "pvc://models/tokens")
    obj["metadata"].setdefault("annotations", {})["torpor.dev/scale-metric"] = "tokens=1000"
    obj["spec"]["predictor"]["maxReplicas"] = 3
    laptop.apply(obj)
    try:
        laptop.wait_ready("isvc", "tokens")
        # Each pod says so: one that has too much for one makes two that have too much for two, up to what is allowed.
        tokens.write_text("1500")
        wait_for(lambda: len(laptop.list("pods", of_isvc("tokens"))) == 3, 90, "three pods", every_s=0.25)
        tokens.write_text("0")
        laptop.wait_zero("tokens-predictor")
        events = laptop.kubectl("get", "events", "-o", "jsonpath={.items[*].message}").stdout
        assert "tokens 1500.00 over" in events
    finally:
        laptop.kubectl("delete", "isvc", "tokens", "--wait=false")


def without_window(name: str, **annotations: str) -> dict[str, Any]:
    obj = knative_service(name)
    given = obj["spec"]["template"]["metadata"]["annotations"]
    for key in SOON:
        del given[key]
    given |= {f"torpor.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return obj


def test_defaults_of_the_cluster_keep_alive_and_schedule(laptop: Laptop) -> None:
    """All at once: a service that says nothing, one that is kept for a known time, one that has its hours."""
    services = [
        without_window("by-default"),
        without_window("kept", keep_alive="fixed:8s"),
        without_window("hours", schedule="Mon-Sun 00:00-24:00=2"),
    ]
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config-autoscaler", "namespace": "knative-serving"},
        "data": {"stable-window": "6s", "scale-to-zero-grace-period": "6s", "panic-window-percentage": "-1"},
    }
    laptop.apply(*services, config)
    try:
        for each in services:
            laptop.wait_ready("ksvc", each["metadata"]["name"])
        # Knative's own window would keep the first for a minute and more.
        laptop.wait_zero("by-default", 45)
        laptop.wait_zero("kept", 45)
        wait_for(lambda: laptop.replicas("serving.knative.dev/service=hours") == 2, 45, "two pods in its hours")
        refused = laptop.kubectl("get", "events", "-n", "knative-serving", "-o", "jsonpath={.items[*].message}").stdout
        assert "panic-window-percentage" in refused
    finally:
        laptop.kubectl("delete", "configmap", "config-autoscaler", "-n", "knative-serving")
        laptop.kubectl("delete", "ksvc", "--wait=false", *(each["metadata"]["name"] for each in services))
