"""One throttler with a clock and timers that move when a test says so, and clients that note what they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from activator.throttle.line import Ticket
from activator.throttle.pod import Endpoint, Pod
from activator.throttle.report import RevisionKey
from activator.throttle.throttler import Budget, Hooks, Terms, Throttler
from tests.support.clock import FakeClock
from torpor.errors import TorporError
from torpor.spec.knative import RevisionLimits
from torpor.spec.session import Affinity

KEY = ("default", "app-1")


class Timers:
    """Fits `activator.throttle.throttler.Later`."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.pending: list[Timer] = []

    def later(self, delay_s: float, call: Callable[..., None], /, *args: object) -> Timer:
        timer = Timer(self, self._clock.monotonic() + delay_s, lambda: call(*args))
        self.pending.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass, and make the calls that are due in it, each at its time."""
        end_s = self._clock.monotonic() + seconds
        while due := [timer for timer in self.pending if timer.due_s <= end_s]:
            first = min(due, key=lambda timer: timer.due_s)
            self.pending.remove(first)
            self._clock.advance(max(0.0, first.due_s - self._clock.monotonic()))
            first.call()
        self._clock.advance(end_s - self._clock.monotonic())


class Timer:
    def __init__(self, timers: Timers, due_s: float, call: Callable[[], None]) -> None:
        self._timers = timers
        self.due_s = due_s
        self.call = call

    def cancel(self) -> None:
        if self in self._timers.pending:
            self._timers.pending.remove(self)


class Client:
    """Fits `activator.throttle.throttler.Waiter`."""

    def __init__(self, arrived_s: float, ticket: Ticket | None = None) -> None:
        self.arrived_s = arrived_s
        self._ticket = ticket or Ticket()
        self.session: int | None = None
        self.pod: Pod | None = None
        self.waited_s: float | None = None
        self.error: TorporError | None = None

    def ticket(self) -> Ticket:
        return self._ticket

    def granted(self, pod: Pod, now_s: float) -> None:
        assert self.pod is None, "a slot it has already"
        assert self.error is None, "it was refused"
        self.pod = pod
        self.waited_s = now_s - self.arrived_s

    def sent_on(self, throttler: Throttler, now_s: float) -> None:
        self.pod = throttler.enter(self, now_s)

    def refused(self, error: TorporError) -> None:
        assert self.pod is None, "it has a slot"
        assert self.error is None, "refused twice"
        self.error = error


class Revision:
    """The throttler under test, and what it told whom."""

    def __init__(
        self,
        concurrency: int = 0,
        queue_limit: int = 100,
        timeout_s: float = 300.0,
        queue_bytes: int = 2**20,
        affinity: Affinity | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.timers = Timers(self.clock)
        self.demanded: list[RevisionKey] = []
        self.woken: list[Pod] = []
        self.gone: list[Pod] = []
        hooks = Hooks(self.demanded.append, lambda _, pod: self.woken.append(pod), self.gone.append)
        terms = replace(terms_of(concurrency, timeout_s), affinity=affinity)
        dice = 0.0
        self.budget = Budget(2 * queue_bytes)
        self.throttler = Throttler(
            KEY,
            terms,
            queue_limit,
            hooks,
            self.clock,
            lambda: dice,
            self.timers.later,
            queue_bytes=queue_bytes,
            budget=self.budget,
        )

    @property
    def now_s(self) -> float:
        return self.clock.monotonic()

    def ask(self, ticket: Ticket | None = None, session: int | None = None) -> Client:
        """Let a request come."""
        client = Client(self.now_s, ticket)
        client.session = session
        client.pod = self.throttler.enter(client, self.now_s)
        return client

    def answer(self, client: Client) -> None:
        """Let a request be done."""
        assert client.pod is not None
        self.throttler.release(client.pod, self.now_s)

    def show(self, *names: str) -> None:
        """Say which pods are ready."""
        self.throttler.set_pods([endpoint(name) for name in names], self.now_s)

    def pod(self, name: str) -> Pod:
        return next(pod for pod in self.throttler.pods if pod.at.pod == name)

    def pass_time(self, seconds: float) -> None:
        self.timers.advance(seconds)


def terms_of(concurrency: int = 0, timeout_s: float = 300.0) -> Terms:
    return Terms(RevisionLimits(concurrency, 300.0, 300.0, None), timeout_s)


def endpoint(name: str) -> Endpoint:
    return Endpoint(name, f"uid-{name}", "127.0.0.1", 20_000 + sum(name.encode()))


def served_by(clients: list[Client]) -> list[str | None]:
    return [None if client.pod is None else client.pod.at.pod for client in clients]
