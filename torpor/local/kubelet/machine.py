"""What all pods of this machine share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from torpor import errors
from torpor.aio.clock import Clock
from torpor.kube import Cluster, Recorder
from torpor.local.kubelet.environment import Machine
from torpor.local.kubelet.limits import Limits
from torpor.local.kubelet.process import Launcher
from torpor.spec.kinds import CONFIG_MAP, SECRET, Object
from torpor.spec.pod import Holder

NODE = "laptop"
_KINDS = {"configMap": CONFIG_MAP, "secret": SECRET}

_INHERITED = (
    "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
    "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE",
)  # fmt: skip
"""What a program needs to find its files, its language, its GPU and its way out; nothing of what this process knows."""


@dataclass(frozen=True, slots=True)
class Host:
    """This machine, and the hands to work on it."""

    data_dir: Path
    cluster: Cluster
    recorder: Recorder
    clock: Clock
    launcher: Launcher
    capacity: Machine
    inherited: Mapping[str, str]
    limits: Limits

    @property
    def pods_dir(self) -> Path:
        return self.data_dir / "pods"

    async def sources(self, namespace: str, names: set[tuple[Holder, str]]) -> dict[tuple[Holder, str], Object | None]:
        """Read ConfigMaps and Secrets as they are now; None for those that do not exist."""

        async def read(holder: Holder, name: str) -> Object | None:
            try:
                return await self.cluster.get(_KINDS[holder], name, namespace)
            except errors.NotFoundError:
                return None

        ordered = list(names)
        found = await asyncio.gather(*(read(*each) for each in ordered))
        return dict(zip(ordered, found, strict=True))


def capacity() -> Machine:
    return Machine(os.cpu_count() or 1, psutil.virtual_memory().total)


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what containers get of our own environment, with this installation's programs first in PATH."""
    kept = {name: environment[name] for name in _INHERITED if name in environment}
    ours = str(Path(sys.executable).parent)
    path = kept.get("PATH", os.defpath)
    kept["PATH"] = path if ours in path.split(os.pathsep) else os.pathsep.join((ours, path))
    return kept
