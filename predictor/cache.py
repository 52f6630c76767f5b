"""Answers that are kept for requests that come again, where the owner says that the model answers them alike.

A request is known by all that it holds, never by a digest of it: by a short one two requests may be one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from predictor.calls import RESERVED, Call, Infer, Predict
from torpor.protocol import v1

if TYPE_CHECKING:  # numpy, which the endpoints do not pay for before they listen
    from torpor.protocol.tensors import Tensor

ENTRY_BYTES = 512
"""What is needed to keep one, beside what it holds."""
ELEMENT_BYTES = 60
"""What Python needs for a text, or for bytes, beside its characters."""


@dataclass(frozen=True, slots=True)
class Key:
    """All that a request holds, and how many bytes that is."""

    content: Hashable
    size: int


class ResponseCache:
    """The latest answers, within a number of bytes. Any thread may use it."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    @property
    def bytes_held(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key) -> Any:
        """Return the answer, which nobody may change; None where there is none."""
        with self._lock:
            found = self._kept.get(key.content)
            if found is None:
                return None
            self._kept.move_to_end(key.content)
            return found[0]

    def keep(self, key: Key, call: Call, answer: Any) -> None:
        """Keep the answer to a call; those that were not asked for longest go, as many as make room for it."""
        own, size = _owned(call, answer)
        size += key.size + ENTRY_BYTES
        if size > self._most_bytes:
            return
        with self._lock:
            self._forget(key.content)
            while self._bytes + size > self._most_bytes:
                self._forget(next(iter(self._kept)))
            self._kept[key.content] = own, size
            self._bytes += size

    def _forget(self, content: Hashable) -> None:
        _, size = self._kept.pop(content, (None, 0))
        self._bytes -= size


def key_of(call: Call) -> Key | None:
    """Return what a call is known by; None where its answer is not kept."""
    if isinstance(call, Infer):
        tensors = tuple([_content(each) for each in call.request.inputs])
        size = sum(_bytes(each) for each in call.request.inputs)
        parameters = _parameters(call.request.parameters)
        return Key(("infer", tensors, parameters), size + len(parameters))
    if isinstance(call, Predict):
        rows = orjson.dumps(call.instances)
        parameters = _parameters(call.parameters)
        return Key(("predict", rows, parameters), len(rows) + len(parameters))
    return None


def _content(tensor: Tensor) -> Hashable:
    array = tensor.array
    # Elements of no fixed size lie elsewhere; the array holds only where.
    elements = tuple(array.ravel().tolist()) if array.dtype.hasobject else array.tobytes()
    return tensor.name, array.dtype.str, array.shape, elements


def _parameters(given: Mapping[str, Any]) -> bytes:
    relevant = {name: value for name, value in given.items() if name not in RESERVED}
    return orjson.dumps(relevant, option=orjson.OPT_SORT_KEYS, default=repr) if relevant else b""


def _owned(call: Call, answer: Any) -> tuple[Any, int]:
    """Return the answer as it is kept, and its bytes: a tensor that is part of a batch would keep all of that."""
    if isinstance(call, Infer):
        tensors: Sequence[Tensor] = [type(each)(each.name, each.array.copy()) for each in answer]
        for each in tensors:
            each.array.flags.writeable = False
        return tensors, sum(_bytes(each) for each in tensors)
    written = v1.encode(answer)
    return list(answer), 4 * len(written)  # as Python's objects


def _bytes(tensor: Tensor) -> int:
    array = tensor.array
    if not array.dtype.hasobject:
        return array.nbytes
    return sum(len(each) + ELEMENT_BYTES for each in array.ravel().tolist())
