"""Which framework serves which model format. A further one is one file beside this one and one row here."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping

from predictor.runtimes.runtime import Runtime
from torpor.errors import UnsupportedError

FORMATS: Mapping[str, tuple[str, str]] = {
    "huggingface": ("predictor.runtimes.huggingface", "HuggingFace"),
    "lightgbm": ("predictor.runtimes.lightgbm", "LightGBM"),
    "mar": ("predictor.runtimes.mar.runtime", "Mar"),
    "onnx": ("predictor.runtimes.onnx", "Onnx"),
    "python": ("predictor.runtimes.python", "PythonClass"),
    "pytorch": ("predictor.runtimes.pytorch", "PyTorch"),
    "sklearn": ("predictor.runtimes.sklearn", "ScikitLearn"),
    "triton": ("predictor.runtimes.triton.runtime", "Triton"),
    "xgboost": ("predictor.runtimes.xgboost", "XGBoost"),
}
ALIASES: Mapping[str, str] = {"transformers": "huggingface", "scikit-learn": "sklearn", "torch": "pytorch"}


def runtime(name: str) -> Runtime:
    """Return the runtime for a model format; raises UnsupportedError that lists the formats."""
    known = FORMATS.get(ALIASES.get(name, name))
    if known is None:
        raise UnsupportedError(f"model format {name!r} is not served here; there are {', '.join(sorted(FORMATS))}")
    module, factory = known
    found: Runtime = getattr(importlib.import_module(module), factory)()
    return found


def check_installed(name: str, runtime: Runtime) -> None:
    """Raise UnsupportedError that names what to install if the framework is not here; imports nothing."""
    missing = [each for each in runtime.requires if importlib.util.find_spec(each) is None]
    if missing:
        raise UnsupportedError(
            f"model format {name!r} needs {', '.join(missing)}, not installed here;"
            f" pip install 'torpor[{runtime.extra}]'"
        )
