"""How long to wait before the next try: exponential, bounded, with jitter that the caller supplies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first_s * factor**failures`, never over `limit_s`."""

    first_s: float = 0.1
    factor: float = 2.0
    limit_s: float = 30.0

    def delay_s(self, failures: int, dice: float = 1.0) -> float:
        """Return the wait after `failures` failures in a row (1 = the first).

        `dice` in [0, 1] spreads clients that failed together over the upper half of the wait.
        """
        if failures <= 0:
            return 0.0
        # 2**1000 overflows a float; 64 doublings are beyond any limit.
        full = min(self.limit_s, self.first_s * self.factor ** min(failures - 1, 64))
        return full * (0.5 + 0.5 * dice)
