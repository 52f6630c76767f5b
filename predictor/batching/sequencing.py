"""Requests that belong together: what a stateful model is told of their order, and what is kept between them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

IDLE_S = 1.0
"""Triton's own default."""


class Kind(enum.Enum):
    """What a control input says, in Triton's words."""

    START = "CONTROL_SEQUENCE_START"
    READY = "CONTROL_SEQUENCE_READY"
    END = "CONTROL_SEQUENCE_END"
    CORRID = "CONTROL_SEQUENCE_CORRID"


@dataclass(frozen=True, slots=True)
class Control:
    """An input that the server makes: one element for each row."""

    name: str
    kind: Kind
    datatype: str
    false: Any = 0
    true: Any = 1
    """What says no, and yes; of CORRID the sequence's own id is the value."""


@dataclass(frozen=True, slots=True)
class State:
    """What a model gives with one request and gets back with the next of the sequence; zeros at its start."""

    input: str
    output: str
    datatype: str
    dims: tuple[int, ...]
    """Without the batch."""


@dataclass(frozen=True, slots=True)
class Sequencing:
    """How a stateful model's requests are executed: those of a sequence one after the other, of others with them."""

    most: int
    """Sequences at once; further ones wait until one ends."""
    has_slots: bool = False
    """Whether each sequence has a row of its own in every batch (`direct`); else who waits longest is first."""
    idle_s: float = IDLE_S
    """A sequence without requests for so long is over."""
    controls: tuple[Control, ...] = ()
    states: tuple[State, ...] = ()
    has_batch: bool = True
    """Whether tensors have an axis that counts rows: a request of a sequence has one."""

    @property
    def hidden(self) -> frozenset[str]:
        """Inputs that clients do not send."""
        return frozenset([each.name for each in self.controls] + [each.input for each in self.states])
