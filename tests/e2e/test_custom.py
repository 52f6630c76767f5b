"""Containers of the owner's own that serve a model from S3: it lies there when they start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import SOON, s3_access
from tests.support.s3 import S3

pytestmark = pytest.mark.e2e


def custom(name: str, uri: str, account: str) -> dict[str, Any]:
    """An InferenceService whose own program serves the files of its model."""
    # Python's own file server, told by STORAGE_URI where to look, as KServe's custom predictors are.
    container = {
        "name": "kserve-container",
        "image": "example.com/own",
        "command": [sys.executable, "-m", "http.server", "$(PORT)", "--bind", "127.0.0.1"],
        "args": ["--directory", "$(STORAGE_URI)"],
        "env": [{"name": "STORAGE_URI", "value": uri}],
    }
    predictor = {"minReplicas": 0, "serviceAccountName": account, "containers": [container]}
    metadata = {"name": name, "namespace": "default", "annotations": SOON}
    body = {"metadata": metadata, "spec": {"predictor": predictor}}
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", **body}


def test_a_custom_container_finds_its_model_where_storage_uri_says(laptop: Laptop, s3: S3, tmp_path: Path) -> None:
    """Fetched before it starts, with keys that only the fetching has."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/weights.txt").write_text("seven\n")
    s3.upload(tmp_path, "models", "own")
    laptop.apply(*s3_access("own-keys", s3.url, s3.access_key, s3.secret_key))
    laptop.apply(custom("own", "s3://models/own", "own-keys"))
    laptop.wait_ready("isvc", "own")
    with laptop.client("own") as http:
        assert http.get("/deep/weights.txt").text == "seven\n"
    [pod] = laptop.list("pods", "serving.kserve.io/inferenceservice=own")
    logs = laptop.kubectl("logs", pod["metadata"]["name"], "-c", "storage-initializer")
    assert "fetched 1 files" in logs.stdout
    [container] = pod["spec"]["containers"]
    assert "AWS_SECRET_ACCESS_KEY" not in {each["name"] for each in container["env"]}
    laptop.kubectl("delete", "isvc", "own", "--wait=false")


def test_what_cannot_be_fetched_is_said(laptop: Laptop, s3: S3) -> None:
    """In the InferenceService, by the initial container's last words; and to who asks."""
    laptop.apply(*s3_access("own-keys", s3.url, s3.access_key, s3.secret_key))
    laptop.apply(custom("own-nothing", "s3://models/no/such/folder", "own-keys"))

    def said() -> str:
        model = (laptop.get("isvc", "own-nothing").get("status") or {}).get("modelStatus") or {}
        return str((model.get("lastFailureInfo") or {}).get("message", ""))

    wait_for(lambda: "no/such/folder" in said(), 60, "the failure is told", every_s=0.25)
    assert said().startswith("fetch: ")
    with laptop.client("own-nothing", timeout_s=60) as http:
        answer = http.get("/")
    assert (answer.status_code, answer.json()["reason"]) == (503, "ModelLoadFailed")
    assert "no/such/folder" in answer.json()["error"]
    laptop.kubectl("delete", "isvc", "own-nothing", "--wait=false")
