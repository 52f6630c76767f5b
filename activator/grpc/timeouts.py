"""`grpc-timeout`: how long a client waits for its answer, all in all."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torpor.errors import InvalidInputError

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])\Z")
_SECONDS: Mapping[bytes, float] = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def read(value: bytes) -> float:
    """Return the seconds; raises InvalidInputError where the value is none of gRPC's."""
    fits = _TIMEOUT.match(value)
    if fits is None:
        allowed = "use up to eight digits and one of the units H, M, S, m, u, n"
        raise InvalidInputError("grpc-timeout", value.decode("latin-1"), allowed)
    return int(fits[1]) * _SECONDS[fits[2]]


def write(seconds: float) -> bytes:
    """Return what is left of a timeout, never more than it is: in the finest unit that has room for it."""
    for unit, factor in ((b"n", 1e9), (b"u", 1e6), (b"m", 1e3), (b"S", 1.0), (b"M", 1 / 60), (b"H", 1 / 3600)):
        if seconds * factor < 10**8:
            return b"%d%b" % (max(0, int(seconds * factor)), unit)
    return b"99999999H"
