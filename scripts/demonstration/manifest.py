"""The example that users apply, with two changes: where the bucket is, and a short window so that zero comes soon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from storage import Bucket

EXAMPLE = Path(__file__).parents[2] / "manifests" / "examples" / "minilm.yaml"
WINDOW = {"autoscaling.knative.dev/window": "6s"}


def objects(name: str, bucket: Bucket) -> dict[str, Any]:
    """Return Secret, ServiceAccount and InferenceService as one List."""
    items = list(yaml.safe_load_all(EXAMPLE.read_text()))
    secret, _, service = items
    secret["metadata"]["annotations"] |= {
        "serving.kserve.io/s3-endpoint": bucket.endpoint,
        "serving.kserve.io/s3-usehttps": "1" if bucket.https else "0",
        "serving.kserve.io/s3-region": bucket.region,
    }
    secret["stringData"] = {"AWS_ACCESS_KEY_ID": bucket.access_key, "AWS_SECRET_ACCESS_KEY": bucket.secret_key}
    service["metadata"]["name"] = name
    service["metadata"]["annotations"] = WINDOW
    service["spec"]["predictor"]["model"]["storageUri"] = bucket.uri
    return {"apiVersion": "v1", "kind": "List", "items": items}
