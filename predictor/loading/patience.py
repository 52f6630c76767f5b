"""How long what may succeed later is tried again."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.aio.backoff import Backoff


@dataclass(frozen=True, slots=True)
class Patience:
    """Tried again until this is over; then the pod ends, and Kubernetes tries on, more slowly."""

    limit_s: float = 30.0
    backoff: Backoff = Backoff(first_s=0.2, limit_s=5.0)


PATIENCE = Patience()
