"""A model of Triton's Python backend: `initialize` once, `execute` with a list of requests, `finalize` at the end."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from predictor.runtimes.mar.parts import given_by
from predictor.runtimes.python import import_script, run_code
from predictor.runtimes.triton.complete import by_document
from predictor.runtimes.triton.config import Config
from predictor.runtimes.triton.document import document
from predictor.runtimes.triton.model import Described
from predictor.runtimes.triton.python import modules, utils
from torpor.errors import (
    ConflictError,
    InvalidInputError,
    LoadError,
    ModelError,
    NotFoundError,
    TorporError,
    UnavailableError,
    UnsupportedError,
)
from torpor.protocol.tensors import Tensor

log = logging.getLogger(__name__)

CLASS = "TritonPythonModel"
_CODES: Mapping[int, Callable[[str], TorporError]] = {
    utils.TritonError.NOT_FOUND: NotFoundError,
    utils.TritonError.UNAVAILABLE: UnavailableError,
    utils.TritonError.UNSUPPORTED: UnsupportedError,
    utils.TritonError.ALREADY_EXISTS: ConflictError,
}


class PythonBackend(Described):
    """Fits `Model`, `TakesParameters`, `Streams`, `NamesClasses`, `Batches` and `AsksOthers`."""

    asks_others = True
    """Its code may, which only the code knows."""

    def __init__(self, config: Config, folder: Path, script: Path) -> None:
        """`folder` is the model's. Raises LoadError with the words of its own code."""
        self._folder = str(script.parent)
        utils.register()
        modules.forget(script.parent)
        sys.path.insert(0, self._folder)  # its own modules come before installed ones of the same name
        try:
            kind = _kind(script)
            config = _completed(config, kind)
            super().__init__(config, folder)
            self._model = _made(kind, config, script)
        except BaseException:
            sys.path.remove(self._folder)
            raise
        batching = config.batching
        self._turns = threading.Semaphore(1 if batching is None else batching.instances)
        """Of a decoupled model, which answers by streams: those are not for a batcher to count."""

    @property
    def streams(self) -> bool:
        return self.config.is_decoupled

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.infer_with(inputs, {})

    def infer_with(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> Sequence[Tensor]:
        if self.config.is_decoupled:
            raise UnsupportedError("this model is decoupled: ask it by ModelStreamInfer or generate_stream")
        request = self._request(inputs, parameters)
        with _told("execute"):
            responses = self._model.execute([request])
        if not isinstance(responses, list) or len(responses) != 1:
            got = f"{len(responses)} responses" if isinstance(responses, list) else type(responses).__name__
            raise ModelError(f"execute returned {got}; a list with one InferenceResponse for each request is needed")
        return self._tensors(responses[0])

    def stream(
        self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]
    ) -> Generator[Sequence[Tensor], None, None]:
        request = self._request(inputs, parameters)
        return given_by(lambda send: self._sent(request, send))

    def predict_with(self, instances: Sequence[Any], parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Answer by V1, which knows no parameters of Triton's."""
        del parameters
        return self.predict(instances)

    def close(self) -> None:
        finalize = getattr(self._model, "finalize", None)
        if callable(finalize):
            with contextlib.suppress(LoadError):  # it is in the log, and nobody waits
                run_code(finalize)
        if self._folder in sys.path:
            sys.path.remove(self._folder)

    def _request(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> utils.InferenceRequest:
        given = [utils.Tensor(name, each.array) for name, each in self._checked(inputs).items()]
        names = [each.name for each in self._given]
        return utils.InferenceRequest(given, names, model_name=self.config.name, parameters=parameters)

    def _sent(self, request: utils.InferenceRequest, send: Callable[[Sequence[Tensor]], None]) -> None:
        """Execute a decoupled request, and send on what comes until it says that it was the last."""
        over = threading.Event()

        def take(response: utils.InferenceResponse | None) -> None:
            if response is None:
                over.set()
                return
            try:
                send(self._tensors(response))
            except BaseException:
                over.set()
                raise

        request.send = take
        with self._turns, _told("execute"):
            returned = self._model.execute([request])
        if returned is not None:
            raise ModelError("execute of a decoupled model returns nothing; it sends responses")
        over.wait()  # a model may send from threads of its own, and says when it was the last

    def _tensors(self, response: Any) -> Sequence[Tensor]:
        if not isinstance(response, utils.InferenceResponse):
            raise ModelError(f"execute answered with {type(response).__name__}; an InferenceResponse is needed")
        error = response.error()
        if error is not None:
            raise _raised(error)
        given = {each.name(): each for each in response.output_tensors()}
        missing = [each.name for each in self._given if each.name not in given]
        if missing:
            raise ModelError(f"the model gave no output {missing[0]!r}")
        return [self._answered(each, given[each.name].as_numpy()) for each in self._given]


def _kind(script: Path) -> type:
    """Return the class of the model."""
    kind = run_code(lambda: getattr(import_script(script), CLASS, None))
    if not isinstance(kind, type):
        raise LoadError("open", f"{script.name} has no class {CLASS}")
    if not callable(getattr(kind, "execute", None)):
        raise LoadError("open", f"{CLASS} in {script.name} has no method `execute`")
    return kind


def _completed(config: Config, kind: type) -> Config:
    """Return the configuration as the class completes it, if it does."""
    complete = getattr(kind, "auto_complete_config", None)
    if not callable(complete):
        return config
    given = utils.ModelConfig(document(config.message) | {"name": config.name, "backend": config.backend})
    found = run_code(lambda: complete(given))
    if not isinstance(found, utils.ModelConfig):
        said = f"auto_complete_config returned {type(found).__name__}; return the configuration that it was given"
        raise LoadError("open", said)
    return by_document(config, found.as_dict())


def _made(kind: type, config: Config, script: Path) -> Any:
    model = run_code(kind)
    initialize = getattr(model, "initialize", None)
    if callable(initialize):
        run_code(lambda: initialize(_arguments(config, script)))
    return model


def _arguments(config: Config, script: Path) -> dict[str, str]:
    return {
        "model_config": json.dumps(document(config.message) | {"name": config.name, "backend": config.backend}),
        "model_instance_kind": "CPU",
        "model_instance_name": f"{config.name}_0",
        "model_instance_device_id": "0",
        "model_repository": str(script.parent.parent),
        "model_version": script.parent.name,
        "model_name": config.name,
    }


@contextlib.contextmanager
def _told(method: str) -> Iterator[None]:
    """Say of what the model's code raises that it was the model; a TritonModelException is its own words."""
    try:
        yield
    except TorporError:
        raise
    except utils.TritonModelException as error:
        raise ModelError(str(error)) from error
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # their words may hold what is not for clients
        raise ModelError(f"{method} of {CLASS} raised {type(error).__name__}; the pod's log says more") from error


def _raised(error: utils.TritonError) -> TorporError:
    if error.code() == utils.TritonError.INVALID_ARG:
        return InvalidInputError("inputs", "", error.message())
    return _CODES.get(error.code(), ModelError)(error.message())
