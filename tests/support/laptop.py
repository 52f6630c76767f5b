"""A whole Torpor on this machine, started as a user starts it: `torpor up` as a process, on free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

from tests.support.kubectl import kubectl
from tests.support.ports import free_ports
from torpor.local.lifeline import die_with_parent

READY = "torpor is ready"
START_S = 60.0
STOP_S = 60.0


@dataclass(slots=True)
class Laptop:
    """One data directory and, between `start` and `stop`, the processes that serve it."""

    data_dir: Path
    log: Path
    http_port: int
    grpc_port: int
    api_port: int
    admin_port: int
    process: subprocess.Popen[bytes] | None = field(default=None)
    options: tuple[str, ...] = ()
    """More of `torpor up`'s command line."""

    @classmethod
    def new(cls, folder: Path) -> Laptop:
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / "data", folder / "up.log", *free_ports(4))

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    @property
    def env(self) -> dict[str, str]:
        """The environment of somebody who works with this laptop."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1", "COLUMNS": "200"}

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run `torpor up` and return when it says that it is ready."""
        command = [sys.executable, "-m", "torpor.cli.main", "up", "--data-dir", str(self.data_dir)]
        for name in ("http", "grpc", "api", "admin"):
            command += [f"--{name}-port", str(getattr(self, f"{name}_port"))]
        command += self.options
        with self.log.open("ab") as output:
            begin = output.tell()
            # A session of its own: a Ctrl-C at the tests' terminal is for the tests to pass on. Tests that are killed
            # take it with them.
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509  # it calls the kernel and nothing of Python's
            )
        process = self.process

        def ready() -> bool:
            text = self.log.read_bytes()[begin:].decode(errors="replace")
            assert process.poll() is None, f"torpor up ended with {process.returncode}:\n{text}"
            return READY in text

        try:
            wait_for(ready, START_S)
        except TimeoutError as error:
            raise TimeoutError(f"not ready within {START_S:g} s:\n{self.log.read_text(errors='replace')}") from error

    def stop(self) -> int:
        """Send SIGTERM; returns the exit status. Asserts that no process of this laptop is left."""
        assert self.process is not None, "not started"
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_S)
        self.process = None
        wait_for(lambda: not self.processes(), 5, "no process is left")
        return status

    def kill(self) -> None:
        """Kill `torpor up` as an impatient person does, and wait until all its processes have noticed."""
        assert self.process is not None, "not started"
        self.process.kill()
        self.process.wait()
        self.process = None
        wait_for(lambda: not self.processes(), 30, "no orphan survives kill -9")

    def kill_all(self) -> None:
        """Kill whatever there is of this laptop; nothing is fine too."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process is not None:
            self.process.wait()
            self.process = None
        wait_for(lambda: not self.processes(), 30, "nothing survives")

    def processes(self) -> list[psutil.Process]:
        """Every process that belongs to this data directory, whoever its parent is by now."""
        mark = str(self.data_dir)
        return [process for process in psutil.process_iter() if _mentions(process, mark)]

    # --- use -----------------------------------------------------------------------------------------------------

    def torpor(self, *args: str, stdin: str | None = None, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
        """Run the `torpor` command; does not judge the exit status."""
        command = [sys.executable, "-m", "torpor.cli.main", *args]
        return subprocess.run(
            command, env=self.env, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def kubectl(self, *args: str, stdin: str | None = None, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
        """Run the real kubectl; does not judge the exit status."""
        env = self.env | {"HOME": str(self.data_dir.parent)}  # its discovery cache is this laptop's alone
        return subprocess.run(
            [str(kubectl()), *args],
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects by kubectl; fails the test if it is refused."""
        document = orjson.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}).decode()
        done = self.kubectl("apply", "-f", "-", stdin=document)
        assert done.returncode == 0, done.stderr

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        done = self.kubectl("get", kind, name, "-n", namespace, "-o", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = orjson.loads(done.stdout)
        return found

    def list(self, kind: str, selector: str = "", namespace: str = "default") -> list[dict[str, Any]]:
        done = self.kubectl("get", kind, "-n", namespace, "-l", selector, "-o", "json")
        assert done.returncode == 0, done.stderr
        items: list[dict[str, Any]] = orjson.loads(done.stdout)["items"]
        return items

    def wait_ready(self, kind: str, name: str, timeout_s: float = 90) -> None:
        """Wait for condition Ready; on failure say what the object says of itself."""
        done = self.kubectl("wait", f"{kind}/{name}", "--for=condition=Ready", f"--timeout={timeout_s:g}s")
        assert done.returncode == 0, f"{done.stderr}\n{self.kubectl('get', kind, name, '-o', 'yaml').stdout}"

    def host(self, name: str, namespace: str = "default") -> dict[str, str]:
        """The header that sends a request to a service, without asking a name server."""
        return {"Host": f"{name}.{namespace}.localhost:{self.http_port}"}

    def client(self, name: str, namespace: str = "default", timeout_s: float = 90) -> httpx.Client:
        """An HTTP client whose every request goes to one service."""
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.http_port}", headers=self.host(name, namespace), timeout=timeout_s
        )

    def replicas(self, selector: str) -> int:
        """How many pods are asked for, over the deployments that fit."""
        return sum(each["spec"].get("replicas", 0) for each in self.list("deployments", selector))

    def wait_zero(self, service: str, timeout_s: float = 90) -> None:
        """Wait until a Knative Service has no pod, not even one that is ending."""
        selector = f"serving.knative.dev/service={service}"
        wait_for(lambda: not self.list("pods", selector), timeout_s, f"{service} is at zero", every_s=0.25)


@contextlib.contextmanager
def new_laptop(folder: Path) -> Iterator[Laptop]:
    """Give a laptop for a test to start and stop; whatever a test that fails leaves of it is killed."""
    laptop = Laptop.new(folder)
    try:
        yield laptop
    finally:
        laptop.kill_all()


@contextlib.contextmanager
def running_laptop(folder: Path, *options: str) -> Iterator[Laptop]:
    """Start a laptop, give it, stop it, and check that it stopped as promised."""
    with new_laptop(folder) as laptop:
        laptop.options = options
        laptop.start()
        yield laptop
        if laptop.process is not None:
            status = laptop.stop()
            assert status == 0, f"torpor up ended with {status}:\n{laptop.log.read_text(errors='replace')[-4000:]}"


def wait_for(fits: Callable[[], object], timeout_s: float, what: str = "", every_s: float = 0.02) -> None:
    """Return as soon as `fits()` is true; raises TimeoutError that says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not fits():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{timeout_s:g} s were not enough: {what or fits.__qualname__}")
        time.sleep(every_s)


def _mentions(process: psutil.Process, mark: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
            return False
        return any(mark in word for word in (*process.cmdline(), *process.environ().values()))
    except psutil.Error:
        return False
