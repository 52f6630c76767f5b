"""One tree of errors. Each says what went wrong, what to do next, and whether trying again can help.

Status codes are not here: `torpor.web.status` maps these types to them, in one table.
"""

from __future__ import annotations

import reprlib
from typing import ClassVar, Self


class TorporError(Exception):
    """Base of every error that Torpor raises on purpose."""

    retryable: ClassVar[bool] = False
    retry_after_s: float | None = None
    """When another try is worth it, where that is known."""
    headers: tuple[tuple[str, str], ...] = ()
    """Header fields that tell programs more of it."""

    def after(self, seconds: float | None) -> Self:
        """Say when another try is worth it."""
        self.retry_after_s = seconds
        return self


class InvalidInputError(TorporError):
    """A field has a value that is not allowed. The message names field, value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {_short(value)} is not allowed; {allowed}")


class SettingError(InvalidInputError):
    """A setting of ours (flag, environment variable) is wrong; raised while starting, never later."""


class UnauthorizedError(TorporError):
    """The caller gave no credentials, or wrong ones."""


class ForbiddenError(TorporError):
    """The caller is known, or needs not be, and may not do this."""


class OverLimitError(TorporError):
    """The caller, or the service, has used up its rate or its requests at once."""

    retryable: ClassVar[bool] = True


class NotFoundError(TorporError):
    """No such object, route, model or file."""


class ConflictError(TorporError):
    """The object changed since it was read, or exists already."""


class TooLargeError(TorporError):
    """A body, header or file is over its limit."""


class HeadTooLargeError(TooLargeError):
    """The request line and headers together are over their limit."""


class SlowClientError(TorporError):
    """The client did not send the rest of its request in time."""


class MethodError(TorporError):
    """The path is served, but not by this method."""


class MediaTypeError(TorporError):
    """The body comes in a form that is not taken: compressed, perhaps."""


class UnsupportedError(TorporError):
    """Understood, and not offered here."""


class QueueFullError(TorporError):
    """The bounded queue of a revision has no place left."""

    retryable: ClassVar[bool] = True


class ColdStartError(TorporError):
    """No pod will be ready within the time that the request has. The start goes on, so a later try finds a pod."""

    retryable: ClassVar[bool] = True


class UnavailableError(TorporError):
    """Cannot be answered now; a later try may succeed."""

    retryable: ClassVar[bool] = True


class UpstreamError(TorporError):
    """The pod failed after the request, or part of it, had been sent to it."""


class DeadlineError(TorporError):
    """The time allowed is over."""

    retryable: ClassVar[bool] = True


class ModelError(TorporError):
    """The model was asked rightly and did not answer rightly."""


class LoadError(TorporError):
    """A model could not be loaded.

    `stage` is one of resolve, fetch, verify, open, warm; or start, where only its process's end is known.
    """

    def __init__(self, stage: str, message: str, *, retryable: bool = False) -> None:
        self.stage = stage
        self.retryable = retryable  # type: ignore[misc]  # an instance may know better than its class
        super().__init__(message)


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 1000  # cut below, at the end and not in the middle
_BRIEF.maxlist = _BRIEF.maxtuple = _BRIEF.maxdict = _BRIEF.maxset = 10


def _short(value: object, limit: int = 200) -> str:
    """Return what a person needs to recognise a value, however large it is."""
    text = _BRIEF.repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
