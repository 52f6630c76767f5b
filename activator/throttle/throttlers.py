"""All throttlers, and what the cluster says about their revisions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from activator.throttle import read
from activator.throttle.again import Again, next_run
from activator.throttle.pod import Endpoint
from activator.throttle.report import LoadReport, RevisionKey
from activator.throttle.share import ALL, Share
from activator.throttle.throttler import QUEUE_BYTES, Budget, Hooks, Terms, Throttler
from torpor.aio.clock import Clock
from torpor.errors import InvalidInputError
from torpor.kube import Change
from torpor.kube.informer import Key
from torpor.spec.kinds import Object
from torpor.spec.knative import TIMEOUT_S, RevisionLimits

log = logging.getLogger(__name__)

EXPECTED_S = 10.0
"""A route may name a revision before its object is seen here: two watches. What is not seen by then is not there."""


_ANNOTATED = {"affinity": read.read_affinity, "asleep": read.read_asleep, "wakes": read.read_wakes}


class _Start(NamedTuple):
    """How far a pod is."""

    failure: str | None = None
    """Why it will not become ready, where that is known."""
    served: frozenset[str] = frozenset()
    """When those runs of its containers began that were ready once."""
    pulls: bool = False
    """It waits for an image that could not be pulled so far."""
    again: Again | None = None
    """When it is tried again, where it has failed and will be."""


class Throttlers:
    """One throttler for every Revision there is; pods and failures are kept for those that come later."""

    def __init__(
        self,
        queue_limit: int,
        activation_timeout_s: float,
        hooks: Hooks,
        clock: Clock,
        *,
        queue_bytes: int = QUEUE_BYTES,
        budget: Budget | None = None,
    ) -> None:
        """`queue_bytes` may be kept for those who wait for one revision, the budget's for all of them together."""
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._budget = budget or Budget(4 * queue_bytes)
        self._activation_timeout_s = activation_timeout_s
        self._hooks = hooks
        self._clock = clock
        self._of: dict[RevisionKey, Throttler] = {}
        self._endpoints: dict[RevisionKey, dict[Key, tuple[Endpoint, ...]]] = {}
        # Every pod of a revision that is not being deleted.
        self._starting: dict[RevisionKey, dict[Key, _Start]] = {}
        # What those revisions say of themselves that are not ready.
        self._verdicts: dict[RevisionKey, read.Verdict] = {}
        # Those that were not seen yet: since when, and what is said should they never come.
        self._expected: dict[RevisionKey, tuple[float, str]] = {}
        self._share = ALL
        # Same as the dictionary's own method: the hot path's look-up.
        self.get = self._of.get

    def __iter__(self) -> Iterator[Throttler]:
        return iter(self._of.values())

    def set_share(self, share: Share) -> None:
        """Take in which part of every pod's slots is ours."""
        self._share = share
        now_s = self._clock.monotonic()
        for throttler in self._of.values():
            throttler.set_share(share, now_s)

    # --- what the informers tell -------------------------------------------------------------------------------

    def expect(self, key: RevisionKey, why: str = "") -> None:
        """Let requests wait for what was not seen yet; it gets no slots before. `why`: what is said if it never comes.

        It is a Revision that a route names, or a route that names none yet.
        """
        if key not in self._of:
            self._of[key] = self._make(key, self._default_terms())
        elif key not in self._expected:
            return
        self._expected[key] = (self._clock.monotonic(), why)

    def send_on(self, key: RevisionKey, choose: Callable[[], RevisionKey | None]) -> None:
        """What was expected has come as something else: send each request that waits there where it belongs."""
        self._expected.pop(key, None)
        throttler = self._of.pop(key, None)
        if throttler is not None:
            throttler.send_on(lambda: self._of.get(choose() or key), self._clock.monotonic())

    def revision_changed(self, change: Change) -> None:
        """A Revision came, changed, or went."""
        key, now_s = change.key, self._clock.monotonic()
        if change.new is None:
            self._expected.pop(key, None)
            self._verdicts.pop(key, None)
            throttler = self._of.pop(key, None)
            if throttler is not None:
                throttler.close(now_s)
            return
        terms = self._terms(key, change.new)
        throttler = self._of.get(key)
        if throttler is None:
            self._of[key] = self._make(key, terms)
        else:
            throttler.terms = terms
            if self._expected.pop(key, None) is None:
                self._judge(key, read.verdict_of(change.new), now_s)
                return
        self._show_endpoints(key, now_s)
        self._judge(key, read.verdict_of(change.new), now_s)
        self._show_failures(key, now_s)

    def _judge(self, key: RevisionKey, verdict: read.Verdict | None, now_s: float) -> None:
        """Take in what a Revision says of itself."""
        before, hopeless = self._verdicts.get(key), self._hopeless(key)
        if verdict == before:
            return
        if verdict is None:
            del self._verdicts[key]
        else:
            self._verdicts[key] = verdict
        if self._hopeless(key) != hopeless:
            self._show_failures(key, now_s)
        if verdict is not None and verdict.told and not self._starting.get(key):
            self._of[key].fail_waiting(verdict.words, now_s)

    def slice_changed(self, change: Change) -> None:
        """An EndpointSlice came, changed, or went."""
        labelled = None if change.new is None else read.revision_of(change.new)
        before = None if change.old is None else read.revision_of(change.old)
        for key in {labelled, before}:
            if key is None:
                continue
            slices = self._endpoints.setdefault(key, {})
            slices.pop(change.key, None)
            if key == labelled and change.new is not None:
                slices[change.key] = tuple(read.ready_endpoints(change.new))
            if not slices:
                del self._endpoints[key]
            self._show_endpoints(key, self._clock.monotonic())

    def pod_changed(self, change: Change) -> None:
        """A Pod came, changed, or went."""
        obj = change.new or change.old
        key = None if obj is None else read.revision_of(obj)
        if obj is None or key is None:
            return
        pods = self._starting.setdefault(key, {})
        before = (self._hopeless(key), self._again(key), len(pods))
        known = pods.pop(change.key, _Start())
        said: str | None = None
        if change.new is not None and not read.is_ending(change.new):
            served = read.ready_runs(change.new) or known.served
            failure, pulls = read.failure_of(change.new, served), read.waits_for_image(change.new)
            again = None if failure is None else next_run(change.new)
            pods[change.key] = _Start(failure, served, pulls, again)
            said = read.new_failure(change.old, change.new, served)
        if (self._hopeless(key), self._again(key), len(pods)) != before:
            self._show_failures(key, self._clock.monotonic())
        # It runs again already, so there is hope for those that come; but not for those that waited for its last try.
        if said is not None and key in self._of and _hopeless({**pods, change.key: _Start(said)}, None):
            self._of[key].fail_waiting(said, self._clock.monotonic(), next_run(obj))
        if not pods:
            del self._starting[key]

    def _show_endpoints(self, key: RevisionKey, now_s: float) -> None:
        throttler = self._of.get(key)
        if throttler is not None and key not in self._expected:
            # Two slices may name one endpoint; a dictionary keeps the order and each once.
            slices = self._endpoints.get(key, {}).values()
            throttler.set_pods(dict.fromkeys(at for endpoints in slices for at in endpoints), now_s)

    def _show_failures(self, key: RevisionKey, now_s: float) -> None:
        throttler = self._of.get(key)
        if throttler is not None:
            pods = self._starting.get(key, {})
            throttler.set_starting(starting=bool(pods))
            throttler.set_failure(self._hopeless(key), now_s, self._again(key))

    def _hopeless(self, key: RevisionKey) -> str | None:
        """Return why no pod of a revision will start, None where one may."""
        return _hopeless(self._starting.get(key, {}), self._verdicts.get(key))

    def _again(self, key: RevisionKey) -> Again | None:
        """Return the next try of a revision whose pods have all failed, the soonest; None where there will be none."""
        tries = (start.again for start in self._starting.get(key, {}).values())
        return min((each for each in tries if each is not None), default=None)

    def _make(self, key: RevisionKey, terms: Terms) -> Throttler:
        return Throttler(
            key,
            terms,
            self._queue_limit,
            self._hooks,
            self._clock,
            queue_bytes=self._queue_bytes,
            budget=self._budget,
            share=self._share,
        )

    def _terms(self, key: RevisionKey, revision: Object) -> Terms:
        try:
            terms = read.read_terms(revision, self._activation_timeout_s)
        except InvalidInputError as error:
            log.warning("%s/%s is served with the defaults: %s", *key, error)
            terms = self._default_terms()
        # Each for itself: a slip in one annotation is no reason to do without the others.
        for name, reader in _ANNOTATED.items():
            try:
                changes: dict[str, Any] = {name: reader(revision)}
            except InvalidInputError as error:
                log.warning("%s/%s is served without %s: %s", *key, name, error)
            else:
                terms = replace(terms, **changes)
        return terms

    def _default_terms(self) -> Terms:
        return Terms(RevisionLimits(0, TIMEOUT_S, TIMEOUT_S, None), self._activation_timeout_s)

    def wakes(self, key: RevisionKey) -> tuple[str, ...]:
        """Return the services that are woken with a revision."""
        throttler = self._of.get(key)
        return () if throttler is None else throttler.terms.wakes

    # --- what the autoscaler asks ------------------------------------------------------------------------------

    def report(self, now_s: float) -> list[LoadReport]:
        """Return what went on since the last report, for revisions with requests or pods."""
        reports = (throttler.report(now_s) for throttler in self._of.values())
        return [report for report in reports if report is not None]

    def pods_of(self, revision: RevisionKey) -> list[Endpoint]:
        """Return where its ready pods are."""
        throttler = self._of.get(revision)
        return [] if throttler is None else [pod.at for pod in throttler.pods]

    def freeze_if_idle(self, revision: RevisionKey) -> bool:
        """Give the pods of an idle revision no more requests; False, and nothing done, where there are requests."""
        throttler = self._of.get(revision)
        return throttler is None or throttler.freeze_if_idle()

    def thaw(self, revision: RevisionKey) -> None:
        """Give them requests again, should they still be there in a moment."""
        throttler = self._of.get(revision)
        if throttler is not None:
            throttler.thaw()

    # --- life --------------------------------------------------------------------------------------------------

    def expire(self, now_s: float) -> None:
        """Refuse every request whose time in the queue is over, and those for revisions that never came."""
        for key, (since_s, why) in list(self._expected.items()):
            if now_s - since_s > EXPECTED_S:
                del self._expected[key]
                self._of.pop(key).close(now_s, why)
        for throttler in self._of.values():
            if throttler.queued:
                throttler.expire(now_s)

    def close(self) -> None:
        """Refuse whoever waits; stop all timers."""
        for throttler in self._of.values():
            throttler.close(self._clock.monotonic())
        self._of.clear()
        self._expected.clear()


def _hopeless(pods: Mapping[Key, _Start], verdict: read.Verdict | None) -> str | None:
    """Return what one pod says, where every pod says that it will not start; None where one still may.

    A pod whose image could not be pulled may still get it, until its Revision gives up. Where there is no pod, what a
    Revision says of itself counts only if none can come: what it said of pods that are gone may be over.
    """
    words = verdict.words if verdict is not None else None
    if not pods:
        return words if verdict is not None and verdict.stands else None
    failures = [start.failure or (words if start.pulls else None) for start in pods.values()]
    return failures[0] if all(failures) else None
