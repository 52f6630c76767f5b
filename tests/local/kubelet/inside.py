"""What runs pods, inside the test, on a cluster in memory: real processes, and the test plays the watch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil

from tests.support.cluster import FakeCluster
from torpor.aio.clock import SystemClock
from torpor.kube import Change, Informer, Recorder
from torpor.local.kubelet.limits import Limits
from torpor.local.kubelet.lives import Lives
from torpor.local.kubelet.machine import Host, capacity
from torpor.local.kubelet.ports import Ports
from torpor.local.kubelet.process import POD_DIR, Launcher
from torpor.local.kubelet.slices import Slices
from torpor.local.kubelet.statuses import Statuses
from torpor.spec.kinds import CORE_SERVICE, ENDPOINT_SLICE, POD, Kind, Object, key_of

CONTAINER = {"name": "main", "image": "none", "command": ["sleep", "317"]}


class SlowCluster(FakeCluster):
    """Whose answers take their time: `meanwhile` happens after an object was written, and before that is answered."""

    meanwhile: Callable[[Kind, Object], None] = staticmethod(lambda _kind, _obj: None)
    slices_answered: asyncio.Event | None = None

    async def create(self, kind: Kind, obj: Object) -> Object:
        made = await super().create(kind, obj)
        self.meanwhile(kind, made)
        if kind is ENDPOINT_SLICE and self.slices_answered is not None:
            await self.slices_answered.wait()
        return made

    async def patch(self, kind: Kind, *arguments: object, **options: object) -> Object:
        made = await super().patch(kind, *arguments, **options)  # type: ignore[arg-type]
        if not options.get("sub"):
            self.meanwhile(kind, made)
        return made


class Kubelet:
    """What runs pods, without the loops around it: the test plays the watch."""

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.folder = folder
        self.cluster = SlowCluster()
        self.recorder = Recorder(self.cluster, "test")  # type: ignore[arg-type]  # it fits
        clock = SystemClock()
        host = Host(folder, self.cluster, self.recorder, clock, launcher, capacity(), {}, Limits())  # type: ignore[arg-type]
        self.services = Informer(self.cluster, CORE_SERVICE)  # type: ignore[arg-type]
        self.slices = Slices(self.cluster, self.services)  # type: ignore[arg-type]
        self.statuses = Statuses(self.cluster, clock)  # type: ignore[arg-type]
        self.lives = Lives(host, Ports(20000, 20100), self.statuses, self.slices)

    def processes(self) -> list[psutil.Process]:
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.folder) in each.environ().get(POD_DIR, "") and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
        return found

    def said(self, old: Object | None, new: Object | None) -> None:
        """Let the watch say it."""
        key = key_of(new or old or {})
        self.lives.on_pod(Change(POD, key, old, new))


@contextlib.asynccontextmanager
async def working(folder: Path) -> AsyncIterator[Kubelet]:
    launcher = Launcher(time.time, f"{POD_DIR}={folder}/")
    async with launcher.working():
        made = Kubelet(folder, launcher)
        yield made
        await made.lives.close()
        await made.slices.close()
        await made.statuses.close()


def lone_pod(**container: Any) -> Object:
    metadata = {"name": "lone", "namespace": "default", "labels": {"app": "lone"}}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [CONTAINER | container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
