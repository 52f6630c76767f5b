"""Who is next: first come, first served for each client, turn by turn between clients, the urgent before the rest."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

BATCH_SHARE = 10
"""While both wait, of so many who are taken one is of the batch: it is slowed down, and never starves."""


class Priority(enum.IntEnum):
    """How urgent a request is."""

    INTERACTIVE = 0
    """Somebody looks at a screen and waits."""
    BATCH = 1
    """It has time until those are served."""


class Client(NamedTuple):
    """Whom a request is from. Turns are taken between addresses, and within an address between credentials.

    In this order, because credentials can be invented: whoever sends a new one with each request gains on those who
    share the address, and on nobody else. Behind a load balancer all have one address, and the credentials decide.
    """

    address: bytes = b""
    credential: bytes = b""


class Ticket(NamedTuple):
    """What a request brings to the queue."""

    client: Client = Client()
    priority: Priority = Priority.INTERACTIVE
    size: int = 0
    """Bytes that are kept for it while it waits."""
    deadline_s: float | None = None
    """When its own time is over, on the clock of `arrived_s`; None: it set none."""


W = TypeVar("W")


class Line(Generic[W]):
    """Everything is done in constant time, however many wait, of however many clients."""

    __slots__ = ("_first", "_overtaken", "_rounds", "_tickets")

    def __init__(self) -> None:
        self._tickets: dict[W, Ticket | None] = {}
        """Of everybody who waits; None for those who go before all others."""
        self._first: OrderedDict[W, None] = OrderedDict()
        self._rounds: dict[Priority, _Round[W]] = {priority: _Round() for priority in Priority}
        self._overtaken = 0
        """How many were taken while the batch waited, since one of the batch was."""

    def __len__(self) -> int:
        return len(self._tickets)

    def __iter__(self) -> Iterator[W]:
        """Give everybody in the order in which they came."""
        return iter(self._tickets)

    def ticket_of(self, waiter: W) -> Ticket | None:
        """Return what somebody who waits brought; None where it goes before all others."""
        return self._tickets[waiter]

    def push(self, waiter: W, ticket: Ticket) -> None:
        """Let somebody wait who does not yet."""
        self._tickets[waiter] = ticket
        self._rounds[ticket.priority].push(waiter, ticket.client)

    def push_first(self, waiter: W) -> None:
        """Let somebody go before all others, whatever their priority."""
        self._tickets[waiter] = None
        self._first[waiter] = None
        self._first.move_to_end(waiter, last=False)

    def peek(self) -> W:
        """Return who is next; there must be somebody."""
        if self._first:
            return next(iter(self._first))
        return self._rounds[self._turn()].peek()

    def pop(self) -> W:
        """Take who is next; there must be somebody."""
        if self._first:
            waiter, _ = self._first.popitem(last=False)
        else:
            turn = self._turn()
            overtakes = turn is Priority.INTERACTIVE and self._rounds[Priority.BATCH]
            self._overtaken = self._overtaken + 1 if overtakes else 0
            waiter = self._rounds[turn].pop()
        del self._tickets[waiter]
        return waiter

    def take(self, waiter: W) -> None:
        """Take somebody who waits: who is next uses up a turn."""
        if waiter is self.peek():
            self.pop()
        else:
            self.remove(waiter)

    def remove(self, waiter: W) -> None:
        """Forget somebody who waits, as if it had never been there."""
        ticket = self._tickets.pop(waiter)
        if ticket is None:
            del self._first[waiter]
        else:
            self._rounds[ticket.priority].remove(waiter, ticket.client)

    def _turn(self) -> Priority:
        if not self._rounds[Priority.BATCH]:
            return Priority.INTERACTIVE
        if not self._rounds[Priority.INTERACTIVE] or self._overtaken >= BATCH_SHARE - 1:
            return Priority.BATCH
        return Priority.INTERACTIVE


class _Round(Generic[W]):
    """Those of one priority: by address and by credential, each in the order of its next turn."""

    __slots__ = ("_addresses",)

    def __init__(self) -> None:
        self._addresses: OrderedDict[bytes, OrderedDict[bytes, OrderedDict[W, None]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._addresses)

    def push(self, waiter: W, client: Client) -> None:
        credentials = self._addresses.setdefault(client.address, OrderedDict())
        credentials.setdefault(client.credential, OrderedDict())[waiter] = None

    def peek(self) -> W:
        credentials = next(iter(self._addresses.values()))
        return next(iter(next(iter(credentials.values()))))

    def pop(self) -> W:
        address, credentials = next(iter(self._addresses.items()))
        credential, waiters = next(iter(credentials.items()))
        waiter, _ = waiters.popitem(last=False)
        if waiters:
            credentials.move_to_end(credential)
        else:
            del credentials[credential]
        if credentials:
            self._addresses.move_to_end(address)
        else:
            del self._addresses[address]
        return waiter

    def remove(self, waiter: W, client: Client) -> None:
        credentials = self._addresses[client.address]
        waiters = credentials[client.credential]
        del waiters[waiter]
        if not waiters:
            del credentials[client.credential]
        if not credentials:
            del self._addresses[client.address]
