"""The activator, put together: everything that is shared is made here, once, in the order in which it is needed."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import signal
import ssl
from collections.abc import Callable, Iterable

from activator import admin
from activator.access.locks import Locks
from activator.autoscaler.loop import Autoscaler
from activator.autoscaler.reported import Reported
from activator.export import DoorCollector
from activator.grpc.client import ClientLine
from activator.peers.team import Identity, Team
from activator.proxy.door import Door
from activator.proxy.pool import Pool
from activator.proxy.server import Server
from activator.routing.follow import Follower
from activator.routing.table import Router, build
from activator.settings import Settings
from activator.shapes import known
from activator.throttle.report import RevisionKey
from activator.throttle.throttler import Budget, Hooks
from activator.throttle.throttlers import Throttlers
from activator.throttle.wakes import Wakes
from activator.tls import Certificate
from activator.waiting.chain import woken_with
from activator.waiting.shelf import Shelf
from activator.waiting.watching import Watching
from torpor.aio import garbage
from torpor.aio.beside import beside, done_before
from torpor.aio.clock import SystemClock
from torpor.aio.ready import notify
from torpor.kube import Cluster, Informer, Recorder, Settled
from torpor.spec import names
from torpor.spec.autoscaling import Defaults
from torpor.spec.clusterscaling import SCALING
from torpor.spec.kinds import CONFIGURATION, DEPLOYMENT, ENDPOINT_SLICE, POD, REVISION, ROUTE

log = logging.getLogger(__name__)


async def serve_until_signalled(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises SettingError, maybe in a group, where that cannot begin."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop, garbage.settle)


async def serve(settings: Settings, stop: asyncio.Event, on_read: Callable[[], None] = lambda: None) -> None:
    """Serve until `stop` is set, then let requests in flight finish.

    `on_read`: called once all that there is in the cluster has been read, before anybody is served.
    """
    clock = SystemClock()
    async with await Cluster.connect(settings.kubeconfig, name="activator") as cluster:
        # What the cluster says.
        routes, configurations, revisions = (known(cluster, kind) for kind in (ROUTE, CONFIGURATION, REVISION))
        slices, pods, deployments = (
            known(cluster, kind, labels=names.REVISION) for kind in (ENDPOINT_SLICE, POD, DEPLOYMENT)
        )
        # Who may come in.
        told, recorder = (Recorder(cluster, f"torpor-{who}") for who in ("activator", "autoscaler"))
        locks = Locks(routes, told, clock)
        informers = [routes, configurations, revisions, slices, pods, deployments, *locks.informers(cluster)]

        # Where requests wait.
        def wake(revision: RevisionKey) -> None:
            autoscaler.poke(revision)  # made further down, for it looks at the queues that call this
            for other in woken_with(revision, throttlers.wakes, router.leads_to):
                autoscaler.poke(other)

        pool = Pool(settings.pods, settings.client.buffered_bytes, clock)
        wakes = Wakes(pods, clock)
        hooks = Hooks(on_demand=wake, on_wake=wakes.woke, on_gone=pool.gone)
        waiting = settings.waiting
        throttlers = Throttlers(
            waiting.queue_limit,
            waiting.activation_timeout_s,
            hooks,
            clock,
            queue_bytes=waiting.queue_bytes,
            budget=Budget(waiting.waiting_bytes),
        )
        watching = Watching(clock)
        revisions.subscribe(throttlers.revision_changed)
        slices.subscribe(throttlers.slice_changed)
        for subscriber in (throttlers, wakes, watching):
            pods.subscribe(subscriber.pod_changed)

        # Where they go.
        router = Router(build((), settings.domain))
        follower = Follower(router, settings.domain, routes, configurations, throttlers, random.random, locks.guard_of)
        locks.on_policy = follower.reread

        # How many pods there are for them.
        team = Team(cluster, settings.namespace, throttlers, clock, throttlers.set_share)
        autoscaler = Autoscaler(
            *(cluster, deployments, revisions, routes, team, recorder, clock, Defaults()),
            team=team,
            reported=Reported(throttlers.pods_of, clock),
        )
        team.on_lead, team.on_wake = autoscaler.lead, autoscaler.poke
        cluster_defaults = Settled(cluster, SCALING, autoscaler.use, recorder)
        autoscaler.follow(cluster_defaults.informer)
        informers += (cluster_defaults.informer, team.informer)

        # Where they come in.
        door = Door(
            *(router, throttlers, pool, settings.client, clock),
            waiting=waiting,
            shelf=Shelf(settings.deferring),
            stage_of=watching.look,
        )
        server = Server(door)
        certificate = _certificate(settings, cluster, told, informers)

        work = (
            *(informer.run for informer in informers),
            recorder.run,
            told.run,
            autoscaler.run,
            server.watch,
        )
        token, at = admin.read_token(settings.token_file), (settings.host, settings.admin_port)
        try:
            async with (
                admin.serving(token, *at, DoorCollector(door), team.hear) as admin_port,
                beside(*work, functools.partial(team.run, _identity(settings, token, admin_port))),
            ):
                if await done_before(stop, _synced(informers)):
                    follower.rebuild()
                    on_read()
                    await _listen(server, door, settings, certificate)
                    log.info("serving on %s, ports %s, admin on port %d", settings.host, server.ports, admin_port)
                    notify(settings.ready_fd)
                    await stop.wait()
                    log.info("draining: requests in flight have %g s", settings.leaving.grace_s)
                    left = await server.drain(settings.leaving.grace_s)
                    log.info("drained; connections that were cut: %d", left)
        finally:
            for each in (follower, door.shelf, throttlers):
                each.close()
            for other in (locks, wakes, watching, pool):
                await other.close()


def _identity(settings: Settings, token: str, admin_port: int) -> Identity:
    """Return who we are for other activators."""
    return Identity(settings.name, f"{settings.advertise}:{admin_port}", token)


async def _synced(informers: Iterable[Informer]) -> None:
    """Return once all that there is has been read."""
    for informer in informers:
        await informer.synced()


def _certificate(settings: Settings, cluster: Cluster, told: Recorder, informers: list[Informer]) -> Certificate | None:
    """Return the data ports' certificate, which is followed too; None: they speak without TLS."""
    if settings.tls_secret is None:
        return None
    certificate = Certificate(settings.tls_secret, told)
    informers.append(certificate.informer(cluster))
    return certificate


async def _listen(server: Server, door: Door, settings: Settings, certificate: Certificate | None) -> None:
    """Open the data ports."""
    tls: tuple[ssl.SSLContext | None, ...] = (None, None)
    if certificate is not None:
        tls = (certificate.http, certificate.http2)
        certificate.check()
    await server.start(settings.host, settings.http_port, tls[0])
    calls = functools.partial(ClientLine, door, settings.streams)
    await server.listen("grpc-port", calls, settings.host, settings.grpc_port, tls[1])
