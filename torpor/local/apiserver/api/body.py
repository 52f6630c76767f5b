"""Request bodies: at most 3 MiB of JSON, or of YAML where a client prefers to write that."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import orjson
import yaml
from starlette.requests import Request

from torpor.local.apiserver.api import protobuf
from torpor.local.apiserver.status import bad_request, too_large, unsupported_media

LIMIT = 3 * 1024 * 1024
"""As in Kubernetes."""
MAX_NODES = 200_000
"""Values in one YAML document, aliases counted as often as they are used: ten lines can stand for a billion."""

JSON = "application/json"
YAML = "application/yaml"

_BASE: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc,valid-type]  # whichever of the two there is
    """YAML as Kubernetes reads it: a time is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read(request: Request) -> bytes:
    """Return the body; raises a 413 as soon as it is over the limit."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > LIMIT:
        raise too_large(LIMIT)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LIMIT:
            raise too_large(LIMIT)
        parts.append(part)
    return b"".join(parts)


async def read_object(request: Request) -> Any:
    """Return the parsed body of a create, replace or delete."""
    type_ = media_type(request)
    if type_ not in {"", JSON, YAML, "text/yaml", "application/x-yaml", protobuf.MEDIA_TYPE}:
        raise unsupported_media(type_, (JSON, YAML, protobuf.MEDIA_TYPE))
    return parse(type_, await read(request))


def parse(type_: str, raw: bytes) -> Any:
    """Read a body by its media type; JSON where it has none."""
    if type_ == protobuf.MEDIA_TYPE:
        return protobuf.decode(raw)
    return parse_yaml(raw) if type_.endswith("yaml") else parse_json(raw)


def parse_json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise bad_request(
            f"the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
        ) from error


def parse_yaml(raw: bytes) -> Any:
    """Read one YAML document as JSON: keys are texts, and there is no number that JSON does not have."""
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(raw)  # JSON is YAML, and most clients send that
    try:
        document = yaml.load(raw, Loader=_Loader)  # noqa: S506  # derived from the safe loader
        return _plain(document, [MAX_NODES])
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error


def _plain(value: Any, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise bad_request(f"error converting YAML to JSON: more than {MAX_NODES} values")
    if isinstance(value, dict):
        return {_key(key): _plain(each, left) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, left) for each in value]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    raise bad_request(f"error converting YAML to JSON: {value!r} is no value that JSON has")


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str | int | float):
        return str(key)
    raise bad_request(f"error converting YAML to JSON: {key!r} cannot be a key")
