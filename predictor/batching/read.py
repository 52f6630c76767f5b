"""Read how a model's requests are batched: from a server's settings, or from what a model says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from predictor.batching.options import MAX_QUEUE, Batching, QueuePolicy
from torpor.errors import InvalidInputError

MOST_ROWS = 2**31 - 1
MOST_MS = 3_600_000
MOST_INSTANCES = 1024
MOST_LEVELS = 1000

Name = Callable[[str], str]
"""From the name of an option to how errors call it."""


def read_batching(given: Mapping[str, Any], name: Name = lambda option: option) -> Batching | None:
    """Return the rules; None where there is no `max_batch_size`, or 0.

    Raises InvalidInputError naming an option that is unknown, wrong, or of no use without `max_batch_size`.
    """
    for option in given:
        if option not in OPTIONS:
            raise InvalidInputError(name(str(option)), given[option], f"use one of {', '.join(OPTIONS)}")
    reader = _Reader(given, name)
    most = reader.whole("max_batch_size", 0, 0, MOST_ROWS)
    if not most:
        useless = next((each for each in given if each != "max_batch_size"), None)
        if useless is not None:
            raise InvalidInputError(name(useless), given[useless], f"set {name('max_batch_size')} too, from 1")
        return None
    levels = reader.whole("priority_levels", 0, 0, MOST_LEVELS)
    return Batching(
        max_size=most,
        preferred=reader.wholes("preferred_batch_sizes", most),
        delay_s=reader.milliseconds("batch_delay_ms"),
        levels=levels,
        default_level=reader.whole("default_priority", (levels + 1) // 2, 1, levels) if levels else 0,
        policy=QueuePolicy(
            timeout_s=reader.milliseconds("queue_timeout_ms"),
            max_size=reader.whole("max_queue_size", MAX_QUEUE, 0, MOST_ROWS),
        ),
        instances=reader.whole("instances", 1, 1, MOST_INSTANCES),
        padding=reader.numbers("padding"),
    )


OPTIONS = (
    "max_batch_size",
    "preferred_batch_sizes",
    "batch_delay_ms",
    "queue_timeout_ms",
    "max_queue_size",
    "priority_levels",
    "default_priority",
    "instances",
    "padding",
)


class _Reader:
    def __init__(self, given: Mapping[str, Any], name: Name) -> None:
        self._given = given
        self._name = name

    def whole(self, option: str, default: int, least: int, most: int) -> int:
        value = self._given.get(option)
        return default if value is None else self._whole(option, value, least, most)

    def wholes(self, option: str, most: int) -> tuple[int, ...]:
        value = self._given.get(option, ())
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list | tuple):
            raise self._refused(option, "use a list of whole numbers")
        return tuple(sorted({self._whole(option, each, 1, most) for each in value}))

    def milliseconds(self, option: str) -> float:
        value = self._given.get(option)
        if value is None:
            return 0.0
        found = _number(value)
        if found is None or not 0 <= found <= MOST_MS:
            raise self._refused(option, f"use milliseconds from 0 to {MOST_MS}")
        return found / 1000

    def numbers(self, option: str) -> Mapping[str, float]:
        value = self._given.get(option, {})
        numbers = {key: _number(each) for key, each in value.items()} if isinstance(value, dict) else {"": None}
        if not all(isinstance(key, str) and each is not None for key, each in numbers.items()):
            raise self._refused(option, "use the names of inputs, each with the number that it is filled with")
        return {key: each for key, each in numbers.items() if each is not None}

    def _whole(self, option: str, value: Any, least: int, most: int) -> int:
        found = _number(value)
        if found is None or found != int(found) or not least <= found <= most:
            raise self._refused(option, f"use a whole number from {least} to {most}")
        return int(found)

    def _refused(self, option: str, allowed: str) -> InvalidInputError:
        return InvalidInputError(self._name(option), self._given[option], allowed)


def _number(value: Any) -> float | None:
    """Return a finite number, or one that a text is; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None
