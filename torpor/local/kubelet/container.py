"""One container through all its runs: start, probe, end, start again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torpor.aio.backoff import Backoff as Retry
from torpor.errors import TorporError
from torpor.local.kubelet import images, probes
from torpor.local.kubelet.composing import Composer, Prepared
from torpor.local.kubelet.environment import ConfigError
from torpor.local.kubelet.files import PodFiles
from torpor.local.kubelet.limits import Group
from torpor.local.kubelet.machine import Host
from torpor.local.kubelet.podstatus import CREATING, ContainerSeen, Restart, Running, Terminated, Waiting
from torpor.local.kubelet.probing import ask
from torpor.local.kubelet.process import Command, Process, StartError
from torpor.local.kubelet.restarts import Backoff, runs_again, words
from torpor.local.kubelet.timestamps import timestamp
from torpor.spec.kinds import Object
from torpor.spec.pod import Container, PodSpec
from torpor.spec.probe import Probe, Purpose

log = logging.getLogger(__name__)

CONFIG_RETRY = Retry(first_s=0.5, limit_s=10.0)
"""How soon a ConfigMap or Secret that was missing is looked for again."""
START_FAILED = 128
"""The exit code of a program that could not be started, as container runtimes have it."""
NOT_STARTED = "StartError"


class Keeper:
    """Keep one container running as its pod's restart policy says. `seen` is what is to be told of it."""

    def __init__(
        self,
        container: Container,
        pod: Object,
        spec: PodSpec,
        port: int,
        host: Host,
        *,
        restart: Restart,
        waiting: Waiting = CREATING,
        on_change: Callable[[], None],
    ) -> None:
        self._container = container
        self._pod = pod
        self._spec = spec
        self._host = host
        self._restart = restart
        self._on_change = on_change
        self._files = PodFiles(host.pods_dir, pod)
        self._composer = Composer(container, pod, spec, port, host, self._files)
        self._run = self._files.next_run(container.name)
        self._process: Process | None = None
        self._group: Group | None = None
        self._running: Command | None = None
        self._execs = 0
        self._ending = asyncio.Event()
        self.seen = ContainerSeen(container.name, container.image, waiting, restarts=self._run)

    # --- life ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Return when the container is over for good, or was told to end."""
        backoff = Backoff()
        self._tell_missing_limits()
        while not self._ending.is_set():
            try:
                ran = await self._once()
            except Exception as error:  # of this run; the next one may go better
                log.exception("container %s of pod %s failed", self._name, self._pod["metadata"]["name"])
                ran = await self._broken(error), 0.0
            if ran is None:
                return
            ended, ran_s = ran
            self._set(replace(self.seen, state=ended, restarts=self._run, ready=False, started=False))
            self._run += 1
            if self._ending.is_set() or not runs_again(self._restart, ended.exit_code):
                return
            if ended.reason == NOT_STARTED:
                self._set(replace(self.seen, state=Waiting("RunContainerError", ended.message), last=ended))
            backoff = backoff.after(ran_s)
            await self._back_off(backoff, ended)

    async def _once(self) -> tuple[Terminated, float] | None:
        """Run the program until it has ended; returns how, and how long it ran. None: told to end meanwhile."""
        prepared = await self._prepared()
        if prepared is None:
            return None
        self._group = prepared.group
        if self._ending.is_set():
            self._leave_group()
            return None
        try:
            process = await self._host.launcher.start(prepared.command)
        except StartError as error:
            return self._not_started(error), 0.0
        self._process, self._running = process, prepared.command
        before, began = self.seen, self._host.clock.monotonic()
        quick = self._container.probe(Purpose.STARTUP) is None
        running = replace(
            before,
            state=Running(timestamp(process.started_s)),
            last=before.state if isinstance(before.state, Terminated) else before.last,
            restarts=self._run,
            started=quick,
            ready=quick and self._container.probe(Purpose.READINESS) is None,
            container_id=f"process://{process.pid}",
        )
        self._set(running)
        self._tell("Normal", "Started", f"Started container {self._name}")
        if self._ending.is_set():  # told to end while it was being started
            process.kill()
        watch = asyncio.ensure_future(self._watch(process))
        either: tuple[asyncio.Future[Any], ...] = (process.exited, watch)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()  # raises what is wrong with the probes, if anything is
                await asyncio.wait([process.exited])
            self._set(replace(self.seen, ready=False))
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        ended = self._obituary(process.exited.result(), process, running.container_id)
        self._process = None
        return ended, self._host.clock.monotonic() - began

    def _not_started(self, error: Exception) -> Terminated:
        now = self._now()
        self._tell("Warning", "Failed", f"Error: failed to start container {self._name!r}: {error}")
        self._leave_group()
        return Terminated(START_FAILED, NOT_STARTED, now, now, str(error))

    async def _broken(self, error: Exception) -> Terminated:
        """Leave nothing of a run that we cannot go on with; returns its end."""
        process, self._process = self._process, None
        if process is None:
            return self._not_started(error)
        process.kill()
        await asyncio.shield(process.exited)
        self._leave_group()
        return Terminated(START_FAILED, "Error", timestamp(process.started_s), self._now(), str(error))

    def _obituary(self, status: int, process: Process, container_id: str) -> Terminated:
        code = 128 - status if status < 0 else status
        message = self._files.last_words(self._name, self._run, from_log=self._container.log_is_message and code != 0)
        reason = "OOMKilled" if self._leave_group() else "Error" if code else "Completed"
        return Terminated(
            code, reason, timestamp(process.started_s), self._now(), message, max(0, -status), container_id
        )

    def _leave_group(self) -> bool:
        """Remove the control group of a run that is over; tells whether it had too much memory."""
        group, self._group = self._group, None
        if group is None:
            return False
        killed = group.oom_killed()
        group.remove()
        return killed

    async def _back_off(self, backoff: Backoff, ended: Terminated) -> None:
        if not backoff.delay_s:
            return
        metadata = self._pod["metadata"]
        pod = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        text = f"back-off {words(backoff.delay_s)} restarting failed container={self._name} pod={pod}"
        self._set(replace(self.seen, state=Waiting("CrashLoopBackOff", text), last=ended))
        self._tell("Warning", "BackOff", f"Back-off restarting failed container {self._name} in pod {pod}")
        await self._pause(backoff.delay_s)

    async def end(self, grace_s: float) -> None:
        """End the container and let it stay so: preStop, SIGTERM, then SIGKILL after `grace_s`."""
        self._ending.set()
        process = self._process
        if process is None:
            return
        if grace_s > 0:
            self._tell("Normal", "Killing", f"Stopping container {self._name}")
            grace_s = await self._pre_stop(process, grace_s)
        await process.end(grace_s)

    def kill(self) -> None:
        """End it now: whoever waits in `end` need not wait any longer."""
        self._ending.set()
        if self._process is not None:
            self._process.kill()

    async def _pre_stop(self, process: Process, grace_s: float) -> float:
        """Do what the manifest wants before SIGTERM; returns the grace that is left."""
        hook, began = self._container.pre_stop, self._host.clock.monotonic()
        if hook is None:
            return grace_s
        if isinstance(hook, float):
            await asyncio.wait([process.exited], timeout=min(hook, grace_s))
        elif not (answer := await ask(hook, self._composer.host_port, self._run_command, grace_s)).success:
            self._tell("Warning", "FailedPreStopHook", f"PreStopHook failed: {answer.text}")
        # As in Kubernetes: however long the hook took, there are two seconds for SIGTERM.
        return max(2.0, grace_s - (self._host.clock.monotonic() - began))

    async def _prepared(self) -> Prepared | None:
        """Return what to run; waits for what is missing. None: told to end meanwhile."""
        program = self._composer.program
        if program is None:
            text = images.why_not(self._container)
            self._set(replace(self.seen, state=Waiting(images.NEVER_PULL, text)))
            self._tell("Warning", images.NEVER_PULL, text)
            self._tell("Warning", "Failed", f"Error: {images.NEVER_PULL}")
            await self._ending.wait()
            return None
        failures = 0
        while not self._ending.is_set():
            try:
                return await self._composer.prepare(program, self._run)
            except ConfigError as error:
                self._set(replace(self.seen, state=Waiting("CreateContainerConfigError", str(error))))
                self._tell("Warning", "Failed", f"Error: {error}")
            except (TorporError, OSError, ValueError) as error:
                self._set(replace(self.seen, state=Waiting("CreateContainerError", str(error))))
            failures += 1
            await self._pause(CONFIG_RETRY.delay_s(failures))
        return None

    def _tell_missing_limits(self) -> None:
        missing = self._host.limits.missing(self._container.resources)
        if missing:
            text = f"This machine does not let us limit {' and '.join(missing)}: container {self._name} runs without"
            self._tell("Warning", "LimitsNotEnforced", text)

    # --- probes --------------------------------------------------------------------------------------------------

    async def _watch(self, process: Process) -> None:
        """Ask the probes for as long as the process lives."""
        startup = self._container.probe(Purpose.STARTUP)
        if startup is not None:
            if not await self._probe(startup, Purpose.STARTUP, process):
                return
            ready = self._container.probe(Purpose.READINESS) is None
            self._set(replace(self.seen, started=True, ready=ready))
        async with asyncio.TaskGroup() as group:
            for purpose in (Purpose.READINESS, Purpose.LIVENESS):
                probe = self._container.probe(purpose)
                if probe is not None:
                    group.create_task(self._probe(probe, purpose, process))

    async def _probe(self, probe: Probe, purpose: Purpose, process: Process) -> bool:
        """Ask one probe again and again; a startup probe until it passed. False: it gave up, and the process ends."""
        clock = self._host.clock
        began = clock.monotonic()
        state = probes.fresh(purpose, began)
        await asyncio.sleep(probes.first_try_s(probe, purpose))
        while True:
            answer = await ask(probe.action, self._composer.host_port, self._run_command, probe.timeout_s)
            outcome = probes.after(probe, purpose, state, success=answer.success, now_s=clock.monotonic())
            changed, state = outcome.state.passed != state.passed, outcome.state
            if outcome.counts and not process.exited.done():
                self._tell("Warning", "Unhealthy", f"{purpose.value} probe failed: {answer.text}")
            if outcome.gave_up:
                text = f"Container {self._name} failed {purpose.value.lower()} probe, will be restarted"
                self._tell("Normal", "Killing", text)
                self._set(replace(self.seen, ready=False))
                await process.end(self._spec.grace_s)
                return False
            if purpose is Purpose.READINESS and changed and not process.exited.done():
                self._set(replace(self.seen, ready=state.passed))
            if purpose is Purpose.STARTUP and state.passed:
                return True
            await asyncio.sleep(probes.next_try_s(probe, purpose, state, clock.monotonic() - began))

    async def _run_command(self, argv: tuple[str, ...], timeout_s: float) -> tuple[int, str]:
        """Run a command of a probe or hook beside the container, in its environment."""
        if self._running is None:
            return START_FAILED, "the container has ended"
        number = self._execs = self._execs + 1
        output = self._files.cwd(self._name).parent / f"exec-{number}.out"
        try:
            process = await self._host.launcher.start(self._composer.beside(self._running, argv, output))
            try:
                async with asyncio.timeout(timeout_s):
                    status = await asyncio.shield(process.exited)
            finally:
                process.kill()
            return status, await asyncio.to_thread(output.read_text, errors="replace")
        except StartError as error:
            return START_FAILED, str(error)
        except TimeoutError:
            return START_FAILED, f"command {argv!r} timed out after {timeout_s:g}s"
        finally:
            output.unlink(missing_ok=True)

    # --- telling -------------------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self._container.name

    def _set(self, seen: ContainerSeen) -> None:
        if seen != self.seen:
            self.seen = seen
            self._on_change()

    def _tell(self, type_: str, reason: str, message: str) -> None:
        self._host.recorder.emit(self._pod, "Warning" if type_ == "Warning" else "Normal", reason, message)

    def _now(self) -> str:
        return timestamp(self._host.clock.wall())

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for longer than the container shall live."""
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            pass
