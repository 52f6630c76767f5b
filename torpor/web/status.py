"""The one table from errors to HTTP: status code and machine-readable reason."""

from __future__ import annotations

import math
from typing import NamedTuple

import orjson

from torpor import errors


class Answer(NamedTuple):
    """An error as clients of the data ports see it."""

    status: int
    reason: str
    message: str
    retry_after_s: int | None
    headers: tuple[tuple[str, str], ...] = ()
    """More fields that belong to it."""

    @property
    def body(self) -> bytes:
        return orjson.dumps({"error": self.message, "reason": self.reason})


# Most special first: the first class that fits decides.
TABLE: tuple[tuple[type[errors.TorporError], int, str], ...] = (
    (errors.InvalidInputError, 400, "InvalidInput"),
    (errors.UnauthorizedError, 401, "Unauthorized"),
    (errors.ForbiddenError, 403, "Forbidden"),
    (errors.NotFoundError, 404, "NotFound"),
    (errors.MethodError, 405, "MethodNotAllowed"),
    (errors.SlowClientError, 408, "RequestTimeout"),
    (errors.ConflictError, 409, "Conflict"),
    (errors.OverLimitError, 429, "OverLimit"),
    (errors.HeadTooLargeError, 431, "HeadTooLarge"),
    (errors.TooLargeError, 413, "TooLarge"),
    (errors.MediaTypeError, 415, "UnsupportedMediaType"),
    (errors.ModelError, 500, "ModelFailed"),
    (errors.UnsupportedError, 501, "Unsupported"),
    (errors.UpstreamError, 502, "UpstreamFailed"),
    (errors.QueueFullError, 503, "QueueFull"),
    (errors.ColdStartError, 503, "ColdStartTooSlow"),
    (errors.UnavailableError, 503, "Unavailable"),
    (errors.LoadError, 503, "ModelLoadFailed"),
    (errors.DeadlineError, 504, "DeadlineExceeded"),
)


def answer(error: Exception) -> Answer:
    """Return what a client is told. An error that is not ours is a 500 that gives nothing away."""
    for kind, status, reason in TABLE:
        if isinstance(error, kind):
            return Answer(status, reason, str(error), _retry_after(error, status), error.headers)
    return Answer(500, "Internal", "internal error; the log of the service says more", None)


def _retry_after(error: errors.TorporError, status: int) -> int | None:
    """Return whole seconds, at least one: what is known, or the shortest where nothing is."""
    if status not in {429, 503}:
        return None
    return max(1, math.ceil(error.retry_after_s or 0.0))
