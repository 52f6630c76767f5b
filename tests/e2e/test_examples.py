"""Every example is deployed as its own comment says, asleep, awake, and right."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.laptop import Laptop
from tests.support.models import minilm
from tests.support.s3 import S3

pytestmark = pytest.mark.e2e

TEXTS = ["a cat sat on the mat", "a kitten lay on the rug", "stock prices fell sharply"]


def applied(laptop: Laptop, *args: str, stdin: str | None = None) -> None:
    done = laptop.torpor("apply", "--wait", "--timeout", "90s", *args, stdin=stdin)
    assert done.returncode == 0, done.stderr


def predicted(laptop: Laptop, *args: str) -> object:
    done = laptop.torpor("predict", *args)
    assert done.returncode == 0, done.stderr
    return orjson.loads(done.stdout)


def test_knative_service(laptop: Laptop, examples: Path) -> None:
    """A program that serves HTTP on $PORT."""
    applied(laptop, "-f", str(examples / "knative-service.yaml"))
    done = laptop.torpor("predict", "hello")
    assert (done.returncode, done.stdout) == (0, "Hello World!\n"), done.stderr
    deleted = laptop.torpor("delete", "-f", str(examples / "knative-service.yaml"), "--wait", "--timeout", "60s")
    assert (deleted.returncode, deleted.stdout) == (0, "service.serving.knative.dev/hello deleted\n"), deleted.stderr


def test_minilm(laptop: Laptop, examples: Path, s3: S3) -> None:
    """A real model out of S3 gives the same embeddings as the model run directly, cold, by V1, V2 and by path."""
    manifest = (examples / "minilm.yaml").read_text().replace("127.0.0.1:9000", s3.url.removeprefix("http://"))
    manifest = manifest.replace(
        "  name: minilm\n", '  name: minilm\n  annotations: {autoscaling.knative.dev/window: "6s"}\n'
    )
    applied(laptop, "-f", "-", stdin=manifest)
    laptop.wait_zero("minilm-predictor")

    cold = predicted(laptop, "minilm", "--json", *(word for text in TEXTS for word in ("--text", text)))
    assert isinstance(cold, dict)
    assert cold["status"] == 200
    assert {"queue", "start", "load", "first-byte"} <= cold["cold_start"].keys()
    assert {"wake", "start", "resolve", "fetch", "verify", "open", "warm", "answer"} <= cold["stages"].keys()
    wanted = embed_directly(TEXTS)
    for embedding, right in zip(cold["answer"]["predictions"], wanted, strict=True):
        assert embedding == pytest.approx(right, abs=1e-4)

    warm = predicted(laptop, "minilm", "--protocol", "v2", "--text", TEXTS[0])
    assert isinstance(warm, dict)
    (output,) = warm["outputs"]
    assert output["shape"] == [1, 384]
    assert output["data"] == pytest.approx(wanted[0], abs=1e-4)

    by_path = httpx.post(
        f"http://127.0.0.1:{laptop.http_port}/serving/default/minilm/v1/models/minilm:predict",
        json={"instances": TEXTS[:1]},
        timeout=60,
    )
    assert by_path.json()["predictions"][0] == pytest.approx(wanted[0], abs=1e-4)
    laptop.torpor("delete", "isvc", "minilm")


def test_sklearn(laptop: Laptop, examples: Path) -> None:
    """A scikit-learn model from a volume, trained by the script that lies beside it."""
    volume = laptop.data_dir / "volumes/default/models/iris"
    subprocess.run([sys.executable, str(examples / "sklearn/train.py"), str(volume)], check=True)
    applied(laptop, "-f", str(examples / "sklearn.yaml"))
    assert predicted(laptop, "iris", "-d", "[[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]") == {"predictions": [0, 2]}
    laptop.torpor("delete", "-f", str(examples / "sklearn.yaml"))


def test_python_class(laptop: Laptop, examples: Path) -> None:
    """A class of the user's own, with a file of its own beside it."""
    shutil.copytree(examples / "python-class", laptop.data_dir / "volumes/default/models/sentiment", dirs_exist_ok=True)
    applied(laptop, "-f", str(examples / "python-class.yaml"))
    answer = predicted(laptop, "sentiment", "--text", "what a wonderful day", "--text", "so sad")
    assert answer == {"predictions": [{"label": "positive", "score": 1.0}, {"label": "negative", "score": -0.7}]}
    laptop.torpor("delete", "-f", str(examples / "python-class.yaml"))


def embed_directly(texts: list[str]) -> list[list[float]]:
    """Run the model in a process of its own, by the code that the demo compares with."""
    script = Path(__file__).parents[2] / "scripts/demonstration/reference.py"
    done = subprocess.run(
        [sys.executable, str(script), str(minilm())],
        input=orjson.dumps(texts),
        stdout=subprocess.PIPE,
        timeout=100,
        check=True,
    )
    embeddings: list[list[float]] = orjson.loads(done.stdout)
    return embeddings
