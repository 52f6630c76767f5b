"""A pod as the door sees it: an address with room for some requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Endpoint(NamedTuple):
    """Where a pod listens. A pod that was replaced is another one, even at the same address."""

    pod: str
    uid: str
    host: str
    port: int
    h2c: bool = False
    """It speaks HTTP/2 there, and nothing else."""
    grpc_port: int = 0
    """Where it speaks HTTP/2 besides; 0: nowhere."""

    @property
    def http2_port(self) -> int:
        """Where it speaks HTTP/2; 0: nowhere."""
        return self.port if self.h2c else self.grpc_port


@dataclass(frozen=True, slots=True)
class Stages:
    """How long a pod took to start, as it tells itself."""

    start_s: float
    """From the start of its process until it listened."""
    load_s: float | None
    """From then until it was ready; None while it is not."""


class Pod:
    """One ready pod of one revision."""

    __slots__ = ("at", "ejected", "held", "in_flight", "limit", "refusals", "stages")

    def __init__(self, at: Endpoint, limit: int) -> None:
        self.at = at
        self.limit = limit
        """Requests it may have at once; grows while a revision without limit is in its ramp."""
        self.in_flight = 0
        self.held = False
        """It is about to be taken away: no more requests."""
        self.ejected = False
        """It refused a connection a moment ago."""
        self.refusals = 0
        """Connections refused in a row."""
        self.stages: Stages | None = None

    def __repr__(self) -> str:
        marks = "".join(f" {mark}" for mark in ("held", "ejected") if getattr(self, mark))
        return f"<Pod {self.at.pod} {self.at.host}:{self.at.port} {self.in_flight}/{self.limit}{marks}>"
