"""What glibc's malloc keeps of memory that was freed, and how to make it let go. Other C libraries are left alone.

Threads take memory from arenas of their own, and what is freed at the end of such an arena stays in the process: after
200 models of 8 MB had come and gone, up to 40 MB of them did.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt()
APART_BYTES = 256 * 1024
USUAL_BYTES = 32 * 1024 * 1024
"""Where glibc arrives by itself, in a process that frees large arrays."""


class Apart:
    """While anything is loaded, large arrays get mappings of their own, which go back to the system as they are freed.

    Afterwards they come from the arenas again: ten times faster for the arrays of requests, which come and go.
    """

    def __init__(self) -> None:
        self._loads = 0

    def __enter__(self) -> None:
        self._loads += 1
        if self._loads == 1:
            _set(APART_BYTES)

    def __exit__(self, *error: object) -> None:
        self._loads -= 1
        if self._loads == 0:
            _set(USUAL_BYTES)


def trim() -> None:
    """Let the system have what was freed and is kept to be used again."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _set(threshold: int) -> None:
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_MMAP_THRESHOLD, threshold)
        # To set the one ends that glibc chooses the other: twice as much, as it would.
        libc.mallopt(_TRIM_THRESHOLD, 2 * USUAL_BYTES)


@cache
def _glibc() -> ctypes.CDLL | None:
    import ctypes  # noqa: PLC0415  # 5 ms, and most pods never need it

    try:
        libc = ctypes.CDLL(None)
        libc.malloc_trim.argtypes, libc.malloc_trim.restype = [ctypes.c_size_t], ctypes.c_int
        libc.mallopt.argtypes, libc.mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    except (OSError, AttributeError):  # musl has no malloc_trim, macOS neither
        return None
    return libc
