"""Raw tensors past protobuf: a message is cut into its small fields, which protobuf reads, and its tensors, which stay.

protobuf copies bytes into a message and out of it again, and once more when it is written: of 16 MB that is most of the
time of a call. On the wire (Protocol Buffers, "Encoding") a field of bytes is a tag, a length and the bytes, and fields
may come in any order; so tensors are found, and appended, without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from torpor.protocol.binary import Buffer
from torpor.protocol.grpc.messages import Message

RAW_INPUT = 7
"""Field `raw_input_contents` of ModelInferRequest."""
RAW_OUTPUT = 6
"""Field `raw_output_contents` of ModelInferResponse."""
WORTH_BYTES = 64 * 1024
"""Smaller messages are quicker read as they are."""
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5


def split(kind: type[Message], data: bytes) -> tuple[Message, list[memoryview]]:
    """Return the message without its `raw_input_contents`, and these, as views of `data`.

    Raises protobuf's DecodeError for what is no message.
    """
    view = memoryview(data)
    kept: list[memoryview] = []
    raw: list[memoryview] = []
    at = begin = 0
    while at < len(data):
        field_at = at
        tag, at = _varint(data, at)
        wire, field = tag & 7, tag >> 3
        if wire == _LEN:
            length, at = _varint(data, at)
            content_at, at = at, at + length
            if field == RAW_INPUT and at <= len(data):
                kept.append(view[begin:field_at])
                raw.append(view[content_at:at])
                begin = at
        elif wire == _VARINT:
            _, at = _varint(data, at)
        elif wire in {_I64, _I32}:
            at += 8 if wire == _I64 else 4
        else:
            break  # groups are of no message here: protobuf says what is wrong
        if at > len(data):
            break  # cut short: as above
    kept.append(view[begin:])
    return kind.FromString(b"".join(kept)), raw


def joined(message: Message, raw: Sequence[Buffer]) -> bytes:
    """Return the message as bytes, with these as its `raw_output_contents`."""
    parts: list[Buffer] = [message.SerializeToString()]
    for each in raw:
        parts += (bytes([RAW_OUTPUT << 3 | _LEN]), _written(len(each)), each)
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise DecodeError("a number of the message has no end")


def _written(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
