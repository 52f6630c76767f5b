"""The example of a TorchServe archive: deployed as its own comments say, asleep, awake, and right."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.support.laptop import Laptop

pytestmark = pytest.mark.e2e

THREE = [0, 0, 7, 15, 13, 1, 0, 0, 0, 8, 13, 6, 15, 4, 0, 0, 0, 2, 1, 13, 13, 0, 0, 0, 0, 0, 2, 15, 11, 1, 0, 0]
THREE += [0, 0, 0, 1, 12, 12, 1, 0, 0, 0, 0, 0, 1, 10, 8, 0, 0, 0, 8, 4, 5, 14, 9, 0, 0, 0, 7, 13, 13, 9, 0, 0]


@pytest.fixture(scope="module")
def archive(laptop: Laptop, examples: Path) -> Iterator[Path]:
    """Deployed, and at zero; gives the archive."""
    folder = laptop.data_dir / "volumes/default/models/digits"
    program = str(examples / "torchserve/archive.py")
    subprocess.run([sys.executable, program, str(folder)], check=True)
    manifest = (examples / "torchserve.yaml").read_text()
    soon = '  name: digits\n  annotations: {autoscaling.knative.dev/window: "6s"}\n'
    manifest = manifest.replace("  name: digits\n", soon)
    done = laptop.torpor("apply", "--wait", "--timeout", "90s", "-f", "-", stdin=manifest)
    assert done.returncode == 0, done.stderr
    laptop.wait_zero("digits-predictor")
    yield folder / "digits.mar"
    laptop.kubectl("delete", "isvc", "--wait=false", "digits")


def directly(archive: Path, examples: Path, folder: Path) -> dict[str, Any]:
    """Return what the network in the archive says of the three, by torch alone, in a process of its own."""
    with zipfile.ZipFile(archive) as zipped:
        (folder / "digits.pth").write_bytes(zipped.read("digits.pth"))
    program = f"""
import sys, json, torch
sys.path.insert(0, {str(examples / "torchserve")!r})
from net import Digits
net = Digits()
net.load_state_dict(torch.load({str(folder / "digits.pth")!r}, weights_only=True))
likely, digit = net(torch.tensor([{THREE}], dtype=torch.float32) / 16).softmax(1).max(1)
print(json.dumps({{"digit": digit.item(), "probability": likely.item()}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


def test_an_archive_from_zero(laptop: Laptop, archive: Path, examples: Path, tmp_path: Path) -> None:
    """By V1 it wakes; by TorchServe's protocol it says the same, which is what torch says, and refuses as there."""
    done = laptop.torpor("predict", "digits", "--json", "-d", orjson.dumps([{"data": THREE}]).decode())
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert {"wake", "verify", "open", "warm"} <= told["stages"].keys()
    (answer,) = told["answer"]["predictions"]
    right = directly(archive, examples, tmp_path)
    assert answer == {"digit": 3, "probability": pytest.approx(right["probability"], rel=1e-5)}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{laptop.http_port}", headers={"Host": "digits.default.localhost"}, timeout=30
    ) as client:
        assert client.get("/ping").json() == {"status": "Healthy"}
        for path in ("/predictions/digits", "/predictions/digits/1.0"):
            assert client.post(path, json=THREE).json() == answer
        form = client.post("/predictions/digits", files={"data": (None, orjson.dumps(THREE), "application/json")})
        assert form.json() == answer
        refused = client.post("/predictions/digits", json=[1, 2])
        message = "64 numbers are needed, for 8 by 8 pixels"
        assert refused.json()["message"].endswith(message)
        assert refused.status_code == refused.json()["code"] == 400
