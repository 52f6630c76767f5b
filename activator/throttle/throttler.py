"""Hold the requests of one revision until a pod has room for them."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from activator.throttle.affinity import Sessions
from activator.throttle.again import MENDED_S, Again
from activator.throttle.balancer import RAMP_START, UNLIMITED, choose, grown
from activator.throttle.counters import Counters
from activator.throttle.foresight import History, Pace, is_vain, remaining, retry_after
from activator.throttle.homes import Homes
from activator.throttle.line import Line, Ticket
from activator.throttle.pod import Endpoint, Pod
from activator.throttle.remembered import Metadata
from activator.throttle.report import LoadReport, RevisionKey
from activator.throttle.share import ALL, Share, slots
from torpor.aio.backoff import Backoff
from torpor.aio.clock import Clock
from torpor.errors import (
    ColdStartError,
    DeadlineError,
    LoadError,
    QueueFullError,
    TorporError,
    UnavailableError,
)
from torpor.spec.knative import RevisionLimits
from torpor.spec.session import Affinity
from torpor.spec.waiting import NOTHING_ASLEEP, Asleep

RAMP_S = 1.0
"""A pod without limit may have twice as many requests each time this passes: endless streams must not block it."""
THAW_S = 1.0
"""After a scale to zero was asked for: in this time its pods are gone from the endpoints, or they stay."""
DEAL_S = 2.0
"""After activators or pods have changed: in this time everybody knows, and uses no slot that became another's."""
EJECTION = Backoff(first_s=0.05, limit_s=2.0)
QUEUE_BYTES = 2**26


class Waiter(Protocol):
    """A request in the queue."""

    arrived_s: float
    session: int | None
    """Where on the ring its session is, if it has one; asked only where the revision has affinity."""

    def ticket(self) -> Ticket:
        """Say what counts in the queue; asked only of a request that finds no free slot."""

    def granted(self, pod: Pod, now_s: float) -> None:
        """Go on: a slot on this pod is yours until you release it."""

    def refused(self, error: TorporError) -> None:
        """Give up."""

    def sent_on(self, throttler: Throttler, now_s: float) -> None:
        """Enter this queue instead."""


class Timer(Protocol):
    """A call that will be made later."""

    def cancel(self) -> None:
        """Let it not be made."""


class Later(Protocol):
    """How calls are made later."""

    def __call__(self, delay_s: float, call: Callable[..., None], /, *args: object) -> Timer:
        """Make this call after so long."""


def call_later(delay_s: float, call: Callable[..., None], *args: object) -> Timer:
    """Have the event loop make a call after so long."""
    return asyncio.get_running_loop().call_later(delay_s, call, *args)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the owner of a revision asks of its queue."""

    limits: RevisionLimits
    activation_timeout_s: float
    affinity: Affinity | None = None
    asleep: Asleep = NOTHING_ASLEEP
    """What is answered while it sleeps without waking it."""
    wakes: tuple[str, ...] = ()
    """Services of the same namespace that its requests go on to: they are woken with it."""


class Budget:
    """Bytes that are kept for requests that wait, over all revisions."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class _Place:
    """What is known of somebody who waits."""

    __slots__ = ("deadline_s", "own_s", "size")

    def __init__(self, deadline_s: float, own_s: float | None) -> None:
        self.deadline_s = deadline_s
        self.own_s = own_s
        """The deadline that the request brought, if it did."""
        self.size = 0
        """Bytes that are kept for it."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom a throttler tells what."""

    on_demand: Callable[[RevisionKey], None]
    """A request waits and there is no pod."""
    on_wake: Callable[[RevisionKey, Pod], None]
    """A pod came that requests were waiting for."""
    on_gone: Callable[[Pod], None]
    """A pod gets no more requests, ever."""


class Throttler:
    """The queue and the slots of one revision; all of it synchronous."""

    # The mutable state: who waits, each with its deadline, and who of them is next; the pods that are ready, and those
    # of them that may be given requests now (neither held nor ejected); how many slots are taken, in all and of each
    # pod; how many bytes are kept for those who wait, here and over all revisions.
    # Whatever changes any of it calls `_assign`, so that nobody waits while a pod has room.

    __slots__ = (
        "_again",
        "_area",
        "_arrived",
        "_assigning",
        "_budget",
        "_clock",
        "_closed",
        "_dice",
        "_earliest_s",
        "_failure",
        "_history",
        "_homes",
        "_hooks",
        "_later",
        "_line",
        "_next_try",
        "_open",
        "_pace",
        "_pods",
        "_present_before",
        "_queue",
        "_queue_bytes",
        "_queue_limit",
        "_queued_before",
        "_reported_s",
        "_share",
        "_shared",
        "_starting",
        "_terms",
        "_timers",
        "counters",
        "held",
        "in_flight",
        "key",
        "metadata",
        "sessions",
        "unwanted",
    )

    def __init__(
        self,
        key: RevisionKey,
        terms: Terms,
        queue_limit: int,
        hooks: Hooks,
        clock: Clock,
        dice: Callable[[], float] = random.random,
        later: Later = call_later,
        *,
        queue_bytes: int = QUEUE_BYTES,
        budget: Budget | None = None,
        share: Share = ALL,
    ) -> None:
        self.key = key
        self._share = share
        self._terms = terms
        self.sessions: Sessions[Pod] | None = None if terms.affinity is None else Sessions(terms.affinity)
        self.counters = Counters()
        self.in_flight = 0
        self._queue_limit = queue_limit
        self._hooks = hooks
        self._clock = clock
        self._dice = dice
        self._later = later
        self._queue: dict[Waiter, _Place] = {}
        self._line: Line[Waiter] = Line()
        self._homes: Homes[Waiter, Pod] | None = None
        """Those of the line once more, by whose their sessions are, where these are strict."""
        self._settle()
        self._earliest_s = math.inf
        """Nobody's deadline is before this."""
        self._queue_bytes = queue_bytes
        self._budget = budget or Budget(queue_bytes)
        self.held = 0
        """Bytes that are kept for those who wait."""
        self.metadata: Metadata | None = Metadata() if terms.asleep.metadata else None
        """What the model said of itself, where that is answered while it sleeps."""
        self._history = History()
        self._pace = Pace()
        self._starting = False
        self._pods: dict[Endpoint, Pod] = {}
        self._open: list[Pod] = []
        self._failure: str | None = None
        self._next_try: Again | None = None
        # Time spent by requests that left, minus the arrival times of those that came: with the requests still here
        # it makes the area under their number without anything to do while time passes.
        self._area = 0.0
        self._arrived = 0
        self._queued_before = self._present_before = 0
        self._reported_s = clock.monotonic()
        self._timers: dict[Pod | str, Timer] = {}
        self._closed = False
        self._assigning = self._again = self._shared = False
        self.unwanted: Callable[[float], None] | None = None
        """Called where a pod has room and nobody waits, by whoever takes slots that nobody else wants."""

    @property
    def terms(self) -> Terms:
        return self._terms

    @terms.setter
    def terms(self, terms: Terms) -> None:
        if terms.affinity != self._terms.affinity:
            self.sessions = None if terms.affinity is None else Sessions(terms.affinity)
            if self.sessions is not None:
                self.sessions.set_pods(self._pods.values())
            self._settle()
        if terms.asleep.metadata != self._terms.asleep.metadata:
            self.metadata = Metadata() if terms.asleep.metadata else None
        self._terms = terms
        for waiter, place in self._queue.items():
            place.deadline_s = self._deadline_s(waiter, place.own_s)

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def waking(self) -> bool:
        """Whether there is no pod yet, and one is on its way."""
        return not self._pods and (bool(self._queue) or self._starting)

    @property
    def pods(self) -> Collection[Pod]:
        return self._pods.values()

    # --- requests ----------------------------------------------------------------------------------------------

    def enter(self, waiter: Waiter, now_s: float) -> Pod | None:
        """Take a request in. Returns its pod, or None where it must wait and will be told.

        Raises QueueFullError where the queue is full, ColdStartError where no pod will be ready in time, LoadError
        where the revision is known not to start, UnavailableError where it is gone.
        """
        if self.sessions is not None:
            behind = self._queue and not self.sessions.affinity.strict
            pod = None if behind else self._choose_for(waiter, self.sessions)
        else:
            pod = None if self._queue else choose(self._open, self._dice())
        if pod is None:
            self._enqueue(waiter, now_s)
        else:
            pod.in_flight += 1
            self.in_flight += 1
        self._area -= now_s
        self._arrived += 1
        return pod

    def release(self, pod: Pod, now_s: float) -> None:
        """Take a slot back: the request is done, however it ended."""
        self._area += now_s
        self._free(pod)
        if self._queue or self.unwanted is not None:
            self._assign(now_s)

    def enter_last(self, waiter: Waiter, now_s: float) -> Pod | None:
        """Take in a request that comes after all others: only where a pod has room for it at once, else None."""
        if self._queue:
            return None
        pod = choose(self._open, self._dice()) if self.sessions is None else self._choose_for(waiter, self.sessions)
        if pod is not None:
            pod.in_flight += 1
            self.in_flight += 1
            self._area -= now_s
            self._arrived += 1
        return pod

    def cancel(self, waiter: Waiter, now_s: float) -> None:
        """Forget a request that waits: its client is gone."""
        if waiter in self._queue:
            self._leave(waiter)
            self._area += now_s

    def retry(self, waiter: Waiter, pod: Pod, now_s: float, *, eject: bool = True) -> None:
        """Put a request whose pod did not take it before all others.

        A pod that refused the connection is let alone for a moment (`eject`); one that refused only this request is
        well.
        """
        self.counters.retries += 1
        self._free(pod)
        if eject:
            self._eject(pod)
        ticket = waiter.ticket()
        self._seat(waiter, ticket)
        self._line.push_first(waiter)
        if self._homes is not None:
            self._homes.push(waiter, None)
        if self._closed:
            self._refuse(waiter, self._gone(), now_s)
        else:
            self._fail(now_s)
        self._assign(now_s)

    def expire(self, now_s: float) -> None:
        """Refuse whose deadline has passed."""
        if now_s < self._earliest_s:
            return
        for waiter, place in [each for each in self._queue.items() if each[1].deadline_s <= now_s]:
            self._refuse(waiter, self._late(waiter, place), now_s)
        self._earliest_s = min((place.deadline_s for place in self._queue.values()), default=math.inf)

    def hold(self, waiter: Waiter, size: int, now_s: float) -> None:
        """Keep so many bytes more for a request that waits; raises QueueFullError where there is no room for them."""
        place = self._queue.get(waiter)
        if place is not None:
            self._check_room(size, now_s)
            self._keep(place, size)

    def _enqueue(self, waiter: Waiter, now_s: float) -> None:
        if self._closed:
            raise self._gone()
        if self._failure is not None and not self._pods:
            raise LoadError("start", self._failure).after(self._mended_s())
        if len(self._queue) >= self._queue_limit:
            raise QueueFullError(
                f"the queue of {self._name} is full: {len(self._queue)} requests wait already; try again later"
            ).after(self.retry_after_s(now_s))
        ticket = waiter.ticket()
        self._check_room(ticket.size, now_s)
        if not self._pods:
            self._history.wanted(now_s, under_way=self._starting or bool(self._queue))
            if ticket.deadline_s is not None:
                self._check_start(ticket.deadline_s, now_s)
        self._seat(waiter, ticket)
        self._line.push(waiter, ticket)
        if self._homes is not None:
            self._homes.push(waiter, ticket)
        if not self._open:
            self._hooks.on_demand(self.key)

    def _check_start(self, deadline_s: float, now_s: float) -> None:
        """Refuse whom no pod will be ready for by its own deadline. The start goes on, for those who come later."""
        starts, elapsed_s, left_s = self._history.starts, self._history.elapsed_s(now_s), deadline_s - now_s
        if is_vain(starts, elapsed_s, left_s):
            self._hooks.on_demand(self.key)
            usual_s = remaining(starts, elapsed_s)
            raise ColdStartError(
                f"{self._name} has no pod yet and usually takes {usual_s or 0:.1f} s more to start, by {len(starts)} "
                f"starts that were measured; this request has {left_s:.1f} s. It is being woken: try again then"
            ).after(None if usual_s is None else min(usual_s, self._terms.activation_timeout_s))

    def _check_room(self, size: int, now_s: float) -> None:
        if self.held + size > self._queue_bytes:
            said = f"the queue of {self._name} is full: {self.held} bytes are kept for {len(self._queue)} requests"
        elif self._budget.held + size > self._budget.limit:
            said = f"{self._budget.held} bytes are kept for requests that wait, for this and other services"
        else:
            return
        raise QueueFullError(f"{said} already; try again later").after(self.retry_after_s(now_s))

    def retry_after_s(self, now_s: float) -> float | None:
        """Return when another try is worth it, or a request that waits is likely to be served; None: not known."""
        start_s = None if self._pods else remaining(self._history.starts, self._history.elapsed_s(now_s))
        return retry_after(start_s, len(self._queue), self._pace.per_s, self._terms.activation_timeout_s)

    def _deadline_s(self, waiter: Waiter, own_s: float | None) -> float:
        deadline_s = waiter.arrived_s + self._terms.activation_timeout_s
        if own_s is not None and own_s < deadline_s:
            deadline_s = own_s
        self._earliest_s = min(self._earliest_s, deadline_s)
        return deadline_s

    def _seat(self, waiter: Waiter, ticket: Ticket) -> None:
        place = self._queue[waiter] = _Place(self._deadline_s(waiter, ticket.deadline_s), ticket.deadline_s)
        self._keep(place, ticket.size)

    def _keep(self, place: _Place, size: int) -> None:
        place.size += size
        self.held += size
        self._budget.held += size

    def _leave(self, waiter: Waiter, *, for_slot: bool = False) -> _Place:
        """Take out somebody who waits; what was kept for it is its own again."""
        if for_slot:
            self._line.take(waiter)
        else:
            self._line.remove(waiter)
        if self._homes is not None:
            self._homes.leave(waiter, for_slot=for_slot)
        place = self._queue.pop(waiter)
        self.held -= place.size
        self._budget.held -= place.size
        return place

    def _assign(self, now_s: float) -> None:
        """Give slots to those who wait, in order, as long as there are any.

        Who gets a slot may give it back at once, and so call this from within: then the outer call goes on. Thousands
        may have to fail, so no recursion.
        """
        self._again = True
        if self._assigning:
            return
        self._assigning = True
        try:
            while self._again:
                self._again = False
                self._assign_once(now_s)
        finally:
            self._assigning = False

    def _assign_once(self, now_s: float) -> None:
        if self._homes is not None:
            self._assign_homes(self._homes, now_s)
        elif self.sessions is not None:
            self._assign_sessions(self.sessions, now_s)
        else:
            while self._queue:
                pod = choose(self._open, self._dice())
                if pod is None:
                    return
                self._grant(self._line.peek(), pod, now_s)
        if self.unwanted is not None and not self._queue:
            self.unwanted(now_s)

    def _grant(self, waiter: Waiter, pod: Pod, now_s: float) -> None:
        """Let one who waits go on with this pod, unless it is too late."""
        place = self._leave(waiter, for_slot=True)
        if place.deadline_s <= now_s:
            self._area += now_s
            waiter.refused(self._late(waiter, place))
            return
        pod.in_flight += 1
        self.in_flight += 1
        waiter.granted(pod, now_s)

    def _choose_for(self, waiter: Waiter, sessions: Sessions[Pod]) -> Pod | None:
        """Return the pod of its session, or another that will do; None where it must wait.

        Who waits, waits because no pod has room; or, in strict sessions, because its own has none. So whoever comes and
        finds room on its own pod overtakes nobody who could have had it.
        """
        if waiter.session is None:
            return choose(self._open, self._dice())
        pod = sessions.choose(waiter.session, self.in_flight)
        return choose(self._open, self._dice()) if pod is None and not sessions.affinity.strict else pod

    def _assign_sessions(self, sessions: Sessions[Pod], now_s: float) -> None:
        while self._queue:
            waiter = self._line.peek()
            pod = self._choose_for(waiter, sessions)
            if pod is None:
                return
            self._grant(waiter, pod, now_s)

    def _assign_homes(self, homes: Homes[Waiter, Pod], now_s: float) -> None:
        """As `_assign_once`; who waits for the pod of a strict session does not hold up those behind."""
        for pod in homes.waited_for():
            while pod.in_flight < pod.limit and not pod.held and not pod.ejected:
                waiter = homes.next_for(pod)
                if waiter is None:
                    break
                self._grant(waiter, pod, now_s)
        while homes.anybody:
            free = choose(self._open, self._dice())
            if free is None:
                return
            self._grant(homes.anybody.peek(), free, now_s)

    def _settle(self) -> None:
        """Find out anew whose the sessions are of those who wait: pods, or the terms, have changed."""
        sessions = self.sessions
        strict = sessions is not None and sessions.affinity.strict
        self._homes = Homes(sessions.home, self._line) if sessions is not None and strict else None

    def _free(self, pod: Pod) -> None:
        pod.in_flight -= 1
        self.in_flight -= 1
        # A pod in its ramp that finishes one request may have two.
        if pod.limit < UNLIMITED and not self._terms.limits.concurrency:
            pod.limit += 1

    def _refuse(self, waiter: Waiter, error: TorporError, now_s: float) -> None:
        if waiter in self._queue:
            self._leave(waiter)
            self._area += now_s
            waiter.refused(error)

    def _late(self, waiter: Waiter, place: _Place) -> DeadlineError:
        if place.deadline_s == place.own_s:
            own_s = place.deadline_s - waiter.arrived_s
            return DeadlineError(f"no pod of {self._name} had room within the {own_s:g} s that the request gave itself")
        return DeadlineError(
            f"no pod of {self._name} had room within {self._terms.activation_timeout_s:g} s; "
            "annotation torpor.dev/activation-timeout-seconds sets how long requests wait"
        )

    def _gone(self) -> UnavailableError:
        return UnavailableError(f"revision {self._name} is not there, or not there any more")

    # --- pods --------------------------------------------------------------------------------------------------

    def set_pods(self, endpoints: Collection[Endpoint], now_s: float) -> None:
        """Take in which pods are ready now."""
        before = self._pods
        fresh = [at for at in endpoints if at not in before]
        if fresh and not before:
            self._history.started(now_s, self._terms.activation_timeout_s)
        self._pods = {at: before.get(at) or Pod(at, self._first_limit()) for at in endpoints}
        self._deal(before)
        if self.sessions is not None:
            self.sessions.set_pods(self._pods.values())
            self._settle()
        for at, pod in before.items():
            if at not in self._pods:
                self._stop_timer(pod)
                self._hooks.on_gone(pod)
        if self._queue:
            for at in fresh:
                self._hooks.on_wake(self.key, self._pods[at])
        if fresh and not self._terms.limits.concurrency:
            self._start_timer("ramp", RAMP_S, self._ramp)
        self._reopen(now_s)
        self._fail(now_s)
        if self._queue and not self._open:
            self._hooks.on_demand(self.key)

    def set_share(self, share: Share, now_s: float) -> None:
        """Take in which part of every pod's slots is ours."""
        self._share = share
        self._deal(self._pods)
        self._assign(now_s)

    def _deal(self, known: Mapping[Endpoint, Pod]) -> None:
        """Give every pod the slots that are ours.

        More of a pod that was known are ours in a moment only: they are another's, which may not know it yet.
        """
        concurrency, share = self._terms.limits.concurrency, self._share
        if not concurrency or not (share.members > 1 or self._shared):
            return
        self._shared, waits = True, False
        least = int(self.sessions is not None and self.sessions.affinity.strict)  # no other pod will do
        for position, at in enumerate(sorted(self._pods, key=lambda at: (at.uid, at.host, at.port))):
            pod, ours = self._pods[at], max(least, slots(concurrency, position, len(self._pods), share))
            if at in known and ours > pod.limit:
                waits = True
            else:
                pod.limit = ours
        if waits:
            self._start_timer("deal", DEAL_S, self._dealt)
        else:
            self._shared = share.members > 1

    def _dealt(self) -> None:
        del self._timers["deal"]
        self._deal({})
        self._assign(self._clock.monotonic())

    def set_failure(self, failure: str | None, now_s: float, again: Again | None = None) -> None:
        """Take in why no pod starts at present, None where nothing speaks against it; `again`: when one is tried."""
        self._failure, self._next_try = failure, again
        self._fail(now_s)

    def set_starting(self, *, starting: bool) -> None:
        """Take in whether there are pods that are ready or may become so."""
        self._starting = starting

    def fail_waiting(self, failure: str, now_s: float, again: Again | None = None) -> None:
        """Refuse all that wait, unless a pod is ready after all. `again`: the try that goes on, where it is known."""
        self._fail_all(failure, self._worth_s(again), now_s)

    def _fail(self, now_s: float) -> None:
        """Refuse all that wait: no pod starts, as far as is known."""
        if self._failure is not None:
            self._fail_all(self._failure, self._mended_s(), now_s)

    def _fail_all(self, failure: str, after_s: float | None, now_s: float) -> None:
        if not self._pods:
            self._history.failed()
            for waiter in list(self._queue):
                self._refuse(waiter, LoadError("start", failure).after(after_s), now_s)

    def _mended_s(self) -> float | None:
        return MENDED_S if self._next_try is None else self._worth_s(self._next_try)

    def _worth_s(self, again: Again | None) -> float | None:
        return None if again is None else again.worth_s(remaining(self._history.starts, 0.0), self._clock.wall())

    def connected(self, pod: Pod) -> None:
        """Take in that a pod accepts connections."""
        pod.refusals = 0

    def freeze_if_idle(self) -> bool:
        """Keep requests from the pods there are, until `thaw`; False, and nothing done, where there are requests."""
        if self._queue or self.in_flight:
            return False
        self._stop_timer("thaw")
        for pod in self._pods.values():
            pod.held = True
        self._open = []
        return True

    def thaw(self) -> None:
        """Give the pods requests again, if they are still there in a moment.

        A scale to zero that was just granted has not reached the endpoints yet: what is sent in this moment would
        reach a pod that is about to be stopped.
        """
        self._start_timer("thaw", THAW_S, self._thawed)

    def _thawed(self) -> None:
        del self._timers["thaw"]
        for pod in self._pods.values():
            pod.held = False
        self._reopen(self._clock.monotonic())

    def _eject(self, pod: Pod) -> None:
        pod.refusals += 1
        if pod.at in self._pods:
            pod.ejected = True
            self._open = [each for each in self._open if each is not pod]
            self._start_timer(pod, EJECTION.delay_s(pod.refusals, self._dice()), self._readmit, pod)

    def _readmit(self, pod: Pod) -> None:
        self._timers.pop(pod, None)
        pod.ejected = False
        self._reopen(self._clock.monotonic())

    def _ramp(self) -> None:
        del self._timers["ramp"]
        for pod in self._pods.values():
            pod.limit = grown(pod.limit)
        if any(pod.limit < UNLIMITED for pod in self._pods.values()):
            self._start_timer("ramp", RAMP_S, self._ramp)
        self._assign(self._clock.monotonic())

    def _first_limit(self) -> int:
        return self._terms.limits.concurrency or RAMP_START

    def _reopen(self, now_s: float) -> None:
        self._open = [pod for pod in self._pods.values() if not pod.held and not pod.ejected]
        self._assign(now_s)

    # --- the autoscaler ----------------------------------------------------------------------------------------

    def report(self, now_s: float) -> LoadReport | None:
        """Return what went on since the last report; None where there was nothing, nor is there now."""
        queued = len(self._queue)
        present = queued + self.in_flight
        elapsed_s, self._reported_s = now_s - self._reported_s, now_s
        if queued and self._queued_before and self._pods:
            self._pace.note(self._present_before + self._arrived - present, elapsed_s)
        self._queued_before, self._present_before = queued, present
        area, self._area = self._area + present * now_s, -present * now_s
        requests, self._arrived = self._arrived, 0
        if not (requests or present or self._pods):
            return None
        average = max(0.0, area / elapsed_s) if elapsed_s > 0 else float(present)
        return LoadReport(self.key, average, requests, queued, self.in_flight, len(self._pods))

    # --- life --------------------------------------------------------------------------------------------------

    def send_on(self, choose: Callable[[], Throttler | None], now_s: float) -> None:
        """Close, but let each that waits, in order, enter the queue that is chosen for it."""
        self._closed = True
        while self._queue:
            waiter = self._line.peek()
            self._leave(waiter)
            throttler = choose()
            if throttler is None:
                waiter.refused(self._gone())
            else:
                waiter.sent_on(throttler, now_s)
        self.close(now_s)

    def close(self, now_s: float, why: str = "") -> None:
        """Refuse all that wait and take no pod any more: the revision is gone."""
        self._closed = True
        for waiter in list(self._queue):
            self._refuse(waiter, UnavailableError(why) if why else self._gone(), now_s)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for pod in self._pods.values():
            self._hooks.on_gone(pod)
        self._pods, self._open = {}, []
        if self.sessions is not None:
            self.sessions.set_pods(())
            self._settle()

    @property
    def _name(self) -> str:
        return "/".join(self.key)

    def _start_timer(self, what: Pod | str, delay_s: float, call: Callable[..., None], *args: object) -> None:
        self._stop_timer(what)
        self._timers[what] = self._later(delay_s, call, *args)

    def _stop_timer(self, what: Pod | str) -> None:
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.cancel()
