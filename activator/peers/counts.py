"""What one activator tells the leader of its requests, on the wire and off it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from activator.throttle.report import LoadReport, RevisionKey
from torpor.errors import InvalidInputError

BODY_BYTES = 16 * 1024 * 1024
"""Of one message; 100,000 revisions with requests are 10 MB."""
NAME_CHARACTERS = 253


@dataclass(frozen=True, slots=True)
class Counts:
    """What went on at one activator in one stretch of time."""

    number: int
    """One more than the one before; a message that is sent again has its old one."""
    elapsed_s: float
    reports: tuple[LoadReport, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to the leader."""

    sender: str
    run: str
    """Unlike that of every other process: numbers begin anew with it."""
    counts: tuple[Counts, ...]
    wakes: tuple[RevisionKey, ...]
    """Revisions without a pod that a request waits for since just now."""


def encode(message: Message) -> bytes:
    """Write it as JSON."""
    counts = [
        {"number": each.number, "elapsed_s": each.elapsed_s, "reports": _rows(each.reports)} for each in message.counts
    ]
    return orjson.dumps(
        {"sender": message.sender, "run": message.run, "counts": counts, "wakes": message.wakes},
    )


def decode(body: bytes) -> Message:
    """Read it; raises InvalidInputError naming the field."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError("body", str(error), "use JSON") from error
    if not isinstance(document, dict):
        raise InvalidInputError("body", type(document).__name__, "use an object")
    sender, run = (_text(document.get(field), field) for field in ("sender", "run"))
    counts = tuple(
        Counts(
            _whole(each.get("number"), f"counts[{index}].number"),
            _number(each.get("elapsed_s"), f"counts[{index}].elapsed_s"),
            tuple(
                _report(row, f"counts[{index}].reports[{at}]")
                for at, row in enumerate(_list(each.get("reports"), f"counts[{index}].reports"))
            ),
        )
        for index, each in enumerate(_objects(document.get("counts"), "counts"))
    )
    wakes = tuple(_key(row, f"wakes[{at}]") for at, row in enumerate(_list(document.get("wakes"), "wakes")))
    return Message(sender, run, counts, wakes)


def _rows(reports: Iterable[LoadReport]) -> list[tuple[Any, ...]]:
    return [
        (*each.revision, each.average_concurrency, each.requests, each.queued, each.in_flight, each.ready_pods)
        for each in reports
    ]


def _report(row: Any, field: str) -> LoadReport:
    if not isinstance(row, list) or len(row) != 7:
        raise InvalidInputError(field, str(row)[:100], "use a list of 7")
    average = _number(row[2], f"{field}[2]")
    return LoadReport(
        _key(row[:2], field), average, *(_whole(each, f"{field}[{at}]") for at, each in enumerate(row[3:], 3))
    )


def _key(row: Any, field: str) -> RevisionKey:
    if not isinstance(row, list) or len(row) != 2:
        raise InvalidInputError(field, str(row)[:100], "use [namespace, name]")
    namespace, name = row
    return _text(namespace, field), _text(name, field)


def _text(raw: Any, field: str) -> str:
    if not isinstance(raw, str) or not 0 < len(raw) <= NAME_CHARACTERS:
        raise InvalidInputError(field, str(raw)[:100], f"use a text of 1 to {NAME_CHARACTERS} characters")
    return raw


def _whole(raw: Any, field: str) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw < 2**53:
        raise InvalidInputError(field, str(raw)[:100], "use a whole number that is not negative")
    return raw


def _number(raw: Any, field: str) -> float:
    if not isinstance(raw, int | float) or isinstance(raw, bool) or not 0 <= raw < math.inf:
        raise InvalidInputError(field, str(raw)[:100], "use a number that is not negative")
    return float(raw)


def _list(raw: Any, field: str) -> Sequence[Any]:
    if not isinstance(raw, list):
        raise InvalidInputError(field, str(raw)[:100], "use a list")
    return raw


def _objects(raw: Any, field: str) -> Sequence[dict[str, Any]]:
    for index, each in enumerate(_list(raw, field)):
        if not isinstance(each, dict):
            raise InvalidInputError(f"{field}[{index}]", str(each)[:100], "use an object")
    return list(raw)
