"""What the JSON protocols share: reading a body, and showing a value of any size in an error."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import orjson

from torpor.errors import InvalidInputError

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120


class Brief(str):
    """A value as an error shows it: a list of a million numbers by its first few."""

    __slots__ = ()
    __repr__ = str.__str__


def brief(value: object) -> Brief:
    """Return the beginning of `value`; looks at no more of it than that."""
    return Brief(_REPR.repr(value))


def read_object(body: bytes | bytearray | memoryview) -> Mapping[str, Any]:
    """Return the JSON object in `body`; raises InvalidInputError."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError("body", brief(bytes(body[:120])), f"JSON is needed: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInputError("body", brief(document), "use a JSON object")
    return document


def parameters(path: str, holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of `holder`, which is at `path`: none, or an object."""
    found = holder.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidInputError(f"{path}parameters", brief(found), "use an object")
    return found
