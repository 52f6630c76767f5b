"""LightGBM models: the text that `save_model` writes, as .txt or .bst; as a pickle only where that is allowed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from predictor.model import Model, Signature, TensorSpec
from predictor.runtimes import choice, cpus, rows
from predictor.runtimes.pickles import unpickled
from predictor.runtimes.runtime import Files
from predictor.runtimes.without import without
from torpor.errors import InvalidInputError, LoadError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from torpor.protocol.tensors import Tensor

log = logging.getLogger(__name__)

# Other things end with .txt too.
_KINDS = ((".bst",), (".txt",))
_BETTER = "model.txt (Booster.save_model)"

_preparing = threading.Lock()


@dataclass(frozen=True, slots=True)
class LightGBM:
    """Fits `Runtime`."""

    requires: tuple[str, ...] = ("lightgbm",)
    extra: str = "lightgbm"
    keeps_files: bool = False

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:
        return (choice.choose(names, _KINDS, allow_pickle=allow_pickle, better=_BETTER),)

    def prepare(self) -> None:
        # For its estimators it imports scikit-learn, and pandas: 1.1 s instead of 0.2 s.
        with _preparing, without("sklearn", "pandas"):
            import lightgbm

            lightgbm.register_logger(log)  # it would print

    def verify(self, files: Files) -> None:
        (name,) = files.names
        if not choice.is_pickled(name):
            from predictor.runtimes import lightgbmfile

            lightgbmfile.check(name, _text(files.path(name)))

    def open(self, files: Files) -> Model:
        self.prepare()
        (name,) = files.names
        if choice.is_pickled(name):
            return LightGBMModel(_of_pickle(name, unpickled(files.path(name))), "lightgbm_pickle")
        import lightgbm

        from predictor.runtimes.lightgbmfile import without_sizes

        try:
            booster = lightgbm.Booster(model_str=without_sizes(_text(files.path(name))))
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            raise LoadError("open", f"{name}: {error}") from error
        return LightGBMModel(booster, "lightgbm_text")


class LightGBMModel:
    """Fits `Model`. Answers are what `Booster.predict` gives, as KServe's are.

    Of `binary` that is the probability of the second class, of `multiclass` one for each class, of a regression the
    value. Where pandas had categories, the model takes their numbers.

    One pass at a time, on all CPUs of the pod: each of several would start threads for all of them.
    """

    def __init__(self, booster: Any, platform: str) -> None:
        import numpy as np

        self._booster = booster
        self._platform = platform
        self._threads = cpus.available()
        self._lock = threading.Lock()
        self._features = int(booster.num_feature())
        # How many values there are for a row, only an answer tells.
        self._row = self._predicted(np.full((1, self._features), np.nan)).shape[1:]

    @property
    def signature(self) -> Signature:
        return Signature(
            self._platform,
            (TensorSpec(rows.INPUT, "FP64", (-1, self._features)),),
            (TensorSpec(rows.OUTPUT, "FP64", (-1, *self._row)),),
        )

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        predictions: list[Any] = self._ask(rows.from_instances(instances, self._features, "FP64")).tolist()
        return predictions

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        from torpor.protocol.tensors import Tensor

        return (Tensor(rows.OUTPUT, self._ask(rows.from_tensors(inputs, self._features, "FP64", "FP32"))),)

    def warm(self) -> None:
        """Nothing: it was asked when it was opened."""

    def close(self) -> None:
        """Nothing: the memory goes with the object."""

    def _ask(self, given: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        return self._predicted(given) if len(given) else np.empty((0, *self._row))

    def _predicted(self, given: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        with self._lock:
            return np.asarray(self._booster.predict(given, num_threads=self._threads))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            path.name, f"byte {error.start}", "a text in UTF-8 is needed, as Booster.save_model writes it"
        ) from error


def _of_pickle(name: str, found: Any) -> Any:
    """Return the booster, of which scikit-learn's kind of model is a wrapping."""
    import lightgbm

    booster = found.booster_ if isinstance(found, lightgbm.LGBMModel) else found
    if not isinstance(booster, lightgbm.Booster):
        raise InvalidInputError(name, type(found).__name__, "a Booster or one of LightGBM's estimators is needed")
    return booster
