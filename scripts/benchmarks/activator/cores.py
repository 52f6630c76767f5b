"""Which core does what."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class Cores:
    """The proxy that is measured has a core for itself."""

    proxy: int
    backend: int
    load: int

    @property
    def used(self) -> frozenset[int]:
        """Return all of them."""
        return frozenset((self.proxy, self.backend, self.load))

    def __str__(self) -> str:
        rest = (
            f"core {self.load} load generator and backend together"
            if self.load == self.backend
            else f"core {self.backend} backend, core {self.load} load generator"
        )
        return f"core {self.proxy} the proxy, {rest}"


def divide(usable: list[int]) -> Cores:
    """Give the proxy a core; of three or more, backend and load generator have one each too."""
    if len(usable) < 2:
        raise UnavailableError("this benchmark needs two processor cores: one for the proxy, one for everything else")
    first, *others = sorted(usable, reverse=True)
    return Cores(first, others[-1], others[0])
