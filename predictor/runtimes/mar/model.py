"""An archive's handler as a model: whole requests by TorchServe's own protocol, instances by V1, tensors by V2."""

from __future__ import annotations

import contextlib
import re
import threading
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from predictor.model import HandlerAnswer, HandlerError, HandlerRequest, Signature
from predictor.runtimes.mar.context import Context, RequestProcessor
from predictor.runtimes.mar.entry import Entry
from predictor.runtimes.mar.outcome import octets, plain, tensor
from predictor.runtimes.mar.parts import given_by
from predictor.runtimes.mar.toolbox import PredictionException
from torpor.errors import InvalidInputError, UnavailableError
from torpor.protocol.document import brief

if TYPE_CHECKING:
    from torpor.protocol.tensors import Tensor

PLATFORM = "torchserve_mar"
EXPLAIN = "explain"
"""The header by which TorchServe tells a handler what is wanted."""
_SIGNATURE = Signature(PLATFORM, (), ())
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = {"connection", "content-length", "content-type", "keep-alive", "transfer-encoding", "upgrade"}
"""Headers that belong to the connection, or are told another way."""


Take = Callable[[int, Any, RequestProcessor], None]


@dataclass(frozen=True, slots=True)
class _Given:
    """One answer of a handler, with what it said of it."""

    value: Any
    before: tuple[Any, ...]
    """What it sent before that."""
    said: RequestProcessor


class MarModel:
    """Fits `Model`, `Handles`, `HandlesInParts`, `Explains` and `SaysVersion`.

    One call at a time: handlers keep what belongs to a request in themselves, for each of TorchServe's workers is a
    process of its own.
    """

    def __init__(self, entry: Entry, context: Context, version: str, close: Callable[[], None]) -> None:
        self._entry = entry
        self._context = context
        self._version = version
        self._close = close
        self._alone = threading.Lock()

    @property
    def signature(self) -> Signature:
        """Nothing of the inputs and outputs is known of a handler of a user's own."""
        return _SIGNATURE

    @property
    def version(self) -> str:
        return self._version

    @property
    def explains(self) -> bool:
        return self._entry.explains

    def handle(self, requests: Sequence[HandlerRequest], *, explain: bool = False) -> Sequence[HandlerAnswer]:
        return [_answer(each) for each in self._ask([dict(each.parts) for each in requests], requests, explain=explain)]

    @property
    def sends_parts(self) -> bool:
        return self._entry.sends_parts

    def handle_in_parts(
        self, request: HandlerRequest, *, explain: bool = False
    ) -> Generator[HandlerAnswer, None, None]:
        def run(send: Callable[[HandlerAnswer], None]) -> None:
            def take(index: int, part: Any, said: RequestProcessor) -> None:
                del index  # there is one
                send(_answer(_Given(part, (), said)))

            (given,) = self._ask([dict(request.parts)], [request], explain=explain, take=take)
            send(_answer(given))

        return given_by(run)

    def predict(self, instances: Sequence[Any]) -> Sequence[Any]:
        return self._each(instances, explain=False)

    def explain(self, instances: Sequence[Any]) -> Sequence[Any]:
        return self._each(instances, explain=True)

    def infer(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Ask as KServe's envelope does: each input is a row of its own, and has one output.

        The handlers that come with TorchServe know nothing of such rows. They get what is along the first axis.
        """
        if self._entry.is_built_in:
            if len(inputs) != 1 or not inputs[0].shape:
                shapes = ", ".join(f"{each.name} {list(each.shape)}" for each in inputs)
                raise InvalidInputError("inputs", shapes, "this model takes one input, its first axis the instances")
            found = self._values(list(inputs[0].array), "inputs", explain=False)
            return (tensor("predict", found),)
        rows = [_row(each) for each in inputs]
        found = self._values(rows, "inputs", explain=False)
        names = ["predict"] if len(found) == 1 else [f"predict-{index}" for index in range(len(found))]
        return [tensor(name, value) for name, value in zip(names, found, strict=True)]

    def warm(self) -> None:
        """Nothing: what a handler takes is not known. Its `initialize` may ask its own model."""

    def close(self) -> None:
        self._close()

    def _each(self, instances: Sequence[Any], *, explain: bool) -> Sequence[Any]:
        return [plain(each) for each in self._values(list(instances), "instances", explain=explain)]

    def _values(self, rows: list[Any], field: str, *, explain: bool) -> list[Any]:
        """Return the answers to the rows of one request; a refusal of the handler's is one of `field`."""
        request = HandlerRequest({}, {}, str(uuid.uuid4()))
        try:
            found = self._ask(rows, [request] * len(rows), explain=explain)
            for each in found:
                _check(each.said)
        except HandlerError as error:
            if 400 <= error.status < 500:
                raise InvalidInputError(field, brief(rows), str(error)) from error
            raise
        return [each.value for each in found]

    def _ask(
        self, rows: list[Any], requests: Sequence[HandlerRequest], *, explain: bool, take: Take | None = None
    ) -> list[_Given]:
        """Call the handler; `take` gets what it sends before its answers, which else go with them."""
        context = self._context
        said = [RequestProcessor({**each.headers, **({EXPLAIN: "True"} if explain else {})}) for each in requests]
        before: list[list[Any]] = [[] for _ in rows]
        with self._turn():
            context.request_processor = said
            context.request_ids = {index: each.id for index, each in enumerate(requests)}
            context.intermediate = (
                (lambda index, part: before[index].append(part))
                if take is None
                else (lambda index, part: take(index, part, said[index]))
            )
            try:
                found = self._entry.call(rows, context)
            except PredictionException as error:
                raise HandlerError(error.message, _status(error.error_code)) from error
            except MemoryError as error:
                raise HandlerError("Out of resources", 507) from error
            except (Exception, SystemExit, KeyboardInterrupt) as error:  # its words may hold what is not for clients
                raise HandlerError("Prediction failed; the pod's log says more") from error
            finally:
                context.intermediate = None
        if not isinstance(found, list):
            raise HandlerError(f"Invalid model predict output: a list is needed, not {type(found).__name__}")
        if len(found) != len(rows):
            raise HandlerError(f"number of batch response mismatched: {len(found)} for {len(rows)} requests")
        return [_Given(*each) for each in zip(found, map(tuple, before), said, strict=True)]

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the handler to be free; raises UnavailableError where the event loop would have to wait.

        A brief request may be computed there, and one whose client has left may still be at work in a thread.
        """
        is_loop = threading.current_thread() is threading.main_thread()
        if not self._alone.acquire(blocking=not is_loop):
            raise UnavailableError("the handler is at work on another request, and takes one at a time")
        try:
            yield
        finally:
            self._alone.release()


def _answer(given: _Given) -> HandlerAnswer:
    body, media_type = octets(given.value)
    if given.before:
        body = b"".join([*(octets(each)[0] for each in given.before), body])
    headers = []
    for name, value in ((str(name), str(value)) for name, value in given.said.get_response_headers().items()):
        # A line break in it would be the beginning of an answer that somebody else makes up.
        if not _TOKEN.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise HandlerError(f"the handler set a header that is none: {name[:100]!r}")
        if name.lower() == "content-type":
            media_type = value
        elif name.lower() not in _OURS:
            headers.append((name, value))
    return HandlerAnswer(body, media_type, _status(given.said.get_response_status_code()), tuple(headers))


def _check(said: RequestProcessor) -> None:
    """Raise HandlerError where the handler has called its answer an error."""
    status = _status(said.get_response_status_code())
    if status >= 400:
        raise HandlerError(said.get_response_status_phrase() or f"the handler answered with status {status}", status)


def _status(code: Any) -> int:
    return code if type(code) is int and 200 <= code <= 599 else 503


def _row(given: Tensor) -> Mapping[str, Any]:
    """Return an input as V2's JSON has it."""
    data = given.array.ravel().tolist()
    if given.datatype == "BYTES":
        data = [_text(each) for each in data]
    return {"name": given.name, "shape": list(given.shape), "datatype": given.datatype, "data": data}


def _text(value: Any) -> Any:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
