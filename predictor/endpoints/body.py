"""Request bodies: read as a whole, up to a limit; a compressed one is measured by what it becomes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request

from predictor.settings import MAX_BODY_BYTES
from torpor.errors import InvalidInputError, MediaTypeError, TooLargeError

_ALIGNMENT = 16
"""Bytes; every datatype's size divides it, and memory begins at multiples of it."""
_GZIP = 16 + zlib.MAX_WBITS
_ENCODINGS: Mapping[str, int] = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}

Octets = bytes | bytearray | memoryview


async def read(request: Request, limit: int, tensors_at: int | None = None) -> Octets:
    """Return the body; raises TooLargeError as soon as it is known to be over the limit.

    With `tensors_at`, the byte at that place lies where an array may begin, and the memory may be written to: so arrays
    are made of it without a copy. Raises MediaTypeError for encodings that are not taken, ClientDisconnect.
    """
    headers = request.headers
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(f"{int(announced)} bytes are", limit)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    part, is_last = await _part(request)
    if is_last and tensors_at is None and encoding == "identity":  # most of them: no copy
        if len(part) > limit:
            raise _too_large("it is", limit)
        return part
    unpack = None if encoding == "identity" else _Unpacker(encoding)
    # One buffer that grows: to join parts at the end would hold the body twice.
    padding = 0 if tensors_at is None else -tensors_at % _ALIGNMENT
    body = bytearray(padding)
    while True:
        room = limit + padding - len(body)
        if unpack is not None:
            part = unpack(part, room + 1)
        if len(part) > room:
            raise _too_large("it is" if unpack is None else "unpacked, it is", limit)
        body += part
        if is_last:
            break
        part, is_last = await _part(request)
    if unpack is not None:
        unpack.check_end()
    return memoryview(body)[padding:] if padding else body


async def _part(request: Request) -> tuple[bytes, bool]:
    """Return the next part, and whether it is the last; raises ClientDisconnect."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), not message.get("more_body", False)


class _Unpacker:
    """Undoes a Content-Encoding, and never makes more than it is asked for: ten kilobytes can be ten gigabytes."""

    def __init__(self, encoding: str) -> None:
        window = _ENCODINGS.get(encoding)
        if window is None:
            known = ", ".join(_ENCODINGS)
            raise MediaTypeError(f"Content-Encoding: {encoding} is not accepted; send the body as it is, or by {known}")
        self._encoding = encoding
        self._object = zlib.decompressobj(window)

    def __call__(self, part: bytes, at_most: int) -> bytes:
        try:
            return self._object.decompress(part, at_most)
        except zlib.error as error:
            raise InvalidInputError("body", f"{len(part)} bytes", f"it is not {self._encoding}: {error}") from error

    def check_end(self) -> None:
        """Raise InvalidInputError unless all was there, and nothing more."""
        if not self._object.eof or self._object.unused_data:
            what = "more follows its end" if self._object.eof else "its end is missing"
            raise InvalidInputError("body", self._encoding, what)


def _too_large(what: str, limit: int) -> TooLargeError:
    return TooLargeError(f"body: {what} over the limit of {limit} bytes; the owner of the model sets {MAX_BODY_BYTES}")
