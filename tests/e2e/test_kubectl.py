"""The real kubectl, on what the documentation tells people to apply."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.laptop import Laptop

pytestmark = pytest.mark.e2e

BOX = """
{apiVersion: v1, kind: Namespace, metadata: {name: attic}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: box, namespace: attic}, data: {a: "1"}}
"""


def test_a_service_from_apply_to_delete(laptop: Laptop, examples: Path) -> None:
    """apply, apply again, wait, get, describe, logs, delete: one life, in the words of the real client."""
    manifest = str(examples / "knative-service.yaml")
    first = laptop.kubectl("apply", "-f", manifest)
    assert first.stdout == "service.serving.knative.dev/hello created\n", first.stderr
    assert laptop.kubectl("apply", "-f", manifest).stdout == "service.serving.knative.dev/hello unchanged\n"

    waited = laptop.kubectl("wait", "ksvc/hello", "--for=condition=Ready", "--timeout=60s")
    assert waited.stdout == "service.serving.knative.dev/hello condition met\n", waited.stderr

    header, row = laptop.kubectl("get", "ksvc", "hello").stdout.splitlines()
    assert header.split() == ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]
    url = f"http://hello.default.localhost:{laptop.http_port}"
    assert row.split() == ["hello", url, "hello-00001", "hello-00001", "True"]

    described = laptop.kubectl("describe", "ksvc", "hello").stdout
    assert re.search(r"Type:\s+Ready", described)
    assert url in described

    with laptop.client("hello") as http:
        answer = http.get("/")
    assert (answer.status_code, answer.text) == (200, "Hello World!\n")

    for kind, writer in (("configuration", "controller"), ("pods", "kubelet")):
        label = "serving.knative.dev/service=hello"
        shown = laptop.kubectl("get", kind, "-l", label, "--show-managed-fields", "-o", "yaml")
        assert set(re.findall(r"manager: (\S+)", shown.stdout)) == {writer}

    pods = laptop.kubectl("get", "pods", "-l", "serving.knative.dev/service=hello", "-o", "name").stdout.split()
    assert len(pods) == 1
    assert '"GET / HTTP/1.1" 200' in laptop.kubectl("logs", pods[0]).stdout
    assert re.search(r"Normal\s+Started", laptop.kubectl("describe", pods[0]).stdout)

    deleted = laptop.kubectl("delete", "-f", manifest, "--timeout=60s")
    assert 'service.serving.knative.dev "hello" deleted' in deleted.stdout, deleted.stderr
    for kind in ("ksvc", "configuration", "route", "revision", "deployment", "pods", "svc"):
        gone = laptop.kubectl("wait", kind, "-l", "serving.knative.dev/service=hello", "--for=delete", "--timeout=60s")
        assert gone.returncode == 0, f"{kind}: {gone.stderr}"


def test_a_change_makes_a_new_revision(laptop: Laptop, examples: Path) -> None:
    """`configured`, a second revision, and requests that see the change."""
    manifest = (examples / "knative-service.yaml").read_text().replace("name: hello", "name: hello-again")
    assert laptop.kubectl("apply", "-f", "-", stdin=manifest).returncode == 0
    laptop.wait_ready("ksvc", "hello-again")
    changed = laptop.kubectl("apply", "-f", "-", stdin=manifest.replace("value: World", "value: Moon"))
    assert changed.stdout == "service.serving.knative.dev/hello-again configured\n", changed.stderr
    condition = "--for=jsonpath={.status.latestReadyRevisionName}=hello-again-00002"
    waited = laptop.kubectl("wait", "ksvc/hello-again", condition, "--timeout=60s")
    assert waited.returncode == 0, waited.stderr
    laptop.wait_ready("ksvc", "hello-again")
    with laptop.client("hello-again") as http:
        assert http.get("/").text == "Hello Moon!\n"
    laptop.kubectl("delete", "ksvc", "hello-again", "--wait=false")


def test_what_the_cluster_serves_can_be_listed_and_explained(laptop: Laptop) -> None:
    """Discovery and OpenAPI, as kubectl reads them."""
    listed = laptop.kubectl("api-resources", "-o", "name").stdout.split()
    for name in ("pods", "deployments.apps", "services.serving.knative.dev", "inferenceservices.serving.kserve.io"):
        assert name in listed
    explained = laptop.kubectl("explain", "inferenceservice.spec.predictor")
    assert "minReplicas" in explained.stdout, explained.stderr
    assert laptop.kubectl("version").returncode == 0


def test_plain_objects_are_created_changed_and_deleted(laptop: Laptop) -> None:
    """Imperative commands, patches of three types, labels, and a namespace of one's own."""

    def succeeds(*args: str, stdin: str | None = None) -> str:
        done = laptop.kubectl(*args, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    succeeds("apply", "-f", "-", stdin=BOX)
    succeeds("label", "configmap", "box", "size=small", "-n", "attic")
    succeeds("patch", "configmap", "box", "-n", "attic", "--type=merge", "-p", '{"data":{"b":"2"}}')
    succeeds("patch", "configmap", "box", "-n", "attic", "-p", '{"data":{"c":"3"}}')
    succeeds("patch", "configmap", "box", "-n", "attic", "--type=json", "-p", '[{"op":"remove","path":"/data/a"}]')
    assert laptop.get("configmap", "box", "attic")["data"] == {"b": "2", "c": "3"}
    assert "box" in succeeds("get", "configmaps", "-n", "attic", "-l", "size=small")
    assert "box" not in succeeds("get", "configmaps", "-n", "attic", "-l", "size!=small", "-o", "name")
    succeeds("delete", "namespace", "attic", "--timeout=60s")
    assert laptop.kubectl("get", "configmap", "box", "-n", "attic").returncode == 1
