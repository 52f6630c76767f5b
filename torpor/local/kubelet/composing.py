"""What a container runs: program, arguments, environment, folder, control group."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from torpor.local.kubelet import images
from torpor.local.kubelet.endpoints import host_port
from torpor.local.kubelet.environment import environment, expand, references
from torpor.local.kubelet.files import PodFiles, variable_of
from torpor.local.kubelet.limits import Group
from torpor.local.kubelet.machine import Host
from torpor.local.kubelet.process import POD_DIR, Command
from torpor.spec.kinds import Object
from torpor.spec.pod import Container, PodSpec

MESSAGE = "TORPOR_TERMINATION_LOG"
"""The variable that names the file for last words. Each run has its own, so it also tells whose a process is."""
EXEC = "TORPOR_EXEC"
"""The same, for the command of a probe or hook: what a container itself has left running does not end with one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One run, ready to start."""

    command: Command
    group: Group | None
    """For the limits that this machine enforces."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Put together the runs of one container."""

    container: Container
    pod: Object
    spec: PodSpec
    port: int
    host: Host
    files: PodFiles

    @property
    def program(self) -> tuple[str, ...] | None:
        """What its command or image stands for; None where only the image would know."""
        return images.command_of(self.container, sys.executable)

    async def prepare(self, program: tuple[str, ...], run: int) -> Prepared:
        """Read what the environment refers to, make the folders; raises ConfigError where something is missing."""
        name, metadata = self.container.name, self.pod["metadata"]
        names = references((self.container,))
        sources = await self.host.sources(metadata["namespace"], names) if names else {}
        self.files.prepare(name, run)
        ours = self._ours(run)
        variables = environment(self.container, self.pod, self.spec, sources, self.host.capacity, ours)
        argv = tuple(expand(text, variables) for text in (*program, *self.container.args))
        group = self.host.limits.make(f"{metadata['uid']}-{name}-{run}", self.container.resources)
        command = Command(
            argv,
            {**self.host.inherited, **variables},
            self._cwd(),
            self.files.log(name, run),
            mark=f"{MESSAGE}={ours[MESSAGE]}",
            enter=() if group is None else group.procs,
        )
        return Prepared(command, group)

    def beside(self, running: Command, argv: tuple[str, ...], output: Path) -> Command:
        """Return a command of a probe or hook, in the surroundings of the container."""
        return Command(argv, {**running.env, EXEC: str(output)}, running.cwd, output, f"{EXEC}={output}", running.enter)

    def host_port(self, port: int | str) -> int:
        """Return the port on this machine that one of the container's, by number or name, stands for."""
        if self.container.name == self.spec.serving.name:
            return host_port(self.spec, self.port, port)
        if isinstance(port, int):
            return port
        return next((each.number for each in self.container.ports if each.name == port), 0)

    def _ours(self, run: int) -> dict[str, str]:
        """What every container is told, whatever its manifest says."""
        metadata, name = self.pod["metadata"], self.container.name
        told = {
            POD_DIR: str(self.files.folder),
            "HOSTNAME": metadata["name"],
            "TORPOR_PVC_ROOT": str(self.host.data_dir / "volumes" / metadata["namespace"]),
            MESSAGE: str(self.files.message(name, run)),
            "TORPOR_POD_STARTED_AT": f"{self.host.clock.wall():.6f}",
        }
        for mount in self.container.mounts:
            path = self.files.volume(mount.volume)
            told[variable_of(mount.volume)] = str(path / mount.sub_path if mount.sub_path else path)
        if name == self.spec.serving.name:
            told["PORT"] = str(self.port)
        return told

    def _cwd(self) -> Path:
        wanted = self.container.working_dir
        return Path(wanted) if wanted else self.files.cwd(self.container.name)
