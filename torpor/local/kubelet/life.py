"""One pod from its first process to its last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from torpor.aio.backoff import Backoff
from torpor.errors import InvalidInputError, TorporError
from torpor.local.kubelet.container import Keeper
from torpor.local.kubelet.endpoints import Member
from torpor.local.kubelet.environment import ConfigError
from torpor.local.kubelet.files import PodFiles
from torpor.local.kubelet.machine import Host
from torpor.local.kubelet.podstatus import CREATING, INITIALIZING, PodKnown, Restart
from torpor.local.kubelet.timestamps import timestamp
from torpor.local.kubelet.volumes import make_volumes
from torpor.spec.kinds import Object
from torpor.spec.pod import PodSpec, parse_pod

log = logging.getLogger(__name__)

DRAIN_S = 0.1
"""Between leaving the endpoints and SIGTERM. The slice's end reaches a proxy within a few milliseconds; a request that
it had just sent on then needs a connection and a read: a tenth of a second is much for both on one machine, and
little for whoever waits for the pod to go."""
VOLUME_RETRY = Backoff(first_s=0.5, limit_s=10.0)


class Life:
    """A pod that this machine runs."""

    def __init__(self, pod: Object, port: int, host: Host, on_change: Callable[[Life], None]) -> None:
        self.obj = pod
        self.port = port
        self._host = host
        self._on_change = on_change
        self._spec: PodSpec | None = None
        self._keepers: tuple[Keeper, ...] = ()
        self._init_keepers: tuple[Keeper, ...] = ()
        self._refused: tuple[str, str] | None = None
        self._ending = asyncio.Event()
        self._started_at = timestamp(host.clock.wall())
        self.born_s = host.clock.monotonic()
        self.ready_since_s: float | None = None
        self.ever_ready = False
        self.told: Object = {}
        """The status that the API was given last."""
        self._prepare()

    @property
    def uid(self) -> str:
        uid: str = self.obj["metadata"]["uid"]
        return uid

    @property
    def grace_s(self) -> float:
        return 0.0 if self._spec is None else self._spec.grace_s

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    # --- what is known -------------------------------------------------------------------------------------------

    def known(self) -> PodKnown:
        return PodKnown(
            tuple(keeper.seen for keeper in self._keepers),
            tuple(keeper.seen for keeper in self._init_keepers),
            "Always" if self._spec is None else self._spec.restart,
            self._started_at,
            self._refused,
        )

    def member(self) -> Member | None:
        """Return the pod as Services see it; None if they shall not see it."""
        if self._spec is None or self.ending:
            return None
        return Member(self.obj, self._spec, self.port, self.ready_since_s is not None, self.ever_ready)

    def _changed(self) -> None:
        ready = self._spec is not None and not self.ending and self.known().ready
        if ready != (self.ready_since_s is not None):
            self.ready_since_s = self._host.clock.wall() if ready else None
            self.ever_ready = self.ever_ready or ready
        self._on_change(self)

    # --- life ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        try:
            spec = self._spec = parse_pod(self.obj)
        except InvalidInputError as error:
            self._refused = ("InvalidSpec", str(error))
            return
        waiting = INITIALIZING if spec.init_containers else CREATING
        once: Restart = "Never" if spec.restart == "Never" else "OnFailure"
        self._init_keepers = tuple(
            Keeper(each, self.obj, spec, self.port, self._host, restart=once, on_change=self._changed)
            for each in spec.init_containers
        )
        self._keepers = tuple(
            Keeper(
                each, self.obj, spec, self.port, self._host,
                restart=spec.restart, waiting=waiting, on_change=self._changed,
            )
            for each in spec.containers
        )  # fmt: skip

    async def run(self) -> None:
        """Run what the pod is made of; returns when all of it is over."""
        if self._spec is None:
            self._changed()
            return
        if not await self._make_volumes(self._spec):
            return
        for keeper in self._init_keepers:
            await keeper.run()
            if self.ending or not keeper.seen.succeeded:
                self._changed()
                return
        async with asyncio.TaskGroup() as group:
            for keeper in self._keepers:
                group.create_task(keeper.run())
        self._changed()

    async def _make_volumes(self, spec: PodSpec) -> bool:
        """Write the files of the volumes; waits for what they are made of. False: told to end meanwhile."""
        failures = 0
        while not self.ending:
            try:
                await make_volumes(self.obj, spec, self._host)
            except (ConfigError, TorporError, OSError, ValueError) as error:
                failures += 1
                self._host.recorder.emit(self.obj, "Warning", "FailedMount", f"MountVolume.SetUp failed: {error}")
                try:
                    async with asyncio.timeout(VOLUME_RETRY.delay_s(failures)):
                        await self._ending.wait()
                except TimeoutError:
                    continue
            else:
                return True
        return False

    def begin_end(self) -> None:
        """From now on it serves nobody new."""
        self._ending.set()
        self._changed()

    async def end(self, grace_s: float) -> None:
        """End all containers, in parallel."""
        self._ending.set()
        await asyncio.gather(*(keeper.end(grace_s) for keeper in (*self._init_keepers, *self._keepers)))

    def kill(self) -> None:
        self._ending.set()
        for keeper in (*self._init_keepers, *self._keepers):
            keeper.kill()

    def forget_files(self) -> None:
        PodFiles(self._host.pods_dir, self.obj).remove()
