"""One table from errors to HTTP."""

from __future__ import annotations

import inspect

import orjson
import pytest

from torpor import errors
from torpor.web.status import TABLE, answer


@pytest.mark.parametrize(
    ("error", "status", "reason", "retry_after_s"),
    [
        (errors.InvalidInputError("f", 1, "use 2"), 400, "InvalidInput", None),
        (errors.SettingError("f", 1, "use 2"), 400, "InvalidInput", None),
        (errors.UnauthorizedError("x"), 401, "Unauthorized", None),
        (errors.ForbiddenError("x"), 403, "Forbidden", None),
        (errors.NotFoundError("x"), 404, "NotFound", None),
        (errors.MethodError("x"), 405, "MethodNotAllowed", None),
        (errors.ConflictError("x"), 409, "Conflict", None),
        (errors.TooLargeError("x"), 413, "TooLarge", None),
        (errors.MediaTypeError("x"), 415, "UnsupportedMediaType", None),
        (errors.UnsupportedError("x"), 501, "Unsupported", None),
        (errors.UpstreamError("x"), 502, "UpstreamFailed", None),
        (errors.QueueFullError("x"), 503, "QueueFull", 1),
        (errors.UnavailableError("x"), 503, "Unavailable", 1),
        (errors.LoadError("fetch", "x"), 503, "ModelLoadFailed", 1),
        (errors.DeadlineError("x"), 504, "DeadlineExceeded", None),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int, reason: str, retry_after_s: int | None) -> None:
    """503 says when to come again."""
    told = answer(error)
    assert (told.status, told.reason, told.retry_after_s) == (status, reason, retry_after_s)
    assert orjson.loads(told.body) == {"error": str(error), "reason": reason}


def test_every_error_of_ours_is_in_the_table() -> None:
    """A new error needs a line, or it is a 500."""
    ours = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.TorporError)}
    for kind in ours - {errors.TorporError}:
        assert any(issubclass(kind, known) for known, _, _ in TABLE), kind


def test_the_first_line_that_fits_is_the_most_special() -> None:
    """No line is hidden behind one above it."""
    for index, (kind, _, _) in enumerate(TABLE):
        assert not any(issubclass(kind, above) for above, _, _ in TABLE[:index])


def test_what_is_not_ours_gives_nothing_away() -> None:
    """A bug's message may hold secrets."""
    told = answer(RuntimeError("password=hunter2"))
    assert told.status == 500
    assert b"hunter2" not in told.body
