"""Read the values of a ConfigMap that holds for a whole cluster, as Knative reads its own: each key by its rule.

What cannot be used keeps what was there before, so that a slip of the pen changes nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from torpor.errors import InvalidInputError
from torpor.spec.duration import SYNTAX, parse_duration
from torpor.spec.fields import MAX_INTEGER


class Values(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=Values)

NAMESPACE = "knative-serving"

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[-+]?[0-9]{1,19}", re.ASCII)
# As Go's strconv.ParseBool has it.
_TRUE, _FALSE = (
    frozenset({"1", "t", "T", "TRUE", "true", "True"}),
    frozenset({"0", "f", "F", "FALSE", "false", "False"}),
)

Read = Callable[[str, str], Any]
"""(field as errors name it, text) to the value; raises InvalidInputError."""


def number(least: float, most: float = math.inf, *, above: bool = False, per: float = 1.0) -> Read:
    """Return a reader of numbers from `least` (`above`: greater than it) to `most`, which divides them by `per`."""

    def read(field: str, raw: str) -> float:
        value = float(raw) if _NUMBER.fullmatch(raw) else math.nan
        if not least <= value <= most or math.isinf(value) or (above and value == least):
            lower = f"above {least:g}" if above else f"from {least:g}"
            upper = f" to {most:g}" if math.isfinite(most) else " up"
            raise InvalidInputError(field, raw, f"use a number {lower}{upper}")
        return value / per

    return read


def whole(least: int = 0, most: int = MAX_INTEGER) -> Read:
    """Return a reader of whole numbers from `least` to `most`."""

    def read(field: str, raw: str) -> int:
        value = int(raw) if _WHOLE.fullmatch(raw) else least - 1
        if not least <= value <= most:
            raise InvalidInputError(field, raw, f"use a whole number from {least} to {most}")
        return value

    return read


def truth(field: str, raw: str) -> bool:
    """Read yes or no."""
    if raw not in _TRUE | _FALSE:
        raise InvalidInputError(field, raw, "use true or false")
    return raw in _TRUE


def duration(least_s: float, most_s: float = math.inf, *, whole_seconds: bool = False) -> Read:
    """Return a reader of durations."""

    def read(field: str, raw: str) -> float:
        value = parse_duration(field, raw)
        if not least_s <= value <= most_s:
            upper = f" to {most_s:g}s" if math.isfinite(most_s) else " up"
            raise InvalidInputError(field, raw, f"use a duration from {least_s:g}s{upper}; {SYNTAX}")
        if whole_seconds and value != int(value):
            raise InvalidInputError(field, raw, "use whole seconds")
        return value

    return read


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """What must fit each other: where it does not, all of these fields stay as they were."""

    fields: tuple[str, ...]
    fault: Callable[[T, Mapping[str, str]], InvalidInputError | None]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One ConfigMap: its name, its keys, and what they become."""

    name: str
    blank: T
    """What holds without it."""
    keys: Mapping[str, tuple[str, Read]]
    """Key: field of what they become, and what reads it."""
    rules: tuple[Rule[T], ...] = ()

    def read(self, data: Mapping[str, str], before: T) -> tuple[T, list[InvalidInputError]]:
        """Return what it says, and what of it cannot be used, which stays as it was before.

        An absent key is the built-in default; a key that is not known is left alone, as in Knative.
        """
        errors: list[InvalidInputError] = []
        values: dict[str, Any] = {}
        for key, (name, read) in self.keys.items():
            if (raw := data.get(key)) is not None:
                try:
                    values[name] = read(f"data[{key}]", str(raw).strip())
                except InvalidInputError as error:
                    errors.append(error)
                    values[name] = getattr(before, name)
        found = replace(self.blank, **values)
        for rule in self.rules:
            if (misfit := rule.fault(found, data)) is not None:
                errors.append(misfit)
                found = replace(found, **{name: getattr(before, name) for name in rule.fields})
        return found, errors

    def differences(self, before: T, now: T) -> list[str]:
        """Return for people what has changed, by the keys of the ConfigMap."""
        keys = {name: key for key, (name, _) in self.keys.items()}
        return [
            f"{keys.get(each.name, each.name)} is {_shown(getattr(now, each.name))}"
            for each in fields(now)
            if getattr(before, each.name) != getattr(now, each.name)
        ]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
