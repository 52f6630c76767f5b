"""Pods that are deleted by force at the worst moment: while the API's answer about them is on its way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tests.support.cluster import FakeCluster
from tests.support.until import until
from torpor.aio.clock import SystemClock
from torpor.kube import Change, Informer, Recorder
from torpor.local.kubelet import slices
from torpor.local.kubelet.limits import Limits
from torpor.local.kubelet.lives import Lives
from torpor.local.kubelet.machine import Host, capacity
from torpor.local.kubelet.ports import Ports
from torpor.local.kubelet.process import POD_DIR, Launcher
from torpor.local.kubelet.slices import Slices
from torpor.local.kubelet.statuses import Statuses
from torpor.spec.kinds import CORE_SERVICE, ENDPOINT_SLICE, POD, Kind, Object, key_of

SPEC = {
    "terminationGracePeriodSeconds": 0,
    "containers": [{"name": "main", "image": "none", "command": ["sleep", "317"]}],
}


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


def lone_pod() -> Object:
    metadata = {"name": "lone", "namespace": "default", "labels": {"app": "lone"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": SPEC}


@pytest.mark.parametrize("by_us", [True, False], ids=["created-by-us", "taken-in"])
async def test_a_pod_that_goes_before_we_have_its_answer_does_not_run_on(by_us: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """The watch says that it went before there is anything to end: it ends as soon as there is."""
    async with working(tmp_path) as kubelet:

        def delete(kind: Kind, made: Object) -> None:
            if kind is POD:
                kubelet.cluster.meanwhile = lambda _kind, _obj: None
                kubelet.said(None, made)
                kubelet.cluster.remove(POD, "lone", "default")
                kubelet.said(made, None)

        if by_us:
            kubelet.cluster.meanwhile = delete
            await kubelet.lives.create(lambda _port: lone_pod())
        else:
            made = kubelet.cluster.put(POD, lone_pod())
            kubelet.cluster.meanwhile = delete
            kubelet.said(None, made)
            await until(lambda: not kubelet.cluster.all(POD))
            await until(lambda: not kubelet.lives._admitting)
        await until(lambda: not list(kubelet.lives.all()))
        await until(lambda: not kubelet.processes())
        assert not kubelet.lives._gone_early, "nobody is on the way in any more"


async def test_a_pod_whose_end_nobody_told_us_is_noticed_by_its_status(tmp_path: Path) -> None:
    """The watch was broken when it came and when it went; the API knows no such pod."""
    async with working(tmp_path) as kubelet:
        await kubelet.lives.create(lambda _port: lone_pod())
        kubelet.cluster.remove(POD, "lone", "default")
        await until(lambda: not list(kubelet.lives.all()))
        await until(lambda: not kubelet.processes())


async def test_a_slice_that_is_being_written_while_its_pod_goes_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the API takes for it: whoever read it would send requests to a port that is free."""
    monkeypatch.setattr(slices, "WITHDRAW_S", 0.05)
    async with working(tmp_path) as kubelet:
        service = {
            "metadata": {"name": "lone", "namespace": "default"},
            "spec": {"selector": {"app": "lone"}, "ports": [{"name": "http", "port": 80}]},
        }
        kubelet.services.items["default", "lone"] = kubelet.cluster.put(CORE_SERVICE, service)
        answered = kubelet.cluster.slices_answered = asyncio.Event()
        pod = await kubelet.lives.create(lambda _port: lone_pod())
        await until(lambda: kubelet.cluster.all(ENDPOINT_SLICE))
        kubelet.cluster.remove(POD, "lone", "default")
        kubelet.said(pod, None)
        await until(lambda: not list(kubelet.lives.all()))
        answered.set()
        await until(lambda: not kubelet.cluster.all(ENDPOINT_SLICE))
        await until(lambda: not kubelet.slices._written)
