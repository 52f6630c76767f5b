"""Sequences at work: each request of one waits for the one before it, and is given what the model kept in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictor.batching.sequencing import Control, Kind, Sequencing, State
from predictor.calls import Call, Infer
from torpor.errors import InvalidInputError, ModelError, QueueFullError
from torpor.protocol.inference import InferRequest
from torpor.protocol.tensors import DATATYPES, Tensor

_PARAMETERS = frozenset({"sequence_id", "sequence_start", "sequence_end"})
MOST_REQUESTS = 1000
"""Of one sequence that may wait for one another."""
MOST_WAITING = 1000
"""Sequences that wait for one of those at work to end."""

Ask = Callable[[Call], Awaitable[Sequence[Tensor]]]
"""Executes a call; raises what the model raises."""


@dataclass(eq=False, slots=True)
class _Sequence:
    """One that has begun and not ended."""

    id: Hashable
    slot: int | None = None
    """Its place; None until there is one."""
    is_begun: bool = False
    """A request with sequence_start has come, and none with sequence_end since."""
    states: dict[str, NDArray[Any]] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    """Requests of it that are here."""
    timer: asyncio.TimerHandle | None = None


class Sequences:
    """Of one model. Belongs to the event loop."""

    def __init__(self, sequencing: Sequencing) -> None:
        self._sequencing = sequencing
        self._there: dict[Hashable, _Sequence] = {}
        self._slots = set(range(sequencing.most))
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        """How many have a place."""
        return sum(each.slot is not None for each in self._there.values())

    async def answer(self, call: Infer, ask: Ask) -> Sequence[Tensor]:
        """Return what the model answers, without what it is for the server to keep.

        Raises InvalidInputError naming `parameters.sequence_id` or the input that does not fit, QueueFullError, and
        what `ask` raises, after which the sequence goes on with what was kept before; one whose start failed has not
        begun.
        """
        wish = _read(call.request.parameters)
        self._check(call.request)
        async with self._turn(wish) as sequence:
            outputs = await ask(self._completed(call, sequence, wish))
            return self._kept(sequence, outputs)

    @contextlib.asynccontextmanager
    async def _turn(self, wish: _Wish) -> AsyncIterator[_Sequence]:
        """Give the sequence to one request at a time, in order of arrival."""
        sequence = self._there.get(wish.id) or self._new(wish)
        if sequence.users >= MOST_REQUESTS:
            raise QueueFullError(f"{sequence.users} requests of this sequence wait already, which is its limit")
        sequence.users += 1
        if sequence.timer is not None:
            sequence.timer.cancel()
            sequence.timer = None
        try:
            async with sequence.turn:
                if wish.starts:
                    sequence.states.clear()
                    sequence.is_begun = False  # until this one is executed
                elif not sequence.is_begun:  # whoever was to begin it has left or failed, or it has ended
                    raise _not_begun(wish)
                if sequence.slot is None:
                    sequence.slot = await self._room()
                try:
                    yield sequence
                except BaseException:
                    sequence.is_begun = sequence.is_begun and not wish.ends
                    raise
                sequence.is_begun = not wish.ends
        finally:
            sequence.users -= 1
            if not sequence.users:
                self._unused(sequence)

    def _new(self, wish: _Wish) -> _Sequence:
        if not wish.starts:
            raise _not_begun(wish)
        if len(self._waiting) >= MOST_WAITING:
            raise QueueFullError(f"{len(self._waiting)} sequences wait for one of {self._sequencing.most} to end")
        made = self._there[wish.id] = _Sequence(wish.id)
        return made

    def _unused(self, sequence: _Sequence) -> None:
        """See what becomes of a sequence of which no request is here."""
        if sequence.is_begun and sequence.slot is not None:
            sequence.timer = self._loop.call_later(self._sequencing.idle_s, self._over, sequence)
        else:
            self._over(sequence)

    def _over(self, sequence: _Sequence) -> None:
        del self._there[sequence.id]
        if sequence.slot is not None:
            self._give(sequence.slot)

    async def _room(self) -> int:
        """Return a slot, as soon as one is free."""
        if self._slots:
            slot = min(self._slots)
            self._slots.remove(slot)
            return slot
        room: asyncio.Future[int] = self._loop.create_future()
        self._waiting.append(room)
        try:
            return await room
        except asyncio.CancelledError:
            if room in self._waiting:
                self._waiting.remove(room)
            elif room.done() and not room.cancelled():  # given in the moment in which it gave up
                self._give(room.result())
            raise

    def _give(self, slot: int) -> None:
        """Let the next have it."""
        while self._waiting:
            room = self._waiting.popleft()
            if not room.done():
                room.set_result(slot)
                return
        self._slots.add(slot)

    def _check(self, request: InferRequest) -> None:
        for each in request.inputs:
            if each.name in self._sequencing.hidden:
                raise InvalidInputError("inputs", each.name, "this input is made by the server; leave it out")
            if self._sequencing.has_batch and each.shape[:1] != (1,):
                allowed = "a request of a sequence has one row"
                raise InvalidInputError(f"{each.name}.shape", list(each.shape), allowed)

    def _completed(self, call: Infer, sequence: _Sequence, wish: _Wish) -> Infer:
        """Return the call with the inputs that the server makes."""
        sequencing = self._sequencing
        batch = (1,) if sequencing.has_batch else ()
        made = [Tensor(each.name, _said(each, wish, (*batch, 1))) for each in sequencing.controls]
        for state in sequencing.states:
            kept = sequence.states.get(state.output)
            made.append(Tensor(state.input, _zeros(state, batch) if kept is None else kept))
        # They say which sequence it is, and are not for those who share its batch.
        parameters = {name: value for name, value in call.request.parameters.items() if name not in _PARAMETERS}
        request = replace(call.request, inputs=(*call.request.inputs, *made), parameters=parameters)
        return Infer(request, slot=sequence.slot if sequencing.has_slots else None)

    def _kept(self, sequence: _Sequence, outputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Keep what is for the next request; returns what is the client's."""
        states = {each.output for each in self._sequencing.states}
        fresh = {each.name: each.array.copy() for each in outputs if each.name in states}
        if missing := states - fresh.keys():
            raise ModelError(f"the model gave no output {min(missing)!r}, which its next request needs")
        sequence.states.update(fresh)
        return [each for each in outputs if each.name not in states]


@dataclass(frozen=True, slots=True)
class _Wish:
    """Of which sequence a request is, and where in it."""

    id: Hashable
    starts: bool
    ends: bool


def _not_begun(wish: _Wish) -> InvalidInputError:
    allowed = "the first request of a sequence has sequence_start; one that was idle for too long is over"
    return InvalidInputError("parameters.sequence_id", wish.id, allowed)


def _read(parameters: Mapping[str, Any]) -> _Wish:
    id_ = parameters.get("sequence_id")
    is_number = isinstance(id_, int) and not isinstance(id_, bool) and 0 < id_ < 2**64
    if not is_number and not (isinstance(id_, str) and 0 < len(id_) <= 128):
        allowed = "this model is stateful: use a whole number from 1, or a text of at most 128 characters"
        raise InvalidInputError("parameters.sequence_id", id_, allowed)
    flags = []
    for name in ("sequence_start", "sequence_end"):
        value = parameters.get(name, False)
        if not isinstance(value, bool):
            raise InvalidInputError(f"parameters.{name}", value, "use true or false")
        flags.append(value)
    return _Wish(id_, *flags)


def _said(control: Control, wish: _Wish, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return what a control input says of a request."""
    if control.kind is Kind.CORRID:
        return _id(control, wish.id, shape)
    yes = {Kind.START: wish.starts, Kind.END: wish.ends, Kind.READY: True}[control.kind]
    return np.full(shape, control.true if yes else control.false, DATATYPES[control.datatype])


def _id(control: Control, id_: Hashable, shape: tuple[int, ...]) -> NDArray[Any]:
    if control.datatype == "BYTES":
        return np.full(shape, str(id_).encode(), np.object_)
    dtype = DATATYPES[control.datatype]
    if not isinstance(id_, int) or id_ > np.iinfo(dtype).max:
        allowed = f"this model takes whole numbers up to {np.iinfo(dtype).max}"
        raise InvalidInputError("parameters.sequence_id", id_, allowed)
    return np.full(shape, id_, dtype)


def _zeros(state: State, batch: tuple[int, ...]) -> NDArray[Any]:
    if state.datatype == "BYTES":
        return np.full((*batch, *state.dims), b"", np.object_)
    return np.zeros((*batch, *state.dims), DATATYPES[state.datatype])
