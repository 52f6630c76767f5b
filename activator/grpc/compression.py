"""Write header blocks (HPACK, RFC 7541) without the table that both sides keep.

What is not kept need not be searched: a block is put together from pieces that depend on one field alone, and most
fields come again with every call. It costs some bytes on the wire. It also tells nobody by its size what else passes on
the same connection, which many clients share on the way to a pod.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from hpack import NeverIndexedHeaderTuple
from hpack.table import HeaderTable

PIECES = 8192
"""Fields whose form is remembered."""
LONGEST = 256
"""Of those that are: longer ones seldom come twice."""

_FIELDS: dict[tuple[bytes, bytes], int] = {}
_NAMES: dict[bytes, int] = {}
for _index, (_name, _value) in enumerate(HeaderTable.STATIC_TABLE, start=1):
    _FIELDS[_name, _value] = _index
    _NAMES.setdefault(_name, _index)

_LITERAL, _NEVER = 0x00, 0x10
_EMPTY_TABLE = b"\x20"


class PlainEncoder:
    """Takes the place of hpack's own in h2."""

    __slots__ = ("_told", "header_table_size")

    def __init__(self) -> None:
        self.header_table_size = 0
        """What the peer would keep at most; h2 sets it, and it is not used."""
        self._told = False

    def encode(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the block."""
        pieces = [_piece(pair) for pair in headers]
        if not self._told:
            # The table is empty from now on: no limit that the peer sets later can be below that (4.2).
            self._told = True
            pieces.insert(0, _EMPTY_TABLE)
        return b"".join(pieces)


def _piece(pair: tuple[bytes, bytes]) -> bytes:
    name, value = pair
    if isinstance(pair, NeverIndexedHeaderTuple):
        return _literal(name, value, _NEVER)
    return _remembered(name, value) if len(name) + len(value) <= LONGEST else _literal(name, value, _LITERAL)


@lru_cache(maxsize=PIECES)
def _remembered(name: bytes, value: bytes) -> bytes:
    index = _FIELDS.get((name, value))
    return _literal(name, value, _LITERAL) if index is None else _integer(index, 7, 0x80)


def _literal(name: bytes, value: bytes, kind: int) -> bytes:
    index = _NAMES.get(name)
    if index is None:
        return b"".join((bytes((kind,)), _integer(len(name), 7, 0), name, _integer(len(value), 7, 0), value))
    return b"".join((_integer(index, 4, kind), _integer(len(value), 7, 0), value))


def _integer(value: int, bits: int, first: int) -> bytes:
    """Return a number as it is written into the low bits of `first` and the bytes after it (5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    written = bytearray((first | most,))
    value -= most
    while value >= 128:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
