"""scikit-learn models, saved by skops; as a pickle only where that is allowed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from predictor.model import Model, Signature, TensorSpec
from predictor.runtimes import choice
from predictor.runtimes.runtime import ALLOW_PICKLE, Files
from predictor.runtimes.without import without
from torpor.errors import ForbiddenError, InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from torpor.protocol.tensors import Tensor

log = logging.getLogger(__name__)

_BETTER = "model.skops (skops.io.dump)"

_preparing = threading.Lock()


@dataclass(frozen=True, slots=True)
class ScikitLearn:
    """Fits `Runtime`."""

    requires: tuple[str, ...] = ("sklearn", "skops", "joblib")
    extra: str = "sklearn"
    keeps_files: bool = False

    def choose(self, names: Sequence[str], *, allow_pickle: bool) -> tuple[str, ...]:
        return (choice.choose(names, ((".skops",),), allow_pickle=allow_pickle, better=_BETTER),)

    def prepare(self) -> None:
        # skops walks through all of scikit-learn, which imports torch to support its arrays: 5.4 s instead of 2.7 s.
        with _preparing, without("torch"):
            import skops.io  # noqa: F401

    def verify(self, files: Files) -> None:
        """See which types a skops file wants to make; those that are not known to be harmless need trust."""
        (name,) = files.names
        if choice.is_pickled(name) or files.allow_pickle:
            return
        self.prepare()
        from skops.io import get_untrusted_types

        try:
            types = get_untrusted_types(file=files.path(name))
        except Exception as error:  # a file from anywhere: zip, JSON and skops' own errors
            raise InvalidInputError(
                name, str(error), "a file written by skops.io.dump is needed; it is corrupt"
            ) from error
        if types:
            raise ForbiddenError(
                f"{name} wants to make objects of types that are not known to be harmless: {', '.join(sorted(types))}; "
                f'if you trust where it comes from, annotate the InferenceService with {ALLOW_PICKLE}: "true"'
            )

    def open(self, files: Files) -> Model:
        self.prepare()
        (name,) = files.names
        path = files.path(name)
        if choice.is_pickled(name):
            import joblib

            return SklearnModel(joblib.load(path), "sklearn_pickle")
        from skops.io import get_untrusted_types, load

        trusted = get_untrusted_types(file=path) if files.allow_pickle else []
        return SklearnModel(load(path, trusted=trusted), "sklearn_skops")


class SklearnModel:
    """Fits `Model`."""

    def __init__(self, estimator: Any, platform: str) -> None:
        if not hasattr(estimator, "predict"):
            raise InvalidInputError(
                "model", type(estimator).__name__, "an estimator that has a method `predict` is needed"
            )
        self._estimator = estimator
        self._platform = platform
        features = getattr(estimator, "n_features_in_", None)
        self._features = None if features is None else int(features)

    @property
    def signature(self) -> Signature:
        shape = (-1,) if self._features is None else (-1, self._features)
        datatype = "BYTES" if self._features is None else "FP64"
        return Signature(
            self._platform, (TensorSpec("input-0", datatype, shape),), (TensorSpec("output-0", self._output(), (-1,)),)
        )

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        if not instances:
            return []
        predictions: list[Any] = self._ask("instances", self._rows(instances)).tolist()
        return predictions

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        from torpor.protocol.tensors import Tensor

        names = [each.name for each in inputs]
        if names != ["input-0"]:
            raise InvalidInputError("inputs", ", ".join(names), "this model takes one input, named input-0")
        (given,) = inputs
        array: Any = given.array
        if self._features is not None:
            if given.datatype == "BYTES":
                raise InvalidInputError("input-0.datatype", "BYTES", "this model takes numbers: FP64, FP32 or integers")
            if array.ndim != 2 or array.shape[1] != self._features:
                allowed = f"this model takes {self._features} features: shape [n, {self._features}]"
                raise InvalidInputError("input-0.shape", list(given.shape), allowed)
            array = array.astype("float64")
        return (Tensor("output-0", self._ask("input-0", array)),)

    def warm(self) -> None:
        import numpy as np

        if self._features is not None:
            try:
                self._estimator.predict(np.zeros((1, self._features)))
            except Exception as error:  # it may take texts, or know that zeros are impossible: that is no failure
                log.info("the model does not take zeros, so it is not warmed up: %s", error)

    def close(self) -> None:
        """Nothing: the memory goes with the object."""

    def _ask(self, field: str, rows: Any) -> NDArray[Any]:
        import numpy as np

        try:
            return np.asarray(self._estimator.predict(rows))
        except (ValueError, TypeError) as error:  # how scikit-learn says that it does not like its input
            raise InvalidInputError(field, None if rows is None else f"{len(rows)} rows", str(error)) from error

    def _rows(self, instances: Sequence[Any]) -> Any:
        """Return an array of rows; without a number of features (text pipelines) the instances as they are."""
        import numpy as np

        if self._features is None:
            return list(instances)
        for index, row in enumerate(instances):
            if not isinstance(row, list | tuple) or len(row) != self._features:
                allowed = f"this model takes {self._features} features: a list of {self._features} for each instance"
                raise InvalidInputError(f"instances[{index}]", row, allowed)
        try:
            array = np.asarray(instances, dtype=object)
            has_text = any(isinstance(value, str) for row in instances for value in row)
            return array if has_text else array.astype(np.float64)  # null becomes NaN: a value that is missing
        except (ValueError, TypeError) as error:
            raise InvalidInputError("instances", instances, f"rows of numbers are needed: {error}") from error

    def _output(self) -> str:
        """Classifiers answer with one of their classes, all others with a number."""
        from torpor.protocol.tensors import Tensor

        classes = getattr(self._estimator, "classes_", None)
        return "FP64" if classes is None or isinstance(classes, list) else Tensor("", classes).datatype
