"""What a model raises in its process, raised in the server as what it is."""

from __future__ import annotations

import contextlib
import traceback
from typing import Any

from predictor.model import HandlerError
from predictor.processes.messages import GarbledError, Message, write
from torpor import errors
from torpor.errors import InvalidInputError, LoadError, TorporError

ERROR = "error"
_KINDS: dict[str, type[TorporError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, TorporError)
} | {HandlerError.__name__: HandlerError}
_FIELDS = ("field", "value", "allowed", "stage", "retryable", "status", "retry_after_s")
"""What some of them say beside their message; they are read by whoever answers."""


class ForeignError(Exception):
    """A model raised what is none of our errors; clients are told nothing of it, as of any other such."""


def told(error: Exception) -> Message:
    """Return what is sent of an error."""
    kind = next((each.__name__ for each in type(error).__mro__ if each.__name__ in _KINDS), "")
    if not kind:
        text = f"{type(error).__name__}: {error}"
        return Message(ERROR, {"kind": "", "message": text, "traceback": traceback.format_exc()})
    said = {name: _plain(getattr(error, name)) for name in _FIELDS if name in vars(error)}
    said["headers"] = list(getattr(error, "headers", ()))
    return Message(ERROR, {"kind": kind, "message": str(error), "said": said})


def raised(message: Message) -> Exception:
    """Return the error that was told of; raises GarbledError."""
    match message.value:
        case {"kind": "", "message": str(text), "traceback": str(trace)}:
            error: Exception = ForeignError(text)
            error.add_note(trace)
            return error
        case {"kind": str(name), "message": str(text), "said": dict(said)} if name in _KINDS:
            return _made(_KINDS[name], text, said)
    raise GarbledError(f"no error: {message.value}")


def _made(kind: type[TorporError], text: str, said: dict[str, Any]) -> TorporError:
    """Make it without its constructor: its message is written already."""
    error = kind.__new__(kind)
    Exception.__init__(error, text)
    if issubclass(kind, InvalidInputError):
        error.__dict__ |= {
            "field": str(said.get("field", "")),
            "value": said.get("value"),
            "allowed": str(said.get("allowed", "")),
        }
    if issubclass(kind, LoadError):
        error.__dict__ |= {"stage": str(said.get("stage", "open")), "retryable": said.get("retryable") is True}
    if issubclass(kind, HandlerError):
        status = said.get("status")
        error.__dict__["status"] = status if type(status) is int else 503
    seconds = said.get("retry_after_s")
    if isinstance(seconds, int | float):
        error.retry_after_s = float(seconds)
    with contextlib.suppress(TypeError, ValueError):
        error.headers = tuple([(str(name), str(value)) for name, value in said.get("headers", ())])
    return error


def _plain(value: Any) -> Any:
    """Return a value that can be sent: the message, which is sent as text, has it in words already."""
    try:
        write(Message("", value))
    except (TypeError, ValueError):
        return repr(value)
    return value
