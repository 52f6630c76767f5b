"""XGBoost models: .ubj, .json and .bst; as a pickle only where that is allowed."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
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

# Other things end with .json too.
_KINDS = ((".ubj",), (".bst",), (".json",))
_BETTER = "model.ubj (Booster.save_model)"
_NO_BINARY = (3, 1)
"""The first release that does not read the binary format, which was the only one before 1.0."""
_HEADER_BYTES = 136
"""Of the binary format."""

_preparing = threading.Lock()


@dataclass(frozen=True, slots=True)
class XGBoost:
    """Fits `Runtime`."""

    requires: tuple[str, ...] = ("xgboost",)
    extra: str = "xgboost"
    keeps_files: bool = False

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:
        return (choice.choose(names, _KINDS, allow_pickle=allow_pickle, better=_BETTER),)

    def prepare(self) -> None:
        # For its estimators it imports scikit-learn, and pandas by that: 1.1 s instead of 0.2 s.
        with _preparing, without("sklearn", "pandas"):
            import xgboost  # noqa: F401

    def verify(self, files: Files) -> None:
        (name,) = files.names
        if choice.is_pickled(name):
            return
        from predictor.runtimes import xgboostfile

        raw = files.path(name).read_bytes()
        if raw and xgboostfile.form(raw) == "binary":
            _check_binary(name, raw)
        else:
            xgboostfile.check(name, raw)

    def open(self, files: Files) -> Model:
        self.prepare()
        (name,) = files.names
        if choice.is_pickled(name):
            return XGBoostModel(_of_pickle(name, unpickled(files.path(name))), "xgboost_pickle")
        import xgboost

        from predictor.runtimes.xgboostfile import form

        # By the bytes: by name the library takes .bst for one thing, whichever of three it is.
        raw = bytearray(files.path(name).read_bytes())
        booster = xgboost.Booster()
        try:
            booster.load_model(raw)
        except xgboost.core.XGBoostError as error:
            raise LoadError("open", f"{name}: {_brief(error)}") from error
        return XGBoostModel(booster, f"xgboost_{form(bytes(raw[:2]))}")


class XGBoostModel:
    """Fits `Model`. Answers are what `Booster.predict` gives, as KServe's are.

    Of `binary:logistic` that is the probability of the second class, of `multi:softprob` one for each class, of
    `multi:softmax` the class as a number, of a regression the value.

    One pass at a time, on all CPUs of the pod: each of several would start threads for all of them.
    """

    def __init__(self, booster: Any, platform: str) -> None:
        import numpy as np

        self._booster = booster
        self._platform = platform
        self._threads = cpus.available()
        self._lock = threading.Lock()
        booster.set_param({"nthread": self._threads, "device": "cpu"})
        config = json.loads(booster.save_config())
        # The short way is not there for gblinear, and adds up the trees of dart in another order.
        self._is_plain = config["learner"]["gradient_booster"]["name"] == "gbtree"
        self._features = int(booster.num_features())
        # How many values there are for a row, only an answer tells.
        self._row = self._predicted(np.full((1, self._features), np.nan, np.float32)).shape[1:]

    @property
    def signature(self) -> Signature:
        return Signature(
            self._platform,
            (TensorSpec(rows.INPUT, "FP32", (-1, self._features)),),
            (TensorSpec(rows.OUTPUT, "FP32", (-1, *self._row)),),
        )

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        given = rows.from_instances(instances, self._features, "FP32")
        predictions: list[Any] = self._ask("instances", given).tolist()
        return predictions

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        from torpor.protocol.tensors import Tensor

        given = rows.from_tensors(inputs, self._features, "FP32")
        return (Tensor(rows.OUTPUT, self._ask(f"{rows.INPUT}.data", given)),)

    def warm(self) -> None:
        """Nothing: it was asked when it was opened."""

    def close(self) -> None:
        """Nothing: the memory goes with the object."""

    def _ask(self, field: str, given: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        if not len(given):
            return np.empty((0, *self._row), np.float32)
        rows.refuse_infinite(field, given)
        return self._predicted(given)

    def _predicted(self, given: NDArray[Any]) -> NDArray[Any]:
        import numpy as np
        import xgboost

        with self._lock:
            if self._is_plain:
                found = self._booster.inplace_predict(given, validate_features=False)
            else:
                table = xgboost.DMatrix(given, nthread=self._threads)
                found = self._booster.predict(table, validate_features=False)
        return np.asarray(found)


def _check_binary(name: str, raw: bytes) -> None:
    import xgboost

    version = tuple(int(each) for each in xgboost.__version__.split(".")[:2])
    if version >= _NO_BINARY:
        raise InvalidInputError(
            name,
            raw[:16],
            "models are JSON or UBJSON; if it is in the old binary format, which XGBoost no longer reads since 3.1,"
            " load it by an older release and save it as model.ubj",
        )
    if len(raw) < _HEADER_BYTES:
        raise InvalidInputError(name, f"{len(raw)} bytes", "a model has more; it is truncated")


def _of_pickle(name: str, found: Any) -> Any:
    """Return the booster, of which scikit-learn's kind of model is a wrapping."""
    import xgboost

    booster = found.get_booster() if isinstance(found, xgboost.XGBModel) else found
    if not isinstance(booster, xgboost.Booster):
        raise InvalidInputError(name, type(found).__name__, "a Booster or one of XGBoost's estimators is needed")
    return booster


def _brief(error: Exception) -> str:
    """Return what it says without the stack of the library's own code."""
    return str(error).partition("\nStack trace")[0].strip()
