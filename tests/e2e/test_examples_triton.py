"""The example of a Triton model: deployed as its own comments say, asleep, awake, and right; in batches under load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.laptop import Laptop

pytestmark = pytest.mark.e2e

TEXTS = ["to be or not to be", "", "that is the question", "one"]


@pytest.fixture(scope="module")
def wordcount(laptop: Laptop, examples: Path) -> Iterator[None]:
    """Deployed, and at zero."""
    shutil.copytree(examples / "triton", laptop.data_dir / "volumes/default/models/triton", dirs_exist_ok=True)
    manifest = (examples / "triton.yaml").read_text()
    soon = '  name: wordcount\n  annotations: {autoscaling.knative.dev/window: "6s"}\n'
    manifest = manifest.replace("  name: wordcount\n", soon)
    done = laptop.torpor("apply", "--wait", "--timeout", "90s", "-f", "-", stdin=manifest)
    assert done.returncode == 0, done.stderr
    laptop.wait_zero("wordcount-predictor")
    yield
    laptop.kubectl("delete", "isvc", "--wait=false", "wordcount")


def test_from_zero_and_in_batches(laptop: Laptop, wordcount: None) -> None:
    """Every request has its own answer; the executions are fewer than the requests."""
    with laptop.client("wordcount") as http:

        def count(text: str) -> int:
            tensor = {"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [text]}
            answer = http.post("/v2/models/wordcount/infer", json={"inputs": [tensor]})
            assert answer.status_code == 200, answer.text
            found: int = answer.json()["outputs"][0]["data"][0]
            return found

        assert count("a cold start") == 3
        with ThreadPoolExecutor(16) as pool:
            asked = TEXTS * 100
            assert list(pool.map(count, asked)) == [len(text.split()) for text in asked]
        config: dict[str, Any] = http.get("/v2/models/wordcount/config").json()
        assert (config["backend"], config["max_batch_size"]) == ("python", 32)
        stats: dict[str, Any] = http.get("/v2/models/wordcount/stats").json()["model_stats"][0]
        assert stats["inference_count"] == len(asked) + 1


def test_a_whole_repository(laptop: Laptop, examples: Path) -> None:
    """Its models have their own names; the ensemble is asked through two others."""
    shutil.copytree(examples / "triton-repository", laptop.data_dir / "volumes/default/models/triton-repository")
    done = laptop.torpor("apply", "--wait", "--timeout", "90s", "-f", str(examples / "triton-repository.yaml"))
    assert done.returncode == 0, done.stderr
    try:
        with laptop.client("texts") as http:
            texts = ["to be -- or not", "to be!"]
            tensor = {"name": "text", "shape": [2, 1], "datatype": "BYTES", "data": texts}
            answer = http.post("/v2/models/words/infer", json={"inputs": [tensor]})
            assert answer.status_code == 200, answer.text
            assert answer.json()["outputs"][0]["data"] == [4, 2]
            assert http.get("/v2/models").json() == {"models": ["clean", "count", "words"]}
            index = http.post("/v2/repository/index").json()
            assert {each["state"] for each in index} == {"READY"}
    finally:
        laptop.kubectl("delete", "isvc", "--wait=false", "texts")
