"""Put the controller together, work, and end cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

from controller.engine import Engine
from controller.inferenceservice.observe import RECONCILER as INFERENCE_SERVICES
from controller.knative.reconcilers import RECONCILERS as KNATIVE
from controller.options import Options
from controller.reconciler import Reconciler
from controller.settings import Settings
from controller.view import View
from torpor.aio.backoff import Backoff
from torpor.aio.clock import Clock, SystemClock
from torpor.aio.ready import notify
from torpor.errors import NotFoundError, TorporError
from torpor.kube import Cluster, Informer, Recorder, Settled
from torpor.spec.autoscaling import Defaults
from torpor.spec.cluster import ClusterWide
from torpor.spec.clusterrevisions import REVISIONS
from torpor.spec.clusterscaling import SCALING
from torpor.spec.kinds import DEPLOYMENT, Kind
from torpor.spec.knative import RevisionDefaults

log = logging.getLogger(__name__)

DRAIN_S = 5.0
"""For what is being written when we are told to stop."""
ASK_AGAIN = Backoff(first_s=0.1, limit_s=5.0)


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; raises SettingError where the credentials cannot be read."""
    stopped = _stopped()
    async with await Cluster.connect(settings.kubeconfig, name="controller") as cluster:
        work = asyncio.ensure_future(_work(settings, cluster))
        told = asyncio.ensure_future(stopped.wait())
        await asyncio.wait((work, told), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        work.cancel()  # wherever it is, also where the API has not answered yet; it finishes what it writes
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def _work(settings: Settings, cluster: Cluster) -> None:
    reconcilers = await chosen(settings.knative, cluster)
    async with working(reconcilers, cluster, settings.options, SystemClock()):
        log.info("reconciling %s", ", ".join(reconciler.kind.kind for reconciler in reconcilers))
        notify(settings.ready_fd)
        await asyncio.get_running_loop().create_future()  # until cancelled


async def chosen(knative: str, cluster: Cluster) -> tuple[Reconciler[Any], ...]:
    """Return the reconcilers that are ours in this cluster."""
    ours = knative == "on" or (knative == "auto" and not await _knative_is_there(cluster))
    return (*KNATIVE, INFERENCE_SERVICES) if ours else (INFERENCE_SERVICES,)


@contextlib.asynccontextmanager
async def working(
    reconcilers: Iterable[Reconciler[Any]], cluster: Cluster, options: Options, clock: Clock
) -> AsyncIterator[View]:
    """Watch, and reconcile once everything is known; finish what is under way before leaving."""
    reconcilers = tuple(reconcilers)
    informers = {kind: Informer(cluster, kind, labels=labels) for kind, labels in _watched(reconcilers).items()}
    # The view comes first: when a reconciler hears of a change, it sees it.
    view = View(informers.values(), {index for each in reconcilers for index in each.indexes})
    recorder = Recorder(cluster, "torpor-controller")
    engines = [Engine(each, view, cluster, recorder, options, clock) for each in reconcilers]
    settled = _settled(cluster, recorder, engines, options)
    followed = (*informers.values(), *(each.informer for each in settled))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(informer.run()) for informer in followed]
        tasks.append(group.create_task(recorder.run()))
        try:
            for informer in followed:
                await informer.synced()
            for engine in engines:
                engine.start(informers)
            yield view
        finally:
            await asyncio.gather(*(engine.stop(DRAIN_S) for engine in engines))  # all of them have the same seconds
            for task in tasks:
                task.cancel()


def _settled(
    cluster: Cluster, recorder: Recorder, engines: Iterable[Engine[Any]], options: Options
) -> tuple[Settled[Defaults], Settled[RevisionDefaults]]:
    """Return what hands the cluster's ConfigMaps to the engines whenever they change."""
    engines = tuple(engines)
    wide = options.cluster

    def use(fresh: ClusterWide) -> None:
        nonlocal wide
        wide = fresh
        for engine in engines:
            engine.use(replace(options, cluster=wide))

    return (
        # What is wrong with this one the autoscaler says.
        Settled(cluster, SCALING, lambda fresh: use(replace(wide, scaling=fresh))),
        Settled(cluster, REVISIONS, lambda fresh: use(replace(wide, revisions=fresh)), recorder),
    )


def _watched(reconcilers: Iterable[Reconciler[Any]]) -> dict[Kind, str]:
    """Return each kind that somebody looks at, with the label selector that fits all of them."""
    watched: dict[Kind, str] = {}
    for reconciler in reconcilers:
        watched[reconciler.kind] = ""
        for watch in reconciler.watches:
            if watched.setdefault(watch.kind, watch.labels) != watch.labels:
                watched[watch.kind] = ""
    return watched


async def _knative_is_there(cluster: Cluster) -> bool:
    """Tell whether Knative Serving's own controller is installed: its Deployment is, under its well-known name.

    The kinds do not tell: they are there in any case. Two controllers on the same objects would undo each other's work.
    """
    failures = 0
    while True:
        try:
            await cluster.get(DEPLOYMENT, "controller", "knative-serving")
        except NotFoundError:
            return False
        except TorporError as error:
            failures += 1
            delay_s = ASK_AGAIN.delay_s(failures)
            log.warning("is Knative installed? asked again in %.1f s: %s", delay_s, error)
            await asyncio.sleep(delay_s)
        else:
            log.info("Knative Serving is installed: its kinds are left to it")
            return True


def _stopped() -> asyncio.Event:
    """Return what SIGTERM or SIGINT sets."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped
