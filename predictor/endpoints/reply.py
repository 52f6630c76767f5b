"""An answer to an inference: some parts that were computed, sent one after the other without being joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from predictor.endpoints.body import Octets

JSON = b"application/json"
BYTES = b"application/octet-stream"


@dataclass(slots=True)  # made for each request: frozen ones take a microsecond longer, each
class Reply:
    """Fits an ASGI application, as starlette's responses do; leaves out what they do for cookies and charsets."""

    parts: Sequence[Octets]
    media_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    status_code: int = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        length = sum(map(len, self.parts))
        headers = [(b"content-type", self.media_type), (b"content-length", b"%d" % length), *self.headers]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        last = len(self.parts) - 1
        for index, part in enumerate(self.parts):
            await send({"type": "http.response.body", "body": part, "more_body": index < last})
