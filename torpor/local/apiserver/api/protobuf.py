"""Read Kubernetes' protocol buffers as JSON: kubectl writes its own kinds that way, and asks for JSON back.

The numbers of the fields are in schema/wire.json. On the wire a field that is not set looks like one that is zero,
unless Go holds it by a pointer: the two sets below say where that matters.
"""

from __future__ import annotations

import base64
import datetime
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from torpor.local.apiserver import schema
from torpor.local.apiserver.status import bad_request
from torpor.spec.kinds import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

# Zero and false are said on purpose here.
_POINTERS = frozenset(
    {
        "activeDeadlineSeconds",
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "backoffLimit",
        "blockOwnerDeletion",
        "controller",
        "defaultMode",
        "deletionGracePeriodSeconds",
        "enableServiceLinks",
        "exitCode",
        "expirationSeconds",
        "fsGroup",
        "gracePeriodSeconds",
        "hostUsers",
        "immutable",
        "mode",
        "optional",
        "orphanDependents",
        "privileged",
        "progressDeadlineSeconds",
        "readOnlyRootFilesystem",
        "ready",
        "replicas",
        "restartCount",
        "revisionHistoryLimit",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seconds",
        "serving",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "terminating",
        "terminationGracePeriodSeconds",
    }
)
# Messages that are always there, even where nothing is in them.
_VALUES = frozenset(
    {
        "involvedObject",
        "lastState",
        "loadBalancer",
        "metadata",
        "resources",
        "source",
        "spec",
        "state",
        "status",
        "strategy",
        "template",
    }
)

_TYPE_META = {1: ("apiVersion", "string"), 2: ("kind", "string")}
_TIME = {1: ("seconds", "int"), 2: ("nanos", "int")}
_INT_OR_STRING = {1: ("isText", "int"), 2: ("number", "int"), 3: ("text", "string")}
_UNKNOWN = {
    1: ("typeMeta", "typeMeta"),
    2: ("raw", "raw"),
    3: ("contentEncoding", "string"),
    4: ("contentType", "string"),
}

Fields = dict[int, tuple[str, str]]


def decode(raw: bytes) -> Object:
    """Return the object in an envelope; raises a 400 for anything that is not one."""
    if not raw.startswith(MAGIC):
        raise _unreadable("it does not begin as Kubernetes' protocol buffers do")
    try:
        envelope = _message(raw[len(MAGIC) :], _UNKNOWN)
        meta = envelope.get("typeMeta") or {}
        fields = _fields(meta.get("kind", ""))
        obj = _message(envelope.get("raw", b""), fields) if fields is not None else {}
    except (IndexError, ValueError, OverflowError, OSError) as error:  # the last two: a time that no calendar has
        raise _unreadable("it is cut short, or of another type than it says") from error
    return {**meta, **obj}


def _unreadable(why: str) -> Exception:
    return bad_request(f"the object provided is unrecognized: {why}")


@functools.cache
def _tables() -> dict[str, Fields]:
    found = orjson.loads((Path(schema.__file__).parent / "wire.json").read_bytes())
    return {
        name: {int(number): (field, type_) for number, (field, type_) in row.items()} for name, row in found.items()
    }


def _fields(kind: str) -> Fields | None:
    """Return the fields of a kind; None for one that says all by its name (reviews)."""
    return _tables().get(f"io.k8s.v1.{kind}")


def _message(raw: bytes, fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, wire_type, content in _parts(raw):
        if number not in fields:
            raise _unreadable(f"field {number} is not known here; send JSON instead")
        name, type_ = fields[number]
        if wire_type != _wire_type(type_) and not (type_ == "[]int" and wire_type == 2):
            raise _unreadable(f"field {number} is of another type than {type_}")
        _take(found, name, type_, wire_type, content)
    return found


def _wire_type(type_: str) -> int:
    """Return 0 for what is a number on the wire, 2 for everything that has a length."""
    return 0 if type_.removeprefix("[]") in {"int", "bool"} else 2


def _take(found: dict[str, Any], name: str, type_: str, wire_type: int, content: Any) -> None:
    if type_.startswith("[]"):
        items = found.setdefault(name, [])
        if type_ == "[]int" and wire_type == 2:
            items.extend(_signed(value) for value in _varints(content))
        else:
            items.append(_value(type_[2:], content))
    elif type_.startswith("{}"):
        entry = _message(content, {1: ("key", "string"), 2: ("value", type_[2:])})
        found.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
    elif not name:
        found |= _message(content, _tables()[type_])
    else:
        value = _value(type_, content)
        empty = value in ("", 0, None) and name not in _POINTERS and name not in {"key", "value"}
        if not empty and not (value == {} and name in _VALUES):
            found[name] = value


def _value(type_: str, content: Any) -> Any:  # noqa: C901  # one line for each type there is
    match type_:
        case "int":
            return _signed(content)
        case "bool":
            return bool(content)
        case "string":
            return content.decode()
        case "bytes":
            return base64.b64encode(content).decode()
        case "raw":
            return content
        case "quantity":
            return _message(content, {1: ("value", "string")}).get("value", "0")
        case "time":
            return _time(content)
        case "int-or-string":
            parts = _message(content, _INT_OR_STRING)
            return parts.get("text", "") if parts.get("isText") else parts.get("number", 0)
        case "json":
            return orjson.loads(_message(content, {1: ("raw", "raw")}).get("raw") or b"{}")
        case "typeMeta":
            return _message(content, _TYPE_META)
    return _message(content, _tables()[type_])


def _time(content: bytes) -> str | None:
    parts = _message(content, _TIME)
    if not parts:
        return None
    whole = datetime.datetime.fromtimestamp(parts.get("seconds", 0), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    micros = parts.get("nanos", 0) // 1000
    return f"{whole}.{micros:06}Z" if micros else f"{whole}Z"


def _parts(raw: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield (field number, wire type, content): a number, or the bytes of what is longer."""
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            content, position = _varint(raw, position)
            yield number, wire_type, content
        elif wire_type == 2:
            length, position = _varint(raw, position)
            if position + length > len(raw):
                raise IndexError("cut short")
            yield number, wire_type, raw[position : position + length]
            position += length
        else:
            raise _unreadable(f"wire type {wire_type} is in no object of Kubernetes")


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), position
        shift += 7
        if shift > 63:
            raise IndexError("a number without an end")


def _varints(raw: bytes) -> Iterator[int]:
    position = 0
    while position < len(raw):
        value, position = _varint(raw, position)
        yield value


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
