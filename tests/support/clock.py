"""A clock that moves only when a test says so."""

from __future__ import annotations


class FakeClock:
    """Fits `torpor.aio.clock.Clock`. Both times move together, from different zeros as on a real machine."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_800_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0, "monotonic time never goes back; use step_wall() for a clock that was set"
        self._monotonic += seconds
        self._wall += seconds

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock, as an administrator or NTP does; monotonic time does not notice."""
        self._wall += seconds
