"""The word to whoever started us."""

from __future__ import annotations

import os

import pytest

from torpor.aio import ready


def test_one_byte_and_the_end() -> None:
    """The reader gets one byte, then end of file."""
    reader, writer = os.pipe()
    ready.notify(writer)
    assert os.read(reader, 10) == b"1"
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_nobody_asked() -> None:
    """Started by hand, there is no descriptor."""
    ready.notify(None)


def test_whoever_asked_is_gone() -> None:
    """A closed pipe is not our failure, and the descriptor is closed all the same."""
    reader, writer = os.pipe()
    os.close(reader)
    ready.notify(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)
