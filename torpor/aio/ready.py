"""Tell the process that started us that we serve now."""

from __future__ import annotations

import contextlib
import os


def notify(fd: int | None) -> None:
    """Write one byte to the inherited descriptor `fd` and close it; None means nobody asked."""
    if fd is None:
        return
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone; that is theirs to notice
        os.write(fd, b"1")
    os.close(fd)
