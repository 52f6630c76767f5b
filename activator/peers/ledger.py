"""Add up what all activators have told: pure, the time is handed in.

Silence is not zero. Of an activator that is there and does not tell, what it told last goes on to count, and the sum is
called incomplete: whoever decides by it does not shrink. One that is gone has taken its clients with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from activator.peers.counts import Counts, Message
from activator.throttle.report import LoadReport, RevisionKey

FRESH_S = 2.5
"""Counts come every second; one that is late, or lost, is no silence yet."""


@dataclass(slots=True)
class _Told:
    """What one other activator has told."""

    run: str
    heard_s: float
    number: int = -1
    fresh: list[Counts] = field(default_factory=list)
    """Not added up yet."""
    last: dict[RevisionKey, LoadReport] = field(default_factory=dict)
    """By the newest counts."""


class Ledger:
    """What the others have told, until it is added up."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def take(self, message: Message, now_s: float) -> None:
        """Take in a message. What was told before, by this process, is known already."""
        told = self._told.get(message.sender)
        if told is None or told.run != message.run:
            told = self._told[message.sender] = _Told(message.run, now_s)
        told.heard_s = now_s
        for counts in sorted(message.counts, key=lambda each: each.number):
            if counts.number > told.number:
                told.number = counts.number
                told.fresh.append(counts)
                told.last = {report.revision: report for report in counts.reports}
        for key in message.wakes:
            known = told.last.get(key) or LoadReport(key, 0.0, 0, 0, 0, 0)
            told.last[key] = replace(known, queued=max(1, known.queued))

    def forget(self, living: Collection[str]) -> None:
        """Leave out who is not there any more."""
        self._told = {sender: told for sender, told in self._told.items() if sender in living}

    def silent(self, living: Iterable[str], now_s: float) -> list[str]:
        """Return who is there and has not told for too long, or ever."""
        return [
            sender
            for sender in sorted(living)
            if (told := self._told.get(sender)) is None or now_s - told.heard_s > FRESH_S
        ]

    def add_up(self, own: Iterable[LoadReport]) -> list[LoadReport]:
        """Return what goes on at all activators together since this was asked last; `own` is what we counted."""
        sums = {report.revision: report for report in own}
        for told in self._told.values():
            for report in _settled(told):
                known = sums.get(report.revision)
                sums[report.revision] = report if known is None else _sum(known, report)
        return list(sums.values())


def _settled(told: _Told) -> list[LoadReport]:
    """Return one activator's part: averages over all that is new, or, where nothing is, as they were."""
    fresh, told.fresh = told.fresh, []
    elapsed_s = sum(counts.elapsed_s for counts in fresh)
    if not fresh or elapsed_s <= 0:
        return [replace(report, requests=0) for report in told.last.values()]
    area: dict[RevisionKey, float] = {}
    came: dict[RevisionKey, int] = {}
    for counts in fresh:
        for report in counts.reports:
            key = report.revision
            area[key] = area.get(key, 0.0) + report.average_concurrency * counts.elapsed_s
            came[key] = came.get(key, 0) + report.requests
    found = []
    for key in area.keys() | told.last.keys():
        now = told.last.get(key) or LoadReport(key, 0.0, 0, 0, 0, 0)
        found.append(replace(now, average_concurrency=area.get(key, 0.0) / elapsed_s, requests=came.get(key, 0)))
    return found


def _sum(one: LoadReport, other: LoadReport) -> LoadReport:
    return LoadReport(
        one.revision,
        one.average_concurrency + other.average_concurrency,
        one.requests + other.requests,
        one.queued + other.queued,
        one.in_flight + other.in_flight,
        max(one.ready_pods, other.ready_pods),  # the same pods, seen by two
    )
