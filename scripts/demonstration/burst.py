"""Many requests at once, each with a text of its own; replicas and answers are shown as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson
from laptop import Laptop
from rich.console import Console
from rich.live import Live
from rich.text import Text
from scale import Scale, watched_scale

from torpor.cli.ask import send
from torpor.cli.connection import Where, connected, find
from torpor.cli.request import build_call
from torpor.cli.services import find_service

TIMEOUT_S = 180.0


@dataclass(slots=True)
class Burst:
    """What became of the requests. `embeddings` has None where there was no answer."""

    requests: int
    embeddings: list[list[float] | None] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    answered: int = 0
    seconds: float = 0.0
    replicas_peak: int = 0

    @property
    def lost(self) -> int:
        return self.requests - self.answered


async def send_burst(laptop: Laptop, name: str, texts: Sequence[str], show: Console) -> Burst:
    """Send all at the same time and wait for every answer."""
    where = find(laptop.kubeconfig, None)
    burst = Burst(len(texts), [None] * len(texts))
    async with connected(where) as cluster:
        service = await find_service(cluster, name, where.namespace)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            watched_scale(cluster, service) as scale,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session,
        ):
            begin = time.monotonic()
            with Live(get_renderable=lambda: _line(burst, scale, time.monotonic() - begin), console=show):
                url = service.url()
                await asyncio.gather(
                    *(_one(session, url, where, name, text, at, burst) for at, text in enumerate(texts))
                )
                burst.seconds = time.monotonic() - begin
            burst.replicas_peak = scale.peak
    for failure in sorted(set(burst.failures)):
        show.print(f"[red]{burst.failures.count(failure)} times:[/] {failure}", soft_wrap=True)
    return burst


async def _one(
    session: aiohttp.ClientSession, url: str, where: Where, model: str, text: str, at: int, burst: Burst
) -> None:
    call = build_call(model, None, (text,), "v1", None, is_model=True)
    try:
        async with send(session, url, where, call) as response:
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        burst.failures.append(f"{type(error).__name__}: {error}")
        return
    if response.status != 200:
        burst.failures.append(f"HTTP {response.status}: {body.decode(errors='replace')}")
        return
    burst.embeddings[at] = orjson.loads(body)["predictions"][0]
    burst.answered += 1


def _line(burst: Burst, scale: Scale, now_s: float) -> Text:
    done = burst.answered * 40 // burst.requests
    return Text.assemble(
        f"{burst.seconds or now_s:6.2f} s  ",
        ("━" * done, "green"),
        ("━" * (40 - done), "bright_black"),
        f" {burst.answered}/{burst.requests} answered   pods: {scale.ready} ready of {scale.wanted} wanted ",
        ("●" * scale.ready, "green"),
        ("○" * max(0, scale.wanted - scale.ready), "yellow"),
    )
