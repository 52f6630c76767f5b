"""Whether and when a container that ended runs again. Kubernetes' rules."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.local.kubelet.podstatus import Restart

FIRST_S, LIMIT_S = 10.0, 300.0
FORGIVEN_AFTER_S = 600.0
"""Of running: whatever happened before is forgotten."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How a container did lately."""

    ends: int = 0
    """In a row, none of them after a long run."""

    @property
    def delay_s(self) -> float:
        """The pause before the next start: none after the first end, then 10 s, doubling up to 5 min."""
        if self.ends <= 1:
            return 0.0
        return min(LIMIT_S, FIRST_S * 2.0 ** min(self.ends - 2, 10))

    def after(self, ran_s: float) -> Backoff:
        """Return this after one more end."""
        return Backoff(1 if ran_s >= FORGIVEN_AFTER_S else self.ends + 1)


def runs_again(policy: Restart, exit_code: int) -> bool:
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def words(delay_s: float) -> str:
    """Return a duration as Kubernetes' messages have it: 10s, 1m20s, 5m0s."""
    minutes, seconds = divmod(int(delay_s), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
