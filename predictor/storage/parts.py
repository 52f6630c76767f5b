"""Which ranges a file is fetched in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictor.storage.place import File


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `start` to `end` (not included) of a file."""

    file: File
    start: int
    end: int


def split(files: Sequence[File], size: int) -> tuple[Part, ...]:
    """Return the parts of all files, each of `size` bytes or a little more, the largest files first.

    Begun last, a large file would be fetched alone, by one connection, when the others are done. A rest smaller than
    half a part makes the others a little larger: a request of its own costs more than it gains.
    """
    parts: list[Part] = []
    for each in sorted(files, key=lambda file: -file.size):
        count = max(1, round(each.size / size))
        step = -(-each.size // count)
        parts += [
            Part(each, start, min(start + step, each.size)) for start in range(0, max(each.size, 1), max(step, 1))
        ]
    return tuple(parts)
