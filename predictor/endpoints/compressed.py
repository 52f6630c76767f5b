"""Answers in fewer bytes, for clients that take them so: where there are enough, and where they shrink."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from starlette.responses import Response

from predictor.endpoints.body import Octets
from predictor.endpoints.reply import Reply

LEAST_BYTES = 16 * 1024
"""Of an answer: a smaller one is sent before it would be compressed."""
SAMPLE_BYTES = 16 * 1024
WORTH = 0.8
"""What a sample must shrink to. JSON shrinks to half; weights and noise in binary hardly do, and would take as long."""
LEVEL = 1
"""Higher ones make JSON of numbers a twentieth smaller, in four to eight times the time."""
_WINDOWS: Mapping[str, int] = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""What is offered, the first of those that a client likes as much; `deflate` is zlib's format (RFC 9110, 8.4.1.2)."""


def may_be(response: Response | Reply) -> bool:
    """Return whether it is worth a look at what the client takes."""
    return isinstance(response, Reply) and sum(map(len, response.parts)) >= LEAST_BYTES


async def compressed(accepted: str, response: Response | Reply) -> Response | Reply:
    """Return the answer in the coding that an Accept-Encoding likes best; itself, where none is worth it."""
    coding = preferred(accepted)
    if coding is None or not isinstance(response, Reply):
        return response
    return await asyncio.to_thread(_compressed, response, coding)


def preferred(accepted: str) -> str | None:
    """Return the coding of ours that an Accept-Encoding likes best; None where that is `identity`, or it has none."""
    weights: dict[str, float] = {}
    for each in accepted.lower().split(","):
        name, _, parameters = each.partition(";")
        weights[name.strip().removeprefix("x-")] = _weight(parameters)
    rest = weights.get("*", 0.0)
    best = max(_WINDOWS, key=lambda name: weights.get(name, rest))
    weight = weights.get(best, rest)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weight(parameters: str) -> float:
    """Return q, from 0 to 1; what cannot be read is a refusal: the answer as it is suits everybody."""
    name, mark, value = parameters.partition("=")
    if not name.strip():
        return 1.0
    try:
        found = float(value) if mark and name.strip() == "q" else 0.0
    except ValueError:
        return 0.0
    return found if 0 <= found <= 1 else 0.0


def _compressed(reply: Reply, coding: str) -> Reply:
    if not _shrinks(reply.parts):
        return reply
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOWS[coding])
    parts = [piece for each in reply.parts if (piece := packer.compress(each))]
    told = ((b"content-encoding", coding.encode()), (b"vary", b"accept-encoding"))
    return replace(reply, parts=(*parts, packer.flush()), headers=(*reply.headers, *told))


def _shrinks(parts: Sequence[Octets]) -> bool:
    sample = memoryview(max(parts, key=len))[:SAMPLE_BYTES]
    return len(zlib.compress(sample, LEVEL)) <= len(sample) * WORTH
