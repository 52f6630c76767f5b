"""Errors as Kubernetes words them: each becomes one `Status` object with its HTTP code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from torpor.errors import TorporError
from torpor.spec.kinds import Kind, Object

SHOWN = 400
"""Characters of a refused value that a message repeats."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with an object."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def wrong(field: str, value: object, detail: str) -> Cause:
    """A value that is not allowed."""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {detail}")


def missing(field: str, detail: str = "") -> Cause:
    """A value that is needed and not there."""
    return Cause(field, "FieldValueRequired", "Required value" + (f": {detail}" if detail else ""))


def unsupported(field: str, value: object, allowed: Iterable[str]) -> Cause:
    """A word that is not one of the words allowed."""
    words = ", ".join(f'"{word}"' for word in allowed)
    return Cause(field, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {words}")


def duplicate(field: str, value: object) -> Cause:
    """A value that another item of the list has already."""
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")


def forbidden_field(field: str, detail: str) -> Cause:
    """A field that may not be set, or not be changed."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {detail}")


class ApiError(TorporError):
    """An answer that is not a success."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        kind: str = "",
        group: str = "",
        name: str = "",
        causes: Iterable[Cause] = (),
        retry_after_s: int | None = None,
    ) -> None:
        self.code = code
        self.reason = reason
        self.kind = kind
        self.group = group
        self.name = name
        self.causes = tuple(causes)
        self.retry_after_s = retry_after_s
        super().__init__(message)

    def status(self) -> Object:
        """Return the `Status` object that a client gets."""
        details: Object = {"name": self.name, "group": self.group, "kind": self.kind}
        if self.causes:
            details["causes"] = [
                {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in self.causes
            ]
        if self.retry_after_s is not None:
            details["retryAfterSeconds"] = self.retry_after_s
        details = {key: value for key, value in details.items() if value != ""}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            **({"details": details} if details else {}),
            "code": self.code,
        }


def success(kind: Kind, name: str, uid: str) -> Object:
    """Return what a client gets when an object is gone."""
    details = {"name": name, "group": kind.group, "kind": kind.plural, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def resource_of(kind: Kind) -> str:
    """`deployments.apps`, `pods`: how messages name a resource."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def kind_of(kind: Kind) -> str:
    """`Deployment.apps`, `Pod`: how messages name a kind."""
    return f"{kind.kind}.{kind.group}" if kind.group else kind.kind


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(message: str, kind: Kind | None = None, name: str = "", causes: Iterable[Cause] = ()) -> ApiError:
    if kind is None:
        return ApiError(403, "Forbidden", message)
    text = f'{resource_of(kind)} "{name}" is forbidden: {message}'
    return ApiError(403, "Forbidden", text, kind=kind.plural, group=kind.group, name=name, causes=causes)


def not_found(kind: Kind, name: str) -> ApiError:
    text = f'{resource_of(kind)} "{name}" not found'
    return ApiError(404, "NotFound", text, kind=kind.plural, group=kind.group, name=name)


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def not_acceptable(supported: str) -> ApiError:
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {supported}")


def already_exists(kind: Kind, name: str) -> ApiError:
    text = f'{resource_of(kind)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, kind=kind.plural, group=kind.group, name=name)


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    text = f'Operation cannot be fulfilled on {resource_of(kind)} "{name}": {why}'
    return ApiError(409, "Conflict", text, kind=kind.plural, group=kind.group, name=name)


def modified(kind: Kind, name: str) -> ApiError:
    return conflict(
        kind, name, "the object has been modified; please apply your changes to the latest version and try again"
    )


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def too_large(limit: int) -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def unsupported_media(given: str, supported: Iterable[str]) -> ApiError:
    text = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return ApiError(415, "UnsupportedMediaType", f"{text}; it was {given!r}" if given else text)


def invalid(kind: Kind, name: str, causes: Iterable[Cause]) -> ApiError:
    listed = tuple(dict.fromkeys(causes))
    text = str(listed[0]) if len(listed) == 1 else "[" + ", ".join(str(cause) for cause in listed) + "]"
    message = f'{kind_of(kind)} "{name}" is invalid: {text}'
    return ApiError(422, "Invalid", message, kind=kind.kind, group=kind.group, name=name, causes=listed)


def denied(webhook: str, message: str) -> ApiError:
    """Refused by what on a cluster is an admission webhook."""
    return ApiError(400, "BadRequest", f'admission webhook "{webhook}" denied the request: {message}')


def unavailable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message, retry_after_s=1)


def internal() -> ApiError:
    """Give nothing away; the log says more."""
    return ApiError(500, "InternalError", "Internal error occurred; the log of the API server says more")


def _shown(value: object) -> str:
    if isinstance(value, str):
        text = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    else:
        text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode()
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
