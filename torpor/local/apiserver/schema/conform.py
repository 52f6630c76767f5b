"""Hold an object against its schema: wrong types and missing fields are named; unknown fields and nulls go."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from dataclasses import dataclass, field
from typing import Any

from torpor.local.apiserver.schema.node import Node
from torpor.spec.kinds import Object

QUANTITY = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_PYTHON = {"object": dict, "array": list, "string": str, "boolean": bool}
_JSON = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """A value of the wrong type, or one that its type does not allow."""

    path: str
    value: Any
    wanted: str
    """A JSON type."""
    detail: str = ""
    """Set where the type is right and the value is not."""

    @property
    def found(self) -> str:
        return "null" if self.value is None else _JSON[type(self.value)]


@dataclass(slots=True)
class Findings:
    """All that is wrong with an object, by its schema."""

    unknown: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def conform(schema: Node, obj: Object) -> tuple[Object, Findings]:
    """Return a copy without unknown fields and nulls, and what was found."""
    findings = Findings()
    checked = _Check(findings).value(schema, obj, "")
    return checked, findings


class _Check:
    def __init__(self, findings: Findings) -> None:
        self._found = findings

    def value(self, schema: Node, value: Any, path: str) -> Any:
        if schema.int_or_string or schema.quantity:
            return self._number_or_text(schema, value, path)
        if not schema.type:
            return value
        if schema.type in {"integer", "number"}:
            return self._number(schema, value, path)
        wanted: type[Any] = _PYTHON[schema.type]
        if not isinstance(value, wanted):
            return self._mistake(path, value, schema.type)
        if schema.type == "object":
            return self._object(schema, value, path)
        if schema.type == "array":
            return self._array(schema, value, path)
        if schema.format:
            self._format(schema, value, path)
        return value

    def _object(self, schema: Node, value: dict[str, Any], path: str) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, each in value.items():
            child = schema.fields.get(name)
            if child is None:
                child = schema.values
                where = f"{path}.{name}" if path else name
                if child is None:
                    if schema.preserve:
                        kept[name] = each
                    else:
                        self._found.unknown.append(where)
                    continue
            if each is None:
                continue
            kept[name] = self.value(child, each, f"{path}.{name}" if path else name)
        for name in schema.required:
            if name not in kept:
                self._found.missing.append(f"{path}.{name}" if path else name)
        return kept

    def _array(self, schema: Node, value: list[Any], path: str) -> list[Any]:
        items = schema.items
        if items is None:
            return value
        return [self.value(items, item, f"{path}[{index}]") for index, item in enumerate(value)]

    def _number(self, schema: Node, value: Any, path: str) -> Any:
        # bool is an int to Python, not to JSON.
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._mistake(path, value, schema.type)
        if schema.type == "integer" and isinstance(value, float):
            return int(value) if value.is_integer() else self._mistake(path, value, schema.type)
        return value

    def _number_or_text(self, schema: Node, value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return self._mistake(path, value, "string" if schema.quantity else "integer")
        if schema.quantity and not QUANTITY.fullmatch(str(value)):
            detail = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            self._found.mistakes.append(Mistake(path, value, "string", detail))
        if not schema.quantity and isinstance(value, float):
            return int(value) if value.is_integer() else self._mistake(path, value, "integer")
        return value

    def _format(self, schema: Node, value: str, path: str) -> None:
        if schema.format == "byte":
            try:
                base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                self._found.mistakes.append(Mistake(path, value, "string", "illegal base64 data"))
        elif schema.format == "date-time" and not _is_time(value):
            detail = 'a time like "2006-01-02T15:04:05Z" is needed'
            self._found.mistakes.append(Mistake(path, value, "string", detail))

    def _mistake(self, path: str, value: Any, wanted: str) -> Any:
        self._found.mistakes.append(Mistake(path, value, wanted))
        return value


def _is_time(text: str) -> bool:
    """Tell whether a text is a time as RFC 3339 writes it, on a day that there is."""
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True
