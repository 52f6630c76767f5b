"""Models that cannot be loaded: who asks is told why, and so is who looks at the InferenceService."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.laptop import Laptop, wait_for
from tests.support.manifests import inference_service, s3_access
from tests.support.models import minilm, save_python_model
from tests.support.s3 import S3, s3_server

pytestmark = pytest.mark.e2e

RAISES = (
    "class Model:\n    def load(self):\n        raise RuntimeError('no licence found')\n    def predict(self, i): ...\n"
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 server that refuses all but one pair of keys."""
    with s3_server(tmp_path_factory.mktemp("guarded") / "moto.log") as server:
        server.create_bucket("models")
        yield server.demand_credentials()


@pytest.fixture(scope="module")
def broken(laptop: Laptop, s3: S3, guarded: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All services that cannot load, deployed together: each waits for the others' starts, not for its own alone."""
    volume = laptop.data_dir / "volumes/default/broken"
    _write_broken(volume)
    s3.upload(_truncated(tmp_path_factory.mktemp("truncated")), "models", "truncated")
    uris = {
        "no-bucket": ("huggingface", "s3://nowhere/model", "plain-keys"),
        "no-key": ("huggingface", "s3://models/no/such/folder", "plain-keys"),
        "wrong-keys": ("huggingface", "s3://models/all-minilm-l6-v2", "wrong-keys"),
        "truncated": ("huggingface", "s3://models/truncated", "plain-keys"),
        "corrupt": ("huggingface", "pvc://broken/corrupt", None),
        "pickled": ("sklearn", "pvc://broken/pickled", None),
        "raising": ("python", "pvc://broken/raising", None),
        "no-folder": ("python", "pvc://broken/absent", None),
    }
    objects = [*s3_access("plain-keys", s3.url, s3.access_key, s3.secret_key)]
    objects += s3_access("wrong-keys", guarded.url, "nobody", "nothing")
    for name, (format_, uri, account) in uris.items():
        predictor = {"serviceAccountName": account} if account else {}
        objects.append(inference_service(name, format_, uri, predictor=predictor))
    laptop.apply(*objects)
    yield
    laptop.kubectl("delete", "isvc", "--wait=false", *uris)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("no-bucket", "nowhere", id="a-bucket-that-does-not-exist"),
        pytest.param("no-key", "no/such/folder", id="a-key-that-does-not-exist"),
        pytest.param("wrong-keys", "credentials", id="wrong-credentials"),
        pytest.param("truncated", "model.safetensors", id="a-truncated-weights-file"),
        pytest.param("corrupt", "model.safetensors", id="a-corrupt-safetensors-file"),
        pytest.param("pickled", "torpor.dev/allow-pickle", id="a-pickle-where-none-is-allowed"),
        pytest.param("raising", "no licence found", id="a-model-whose-load-raises"),
        pytest.param("no-folder", "absent", id="a-folder-that-does-not-exist"),
    ],
)
@pytest.mark.timeout(240)
def test_a_model_that_cannot_be_loaded_says_why(laptop: Laptop, name: str, says: str) -> None:
    """To who asks it, as 503 ModelLoadFailed; and to who looks at the InferenceService."""
    with laptop.client(name, timeout_s=180) as http:
        answer = http.post(f"/v1/models/{name}:predict", json={"instances": [1]})
    assert (answer.status_code, answer.json()["reason"]) == (503, "ModelLoadFailed"), answer.text
    assert says in answer.json()["error"]
    assert "Retry-After" in answer.headers

    def failure() -> dict[str, Any]:
        status = laptop.get("isvc", name).get("status") or {}
        found: dict[str, Any] = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
        return found

    wait_for(failure, 60, f"the status of {name} says why", every_s=0.5)
    assert says in failure()["message"]
    status = laptop.get("isvc", name)["status"]
    assert status["modelStatus"]["states"]["targetModelState"] == "FailedToLoad"
    (ready,) = [each for each in status["conditions"] if each["type"] == "Ready"]
    assert ready["status"] == "False"


def _write_broken(volume: Path) -> None:
    corrupt = volume / "corrupt"
    corrupt.mkdir(parents=True)
    for path in minilm().glob("*.json"):
        (corrupt / path.name).write_bytes(path.read_bytes())
    (corrupt / "model.safetensors").write_bytes(b"\xff" * 4096)
    (volume / "pickled").mkdir()
    (volume / "pickled" / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    save_python_model(volume / "raising", RAISES)


def _truncated(folder: Path) -> Path:
    """The real model, but for the second half of its weights."""
    for path in minilm().glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    weights = (minilm() / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    return folder
