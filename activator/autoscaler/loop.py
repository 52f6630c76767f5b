"""Look at every revision that is not asleep, decide, and scale its Deployment: all effects are here, in that order."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol

from activator.autoscaler import export
from activator.autoscaler.collect import LoadReport, Routed, Watch
from activator.autoscaler.decide import Decision, Policy, Reason, Snapshot
from activator.autoscaler.explain import explain
from activator.autoscaler.keepalive import Purse
from activator.autoscaler.reported import Reported
from torpor.aio.backoff import Backoff
from torpor.aio.beside import beside
from torpor.aio.clock import Clock
from torpor.aio.turns import Turn, at_once, by_turns
from torpor.errors import InvalidInputError, NotFoundError
from torpor.kube import Change, Cluster, Informer, Recorder, WorkQueue
from torpor.kube.informer import Key
from torpor.spec import names
from torpor.spec.autoscaling import Defaults
from torpor.spec.kinds import DEPLOYMENT, Object
from torpor.spec.knative import condition
from torpor.spec.scalemetric import ScaleMetric
from torpor.telemetry import metrics

log = logging.getLogger(__name__)

SAMPLE_S = 1.0
"""One bucket of a window."""
TICK_S = 2.0
"""Knative's."""
SLICE_S = 0.003
"""After so long at a time requests have their turn: a look at 10,000 revisions takes a second and more."""
# While requests wait, the API is asked again at least this often.
RETRY = Backoff(first_s=0.05, limit_s=2.0)


class Loads(Protocol):
    """What the throttlers tell, and promise while a revision goes to zero."""

    def report(self, now_s: float) -> Iterable[LoadReport]:
        """Return what went on since the last report, for revisions with requests or pods."""

    def freeze_if_idle(self, revision: Key) -> bool:
        """Hand out no more slots from now on; False, and nothing done, where a request waits or is being served."""

    def thaw(self, revision: Key) -> None:
        """Hand out slots again."""


class Team(Protocol):
    """Whether it is us who decide: `activator.peers.team.Team` fits."""

    leads: bool

    @property
    def complete(self) -> bool:
        """Whether all that is to be known has been told."""

    def wake(self, revision: Key) -> None:
        """Tell who leads that a request waits."""


class Alone:
    """Nobody else is there."""

    leads = True
    complete = True

    def wake(self, revision: Key) -> None:
        """There is nobody to tell."""


class Autoscaler:
    """Call `poke` when a request finds no pod; `run` does the rest.

    Make it before the informers run: it subscribes to them.
    """

    def __init__(
        self,
        cluster: Cluster,
        deployments: Informer,
        revisions: Informer,
        routes: Informer,
        loads: Loads,
        recorder: Recorder,
        clock: Clock,
        defaults: Defaults,
        team: Team | None = None,
        reported: Reported | None = None,
    ) -> None:
        """`reported` is asked for what pods tell of themselves; None: nobody is."""
        self._reported = reported
        self._team = Alone() if team is None else team
        self._led_s = -math.inf
        """Since when it is us who decide."""
        self._cluster = cluster
        self._informers = [deployments, revisions, routes]
        self._revisions = revisions
        self._loads = loads
        self._recorder = recorder
        self._clock = clock
        self._defaults = defaults
        self._queue: WorkQueue[Key] = WorkQueue(self._scale, backoff=RETRY)
        self._routed = Routed()
        # Every revision with a Deployment; of them those to look at, for they have pods, load, or news; and those
        # that a request waited for since the last sample.
        self._watched: dict[Key, Watch] = {}
        self._awake: set[Key] = set()
        self._poked: set[Key] = set()
        # When those that sleep are to be looked at although nothing happens.
        self._alarms: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}  # the first of each
        # By namespace: what its adaptive revisions may spend together.
        self._purses: defaultdict[str, Purse] = defaultdict(Purse)
        self._sampled_s = clock.monotonic()
        deployments.subscribe(self._deployment_changed)
        revisions.subscribe(self._revision_changed)
        routes.subscribe(self._route_changed)

    def poke(self, revision: Key) -> None:
        """Wake a revision at once: a request waits for it. Cheap, never blocks, and may be called for each request."""
        if not self._team.leads:
            self._team.wake(revision)
            return
        self._poked.add(revision)
        self._awake.add(revision)
        # Not in a hurry: after a failure the queue backs off, however many requests come meanwhile.
        self._queue.add(revision, hurry=False)

    def lead(self) -> None:
        """Begin to decide. Nothing is known but what there is, so for one stable window nothing is taken away."""
        self._led_s = self._clock.monotonic()
        for watch in self._watched.values():
            watch.rest()
            watch.memory = None
        self._awake |= self._watched.keys()

    def follow(self, informer: Informer) -> None:
        """Decide nothing before this one has been read either; before `run`."""
        self._informers.append(informer)

    def use(self, defaults: Defaults) -> None:
        """From now on these hold for every revision that does not say otherwise, asleep or not."""
        self._defaults = defaults
        self._awake |= self._watched.keys()

    async def run(self) -> None:
        """Sample every second, decide every other; returns only when cancelled."""
        for informer in self._informers:
            await informer.synced()
        self._sampled_s = self._clock.monotonic()
        try:
            async with beside(*(() if self._reported is None else (self._reported.run,))):
                while True:
                    for _ in range(round(TICK_S / SAMPLE_S)):
                        await asyncio.sleep(SAMPLE_S)
                        await by_turns(self.sampling())
                    await by_turns(self.ticking())
        finally:
            await self._queue.close()

    def sample(self) -> None:
        """Put what went on since the last sample into the windows, in one go."""
        at_once(self.sampling())

    def tick(self) -> None:
        """Decide for every revision that is not asleep, in one go."""
        at_once(self.ticking())

    def sampling(self) -> Iterator[None]:
        """Put what went on since the last sample into the windows; yields where others may have their turn.

        All of it is of the moment at which it begins, whatever happens meanwhile.
        """
        start_s, self._sampled_s = self._sampled_s, self._clock.monotonic()
        reports = {report.revision: report for report in self._loads.report(self._sampled_s)}
        if not self._team.leads:
            return  # who leads has been told
        self._awake |= reports.keys()
        known = set(self._poked)  # the reports know of those requests; a watch does once it is given its own
        wanted: dict[Key, ScaleMetric] = {}
        turn = Turn(self._clock, SLICE_S)
        for key in self._awake & self._watched.keys():
            if turn.is_over():
                yield
                turn.begin()
            watch, told = self._watched.get(key), None
            if watch is None:
                continue  # it went while others had their turn
            if watch.reported is not None and self._reported is not None:
                wanted[key] = watch.reported
                told = self._reported.total(key, self._sampled_s)
            watch.sample(reports.get(key), start_s, self._sampled_s, self._purses[key[0]], told=told)
            self._poked -= {key} & known
        self._poked -= known
        if self._reported is not None:
            self._reported.want(wanted)

    def ticking(self) -> Iterator[None]:
        """Decide for every revision that is not asleep, and have those scaled whose decision is not what there is.

        Yields where others may have their turn; each revision is decided for by what is known when its own comes.
        """
        turn = Turn(self._clock, SLICE_S)
        self._ring_alarms()
        for key in list(self._awake):
            if turn.is_over():
                yield
                turn.begin()
            if not self._team.leads:
                return  # somebody else does, maybe since a moment ago
            try:
                self._look_after(key)
            except Exception:  # one bad revision must not stop the scaling of all others
                log.exception("deciding the scale of %s/%s failed", *key)
        if self._team.leads:
            metrics.AUTOSCALER_TICK_SECONDS.set(turn.taken_s())

    def _ring_alarms(self) -> None:
        """Have those looked at that sleep and whose time has come."""
        now_s = self._clock.monotonic()
        while self._team.leads and self._alarms and self._alarms[0][0] <= now_s:
            due_s, key = heapq.heappop(self._alarms)
            if self._due.get(key) == due_s:
                del self._due[key]
            self._awake.add(key)

    def _look_after(self, key: Key) -> None:
        watch = self._watched.get(key)
        decided = None if watch is None else self._decide(key, watch)
        if watch is None or decided is None:
            self._awake.discard(key)  # a Deployment or Revision that comes puts it back
            return
        _, seen, decision = decided
        metrics.AUTOSCALER_DECISIONS.labels(decision.reason.value).inc()
        if decision.pods != seen.replicas:
            self._queue.add(key, hurry=False)
        elif decision.pods == seen.ready_pods == seen.waiting == 0 and decision.reason is not Reason.NO_DATA:
            self._awake.discard(key)
            self._set_alarm(key, watch.due_s(seen.now_s, self._clock.wall(), seen))
            watch.rest()
            export.forget(key)
            return
        export.show(key, *decided)

    def _set_alarm(self, key: Key, due_s: float | None) -> None:
        """Look again then, unless that is done before in any case: each look sets the next alarm."""
        if due_s is not None and due_s < self._due.get(key, math.inf):
            self._due[key] = due_s
            heapq.heappush(self._alarms, (due_s, key))

    def _decide(self, key: Key, watch: Watch) -> tuple[Policy, Snapshot, Decision] | None:
        """Decide from what is known now; None while its Revision is not known."""
        revision = self._revisions.items.get(key)
        if revision is None:
            return None
        try:
            policy = watch.policy(revision, self._defaults)
        except InvalidInputError as error:
            policy = watch.fall_back(revision, self._defaults)
            log.warning("%s/%s is scaled by the defaults of the cluster: %s", *key, error)
            self._recorder.emit(watch.deployment, "Warning", "InvalidScaling", f"the defaults are used: {error}")
        # A new revision is not in any route's status before it is ready for the first time.
        reachable = key in self._routed or condition(revision, "Ready") == "Unknown"
        seen = watch.look(
            self._clock.monotonic(),
            reachable=reachable,
            poked=key in self._poked,
            wall_s=self._clock.wall(),
            purse=self._purses[key[0]],
        )
        decision = watch.decide(seen, policy, revision)
        if decision.pods < seen.replicas and not self._knows_enough(policy, seen.now_s):
            decision = Decision(seen.replicas, Reason.NO_DATA, decision.memory)
        return policy, seen, decision

    def _knows_enough(self, policy: Policy, now_s: float) -> bool:
        """Tell whether what is known is all there is: only then is anything taken away."""
        return self._team.complete and now_s - self._led_s >= policy.scaling.stable_window_s

    async def _scale(self, key: Key) -> None:
        """Bring one Deployment to what is right at this moment; one at a time per revision, so no wake is lost."""
        watch = self._watched.get(key) if self._team.leads else None
        decided = None if watch is None else self._decide(key, watch)
        if watch is None or decided is None or decided[2].pods == watch.replicas:
            return
        pods, before = decided[2].pods, watch.replicas
        if pods == 0 and not self._loads.freeze_if_idle(key):
            return  # somebody came just now; the next tick knows
        metadata = watch.deployment["metadata"]
        try:
            scale = await self._cluster.patch(
                DEPLOYMENT, metadata["name"], metadata["namespace"], {"spec": {"replicas": pods}}, sub="scale"
            )
        except NotFoundError:
            log.info("the Deployment of %s/%s is gone: not scaled to %d", *key, pods)
            return
        finally:
            if pods == 0:
                self._loads.thaw(key)
        watch.scaled(scale, pods)
        self._tell(key, watch.deployment, explain(before, *decided), decided[2].reason)

    def _tell(self, key: Key, deployment: Object, message: str, reason: Reason) -> None:
        log.info("%s/%s %s", *key, message, extra={"namespace": key[0], "revision": key[1], "reason": reason.value})
        self._recorder.emit(deployment, "Normal", reason.value, message)

    def _deployment_changed(self, change: Change) -> None:
        deployment = change.new or change.old or {}
        name = (deployment["metadata"].get("labels") or {}).get(names.REVISION)
        if not name:
            return
        key = (change.key[0], name)
        if change.new is None:
            self._watched.pop(key, None)
            export.forget(key)
            return
        watch = self._watched.get(key)
        if watch is None or watch.deployment["metadata"]["uid"] != deployment["metadata"]["uid"]:
            watch = self._watched[key] = Watch(deployment)
        watch.deployment = deployment
        self._awake.add(key)
        if watch.replicas == 0:
            # A request may have come before the Deployment did, or before somebody's hand put it to zero.
            self._queue.add(key, hurry=False)

    def _revision_changed(self, change: Change) -> None:
        self._awake.add(change.key)

    def _route_changed(self, change: Change) -> None:
        self._awake |= self._routed.update(change)
