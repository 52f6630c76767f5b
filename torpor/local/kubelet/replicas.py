"""Make the pods of each Deployment as many as it asks for."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import logging
import secrets
from collections.abc import Coroutine
from typing import Any

import orjson

from torpor import errors
from torpor.kube import Change, Informer, WorkQueue
from torpor.kube.informer import Key
from torpor.local.kubelet.deployments import (
    PROGRESSING,
    Now,
    PodSeen,
    condition,
    next_look_s,
    parse_deployment,
    plan,
    status,
)
from torpor.local.kubelet.life import Life
from torpor.local.kubelet.lives import Lives, owner_of
from torpor.local.kubelet.machine import NODE, Host
from torpor.local.kubelet.timestamps import seconds, timestamp
from torpor.spec import names
from torpor.spec.kinds import DEPLOYMENT, POD, Object

log = logging.getLogger(__name__)

HASH = "pod-template-hash"
AT_ONCE = 8
"""Requests to the API at a time, for one Deployment."""
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""As in Kubernetes: no vowels, so that chance writes no words."""
_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")


class Replicas:
    """One look at a Deployment at a time: what it creates is known before the next look."""

    def __init__(self, host: Host, lives: Lives, deployments: Informer) -> None:
        self._host = host
        self._lives = lives
        self._deployments = deployments
        self._keys: dict[str, Key] = {}
        self._queue: WorkQueue[Key] = WorkQueue(self._look)

    def on_deployment(self, change: Change) -> None:
        if change.new is None and change.old is not None:
            self._keys.pop(change.old["metadata"]["uid"], None)
        self._queue.add(change.key)

    def on_life(self, life: Life) -> None:
        """Something about a pod is new: its Deployment may want another."""
        owner = owner_of(life.obj)
        key = None if owner is None else self._keys.get(owner)
        if key is not None:
            self._queue.add(key)

    async def close(self) -> None:
        await self._queue.close()

    async def _look(self, key: Key) -> float | None:
        obj = self._deployments.items.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None  # what it owned goes with it: the API's work
        uid = obj["metadata"]["uid"]
        self._keys[uid] = key
        template_hash = hash_of(obj["spec"]["template"])
        try:
            wanted = parse_deployment(obj, template_hash)
        except errors.InvalidInputError as error:
            self._host.recorder.emit(obj, "Warning", "FailedCreate", str(error))
            return None
        now_s = self._host.clock.wall()
        decided = plan(wanted, self._pods(uid), now_s)
        before = len([pod for pod in self._pods(uid) if not pod.ending])
        lives = {life.uid: life for life in self._lives.owned_by(uid)}
        await _bounded(
            [self._create(obj, template_hash) for _ in range(decided.create)]
            + [self._lives.delete(lives[gone]) for gone in decided.delete]
        )
        self._tell(obj, template_hash, before, decided.create, len(decided.delete))
        pods = self._pods(uid)
        known = obj.get("status") or {}
        updated = condition(known, PROGRESSING).get("lastUpdateTime")
        progressed_s = seconds(updated) if updated else now_s
        told = status(obj, wanted, pods, progressed_s, Now(now_s, timestamp(now_s)))
        if told != {name: value for name, value in known.items() if value not in (0, None)}:
            await self._write(key, uid, told)
        return next_look_s(wanted, pods, told, progressed_s, now_s)

    def _pods(self, uid: str) -> list[PodSeen]:
        return [
            PodSeen(
                life.uid,
                (life.obj["metadata"].get("labels") or {}).get(HASH, ""),
                life.born_s,
                life.ready_since_s,
                life.ending,
            )
            for life in self._lives.owned_by(uid)
        ]

    async def _create(self, deployment: Object, template_hash: str) -> None:
        try:
            await self._lives.create(lambda port: pod_of(deployment, template_hash, port))
        except errors.ForbiddenError as error:  # its namespace is ending, and so is the Deployment
            log.info("no pod for %s: %s", deployment["metadata"]["name"], error)
        except errors.TorporError as error:
            self._host.recorder.emit(deployment, "Warning", "FailedCreate", f"Error creating: {error}")
            raise

    def _tell(self, deployment: Object, template_hash: str, before: int, created: int, deleted: int) -> None:
        replica_set = f"{deployment['metadata']['name']}-{template_hash}"
        steps = (("up", before, before + created), ("down", before + created, before + created - deleted))
        for word, old, new in steps:
            if old != new:
                text = f"Scaled {word} replica set {replica_set} from {old} to {new}"
                self._host.recorder.emit(deployment, "Normal", "ScalingReplicaSet", text)

    async def _write(self, key: Key, uid: str, told: Object) -> None:
        gone = {name: None for name in _COUNTS if name not in told}
        namespace, name = key
        body = {"metadata": {"uid": uid}, "status": {**told, **gone}}
        try:
            await self._host.cluster.patch(DEPLOYMENT, name, namespace, body, sub="status")
        except (errors.NotFoundError, errors.ConflictError):
            return  # it is gone, or another one has its name: the informer will say so


async def _bounded(work: list[Coroutine[Any, Any, None]]) -> None:
    """Do all of it, a few at a time; the first failure is raised after all have been tried."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(coroutine: Coroutine[Any, Any, None]) -> None:
        async with places:
            await coroutine

    results = await asyncio.gather(*(one(each) for each in work), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def hash_of(template: Object) -> str:
    """Return a short name for a template: equal for equal ones, whatever the order of their fields."""
    digest = hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def pod_of(deployment: Object, template_hash: str, port: int) -> Object:
    """Return a new pod of a Deployment, bound to this machine."""
    metadata, template = deployment["metadata"], copy.deepcopy(deployment["spec"]["template"])
    given = template.get("metadata") or {}
    suffix = "".join(secrets.choice(_LETTERS) for _ in range(5))
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {
            "name": f"{metadata['name'][:230]}-{template_hash}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": {**(given.get("labels") or {}), HASH: template_hash},
            "annotations": {**(given.get("annotations") or {}), names.POD_PORT: str(port)},
            "ownerReferences": [
                {
                    "apiVersion": DEPLOYMENT.api_version,
                    "kind": DEPLOYMENT.kind,
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {**template["spec"], "nodeName": NODE},
    }
