"""A kubelet as a process, on a real API server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.kube.apiserver import ApiServer, running
from torpor import errors
from torpor.kube import Cluster
from torpor.spec import names
from torpor.spec.kinds import DEPLOYMENT, ENDPOINT_SLICE, EVENT, POD, Kind, Object

START_S = 30.0
PYTHON = ("python3", "-I", "-S", "-u", "-c")
"""Starts in a third of the time: what the pods run here needs the standard library only."""


@dataclass(slots=True)
class Machine:
    """An API server, and a kubelet that tests may stop, kill and start again."""

    server: ApiServer
    cluster: Cluster
    log: Path
    process: asyncio.subprocess.Process | None = field(default=None)

    @property
    def data_dir(self) -> Path:
        return self.server.data_dir

    # --- the kubelet ---------------------------------------------------------------------------------------------

    async def start(self, **environment: str) -> None:
        """Return when it runs pods."""
        reader, writer = os.pipe()
        with self.log.open("ab") as log:
            try:
                self.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "torpor.local.kubelet", "--data-dir", str(self.data_dir)),
                    *("--kubeconfig", str(self.data_dir / "kubeconfig"), "--ready-fd", str(writer)),
                    pass_fds=(writer,),
                    stdout=log,
                    stderr=log,
                    env=os.environ | environment,
                )
            finally:
                os.close(writer)
        try:
            said = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), START_S)
        finally:
            os.close(reader)
        assert said, self.log.read_text()

    async def stop(self) -> int:
        """Send SIGTERM; returns the exit status."""
        assert self.process is not None, "not started"
        self.process.send_signal(signal.SIGTERM)
        status = await asyncio.wait_for(self.process.wait(), 30)
        self.process = None
        return status

    async def kill(self) -> None:
        """As with kill -9."""
        assert self.process is not None, "not started"
        self.process.kill()
        await self.process.wait()
        self.process = None

    def processes(self) -> list[psutil.Process]:
        """Every living process of a pod of this machine, and whoever waits to end them."""
        mark = str(self.data_dir / "pods")
        return [process for process in psutil.process_iter() if _mentions(process, mark)]

    # --- objects -------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, name: str) -> Object | None:
        try:
            return await self.cluster.get(kind, name, "default")
        except errors.NotFoundError:
            return None

    async def pods(self, labels: str = "") -> list[Object]:
        return (await self.cluster.list(POD, "default", labels=labels))[0]

    async def slices(self, service: str) -> list[Object]:
        return (await self.cluster.list(ENDPOINT_SLICE, "default", labels=f"{names.SERVICE_NAME}={service}"))[0]

    async def scale(self, name: str, replicas: int) -> None:
        await self.cluster.patch(DEPLOYMENT, name, "default", {"spec": {"replicas": replicas}}, sub="scale")

    async def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of what happened to an object, oldest first."""
        items, _ = await self.cluster.list(EVENT, "default", fields=f"involvedObject.name={name}")
        return [(item["reason"], item["message"]) for item in items]

    async def wait(self, fits: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
        """Return what `fits()` gives as soon as that is true of it; on failure show what the kubelet said."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := await fits()):  # noqa: ASYNC110  # the API says, not an event of ours
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}\n{self.log.read_text()}") from error
        return found

    async def one_pod(self, app: str, fits: Callable[[Object], Any], what: str, timeout_s: float = 20.0) -> Object:
        """Wait until there is exactly one pod of an app, and it is like that."""

        async def look() -> Object | None:
            pods = await self.pods(f"app={app}")
            return pods[0] if len(pods) == 1 and fits(pods[0]) else None

        found: Object = await self.wait(look, what, timeout_s)
        return found

    async def no_pods(self, app: str, timeout_s: float = 20.0) -> None:
        async def none() -> bool:
            return not await self.pods(f"app={app}")

        await self.wait(none, f"no pods of {app}", timeout_s)

    async def told(self, name: str, reason: str, text: str = "") -> str:
        """Wait for an event; returns its message."""

        async def look() -> str | None:
            found = [message for why, message in await self.events(name) if why == reason and text in message]
            return found[-1] if found else None

        message: str = await self.wait(look, f"event {reason} {text!r} of {name}")
        return message


@contextlib.asynccontextmanager
async def machine(folder: Path, **environment: str) -> AsyncIterator[Machine]:
    """Serve the API, run a kubelet, and leave nothing behind."""
    async with running(folder) as (server, cluster):
        made = Machine(server, cluster, folder / "kubelet.log")
        try:
            await made.start(**environment)
            yield made
        finally:
            if made.process is not None:
                status = await made.stop()
                assert status == 0, f"the kubelet ended with {status}:\n{made.log.read_text()}"


def _mentions(process: psutil.Process, mark: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return any(mark in word for word in (*process.cmdline(), *process.environ().values()))
    except psutil.Error:
        return False


def condition(obj: Object, type_: str) -> Object:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((item for item in conditions if item["type"] == type_), {})


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def container_status(pod: Object, index: int = 0) -> Object:
    return ((pod.get("status") or {}).get("containerStatuses") or [{}] * (index + 1))[index]


def pid_of(pod: Object, index: int = 0) -> int:
    return int(container_status(pod, index)["containerID"].removeprefix("process://"))


def deployment(name: str, code: str, replicas: int = 1, **container: Any) -> Object:
    """A Deployment whose one container runs Python code."""
    made = {"name": "main", "image": "example.com/none", "command": [*PYTHON, code], **container}
    return deployment_of(name, {"containers": [made]}, replicas)


def deployment_of(name: str, spec: Object, replicas: int = 1) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def alive(pid: int) -> bool:
    """Whether a process runs; it may end between two looks at it."""
    try:
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def pod(name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(name: str) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": {"side": "left"}},
        "spec": {"selector": {"app": name}, "ports": ports},
    }
