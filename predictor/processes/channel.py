"""Messages over a socket between two processes: blocks, and knows how long it may.

Measured against shared memory (a sealed memfd for each message, which a receiver can trust): 21 µs there and back for
4 kB where that took 87 µs, and 7 to 17 ms for 16 MB where that took 22 ms, for every new page costs a fault. And what
was received cannot change any more.
"""

from __future__ import annotations

import socket
import time

import numpy as np

from predictor.processes.messages import PREFIX, Buffer, Message, lengths, read

BUFFER_BYTES = 256 * 1024
"""Of the socket: more than that is neither faster nor slower, up to 8 MB."""
_AT_ONCE = 512
"""Buffers in one system call; Linux takes 1024."""


class EndedError(Exception):
    """Nobody is at the other end any more."""


class NotTakenError(EndedError):
    """Nor was anybody when this message was sent: it was not read as a whole."""


class LateError(Exception):
    """It took longer than it may."""


class Channel:
    """One end. One thread at a time."""

    def __init__(self, own: socket.socket) -> None:
        self._socket = own
        self._is_timed = False
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)

    def send(self, buffers: list[Buffer], until_s: float | None = None) -> None:
        """Send a message that was written; raises NotTakenError, LateError. `until_s` is by time.monotonic()."""
        views = [view for each in buffers if (view := memoryview(each).cast("B"))]
        at = 0
        try:
            while at < len(views):
                self._limit(until_s)
                sent = self._socket.sendmsg(views[at : at + _AT_ONCE])
                while at < len(views) and sent >= len(views[at]):
                    sent -= len(views[at])
                    at += 1
                if sent:
                    views[at] = views[at][sent:]
        except TimeoutError as error:
            raise LateError from error
        except OSError as error:
            raise NotTakenError from error

    def receive(self, until_s: float | None = None) -> Message:
        """Return the next message; raises EndedError, LateError, GarbledError."""
        prefix = bytearray(PREFIX.size)
        self._fill(memoryview(prefix), until_s)
        header, body = lengths(prefix)
        # Not filled with zeros before, nor counted as memory until something comes.
        whole = np.empty(header + body, np.uint8).data
        self._fill(whole, until_s)
        return read(whole[:header], whole[header:])

    def has_message(self) -> bool:
        """Tell whether one has begun to come, or the other end has gone."""
        self._is_timed = True
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def shut(self) -> None:
        """Wake whoever waits here; from any thread. What has come can still be received."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other end was first

    def close(self) -> None:
        self._socket.close()

    def _fill(self, view: memoryview, until_s: float | None) -> None:
        try:
            while view:
                self._limit(until_s)
                count = self._socket.recv_into(view)
                if not count:
                    raise EndedError
                view = view[count:]
        except TimeoutError as error:
            raise LateError from error
        except OSError as error:
            raise EndedError from error

    def _limit(self, until_s: float | None) -> None:
        if until_s is None:
            if self._is_timed:
                self._is_timed = False
                self._socket.settimeout(None)
            return
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise LateError
        self._is_timed = True
        self._socket.settimeout(left_s)
