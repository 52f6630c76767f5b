"""How TorchServe tells errors: `{"code", "type", "message"}`, the type being the name of an exception in Java."""

from __future__ import annotations

from typing import Any

_KINDS = {
    400: "BadRequestException",
    401: "InvalidTokenException",
    403: "InvalidKeyException",
    404: "ModelNotFoundException",
    405: "MethodNotAllowedException",
    409: "ConflictStatusException",
    503: "ServiceUnavailableException",
}
PATH = "ResourceNotFoundException"
VERSION = "ModelVersionNotFoundException"
INTERNAL = "InternalServerException"


def document(status: int, message: str, kind: str | None = None) -> dict[str, Any]:
    """Return the JSON that tells an error of this status; `kind` where that says less than is known."""
    return {"code": status, "type": kind or _KINDS.get(status, INTERNAL), "message": message}
