"""This activator among others: it says that it is there, leads where nobody does, and tells the leader what it counts.

Leases carry both: one for each activator, whose annotation says where its admin port is, and one for whoever leads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import aiohttp

from activator.peers.counts import Counts, Message, encode
from activator.peers.lease import Sighting, may_take, sight
from activator.peers.ledger import Ledger
from activator.throttle.report import LoadReport, RevisionKey
from activator.throttle.share import Share
from torpor.aio.clock import Clock
from torpor.errors import ConflictError, NotFoundError, TorporError
from torpor.kube import Change, Cluster, Informer
from torpor.kube.informer import Key
from torpor.spec import names
from torpor.spec.kinds import LEASE, Object
from torpor.telemetry import metrics

log = logging.getLogger(__name__)

LOCK = "torpor-autoscaler"
"""Name of the Lease that the leader holds."""
DURATION_S = 10
"""After so long without a sign of it an activator is taken for gone. Knative's own leases last 15 s."""
RENEW_S = 3.0
GIVE_UP_S = 7.0
"""A leader that could not renew for so long stops leading, while nobody else may have begun to."""
PATIENCE_S = 1.0
"""For one message to the leader."""
BURIED_S = 60.0
"""What an activator that is gone has left is taken away after so long."""
KEPT = 5
"""Messages that the leader did not get are sent again with the next, up to so many."""
PATH = "/peers/counts"


class Loads(Protocol):
    """What is counted here: `activator.throttle.throttlers.Throttlers` fits."""

    def report(self, now_s: float) -> Iterable[LoadReport]:
        """Return what went on since the last report."""

    def freeze_if_idle(self, revision: RevisionKey) -> bool:
        """Hand out no more slots."""

    def thaw(self, revision: RevisionKey) -> None:
        """Hand out slots again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are, for the others."""

    name: str
    """Unlike any other activator's; the pod's name, on a cluster."""
    admin: str
    """HOST:PORT where the others reach our admin port."""
    token: str
    """What admin requests must bear, at every activator."""


class Team:
    """Make it before its informer runs; `run` does the rest. As `Loads` it gives the leader what all have counted."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        loads: Loads,
        clock: Clock,
        on_share: Callable[[Share], None],
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.informer = Informer(cluster, LEASE, self._lease_changed, namespace=namespace, labels=names.ACTIVATORS)
        self._loads = loads
        self._clock = clock
        self._on_share = on_share
        self._me = Identity("", "", "")
        self._seen: dict[Key, Sighting] = {}
        self._ledger = Ledger()
        self._run = secrets.token_hex(8)
        self._number = 0
        self._unsent: deque[Counts] = deque(maxlen=KEPT)
        self._wakes: set[RevisionKey] = set()
        self._hurry = asyncio.Event()
        self._reported_s = clock.monotonic()
        self._renewed_s = 0.0
        self._share = Share()
        self._silent: list[str] = []
        self.leads = False
        self.on_lead: Callable[[], None] = lambda: None
        """Called when we begin to lead."""
        self.on_wake: Callable[[RevisionKey], None] = lambda _: None
        """Called where we lead, for a revision that a request waits for elsewhere."""

    # --- for the autoscaler ------------------------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        """Whether everybody who is there has told what there is."""
        return not self._silent

    def wake(self, revision: RevisionKey) -> None:
        """Tell the leader at once that a request waits for a pod."""
        self._wakes.add(revision)
        self._hurry.set()

    def report(self, now_s: float) -> list[LoadReport]:
        """Return what goes on everywhere, where we lead; elsewhere the leader is told, and nothing is returned."""
        own = list(self._loads.report(now_s))
        elapsed_s, self._reported_s = now_s - self._reported_s, now_s
        living = self._living(now_s)
        if self.leads:
            others = living - {self._me.name}
            self._ledger.forget(others)
            self._silent = self._ledger.silent(others, now_s)
            metrics.ACTIVATOR_PEERS_SILENT.set(len(self._silent))
            return self._ledger.add_up(own)
        self._number += 1
        self._unsent.append(Counts(self._number, elapsed_s, tuple(own)))
        self._hurry.set()
        return []

    def freeze_if_idle(self, revision: RevisionKey) -> bool:
        """As our own queues say: what goes on elsewhere has been told a moment ago."""
        return self._loads.freeze_if_idle(revision)

    def thaw(self, revision: RevisionKey) -> None:
        """Hand out slots again."""
        self._loads.thaw(revision)

    # --- from other activators ---------------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """Take in what another activator tells; raises ConflictError where we do not lead."""
        if not self.leads:
            raise ConflictError(f"activator {self._me.name} does not lead")
        now_s = self._clock.monotonic()
        self._ledger.take(message, now_s)
        waiting = {report.revision for counts in message.counts for report in counts.reports if _needs_a_pod(report)}
        for revision in waiting.union(message.wakes):
            self.on_wake(revision)

    # --- life --------------------------------------------------------------------------------------------------

    async def run(self, me: Identity) -> None:
        """Be there, until cancelled; then say that we are not any more."""
        self._me = me
        await self.informer.synced()
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self._renew())
                group.create_task(self._tell(session))
        finally:
            with contextlib.suppress(TorporError, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await self._leave()

    async def _renew(self) -> None:
        while True:
            try:
                await self._be_there()
                await self._contend()
                if self.leads:
                    await self._bury()
            except TorporError as error:
                log.warning("Leases could not be renewed: %s", error)
            self._look()
            await asyncio.sleep(RENEW_S)

    def _look(self) -> None:
        """Take in who is there now."""
        now_s = self._clock.monotonic()
        if self.leads and now_s - self._renewed_s > GIVE_UP_S:
            self._lead(leads=False)
        living = sorted(self._living(now_s) | {self._me.name})
        metrics.ACTIVATOR_PEERS.set(len(living))
        share = Share(len(living), living.index(self._me.name))
        if share != self._share:
            log.info("activators that are there: %s", ", ".join(living))
            self._share = share
            self._on_share(share)

    def _living(self, now_s: float) -> set[str]:
        return {
            seen.holder
            for (_, name), seen in self._seen.items()
            if name != LOCK and seen.holder and seen.is_held(now_s)
        }

    async def _be_there(self) -> None:
        """Renew our own Lease."""
        me, name = self._me, _lease_name(self._me.name)
        lease = _lease(self._namespace, name, me.name, {names.ADMIN_ADDRESS: me.admin})
        try:
            await self._cluster.patch(LEASE, name, self._namespace, lease)
        except NotFoundError:
            await self._cluster.create(LEASE, lease)

    async def _contend(self) -> None:
        """Renew the leader's Lease if we lead; take it if nobody does."""
        me, key = self._me, (self._namespace, LOCK)
        known = self.informer.items.get(key)
        if not self.leads and not may_take(self._seen.get(key), me.name, self._clock.monotonic()):
            return
        began_s = self._clock.monotonic()
        lease = _lease(self._namespace, LOCK, me.name, {})
        try:
            if known is None:
                await self._cluster.create(LEASE, lease)
            else:
                # Whoever saw the same Lease may do the same: the version lets one of us through.
                lease["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
                saved = await self._cluster.replace(LEASE, lease)
                self.informer.items[key] = saved
        except (ConflictError, NotFoundError):
            current = await self._read(key)
            if current is None or (current.get("spec") or {}).get("holderIdentity") != me.name:
                self._lead(leads=False)
            return
        self._renewed_s = began_s
        self._lead(leads=True)

    async def _bury(self) -> None:
        """Delete the Leases of those that have not left properly."""
        now_s = self._clock.monotonic()
        for (namespace, name), seen in list(self._seen.items()):
            if name != LOCK and now_s - seen.seen_s > BURIED_S:
                with contextlib.suppress(NotFoundError):
                    await self._cluster.delete(LEASE, name, namespace)

    async def _read(self, key: Key) -> Object | None:
        try:
            found = await self._cluster.get(LEASE, key[1], key[0])
        except NotFoundError:
            self.informer.items.pop(key, None)
            return None
        self.informer.items[key] = found
        self._seen[key] = sight(found, self._seen.get(key), self._clock.monotonic())
        return found

    def _lead(self, *, leads: bool) -> None:
        if leads == self.leads:
            return
        self.leads = leads
        metrics.ACTIVATOR_LEADS.set(leads)
        log.info("activator %s %s", self._me.name, "leads" if leads else "does not lead any more")
        self._ledger, self._silent = Ledger(), []
        if leads:
            self._unsent.clear()
            waiting, self._wakes = self._wakes, set()
            self.on_lead()
            for revision in waiting:
                self.on_wake(revision)

    async def _tell(self, session: aiohttp.ClientSession) -> None:
        """Send to the leader what there is to tell."""
        while True:
            await self._hurry.wait()
            self._hurry.clear()
            if self.leads:
                continue
            address = self._leader_address()
            if address is None:
                continue  # the next counts, in a second, try again
            counts, wakes = tuple(self._unsent), tuple(self._wakes)
            body = encode(Message(self._me.name, self._run, counts, wakes))
            headers = {"Authorization": f"Bearer {self._me.token}", "Content-Type": "application/json"}
            try:
                async with session.post(f"http://{address}{PATH}", data=body, headers=headers) as response:
                    said = "" if response.status == 204 else f"{response.status} {(await response.text())[:200]}"
            except (aiohttp.ClientError, TimeoutError) as error:
                said = str(error) or "no answer"
            if said:
                metrics.ACTIVATOR_COUNTS_LOST.inc()
                log.warning("the leader at %s did not take our counts: %s", address, said)
                continue
            self._wakes.difference_update(wakes)
            while self._unsent and counts and self._unsent[0].number <= counts[-1].number:
                self._unsent.popleft()

    def _leader_address(self) -> str | None:
        """Return where the leader's admin port is; None while it is not known who leads."""
        lock = self._seen.get((self._namespace, LOCK))
        if lock is None or not lock.is_held(self._clock.monotonic()):
            return None
        lease = self.informer.items.get((self._namespace, _lease_name(lock.holder)))
        annotations = {} if lease is None else lease["metadata"].get("annotations") or {}
        return annotations.get(names.ADMIN_ADDRESS)

    async def _leave(self) -> None:
        """Give back what we hold, so that nobody has to wait until it runs out."""
        me = self._me
        if self.leads:
            self._lead(leads=False)
            known = self.informer.items.get((self._namespace, LOCK))
            if known is not None:
                lease = _lease(self._namespace, LOCK, "", {})
                lease["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
                with contextlib.suppress(ConflictError, NotFoundError):
                    await self._cluster.replace(LEASE, lease)
        with contextlib.suppress(NotFoundError):
            await self._cluster.delete(LEASE, _lease_name(me.name), self._namespace)

    def _lease_changed(self, change: Change) -> None:
        if change.new is None:
            self._seen.pop(change.key, None)
        else:
            self._seen[change.key] = sight(change.new, self._seen.get(change.key), self._clock.monotonic())


def _needs_a_pod(report: LoadReport) -> bool:
    return report.queued > 0 and report.ready_pods == 0


def _lease_name(name: str) -> str:
    return f"torpor-activator-{name}"


def _lease(namespace: str, name: str, holder: str, annotations: dict[str, str]) -> Object:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {names.ACTIVATORS: "true"},
            "annotations": annotations,
        },
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": DURATION_S, "renewTime": now},
    }
