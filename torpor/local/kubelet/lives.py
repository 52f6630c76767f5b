"""The pods of this machine: who comes, who goes, and what is to be done then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from torpor import errors
from torpor.aio.backoff import Backoff
from torpor.kube import Change
from torpor.kube.informer import Key
from torpor.local.kubelet.files import remove_strangers
from torpor.local.kubelet.life import DRAIN_S, Life
from torpor.local.kubelet.machine import NODE, Host
from torpor.local.kubelet.ports import Ports
from torpor.local.kubelet.slices import Slices
from torpor.local.kubelet.statuses import Statuses
from torpor.spec import names
from torpor.spec.kinds import DEPLOYMENT, POD, Object, key_of

log = logging.getLogger(__name__)

RETRY = Backoff(first_s=0.1, limit_s=10.0)
SHUTDOWN_S = 10.0
"""What all pods together get to end when the kubelet does, whatever grace each of them asks for."""
_OVER = frozenset({"Succeeded", "Failed"})


class Lives:
    """Every pod that runs here has a `Life` and one task that lives it."""

    def __init__(self, host: Host, ports: Ports, statuses: Statuses, slices: Slices) -> None:
        self._host = host
        self._ports = ports
        self._statuses = statuses
        self._slices = slices
        self._lives: dict[str, Life] = {}
        # Of each pod: the task that runs it, and the one that ends it.
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._endings: dict[str, asyncio.Task[None]] = {}
        self._graces: dict[str, float] = {}
        self._admitting: dict[str, asyncio.Task[None]] = {}
        # Pods that are being created by us: what the watch said of them before the answer came.
        self._creating: dict[Key, Object | None] = {}
        # Pods that went, in the API, while some were being created or taken in: it may have been these.
        self._gone_early: set[str] = set()
        self._handlers: list[Callable[[Life], None]] = []
        self._closing = False
        statuses.subscribe(self._gone)

    def subscribe(self, on_change: Callable[[Life], None]) -> None:
        """Call `on_change` whenever something about a pod is new."""
        self._handlers.append(on_change)

    def all(self) -> Iterable[Life]:
        return self._lives.values()

    def owned_by(self, uid: str) -> list[Life]:
        return [life for life in self._lives.values() if owner_of(life.obj) == uid]

    # --- coming --------------------------------------------------------------------------------------------------

    async def create(self, make: Callable[[int], Object]) -> Object:
        """Create a pod, given its port, and begin to run it as soon as the API has it."""
        port = self._ports.take()
        wanted = make(port)
        key = key_of(wanted)
        self._creating[key] = None
        try:
            pod = await self._host.cluster.create(POD, wanted)
            self._admit(pod, port)
        except BaseException:
            self._ports.give_back(port)
            raise
        finally:
            # The watch may be ahead of the answer, and the answer may be lost.
            seen = self._creating.pop(key)
            self._forget_early()
            if seen is not None and not self._closing:
                self._seen(seen, seen["metadata"]["uid"])
        self._host.recorder.emit(pod, "Normal", "Scheduled", _scheduled(pod))
        return pod

    def _admit(self, pod: Object, port: int) -> Life:
        """Begin to run a pod that is bound to this machine and has its port in an annotation."""
        life = Life(pod, port, self._host, self._changed)
        self._lives[life.uid] = life
        self._tasks[life.uid] = asyncio.get_running_loop().create_task(self._live(life))
        self._statuses.tell_later(life)
        for handler in self._handlers:
            handler(life)
        if life.uid in self._gone_early:
            self._gone(life.uid)
        return life

    async def _live(self, life: Life) -> None:
        try:
            await life.run()
        except Exception:  # one pod must not stop the others
            log.exception("running pod %s failed", life.obj["metadata"]["name"])

    def _changed(self, life: Life) -> None:
        if not self._closing:
            self._slices.tell(life)
            self._statuses.tell(life)
        for handler in self._handlers:
            handler(life)

    # --- what the API says ---------------------------------------------------------------------------------------

    def on_pod(self, change: Change) -> None:
        """A pod came, changed or went in the API."""
        if self._closing:
            return
        old_uid = change.old["metadata"]["uid"] if change.old else None
        new_uid = change.new["metadata"]["uid"] if change.new else None
        if old_uid is not None and old_uid != new_uid:
            self._gone(old_uid)
        if change.new is not None and new_uid is not None:
            self._seen(change.new, new_uid)

    def _seen(self, pod: Object, uid: str) -> None:
        life = self._lives.get(uid)
        metadata = pod["metadata"]
        if life is None:
            key = key_of(pod)
            if key in self._creating:
                self._creating[key] = pod
            elif uid not in self._admitting:
                self._admitting[uid] = asyncio.get_running_loop().create_task(self._adopt(pod))
            return
        relabelled = life.obj["metadata"].get("labels") != metadata.get("labels")
        life.obj = pod
        if metadata.get("deletionTimestamp"):
            self._end(life, metadata.get("deletionGracePeriodSeconds", 0))
        elif relabelled:
            self._changed(life)

    def _gone(self, uid: str) -> None:
        """A pod is not in the API any more: nothing of it may be left here."""
        life = self._lives.get(uid)
        if life is not None and not self._closing:
            life.kill()
            self._end(life, 0)
        elif self._creating or self._admitting:
            self._gone_early.add(uid)

    def _forget_early(self) -> None:
        """Forget who went early once nobody is on the way in."""
        if not self._creating and not self._admitting:
            self._gone_early.clear()

    async def _adopt(self, pod: Object) -> None:
        """Take in a pod that somebody else created: bind it to this machine, then run it."""
        metadata = pod["metadata"]
        uid, name, namespace = metadata["uid"], metadata["name"], metadata["namespace"]
        failures = 0
        try:
            while True:
                try:
                    await self._bind(pod)
                except (errors.NotFoundError, errors.ConflictError):
                    return
                except errors.TorporError as error:
                    failures += 1
                    log.warning("taking in pod %s/%s failed: %s", namespace, name, error)
                    await asyncio.sleep(RETRY.delay_s(failures))
                else:
                    return
        finally:
            del self._admitting[uid]
            self._forget_early()

    async def _bind(self, pod: Object) -> None:
        metadata, uid = pod["metadata"], pod["metadata"]["uid"]
        if metadata.get("deletionTimestamp"):
            await self._host.cluster.delete(POD, metadata["name"], metadata["namespace"], grace_s=0, uid=uid)
            return
        if (pod.get("status") or {}).get("phase") in _OVER or uid in self._lives:
            return
        if (pod.get("spec") or {}).get("nodeName") not in {None, "", NODE}:
            return  # somebody else's
        port = self._ports.take()
        body = {
            "metadata": {"uid": uid, "annotations": {names.POD_PORT: str(port)}},
            "spec": {"nodeName": NODE},
        }
        try:
            bound = await self._host.cluster.patch(POD, metadata["name"], metadata["namespace"], body)
        except BaseException:
            self._ports.give_back(port)
            raise
        self._host.recorder.emit(bound, "Normal", "Scheduled", _scheduled(bound))
        life = self._admit(bound, port)
        if bound["metadata"].get("deletionTimestamp"):
            self._end(life, bound["metadata"].get("deletionGracePeriodSeconds", 0))

    # --- going ---------------------------------------------------------------------------------------------------

    def _end(self, life: Life, grace_s: float) -> None:
        """Begin to end a pod; asked again with less grace, it gets only that."""
        given = self._graces.setdefault(life.uid, grace_s)
        if life.uid in self._endings:
            if grace_s < given:
                self._graces[life.uid] = grace_s
                asyncio.get_running_loop().call_later(max(0.0, grace_s), life.kill)
            return
        self._endings[life.uid] = asyncio.get_running_loop().create_task(self._finish(life, grace_s))

    async def _finish(self, life: Life, grace_s: float) -> None:
        """Out of the endpoints, a pause, SIGTERM, SIGKILL, and then the last word to the API."""
        served = life.ready_since_s is not None
        life.begin_end()
        try:
            await self._slices.withdraw(life)
            if served and grace_s > 0:
                await asyncio.sleep(DRAIN_S)
            await life.end(grace_s)
            await self._tasks[life.uid]
            await self._delete(life)
        except Exception:  # one pod must not stop the others
            log.exception("ending pod %s failed", life.obj["metadata"]["name"])
            life.kill()
        finally:
            self._forget(life)

    async def _delete(self, life: Life) -> None:
        metadata, failures = life.obj["metadata"], 0
        self._statuses.forget(life)
        while True:
            try:
                await self._host.cluster.delete(POD, metadata["name"], metadata["namespace"], grace_s=0, uid=life.uid)
            except (errors.NotFoundError, errors.ConflictError):
                return
            except errors.TorporError as error:
                failures += 1
                log.warning("the end of pod %s is not told yet: %s", metadata["name"], error)
                await asyncio.sleep(RETRY.delay_s(failures))
            else:
                return

    def _forget(self, life: Life) -> None:
        self._statuses.forget(life)
        self._slices.forget(life)
        self._ports.give_back(life.port)
        self._lives.pop(life.uid, None)
        self._tasks.pop(life.uid, None)
        self._endings.pop(life.uid, None)
        self._graces.pop(life.uid, None)
        life.forget_files()
        for handler in self._handlers:
            handler(life)

    async def delete(self, life: Life) -> None:
        """Ask the API to delete a pod gracefully; its end begins when the API says so, here as well as elsewhere."""
        metadata = life.obj["metadata"]
        try:
            marked = await self._host.cluster.delete(POD, metadata["name"], metadata["namespace"], uid=life.uid)
        except (errors.NotFoundError, errors.ConflictError):
            self._gone(life.uid)
            return
        self._end(life, marked["metadata"].get("deletionGracePeriodSeconds", 0))

    # --- a former life, and the end of this one ------------------------------------------------------------------

    async def clean(self, pods: Iterable[Object]) -> None:
        """After a start: pods of a Deployment have no process any more and are replaced; others are taken in again."""
        listed = list(pods)
        kept = [pod for pod in listed if owner_of(pod) is None]
        await asyncio.to_thread(remove_strangers, self._host.pods_dir, kept)

        async def remove(pod: Object) -> None:
            metadata = pod["metadata"]
            try:
                await self._host.cluster.delete(
                    POD, metadata["name"], metadata["namespace"], grace_s=0, uid=metadata["uid"]
                )
            except (errors.NotFoundError, errors.ConflictError):
                return

        await asyncio.gather(*(remove(pod) for pod in listed if owner_of(pod) is not None))

    async def close(self) -> None:
        """End all pods, in parallel, and leave the objects as they are: the next start goes on from them."""
        self._closing = True
        for task in self._admitting.values():
            task.cancel()
        lives = list(self._lives.values())
        log.info("ending %d pods", len(lives))
        await asyncio.gather(*(life.end(min(SHUTDOWN_S, life.grace_s)) for life in lives))
        tasks = [*self._tasks.values(), *self._endings.values(), *self._admitting.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def owner_of(pod: Object) -> str | None:
    """Return the uid of the Deployment that a pod belongs to."""
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference.get("controller") and reference.get("kind") == DEPLOYMENT.kind:
            uid: str = reference["uid"]
            return uid
    return None


def _scheduled(pod: Object) -> str:
    metadata = pod["metadata"]
    return f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {NODE}"
