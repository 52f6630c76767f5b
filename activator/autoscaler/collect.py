"""Turn what the throttlers and the API say about a revision into what `decide` reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from activator.autoscaler.decide import Decision, Memory, Policy, Snapshot, decide
from activator.autoscaler.hours import next_change_s, pods_at
from activator.autoscaler.keepalive import Learner, Plan, Purse
from activator.autoscaler.window import Window
from torpor.kube import Change
from torpor.kube.informer import Key
from torpor.spec import names
from torpor.spec.autoscaling import Defaults, Metric, parse_scaling
from torpor.spec.fields import Fields
from torpor.spec.keepalive import ADAPTIVE, BY_WINDOWS, FIXED, STANDARD, KeepAlive, parse_keep_alive
from torpor.spec.kinds import Object, key_of
from torpor.spec.knative import ACCEPTED, condition, parse_limits
from torpor.spec.scalemetric import ScaleMetric, parse_scale_metric
from torpor.spec.schedule import Hours, parse_schedule

PROGRESS_DEADLINE_S = 600
# Knative's: time for a failed start to be reported before its pods are taken away.
ACTIVATION_BUFFER_S = 30
GLANCE_S = 3600.0
"""Who has a schedule is looked at so often at least: somebody may have set the clock."""
HALF_A_TICK_S = 1.0
"""A window is empty at any time, and looked at every other second."""


class LoadReport(Protocol):
    """What a throttler tells of one revision: `activator.throttle.report.LoadReport` fits."""

    @property
    def revision(self) -> Key:
        """Namespace and name."""

    @property
    def average_concurrency(self) -> float:
        """Requests queued or being served, on average since the last report."""

    @property
    def requests(self) -> int:
        """Requests that came since the last report."""

    @property
    def queued(self) -> int:
        """Requests that wait for a pod at this moment."""

    @property
    def in_flight(self) -> int:
        """Requests that pods are serving at this moment."""

    @property
    def ready_pods(self) -> int:
        """Pods that are ready at this moment."""


def read_policy(revision: Object, deployment: Object, defaults: Defaults) -> Policy:
    """Read what the owner asked for; raises InvalidInputError naming the annotation or field."""
    concurrency = parse_limits(Fields(revision.get("spec") or {}, "spec"), ACCEPTED).concurrency
    annotations = revision["metadata"].get("annotations") or {}
    scaling = parse_scaling(annotations, concurrency=concurrency, defaults=defaults)
    deadline_s = (deployment.get("spec") or {}).get("progressDeadlineSeconds") or PROGRESS_DEADLINE_S
    return Policy(scaling, defaults, float(deadline_s) + ACTIVATION_BUFFER_S, *_read_own(annotations))


def _read_own(annotations: Mapping[str, str]) -> tuple[KeepAlive, tuple[Hours, ...], ScaleMetric | None]:
    keep_alive, schedule = annotations.get(names.KEEP_ALIVE), annotations.get(names.SCHEDULE)
    reported = annotations.get(names.SCALE_METRIC)
    return (
        BY_WINDOWS if keep_alive is None else parse_keep_alive(_field(names.KEEP_ALIVE), keep_alive),
        () if schedule is None else parse_schedule(_field(names.SCHEDULE), schedule),
        None if reported is None else parse_scale_metric(_field(names.SCALE_METRIC), reported),
    )


def _field(annotation: str) -> str:
    return f"metadata.annotations[{annotation}]"


class Routed:
    """Which revisions some route names in its status, by percent or by tag."""

    def __init__(self) -> None:
        self._routes: dict[Key, set[Key]] = {}

    def __contains__(self, revision: Key) -> bool:
        return revision in self._routes

    def update(self, change: Change) -> set[Key]:
        """Take in a changed Route; returns the revisions it named before or names now."""
        old, new = set(_targets(change.old)), set(_targets(change.new))
        for revision in old - new:
            self._routes[revision].discard(change.key)
            if not self._routes[revision]:
                del self._routes[revision]
        for revision in new:
            self._routes.setdefault(revision, set()).add(change.key)
        return old | new


def _targets(route: Object | None) -> Iterator[Key]:
    if route is None:
        return
    namespace, _ = key_of(route)
    for target in (route.get("status") or {}).get("traffic") or ():
        if name := target.get("revisionName"):
            yield namespace, name


class Watch:
    """One revision while it matters: its Deployment, its windows, and the memory of its decisions."""

    __slots__ = (
        "_backlog",
        "_floor",
        "_learner",
        "_panic",
        "_policy",
        "_read_from",
        "_report",
        "_scaled",
        "_stable",
        "deployment",
        "memory",
    )

    def __init__(self, deployment: Object) -> None:
        self.deployment = deployment
        self.memory: Memory | None = None
        self._policy: Policy | None = None
        self._read_from: Object | None = None  # the Revision that the policy was read from
        self._scaled: tuple[int, int] | None = None  # (resourceVersion, replicas) of our own last change
        self._report: LoadReport | None = None
        self._backlog = 0  # as the sample before the last one had it
        self._stable: Window | None = None
        self._panic: Window | None = None
        self._learner: Learner | None = None  # of one with a keep-alive of its own
        self._floor = 0  # pods that its owner wanted at the last look, whatever the load

    @property
    def replicas(self) -> int:
        """Pods asked for: what the informer shows, unless we changed it since and it does not know yet."""
        if self._scaled is not None and int(self.deployment["metadata"]["resourceVersion"]) < self._scaled[0]:
            return self._scaled[1]
        replicas = (self.deployment.get("spec") or {}).get("replicas")
        return 1 if replicas is None else int(replicas)

    def scaled(self, scale: Object, replicas: int) -> None:
        """Remember a change of ours until the informer shows it."""
        self._scaled = (int(scale["metadata"]["resourceVersion"]), replicas)

    def policy(self, revision: Object, defaults: Defaults) -> Policy:
        """Return the revision's policy, read anew only when the Revision or the cluster's defaults changed."""
        if self._policy is None or self._read_from is not revision or self._policy.cluster is not defaults:
            fresh = read_policy(revision, self.deployment, defaults)
            before = self._policy
            if before is None or (fresh.scaling, fresh.reported) != (before.scaling, before.reported):
                self._stable = self._panic = None
            self._policy, self._read_from = fresh, revision
        return self._policy

    def fall_back(self, revision: Object, defaults: Defaults) -> Policy:
        """Return, until the Revision changes, the policy of one without annotations: its own cannot be read."""
        self._policy, self._read_from = (
            read_policy({**revision, "metadata": {}, "spec": {}}, self.deployment, defaults),
            revision,
        )
        return self._policy

    @property
    def reported(self) -> ScaleMetric | None:
        """What its pods are to be asked for."""
        return None if self._policy is None else self._policy.reported

    def sample(
        self,
        report: LoadReport | None,
        start_s: float,
        end_s: float,
        purse: Purse | None = None,
        *,
        told: float | None = None,
    ) -> None:
        """Take in what went on between two times; no report from our own throttlers means that nothing did.

        `purse`: from which the revision pays for what it keeps, if it is adaptive. `told`: what its pods report, if
        that is what it is scaled by; None: not known, and so not recorded.
        """
        if self._policy is None:
            return
        scaling = self._policy.scaling
        if self._stable is None or self._panic is None:
            self._stable = Window(scaling.stable_window_s, scaling.aggregation)
            self._panic = Window(scaling.panic_window_s, scaling.aggregation)
        self._backlog = _backlog(self._report)
        self._report = report
        load = self._load(report, start_s, end_s, told)
        if load is not None:
            self._stable.record(start_s, end_s, load)
            self._panic.record(start_s, end_s, load)
        self._learn(report, start_s, end_s, purse)

    def _load(self, report: LoadReport | None, start_s: float, end_s: float, told: float | None) -> float | None:
        """Return the load between two times, in the unit of the metric; None: not known."""
        policy = self._policy
        if report is None or end_s <= start_s or policy is None:
            return 0.0
        if policy.reported is None:
            rps = policy.scaling.metric is Metric.RPS
            return report.requests / (end_s - start_s) if rps else report.average_concurrency
        if told is not None and policy.reported.is_wait and report.queued + report.in_flight > 0:
            # That nobody waits does not say that half of the pods would do: not below half of what there is at once.
            return max(told, policy.reported.target * report.ready_pods / 2)
        return told

    def _learn(self, report: LoadReport | None, start_s: float, end_s: float, purse: Purse | None) -> None:
        if self._policy is None or self._policy.keep_alive.how == STANDARD:
            self._learner = None
            return
        if self._learner is None:
            self._learner = Learner(start_s)
        self._learner.sample(
            start_s,
            end_s,
            active=report is not None and report.requests + report.queued + report.in_flight > 0,
            replicas=self.replicas,
            ready=0 if report is None else report.ready_pods,
            knatives_keep_s=_standard_keep_s(self._policy),
        )
        account = self._learner.settle()
        # What min-scale or the schedule keep is not for the budget to pay.
        if purse is not None and self._policy.keep_alive.how == ADAPTIVE and not self._floor:
            purse.add(account, end_s)

    def _plan(self, purse: Purse | None) -> Plan | None:
        policy, learner = self._policy, self._learner
        if policy is None or learner is None:
            return None
        if policy.keep_alive.how == FIXED:
            return Plan(policy.keep_alive.seconds)
        if purse is None or policy.keep_alive.how == STANDARD:
            return None
        return learner.plan(purse.worth, _standard_keep_s(policy), affordable=purse.left_s > 0)

    def look(
        self, now_s: float, *, reachable: bool, poked: bool, wall_s: float = 0.0, purse: Purse | None = None
    ) -> Snapshot:
        """Return what is known now. `poked`: a request came since the last sample. `wall_s`: for its schedule."""
        report = self._report
        scheduled = 0
        if self._policy is not None:
            scheduled = pods_at(self._policy.schedule, wall_s)
            self._floor = max(self._policy.scaling.min_scale, scheduled)
        ready = (self.deployment.get("status") or {}).get("readyReplicas") or 0 if report is None else report.ready_pods
        backlog = _backlog(report)
        if ready > 0:
            # A queue that was there at both of two samples is lack of room; a shorter one may be chance.
            backlog = min(backlog, self._backlog)
        return Snapshot(
            now_s=now_s,
            replicas=self.replicas,
            ready_pods=ready,
            stable_load=None if self._stable is None else self._stable.average(now_s),
            panic_load=None if self._panic is None else self._panic.average(now_s),
            waiting=max(0 if report is None else report.queued + report.in_flight, int(poked)),
            backlog=backlog,
            reachable=reachable,
            idle_s=0.0 if self._learner is None else self._learner.idle_s(now_s),
            plan=self._plan(purse),
            scheduled=scheduled,
        )

    def due_s(self, now_s: float, wall_s: float, seen: Snapshot) -> float | None:
        """Return when a revision that goes to sleep is to be looked at although nothing happened; None: never."""
        due = []
        if self._policy is not None and (change_s := next_change_s(self._policy.schedule, wall_s)) is not None:
            due.append(now_s + min(change_s - wall_s, GLANCE_S))
        if seen.plan is not None and (again_s := seen.plan.next_s(seen.idle_s)) is not None:
            due.append(now_s + again_s - seen.idle_s)
        return min(due, default=None)

    def decide(self, seen: Snapshot, policy: Policy, revision: Object) -> Decision:
        """Decide, and remember."""
        if self.memory is None:
            self.memory = Memory.begin(seen, initialized=condition(revision, "Ready") == "True")
        decision = decide(policy, seen, self.memory)
        self.memory = decision.memory
        return decision

    def rest(self) -> None:
        """Forget the samples: a revision that wakes is judged by what comes then, not by the silence before."""
        self._stable = self._panic = self._report = None
        self._backlog = 0


def _standard_keep_s(policy: Policy) -> float:
    """Return for how long Knative's autoscaler keeps the last pod after the last request."""
    scaling = policy.scaling
    held_s = max(scaling.scale_to_zero_pod_retention_s, scaling.scale_down_delay_s)
    return scaling.stable_window_s + held_s + HALF_A_TICK_S


def _backlog(report: LoadReport | None) -> int:
    return 0 if report is None or report.queued == 0 else report.queued + report.in_flight
