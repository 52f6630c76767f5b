"""Wait until a service has no pod left."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from laptop import Laptop
from rich.console import Console
from rich.live import Live
from rich.text import Text

from torpor.cli.connection import connected, find
from torpor.cli.services import find_service
from torpor.cli.waiting import observed
from torpor.kube import Cluster
from torpor.spec.kinds import POD

from scale import watched_scale  # isort: skip


@dataclass(frozen=True, slots=True)
class Zero:
    """Whether it got there, how long that took, and how many pods were ready on the way."""

    reached: bool
    seconds: float
    replicas_peak: int


async def until_zero(laptop: Laptop, name: str, timeout_s: float, show: Console) -> Zero:
    """Watch the pods go."""
    where = find(laptop.kubeconfig, None)
    begin = time.monotonic()
    async with connected(where) as cluster:
        service = await find_service(cluster, name, where.namespace)
        async with watched_scale(cluster, service) as scale:

            def line() -> Text:
                pods = ("●" * scale.ready, "green")
                return Text.assemble(f"{time.monotonic() - begin:6.2f} s  pods: {scale.ready} ", pods)

            reached = True
            with Live(get_renderable=line, console=show):
                try:
                    async with asyncio.timeout(timeout_s):
                        await _no_pods(cluster, service.namespace, service.selector)
                except TimeoutError:
                    reached = False
    seconds = time.monotonic() - begin
    show.print(f"at zero after {seconds:.1f} s" if reached else f"[red]not at zero after {seconds:.0f} s[/]")
    return Zero(reached, seconds, scale.peak)


async def _no_pods(cluster: Cluster, namespace: str, selector: str) -> None:
    """Return when not even an ending pod is left."""
    async with observed(cluster, POD, namespace, labels=selector) as (pods, changed):
        while pods():
            await changed.wait()
            changed.clear()
