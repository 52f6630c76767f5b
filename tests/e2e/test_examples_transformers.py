"""The example of transformers: a model for each task, deployed at zero, woken once, and right as the library is."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tests.predictor.runtimes.test_tasks import alike
from tests.support.laptop import Laptop

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

NAMES = ("topics", "names", "gaps", "summaries", "numerals", "speech")
REQUEST = (
    "import runpy, sys, json; print(json.dumps([runpy.run_path(sys.argv[1])['request'](n) for n in sys.argv[2:]]))"
)


@pytest.fixture(scope="module")
def models(laptop: Laptop, examples: Path) -> Iterator[Path]:
    """All of them made and deployed as the example says; gives the folder that has them. No pod was ever started."""
    folder = laptop.data_dir / "volumes/default/models"
    subprocess.run([sys.executable, str(examples / "transformers/make.py"), str(folder)], check=True)
    manifest = examples / "transformers.yaml"
    done = laptop.torpor("apply", "--wait", "--timeout", "90s", "-f", str(manifest))
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        assert laptop.list("pods", f"serving.knative.dev/service={name}-predictor") == []
    yield folder
    laptop.torpor("delete", "-f", str(manifest))


@pytest.fixture(scope="module")
def requests(examples: Path) -> dict[str, dict[str, Any]]:
    """What the example sends, by the model's name."""
    command = [sys.executable, "-c", REQUEST, str(examples / "transformers/make.py"), *NAMES]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(zip(NAMES, orjson.loads(done.stdout), strict=True))


def pipeline(task: str, folder: Path) -> Callable[..., Any]:
    import transformers

    found: Callable[..., Any] = transformers.pipeline(task, model=str(folder), device="cpu")
    return found


def topics(folder: Path, given: dict[str, Any]) -> list[Any]:
    right: list[Any] = pipeline("text-classification", folder)(given["instances"])
    assert [each["label"] for each in right] == ["sport", "food", "weather"]
    return right


def names(folder: Path, given: dict[str, Any]) -> list[Any]:
    right: list[Any] = pipeline("token-classification", folder)(given["instances"])
    assert right[0]
    return right


def gaps(folder: Path, given: dict[str, Any]) -> list[Any]:
    return [pipeline("fill-mask", folder)(given["instances"][0])]


def summaries(folder: Path, given: dict[str, Any]) -> list[Any]:
    """By `generate`: the library's pipeline for this task is gone since its fifth release."""
    import transformers

    reader = transformers.AutoTokenizer.from_pretrained(folder)
    words = reader(given["instances"], return_tensors="pt", return_token_type_ids=False)
    ids = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).generate(**words, **given["parameters"])
    return [{"generated_text": reader.decode(ids[0], skip_special_tokens=True)}]


def numerals(folder: Path, given: dict[str, Any]) -> list[Any]:
    from PIL import Image

    pictures = [Image.open(io.BytesIO(base64.b64decode(each))) for each in given["instances"]]
    right: list[Any] = pipeline("image-classification", folder)(pictures)
    assert [each[0]["label"] for each in right] == ["8", "9", "8"]
    return right


def speech(folder: Path, given: dict[str, Any]) -> list[Any]:
    samples = np.frombuffer(base64.b64decode(given["instances"][0])[44:], "<i2").astype(np.float32) / 2**15
    heard = pipeline("automatic-speech-recognition", folder)(samples)
    assert heard["text"]
    return [heard]


@pytest.mark.parametrize("answer", [topics, names, gaps, summaries, numerals, speech], ids=NAMES)
def test_each_task(
    laptop: Laptop,
    models: Path,
    requests: dict[str, dict[str, Any]],
    answer: Callable[[Path, dict[str, Any]], list[Any]],
) -> None:
    """A pod starts for the request, and says what the library says."""
    name = answer.__name__
    done = laptop.torpor("predict", name, "--json", "-d", orjson.dumps(requests[name]).decode())
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert {"queue", "start", "load", "first-byte"} <= told["cold_start"].keys()
    alike(told["answer"]["predictions"], answer(models / name, requests[name]))
