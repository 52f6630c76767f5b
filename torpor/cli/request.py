"""Turn what was typed after `torpor predict` into one HTTP request. Pure, but for reading the file named."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from torpor.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, but for where it goes."""

    method: str
    path: str
    body: bytes | None
    credential: str = ""
    """An API key or a token, where the service asks for one."""


def read_data(data: str) -> bytes:
    """Return what `-d` means: the text itself, `@FILE`, or `-` for standard input."""
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise InvalidInputError("--data", data, f"the file cannot be read: {error.strerror}") from error


def build_call(
    model: str, body: bytes | None, texts: tuple[str, ...], protocol: str, path: str | None, *, is_model: bool
) -> Call:
    """Return the request. Without data a Knative Service is asked by GET; a model always needs some."""
    if texts:
        body = orjson.dumps(from_texts(texts, protocol))
    elif body is not None and path is None and is_model:
        body = _checked(body, protocol)
    if path is None:
        path = _model_path(model, protocol) if is_model else "/"
        if is_model and body is None:
            raise InvalidInputError("--data", None, "give what the model shall answer by -d JSON or --text TEXT")
    elif not path.startswith("/"):
        raise InvalidInputError("--path", path, "it begins with /")
    return Call("GET" if body is None else "POST", path, body)


def from_texts(texts: tuple[str, ...], protocol: str) -> dict[str, Any]:
    """Return the body that asks a model for these texts."""
    if protocol == "v1":
        return {"instances": list(texts)}
    return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}]}


def _checked(body: bytes, protocol: str) -> bytes:
    """Refuse what is no JSON before a model is woken for it; a bare list means the instances."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError("--data", body.decode(errors="replace"), f"JSON is needed: {error}") from error
    if isinstance(document, list) and protocol == "v1":
        return orjson.dumps({"instances": document})
    return body


def _model_path(model: str, protocol: str) -> str:
    return f"/v1/models/{model}:predict" if protocol == "v1" else f"/v2/models/{model}/infer"
