"""What the `class Model` of a model.py has and says: its methods, its inputs and outputs, the names of its classes."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from predictor.batching.options import Batching
from predictor.batching.read import read_batching
from predictor.model import Signature, TensorSpec
from torpor.errors import InvalidInputError, ModelError, TorporError

if TYPE_CHECKING:
    from torpor.protocol.tensors import Tensor

SCRIPT = "model.py"
PLATFORM = "python_class"
_ANYTHING = Signature(PLATFORM, (TensorSpec("input-0", "BYTES", (-1,)),), (TensorSpec("output-0", "BYTES", (-1,)),))
_RAISED = (Exception, SystemExit, KeyboardInterrupt)
"""What a user's code may raise: `sys.exit()` in it must not end the server without a word."""
_DECLARED_WITH = 'use a list of (name, datatype, shape), for instance [("x", "FP32", [-1, 4])]'


class Method:
    """A method that the class may have, called with what it takes."""

    def __init__(self, instance: Any, name: str) -> None:
        self.name = name
        found = getattr(instance, name, None)
        self._method = found if callable(found) else None
        self._takes_parameters = callable(found) and "parameters" in inspect.signature(found).parameters

    @property
    def is_there(self) -> bool:
        return self._method is not None

    @property
    def result(self) -> str:
        """What one answer of it is called."""
        return {"predict": "prediction", "explain": "explanation"}.get(self.name, "answer")

    def __call__(self, given: Any, parameters: Mapping[str, Any], field: str) -> Any:
        """Return what it returns; raises InvalidInputError of `field` for its ValueError, ModelError for all else."""
        try:
            return self._call(given, parameters)
        except _RAISED as error:
            raise self._told(error, given, field) from error

    def iterate(self, given: Any, parameters: Mapping[str, Any], field: str) -> Generator[Any, None, None]:
        """Give what it yields; raises as a call does."""
        try:
            answers = self._call(given, parameters)
            try:
                yield from answers
            finally:
                close = getattr(answers, "close", None)
                if callable(close):
                    close()
        except _RAISED as error:
            raise self._told(error, given, field) from error

    def _call(self, given: Any, parameters: Mapping[str, Any]) -> Any:
        assert self._method is not None  # noqa: S101  # who calls has asked `is_there`
        return self._method(given, parameters=parameters) if self._takes_parameters else self._method(given)

    def _told(self, error: BaseException, given: Any, field: str) -> BaseException:
        """Return what a client is told of what the class has raised."""
        if isinstance(error, TorporError):
            return error
        if isinstance(error, ValueError):
            # How Python says that a value is wrong.
            return InvalidInputError(field, _brief(given), str(error))
        # Its words may hold what is not for clients.
        return ModelError(f"{self.name} of {SCRIPT} raised {type(error).__name__}; the pod's log says more")


def _brief(given: Any) -> Any:
    """Return what says which value it was: of arrays their shapes."""
    return {name: list(each.shape) for name, each in given.items()} if isinstance(given, dict) else given


def declared(instance: Any) -> Signature:
    """Return what the attributes `inputs` and `outputs` of the class say; raises InvalidInputError.

    One that has `infer` and says nothing takes and gives what it likes; one that has not, one tensor of any type, its
    first axis the instances.
    """
    inputs = _specs("inputs", getattr(instance, "inputs", None))
    outputs_ = _specs("outputs", getattr(instance, "outputs", None))
    if inputs or callable(getattr(instance, "infer", None)):
        return Signature(PLATFORM, inputs, outputs_)
    return _ANYTHING


def batching(instance: Any) -> Batching | None:
    """Return how the attribute `batching` says that requests become batches; raises InvalidInputError."""
    found = getattr(instance, "batching", None)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise InvalidInputError("batching", found, 'use a dict, for instance {"max_batch_size": 16}')
    return read_batching(found, lambda option: f"batching[{option!r}]")


def labels(instance: Any, signature: Signature) -> Mapping[str, Sequence[str]]:
    """Return the names of classes that the attribute `labels` has, by output; raises InvalidInputError."""
    found = getattr(instance, "labels", None)
    if found is None:
        return {}
    if isinstance(found, list | tuple):  # of a model with one output
        found = {each.name: found for each in signature.outputs[:1]}
    if not isinstance(found, dict) or not all(isinstance(each, list | tuple) for each in found.values()):
        allowed = "use a list of names, or a dict from outputs to such lists"
        raise InvalidInputError(f"{SCRIPT}: labels", found, allowed)
    return {str(name): [str(each) for each in names] for name, names in found.items()}


def arrays(inputs: Sequence[Tensor], signature: Signature) -> dict[str, Any]:
    """Return what `infer` gets: arrays by name; raises InvalidInputError where they are not as the class declares."""
    if signature is not _ANYTHING and signature.inputs:
        _check(inputs, signature.inputs)
    return {each.name: each.array for each in inputs}


def outputs(method: Method, given: Any) -> tuple[Tensor, ...]:
    """Return what `infer` gave, by name, as tensors; raises ModelError."""
    import numpy as np

    from torpor.protocol.tensors import Tensor

    if not isinstance(given, dict):
        raise ModelError(f"{method.name} of {SCRIPT} returned {type(given).__name__}; a dict of arrays is needed")
    return tuple([Tensor(str(name), np.asarray(array)) for name, array in given.items()])


def _check(inputs: Sequence[Tensor], specs: Sequence[TensorSpec]) -> None:
    by_name = {each.name: each for each in specs}
    for index, each in enumerate(inputs):
        spec = by_name.pop(each.name, None)
        if spec is None:
            names = ", ".join(each.name for each in specs)
            raise InvalidInputError(f"inputs[{index}].name", each.name, f"this model takes {names}")
        if each.datatype != spec.datatype:
            raise InvalidInputError(f"inputs[{index}].datatype", each.datatype, f"{each.name} is {spec.datatype}")
        if not _fits(each.shape, spec.shape):
            allowed = f"{each.name} has the shape {list(spec.shape)}, where -1 is any length"
            raise InvalidInputError(f"inputs[{index}].shape", list(each.shape), allowed)
    if by_name:
        given = ", ".join(each.name for each in inputs)
        raise InvalidInputError("inputs", given, f"this model also takes {', '.join(by_name)}")


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    for length, allowed in zip(shape, wanted, strict=True):  # noqa: SIM110  # a generator costs more than the loop
        if allowed not in (-1, length):
            return False
    return True


def _specs(field: str, raw: Any) -> tuple[TensorSpec, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list | tuple):
        raise InvalidInputError(f"{SCRIPT}: {field}", raw, _DECLARED_WITH)
    return tuple([_spec(f"{SCRIPT}: {field}[{index}]", each) for index, each in enumerate(raw)])


def _spec(path: str, raw: Any) -> TensorSpec:
    from torpor.protocol.tensors import DATATYPES

    if not isinstance(raw, list | tuple) or len(raw) != 3:
        raise InvalidInputError(path, raw, _DECLARED_WITH)
    name, datatype, shape = raw
    if not isinstance(name, str) or not name:
        raise InvalidInputError(path, name, "the name is a text of at least one character")
    if datatype not in DATATYPES:
        raise InvalidInputError(path, datatype, f"the datatype is one of {', '.join(DATATYPES)}")
    if not isinstance(shape, list | tuple) or not all(type(each) is int and each >= -1 for each in shape):
        raise InvalidInputError(path, shape, "the shape is a list of lengths, where -1 is any")
    return TensorSpec(name, datatype, tuple(shape))
