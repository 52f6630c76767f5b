"""Label and field selectors, as `kubectl -l` and `--field-selector` send them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torpor.local.apiserver.status import bad_request

Operator = Literal["in", "notin", "exists", "absent"]

# One requirement: "!key", "key", "key = value", "key in (a, b)"; keys have a prefix or not.
_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)")
_EQUALS = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_COMMA = re.compile(r"\s*,\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label or field."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.operator == "exists":
            return value is not None
        if self.operator == "absent":
            return value is None
        # As in Kubernetes, an object without the label is "not in" any set.
        return (value is not None and value in self.values) == (self.operator == "in")


@dataclass(frozen=True, slots=True)
class Selector:
    """What an object must be like to be listed; an empty one selects everything."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
        return all(each.matches(labels) for each in self.labels) and all(each.matches(fields) for each in self.fields)


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Read a label selector, set-based conditions included; raises a 400 that repeats it."""
    found: list[Requirement] = []
    rest = text.strip()
    while rest:
        requirement, length = _parse_label(rest)
        found.append(requirement)
        after = rest[length:].strip()
        if not after:
            break
        comma = _COMMA.match(after)
        rest = after[comma.end() :] if comma else ""
        if not rest:
            raise bad_request(f"unable to parse requirement: found '{after}', expected: ',' or the end of {text!r}")
    return tuple(found)


def _parse_label(text: str) -> tuple[Requirement, int]:
    if match := _SET.match(text):
        values = frozenset(_COMMA.split(match[3].strip()))
        return Requirement(match[1], "in" if match[2] == "in" else "notin", values), match.end()
    if match := _EQUALS.match(text):
        return Requirement(match[1], "notin" if match[2] == "!=" else "in", frozenset({match[3]})), match.end()
    if match := _EXISTS.match(text):
        return Requirement(match[2], "absent" if match[1] else "exists"), match.end()
    raise bad_request(f"unable to parse requirement: {text!r} is no label selector")


def parse_fields(text: str, known: Mapping[str, object]) -> tuple[Requirement, ...]:
    """Read a field selector; `known` are the fields that this kind can be selected by."""
    found: list[Requirement] = []
    for part in (part for part in text.split(",") if part.strip()):
        match = re.fullmatch(r"\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*", part)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part.strip()}'")
        if match[1] not in known:
            raise bad_request(f"field label not supported: {match[1]}")
        found.append(Requirement(match[1], "notin" if match[2] == "!=" else "in", frozenset({match[3]})))
    return tuple(found)
