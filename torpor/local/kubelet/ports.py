"""Ports for pods: on a laptop they share one address, so each needs one of its own."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from torpor.errors import UnavailableError
from torpor.local.kubelet.podstatus import ADDRESS

FIRST, LAST = 20000, 32767
"""Below the range that systems take ports from for outgoing connections (Linux: from 32768, macOS: from 49152)."""
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Ports:
    """Give out ports and take them back. What was given back comes again last: old connections may still mean it."""

    def __init__(self, first: int = FIRST, last: int = LAST) -> None:
        self._first, self._last = first, last
        self._taken: set[int] = set()
        # Two laptops on one machine rather begin at different places.
        self._next = random.randint(first, last)  # noqa: S311

    def take(self) -> int:
        """Return a port that nobody listens on; raises UnavailableError if there is none."""
        for _ in range(self._first, self._last + 1):
            port = self._next
            self._next = port + 1 if port < self._last else self._first
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                return port
        raise UnavailableError(f"no port from {self._first} to {self._last} is free on {ADDRESS}")

    def give_back(self, port: int) -> None:
        self._taken.discard(port)


def outside_ephemeral(first: int = FIRST, last: int = LAST) -> tuple[int, int]:
    """Return a range that does not meet the one for outgoing connections, where this machine's is an unusual one."""
    try:
        low, high = (int(part) for part in _RANGE.read_text().split())
    except (OSError, ValueError):
        return first, last
    if high < first or low > last:
        return first, last
    below, above = (first, low - 1), (high + 1, last)
    best = max(below, above, key=lambda span: span[1] - span[0])
    return best if best[1] - best[0] >= 1000 else (first, last)  # better a rare clash than no ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
        return True
