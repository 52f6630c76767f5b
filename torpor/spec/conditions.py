"""Conditions as Knative writes them: sorted by type, a summary `Ready`, times that change only when something does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torpor.spec.kinds import Object

Status = Literal["True", "False", "Unknown"]

READY = "Ready"


@dataclass(frozen=True, slots=True)
class Mark:
    """What one condition says now, without its type and time."""

    status: Status
    reason: str = ""
    message: str = ""

    @property
    def is_true(self) -> bool:
        return self.status == "True"

    @property
    def is_false(self) -> bool:
        return self.status == "False"


TRUE = Mark("True")
UNKNOWN = Mark("Unknown")


def unknown(reason: str, message: str = "") -> Mark:
    """Not decided yet: neither success nor failure."""
    return Mark("Unknown", reason, message)


def failed(reason: str, message: str) -> Mark:
    """Decided, and a failure: Knative's error signalling allows "False" for nothing else."""
    return Mark("False", reason, message)


def read(obj: Object | None, type_: str) -> Mark | None:
    """Return one condition of an object; None where there is no such condition."""
    for item in conditions_of(obj):
        if item.get("type") == type_:
            status = item.get("status")
            known: Status = status if status in {"True", "False"} else "Unknown"
            return Mark(known, str(item.get("reason") or ""), str(item.get("message") or ""))
    return None


def conditions_of(obj: Object | None) -> list[Object]:
    """Return an object's conditions; it may have no status yet."""
    return list(((obj or {}).get("status") or {}).get("conditions") or ())


def summary(marks: Iterable[Mark]) -> Mark:
    """Return `Ready` for these: the first failure, else the first that is undecided and says why, else true."""
    listed = tuple(marks)
    for status in ("False", "Unknown"):
        found = [mark for mark in listed if mark.status == status]
        if found:
            return next((mark for mark in found if mark.reason), found[0])
    return TRUE


def write(
    previous: Iterable[Object],
    now: str,
    *,
    terminal: Mapping[str, Mark],
    info: Mapping[str, Mark] | None = None,
    ready: Mark | None = None,
) -> list[Object]:
    """Return the conditions list: `terminal` ones make up Ready (in their order), `info` ones do not."""
    known = {item["type"]: item for item in previous}
    marks: dict[str, tuple[Mark, str]] = {type_: (mark, "") for type_, mark in terminal.items()}
    marks[READY] = (ready if ready is not None else summary(terminal.values()), "")
    marks |= {type_: (mark, "Info") for type_, mark in (info or {}).items()}
    return [_condition(type_, *marks[type_], known.get(type_), now) for type_ in sorted(marks)]


def with_ready(previous: Iterable[Object], now: str, ready: Mark) -> list[Object]:
    """Return the conditions as they were, but for `Ready`."""
    known = {item["type"]: item for item in previous}
    known[READY] = _condition(READY, ready, "", known.get(READY), now)
    return [known[type_] for type_ in sorted(known)]


def _condition(type_: str, mark: Mark, severity: str, known: Object | None, now: str) -> Object:
    condition: Object = {"type": type_, "status": mark.status}
    if severity:
        condition["severity"] = severity
    if mark.reason:
        condition["reason"] = mark.reason
    if mark.message:
        condition["message"] = mark.message
    since = (known or {}).get("lastTransitionTime")
    unchanged = since is not None and {**condition, "lastTransitionTime": since} == known
    return {**condition, "lastTransitionTime": since if unchanged else now}
