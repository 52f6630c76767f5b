"""What a model last said of itself, for those who ask while it is asleep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer that a pod gave."""

    lines: bytes
    """Its header section, without what concerns one connection or the framing."""
    body: bytes
    at_s: float
    """When, on the clock that is never set."""


class Metadata:
    """The last answers of one revision by path; the oldest make place."""

    __slots__ = ("_said",)

    PATHS = 32
    BYTES = 64 * 1024
    """Of one answer; a longer one is not remembered."""

    def __init__(self) -> None:
        self._said: dict[bytes, Remembered] = {}

    def get(self, path: bytes) -> Remembered | None:
        return self._said.get(path)

    def put(self, path: bytes, said: Remembered) -> None:
        """Remember what was answered to a path."""
        self._said.pop(path, None)
        self._said[path] = said
        if len(self._said) > self.PATHS:
            del self._said[next(iter(self._said))]
