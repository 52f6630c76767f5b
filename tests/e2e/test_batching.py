"""KServe's batcher, as its manifests have it: requests through the door become batches in the model server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.laptop import Laptop

pytestmark = pytest.mark.e2e

MODEL = """
import time

class Model:
    def predict(self, instances):
        time.sleep(0.1)
        return [each * 2 for each in instances]
"""
SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "doubler", "namespace": "default"},
    "spec": {
        "predictor": {
            "batcher": {"maxBatchSize": 8, "maxLatency": 500, "timeout": 30},
            "maxReplicas": 1,
            "model": {"modelFormat": {"name": "python"}, "storageUri": "pvc://models/doubler"},
        }
    },
}


def test_requests_become_batches(laptop: Laptop) -> None:
    """Each has its own answer; the executions are far fewer, and none is over the maximum."""
    folder = laptop.data_dir / "volumes/default/models/doubler"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    laptop.apply(SERVICE)
    try:
        laptop.wait_ready("isvc", "doubler")
        with laptop.client("doubler") as http:

            def double(number: int) -> Any:
                return http.post("/v1/models/doubler:predict", json={"instances": [number]}).json()

            with ThreadPoolExecutor(16) as pool:
                assert list(pool.map(double, range(64))) == [{"predictions": [2 * number]} for number in range(64)]
            stats = http.get("/v2/models/doubler/stats").json()["model_stats"][0]
        assert stats["inference_count"] == 64
        assert stats["execution_count"] <= 32
        assert max(each["batch_size"] for each in stats["batch_stats"]) in range(2, 9)
    finally:
        laptop.kubectl("delete", "isvc", "--wait=false", "doubler")
