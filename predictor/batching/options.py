"""How a model's requests are batched: what Triton's `dynamic_batching` says, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_QUEUE = 1000
"""Requests of one model that may wait, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """What may become of a request while it waits."""

    timeout_s: float = 0.0
    """How long it may wait where it does not say itself; 0: for ever."""
    allows_override: bool = True
    """Whether a request may say by its parameter `timeout`, in microseconds, that it waits shorter than that."""
    delays: bool = False
    """Whether one whose time is over is answered after all others, instead of refused."""
    max_size: int = MAX_QUEUE
    """So many may wait; 0: no limit."""


@dataclass(frozen=True, slots=True)
class Batching:
    """By these rules requests of one model become batches."""

    max_size: int
    """Rows of one execution. A request that has more by itself is one execution."""
    preferred: tuple[int, ...] = ()
    """Rows at which a batch is executed at once, though more are waiting; none: `max_size`."""
    delay_s: float = 0.0
    """How long the first may wait for others while the model is idle; 0: a model that is idle waits for nobody."""
    levels: int = 0
    """Of priority: 1 is the highest; 0: there are none."""
    default_level: int = 0
    """Of requests that name none."""
    policy: QueuePolicy = field(default_factory=QueuePolicy)
    policies: Mapping[int, QueuePolicy] = field(default_factory=dict)
    """Of levels that have their own."""
    keeps_order: bool = False
    """Whether answers are given in the order in which their executions began."""
    instances: int = 1
    """Executions at once."""
    padding: Mapping[str, float] = field(default_factory=dict)
    """Inputs that are made as long as the longest of their batch, by this value; others are batched with their like."""

    def level(self, asked: int) -> int:
        """Return the level of a request that asks for this priority; 0 asks for none, and so does one beyond."""
        if not self.levels:
            return 0
        return asked if 1 <= asked <= self.levels else self.default_level

    def policy_of(self, level: int) -> QueuePolicy:
        return self.policies.get(level, self.policy)
