"""Read a JSON object field by field; every error names the field's whole path, its value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torpor.errors import InvalidInputError

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
DNS_1035_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?\Z")
"""A DNS_LABEL that begins with a letter, as the names of core Services and of Knative's objects do."""
MAX_INTEGER = 2**31 - 1
"""Kubernetes' own counts and times are an int32."""


class Fields:
    """A JSON object and the path that led to it. Absent and null are the same: the default."""

    __slots__ = ("path", "raw")

    def __init__(self, raw: Mapping[str, Any], path: str = "") -> None:
        self.raw = raw
        self.path = path

    def __contains__(self, name: str) -> bool:
        return self.raw.get(name) is not None

    def at(self, name: str) -> str:
        """Return the path of a field, as errors show it."""
        return f"{self.path}.{name}" if self.path else name

    def refuse(self, name: str, allowed: str) -> InvalidInputError:
        """Return the error for a field, to be raised by the caller."""
        return InvalidInputError(self.at(name), self.raw.get(name), allowed)

    def object(self, name: str) -> Fields:
        """Return an object; an absent one is empty."""
        value = self.raw.get(name)
        if value is None:
            return Fields({}, self.at(name))
        if not isinstance(value, Mapping):
            raise self.refuse(name, "an object is needed")
        return Fields(value, self.at(name))

    def objects(self, name: str) -> list[Fields]:
        """Return a list of objects; an absent one is empty."""
        return list(self._objects(name))

    def _objects(self, name: str) -> Iterator[Fields]:
        for index, item in enumerate(self._list(name)):
            path = f"{self.at(name)}[{index}]"
            if not isinstance(item, Mapping):
                raise InvalidInputError(path, item, "an object is needed")
            yield Fields(item, path)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; an absent one is empty."""
        values = self._list(name)
        for index, item in enumerate(values):
            if not isinstance(item, str):
                raise InvalidInputError(f"{self.at(name)}[{index}]", item, "a string is needed")
        return tuple(values)

    def _list(self, name: str) -> list[Any]:
        value = self.raw.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(name, "a list is needed")
        return value

    def text_map(self, name: str) -> dict[str, str]:
        """Return a map of strings to strings; an absent one is empty."""
        values = self.object(name)
        for key, value in values.raw.items():
            if not isinstance(value, str):
                raise InvalidInputError(f"{self.at(name)}[{key}]", value, "a string is needed")
        return dict(values.raw)

    def text(self, name: str, default: str = "") -> str:
        value = self.raw.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.refuse(name, "a string is needed")
        return value

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise self.refuse(name, "a value is required")
        return value

    def boolean(self, name: str, *, default: bool = False) -> bool:
        value = self.raw.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(name, "true or false is needed")
        return value

    def integer(self, name: str, *, minimum: int, maximum: int) -> int | None:
        """Return a whole number within the range, or None where there is none."""
        value = self.raw.get(name)
        if value is None:
            return None
        # bool is an int to Python; JSON has 3.0 for 3 in some clients; YAML has .inf and .nan, which have no int.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not minimum <= value <= maximum or value != int(value):
            raise self.refuse(name, f"use a whole number from {minimum} to {maximum}")
        return int(value)
