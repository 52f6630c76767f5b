"""The module `triton_python_backend_utils`, as models of Triton's Python backend import it."""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictor.others import here
from torpor.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    TorporError,
    UnavailableError,
    UnsupportedError,
)
from torpor.protocol import tensors as wire
from torpor.protocol.tensors import DATATYPES

NAME = "triton_python_backend_utils"
TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1

_log = logging.getLogger("predictor.model")
_registering = threading.Lock()


class TritonModelException(Exception):  # noqa: N818  # the name that models know
    """What a model raises, or is told."""


class TritonError:
    """An error, of a request or of all."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message = str(message)
        self._code = code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


_CODES: Sequence[tuple[type[TorporError], int]] = (
    (InvalidInputError, TritonError.INVALID_ARG),
    (NotFoundError, TritonError.NOT_FOUND),
    (UnavailableError, TritonError.UNAVAILABLE),
    (UnsupportedError, TritonError.UNSUPPORTED),
    (ConflictError, TritonError.ALREADY_EXISTS),
)


class Tensor:
    """A named array."""

    def __init__(self, name: str, array: Any) -> None:
        if not isinstance(array, np.ndarray):
            raise TritonModelException(f"Tensor {name!r} is made of a numpy array, not of {type(array).__name__}")
        self._name = name
        self._array = array

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        return self._array

    def shape(self) -> list[int]:
        return list(self._array.shape)

    def triton_dtype(self) -> str:
        return next(f"TYPE_{name}" for name, dtype in DATATYPES.items() if dtype == self._array.dtype)

    def is_cpu(self) -> bool:
        return True

    def to_dlpack(self) -> Any:
        return self._array.__dlpack__()

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    @staticmethod
    def from_dlpack(name: str, tensor: Any) -> Tensor:
        """Return a tensor of one of another library, without a copy where that can be."""
        if not hasattr(tensor, "__dlpack__"):
            raise TritonModelException("from_dlpack takes a tensor that has __dlpack__, not a capsule of one")
        return Tensor(name, np.from_dlpack(tensor))


class InferenceResponse:
    """The answer to one request: tensors, or an error."""

    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self._tensors = list(output_tensors)
        self._error = TritonError(error) if isinstance(error, str) else error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


class InferenceRequest:
    """One request."""

    def __init__(
        self,
        inputs: Sequence[Tensor] = (),
        requested_output_names: Sequence[str] = (),
        request_id: str = "",
        model_name: str = "",
        parameters: Mapping[str, Any] | str | None = None,
        model_version: int = -1,
        correlation_id: int | str = 0,
        flags: int = 0,
        timeout: int = 0,
        priority: int = 0,
        preferred_memory: Any = None,
        trace: Any = None,
    ) -> None:
        """`timeout` is in microseconds; `preferred_memory` is the host's whatever is said, and nothing is traced."""
        del preferred_memory, trace
        self._inputs = list(inputs)
        self._names = list(requested_output_names)
        self._id = request_id
        self._model_name = model_name
        self._version = int(model_version)
        self._parameters = dict(json.loads(parameters) if isinstance(parameters, str) else parameters or {})
        if correlation_id:
            self._parameters |= {
                "sequence_id": correlation_id,
                "sequence_start": bool(flags & TRITONSERVER_REQUEST_FLAG_SEQUENCE_START),
                "sequence_end": bool(flags & TRITONSERVER_REQUEST_FLAG_SEQUENCE_END),
            }
        self._parameters |= {name: value for name, value in (("timeout", timeout), ("priority", priority)) if value}
        self.send: Callable[[InferenceResponse | None], None] | None = None
        """How a decoupled model answers."""

    def inputs(self) -> list[Tensor]:
        return self._inputs

    def request_id(self) -> str:
        return self._id

    def requested_output_names(self) -> list[str]:
        return self._names

    def model_name(self) -> str:
        return self._model_name

    def correlation_id(self) -> Any:
        return self._parameters.get("sequence_id", 0)

    def flags(self) -> int:
        start = TRITONSERVER_REQUEST_FLAG_SEQUENCE_START if self._parameters.get("sequence_start") is True else 0
        return start | (TRITONSERVER_REQUEST_FLAG_SEQUENCE_END if self._parameters.get("sequence_end") is True else 0)

    def priority(self) -> int:
        return int(self._parameters.get("priority") or 0)

    def timeout(self) -> int:
        return int(self._parameters.get("timeout") or 0)

    def parameters(self) -> str:
        """Return them as JSON, as Triton does."""
        return json.dumps(self._parameters)

    def is_cancelled(self) -> bool:
        return False

    def get_response_sender(self) -> InferenceResponseSender:
        if self.send is None:
            raise TritonModelException("only decoupled models send responses; set model_transaction_policy.decoupled")
        return InferenceResponseSender(self.send)

    def exec(self, decoupled: bool = False) -> Any:  # noqa: FBT001, FBT002  # as models call it
        """Ask another model of the pod: returns its response, or with `decoupled` an iterator of responses.

        Its error is in the response.
        """
        given = [wire.Tensor(each.name(), each.as_numpy()) for each in self._inputs]
        asked = (self._model_name, str(max(0, self._version) or ""), given, self._parameters)
        if decoupled:
            return self._responses(asked)
        try:
            return self._response(here.require().wait(lambda ask: ask(*asked)))
        except TorporError as error:
            return _failed(error)

    async def async_exec(self, decoupled: bool = False) -> Any:  # noqa: FBT001, FBT002
        if not decoupled:
            return await asyncio.to_thread(self.exec)
        return _later(self.exec(decoupled=True))

    def _responses(self, asked: _Asked) -> Iterator[InferenceResponse]:
        try:
            for tensors in here.require().stream(*asked):
                yield self._response(tensors)
        except TorporError as error:
            yield _failed(error)

    def _response(self, tensors: Sequence[wire.Tensor]) -> InferenceResponse:
        named = {each.name: each for each in tensors}
        for name in self._names:
            if name not in named:
                raise InvalidInputError("requested_output_names", name, f"use {', '.join(named)}")
        return InferenceResponse([Tensor(name, named[name].array) for name in self._names or named])


class InferenceResponseSender:
    """How a decoupled model answers, any number of times."""

    def __init__(self, send: Callable[[InferenceResponse | None], None]) -> None:
        self._send = send
        self._is_over = False

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        """Send a response; `flags` TRITONSERVER_RESPONSE_COMPLETE_FINAL says that it is the last."""
        if self._is_over:
            raise TritonModelException("the last response of this request was sent already")
        if response is not None:
            self._send(response)
        if flags & TRITONSERVER_RESPONSE_COMPLETE_FINAL:
            self._is_over = True
            self._send(None)

    def is_cancelled(self) -> bool:
        return False


class ModelConfig:
    """What `auto_complete_config` may complete: what the owner has said stays, and must not be contradicted."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def as_dict(self) -> dict[str, Any]:
        return self._document

    def set_max_batch_size(self, size: int) -> None:
        """Set it, or the smaller of two."""
        given = self._document.get("max_batch_size", 0)
        self._document["max_batch_size"] = min(given, size) if given else size

    def set_dynamic_batching(self) -> None:
        others = {"sequence_batching", "ensemble_scheduling"} & self._document.keys()
        if others:
            raise ValueError(f"the configuration has {others.pop()} already")
        self._document.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, policy: Mapping[str, Any]) -> None:
        _check_keys("model_transaction_policy", policy, {"decoupled"}, set())
        given = self._document.get("model_transaction_policy")
        if given and given.get("decoupled") != policy.get("decoupled"):
            raise ValueError("the configuration says otherwise of model_transaction_policy.decoupled")
        self._document["model_transaction_policy"] = dict(policy)

    def add_input(self, port: Mapping[str, Any]) -> None:
        self._add("input", port, {"optional"})

    def add_output(self, port: Mapping[str, Any]) -> None:
        self._add("output", port, set())

    def _add(self, what: str, port: Mapping[str, Any], may: set[str]) -> None:
        _check_keys(what, port, {"name", "data_type", "dims"}, may)
        ports = self._document.setdefault(what, [])
        for each in ports:
            if each["name"] == port["name"]:
                differs = next((key for key in ("data_type", "dims") if each.get(key) != port[key]), None)
                if differs is not None:
                    raise ValueError(f"the configuration says otherwise of {differs} of {what} {port['name']!r}")
                return
        ports.append(dict(port))


class Logger:
    """Triton's log, which is ours."""

    @staticmethod
    def log(message: str, level: int = logging.INFO) -> None:
        _log.log(level, "%s", message)

    @staticmethod
    def log_info(message: str) -> None:
        _log.info("%s", message)

    @staticmethod
    def log_warn(message: str) -> None:
        _log.warning("%s", message)

    @staticmethod
    def log_error(message: str) -> None:
        _log.error("%s", message)

    @staticmethod
    def log_verbose(message: str) -> None:
        _log.debug("%s", message)


class PreferredMemory(enum.Enum):
    """Where another model's answers should be."""

    TRITONSERVER_MEMORY_GPU = 0
    TRITONSERVER_MEMORY_CPU = 1


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    return next((each for each in request.inputs() if each.name() == name), None)


def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Tensor | None:
    return next((each for each in response.output_tensors() if each.name() == name), None)


def get_input_config_by_name(model_config: Mapping[str, Any], name: str) -> Any:
    return _named(model_config.get("input", ()), name)


def get_output_config_by_name(model_config: Mapping[str, Any], name: str) -> Any:
    return _named(model_config.get("output", ()), name)


def using_decoupled_model_transaction_policy(model_config: Mapping[str, Any]) -> bool:
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled", False))


def triton_string_to_numpy(name: str) -> Any:
    """Return the numpy type of a data type like TYPE_FP32; None for one that is unknown, as Triton does."""
    short = name.removeprefix("TYPE_")
    found = DATATYPES.get("BYTES" if short == "STRING" else short)
    return None if found is None else found.type


def numpy_to_triton_type(kind: Any) -> str | None:
    dtype = np.dtype(kind)
    if dtype.kind in "OSU":
        return "TYPE_STRING"
    return next((f"TYPE_{name}" for name, each in DATATYPES.items() if each == dtype), None)


_Asked = tuple[str, str, Sequence[wire.Tensor], Mapping[str, Any]]
"""Model, version, inputs, parameters."""


def _failed(error: TorporError) -> InferenceResponse:
    code = next((code for kind, code in _CODES if isinstance(error, kind)), TritonError.INTERNAL)
    return InferenceResponse(error=TritonError(str(error), code))


async def _later(responses: Iterator[InferenceResponse]) -> AsyncIterator[InferenceResponse]:
    while (response := await asyncio.to_thread(next, responses, None)) is not None:
        yield response


def register() -> None:
    """Let models import it."""
    with _registering:
        if NAME not in sys.modules:
            module = ModuleType(NAME, __doc__)
            for name, value in _public():
                setattr(module, name, value)
            sys.modules[NAME] = module


def _public() -> Iterator[tuple[str, Any]]:
    for name, value in globals().items():
        if not name.startswith("_") and (
            name.startswith("TRITONSERVER") or getattr(value, "__module__", "") == __name__
        ):
            yield name, value


def _check_keys(what: str, given: Mapping[str, Any], needed: set[str], may: set[str]) -> None:
    for key in needed - given.keys():
        raise ValueError(f"{what} lacks {key}")
    for key in given.keys() - needed - may:
        raise ValueError(f"{what} has {key}, which is not one of {', '.join(sorted(needed | may))}")


def _named(entries: Sequence[Mapping[str, Any]], name: str) -> Any:
    return next((each for each in entries if each.get("name") == name), None)
