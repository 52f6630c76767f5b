"""A cluster in simulated time, around the autoscaler's own code: `Watch`, its windows and learner, `decide`, `Purse`.

Only what that code is surrounded by is simulated: requests, pods that take their time to start, and the clock. Time
jumps over what cannot change anything: nobody looks at those that sleep, and where one pod idles, nothing happens
before a request comes, the windows are empty, or its plan says so.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from traces import Trace

from activator.autoscaler.collect import Watch
from activator.autoscaler.decide import Decision, Reason, Snapshot
from activator.autoscaler.keepalive import Purse
from activator.autoscaler.loop import SAMPLE_S, TICK_S
from activator.throttle.report import LoadReport
from torpor.spec import names
from torpor.spec.autoscaling import Defaults

CONCURRENCY = 4
"""containerConcurrency of every service."""
MAX_SCALE = "10"
WALL_S = 1_800_000_000.0
GLANCE_S = 30.0
"""An idle pod with a plan is looked at so often at least: prices change."""


@dataclass(slots=True)
class Outcome:
    """What it cost, and how long requests waited."""

    replica_s: float = 0.0
    starts: int = 0
    waits: dict[str, list[float]] = field(default_factory=dict)
    """By kind of trace."""
    cost: dict[str, float] = field(default_factory=dict)
    looks: int = 0


class Service:
    """One revision, its pods, and its requests."""

    def __init__(self, number: int, trace: Trace, keep_alive: str, defaults: Defaults, purse: Purse) -> None:
        self.trace = trace
        self.key = ("default", f"s{number}")
        annotations = {names.KEEP_ALIVE: keep_alive, names.AUTOSCALING + "max-scale": MAX_SCALE}
        self.revision = {
            "metadata": {"namespace": self.key[0], "name": self.key[1], "annotations": annotations},
            "spec": {"containerConcurrency": CONCURRENCY},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        self.deployment = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 0}, "status": {}}
        self.watch = Watch(self.deployment)
        self.policy = self.watch.policy(self.revision, defaults)
        self.purse = purse
        self.replicas = 0
        self.starting: list[float] = []  # when they will be ready
        self.ready = 0
        self.queue: deque[int] = deque()
        self.serving: list[float] = []  # when they will be answered
        self.next = 0
        self.waits: list[float] = []
        self.replica_s = 0.0
        self.starts = 0
        self.looks = 0
        self._now_s = self._sampled_s = self._active_s = 0.0
        self._area = 0.0
        self._arrived = 0
        self._awake = False

    # --- what happens in the world -------------------------------------------------------------------------------

    def advance(self, until_s: float) -> None:
        """Let requests come, be served and answered, and pods become ready, in order."""
        arrivals, count = self.trace.arrivals, len(self.trace.arrivals)
        while True:
            at = arrivals[self.next] if self.next < count else math.inf
            which = 0
            if self.serving and self.serving[0] <= at:
                at, which = self.serving[0], 1
            if self.starting and self.starting[0] <= at:
                at, which = self.starting[0], 2
            if at > until_s:
                self._pass(until_s)
                return
            self._pass(at)
            if which == 0:
                self.queue.append(self.next)
                self.next += 1
                self._arrived += 1
            elif which == 1:
                heapq.heappop(self.serving)
            else:
                heapq.heappop(self.starting)
                self.ready += 1
            while self.queue and len(self.serving) < self.ready * CONCURRENCY:
                request = self.queue.popleft()
                self.waits.append(at - arrivals[request])
                heapq.heappush(self.serving, at + self.trace.serve[request])

    def _pass(self, until_s: float) -> None:
        passed_s = until_s - self._now_s
        self._area += passed_s * (len(self.queue) + len(self.serving))
        self.replica_s += passed_s * self.replicas
        self._now_s = until_s

    def _scale(self, pods: int) -> None:
        added = pods - self.replicas
        for _ in range(added):
            heapq.heappush(self.starting, self._now_s + self.trace.start_s)
            self.starts += 1
        while added < 0:
            added += 1
            if self.starting:
                self.starting.remove(max(self.starting))
            else:
                self.ready -= 1
        heapq.heapify(self.starting)
        self.replicas = pods
        self.deployment["spec"]["replicas"] = pods

    # --- the autoscaler's loop ----------------------------------------------------------------------------------

    def _sample(self, to_s: float) -> None:
        self.advance(to_s)
        span_s = to_s - self._sampled_s
        present = len(self.queue) + len(self.serving)
        report = None
        if self._arrived or present or self.ready:
            average = self._area / span_s if span_s > 0 else float(present)
            report = LoadReport(self.key, average, self._arrived, len(self.queue), len(self.serving), self.ready)
        if self._arrived or present:
            self._active_s = to_s
        self.watch.sample(report, self._sampled_s, to_s, self.purse)
        self._area, self._arrived, self._sampled_s = 0.0, 0, to_s

    def _decide(self, *, poked: bool = False) -> tuple[Snapshot, Decision]:
        self.looks += 1
        seen = self.watch.look(self._now_s, reachable=True, poked=poked, wall_s=WALL_S + self._now_s, purse=self.purse)
        decision = self.watch.decide(seen, self.policy, self.revision)
        if decision.pods != seen.replicas:
            self._scale(decision.pods)
        return seen, decision

    def step(self, now_s: float) -> float:
        """Do what is due at a time; returns when something is due again."""
        if not self._awake:
            return self._wake(now_s)
        if now_s > self._sampled_s:
            self._sample(now_s)
        if now_s % TICK_S:
            return now_s + SAMPLE_S
        seen, decision = self._decide()
        if (
            decision.pods == seen.replicas == seen.ready_pods == seen.waiting == 0
            and decision.reason is not Reason.NO_DATA
        ):
            self._awake = False
            due_s = self.watch.due_s(now_s, WALL_S + now_s, seen)
            self.watch.rest()
            return min(self.next_arrival_s, math.inf if due_s is None else max(due_s, now_s + SAMPLE_S))
        if self.replicas == self.ready == 1 and not self.queue and not self.serving:
            return self._jump(now_s, seen)
        return now_s + SAMPLE_S

    def _wake(self, now_s: float) -> float:
        """A request came, or an alarm went off."""
        self._awake = True
        # The loop has sampled all the while, and found nothing; that is not repeated here.
        self._pass(math.floor(now_s / SAMPLE_S) * SAMPLE_S)
        self._sampled_s, self._area = self._now_s, 0.0
        self.advance(now_s)
        if self.queue:
            self._decide(poked=True)
        return math.floor(now_s / SAMPLE_S) * SAMPLE_S + SAMPLE_S

    @property
    def next_arrival_s(self) -> float:
        """When the next request comes."""
        arrivals = self.trace.arrivals
        return arrivals[self.next] if self.next < len(arrivals) else math.inf

    def _jump(self, now_s: float, seen: Snapshot) -> float:
        """Return the next tick at which anything can be different."""
        empty_s = self._active_s + self.policy.scaling.stable_window_s - TICK_S
        bounds = [empty_s] if seen.plan is None or now_s < empty_s else []
        if seen.plan is not None:
            begun_s = now_s - seen.idle_s
            bounds += [begun_s + seen.plan.keep_s, begun_s + seen.plan.until_s, now_s + GLANCE_S]
        tick_s = TICK_S * math.ceil(min((each for each in bounds if each > now_s), default=now_s + TICK_S) / TICK_S)
        # The sample before the request's own ends the idle time.
        before_s = math.floor(self.next_arrival_s / SAMPLE_S) * SAMPLE_S if self.next_arrival_s < math.inf else math.inf
        return max(now_s + SAMPLE_S, min(tick_s, before_s))


def simulate(traces: Sequence[Trace], keep_alive: str, horizon_s: float) -> Outcome:
    """Run all services side by side until the horizon."""
    purse, defaults = Purse(), Defaults()
    services = [Service(number, trace, keep_alive, defaults, purse) for number, trace in enumerate(traces)]
    due = [(service.next_arrival_s, number) for number, service in enumerate(services)]
    heapq.heapify(due)
    while due and due[0][0] < horizon_s:
        now_s, number = due[0]
        heapq.heapreplace(due, (services[number].step(now_s), number))
    outcome = Outcome()
    for service in services:
        service.advance(horizon_s)
        outcome.replica_s += service.replica_s
        outcome.starts += service.starts
        outcome.looks += service.looks
        kind = service.trace.kind
        # Who still waits has waited until the end.
        left = [horizon_s - service.trace.arrivals[request] for request in service.queue]
        outcome.waits.setdefault(kind, []).extend(service.waits + left)
        outcome.cost[kind] = outcome.cost.get(kind, 0.0) + service.replica_s
    return outcome
