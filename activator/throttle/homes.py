"""Who waits for which pod, where sessions are strict: a pod that has room looks at its own line alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from activator.throttle.line import Line, Ticket


class Resident(Protocol):
    """Somebody who waits."""

    arrived_s: float
    session: int | None


W = TypeVar("W", bound=Resident)
P = TypeVar("P", bound=Hashable)


class Homes(Generic[W, P]):
    """A line for each pod that is waited for, and one for those whom any pod will do."""

    __slots__ = ("_at", "_home", "_lines", "anybody")

    def __init__(self, home: Callable[[int], P | None], waiting: Line[W]) -> None:
        """Begin with those who wait already; `home` says whose a session is, None where there is no pod."""
        self._home = home
        self.anybody: Line[W] = Line()
        self._lines: dict[P, Line[W]] = {}
        self._at: dict[W, P | None] = {}
        for waiter in waiting:
            self.push(waiter, waiting.ticket_of(waiter))

    def push(self, waiter: W, ticket: Ticket | None) -> None:
        """Let somebody wait; without a ticket before all others."""
        pod = None if waiter.session is None else self._home(waiter.session)
        self._at[waiter] = pod
        line = self.anybody if pod is None else self._lines.setdefault(pod, Line())
        if ticket is None:
            line.push_first(waiter)
        else:
            line.push(waiter, ticket)

    def leave(self, waiter: W, *, for_slot: bool) -> None:
        """Take out somebody who waits."""
        pod = self._at.pop(waiter)
        line = self.anybody if pod is None else self._lines[pod]
        if for_slot:
            line.take(waiter)
        else:
            line.remove(waiter)
        if pod is not None and not line:
            del self._lines[pod]

    def waited_for(self) -> list[P]:
        """Return the pods that somebody waits for."""
        return list(self._lines)

    def next_for(self, pod: P) -> W | None:
        """Return who is next for a pod that somebody waits for: of its own and of anybody's line who came first."""
        line = self._lines.get(pod)
        if line is None:
            return None
        own = line.peek()
        if not self.anybody:
            return own
        other = self.anybody.peek()
        return other if other.arrived_s < own.arrived_s else own
