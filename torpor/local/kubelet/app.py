"""Put the kubelet together, run pods, and end with none left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from torpor.aio.beside import beside, done_before
from torpor.aio.clock import SystemClock
from torpor.aio.ready import notify
from torpor.kube import Cluster, Informer, Recorder
from torpor.local.apiserver.files import locked, private_folder
from torpor.local.kubelet.files import shorten_all
from torpor.local.kubelet.leftovers import bury
from torpor.local.kubelet.limits import enforced
from torpor.local.kubelet.lives import Lives
from torpor.local.kubelet.machine import Host, capacity, inherited
from torpor.local.kubelet.ports import Ports, outside_ephemeral
from torpor.local.kubelet.process import POD_DIR, Launcher
from torpor.local.kubelet.replicas import Replicas
from torpor.local.kubelet.settings import Settings
from torpor.local.kubelet.slices import Slices
from torpor.local.kubelet.statuses import Statuses
from torpor.spec.kinds import CORE_SERVICE, DEPLOYMENT, POD

log = logging.getLogger(__name__)

LOCK = "kubelet.lock"
COMPONENT = "kubelet"
LOGS_EVERY_S = 10.0


async def serve(settings: Settings) -> None:
    """Run pods until SIGTERM or SIGINT; raises SettingError where that cannot begin."""
    clock = SystemClock()
    stopping = asyncio.Event()
    with locked(settings.data_dir, LOCK), _signals(stopping), enforced() as limits:
        private_folder(settings.data_dir / "pods")  # what pods are told, and what they say
        ours = f"{POD_DIR}={settings.data_dir / 'pods'}/"
        killed = await asyncio.to_thread(bury, ours)
        if killed:
            log.warning("killed %d processes that an earlier kubelet had left", killed)
        launcher = Launcher(clock.wall, ours)
        async with await Cluster.connect(settings.kubeconfig, name="kubelet") as cluster, launcher.working():
            recorder = Recorder(cluster, COMPONENT)
            host = Host(
                settings.data_dir, cluster, recorder, clock, launcher, capacity(), inherited(os.environ), limits
            )
            services = Informer(cluster, CORE_SERVICE)
            slices = Slices(cluster, services)
            statuses = Statuses(cluster, clock)
            lives = Lives(host, Ports(*outside_ephemeral()), statuses, slices)
            deployments = Informer(cluster, DEPLOYMENT)
            replicas = Replicas(host, lives, deployments)
            pods = Informer(cluster, POD)
            services.subscribe(slices.on_service)
            pods.subscribe(lives.on_pod)
            deployments.subscribe(replicas.on_deployment)
            lives.subscribe(replicas.on_life)

            async def from_scratch() -> None:
                await slices.remove_all()
                await lives.clean((await cluster.list(POD))[0])

            async def synced() -> None:
                await asyncio.gather(*(informer.synced() for informer in (services, pods, deployments)))

            if not await done_before(stopping, from_scratch()):
                return
            work = (recorder.run, services.run, pods.run, deployments.run, lambda: _bound_logs(host.pods_dir))
            async with beside(*work):
                if await done_before(stopping, synced()):
                    notify(settings.ready_fd)
                    log.info("running pods below %s", host.pods_dir)
                    await stopping.wait()
                await replicas.close()
                await lives.close()
            await slices.close()
            await statuses.close()


async def _bound_logs(root: Path) -> None:
    """Keep the logs from filling the disk; returns only when cancelled."""
    while True:
        await asyncio.sleep(LOGS_EVERY_S)
        try:
            await asyncio.to_thread(shorten_all, root)
        except OSError as error:
            log.warning("logs could not be shortened: %s", error)


@contextlib.contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    ours = (signal.SIGTERM, signal.SIGINT)
    for number in ours:
        loop.add_signal_handler(number, stopping.set)
    try:
        yield
    finally:
        for number in ours:
            loop.remove_signal_handler(number)
