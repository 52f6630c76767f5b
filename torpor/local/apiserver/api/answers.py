"""How answers leave: JSON with its warnings, and streams that end when the client, the server or the time does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from torpor.local.apiserver.status import ApiError
from torpor.spec.kinds import Object

JSON = "application/json"


def answer(body: bytes | Object, code: int = 200, warnings: Iterable[str] = ()) -> Response:
    response = Response(body if isinstance(body, bytes) else orjson.dumps(body), code, media_type=JSON)
    for warning in dict.fromkeys(warnings):
        text = warning.encode("ascii", "backslashreplace").decode().replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("Warning", f'299 - "{text}"')
    return response


def refusal(error: ApiError) -> Response:
    response = answer(error.status(), error.code)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.code == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="torpor"'
    return response


class Streamed(Response):
    """Send parts as they come, until there are no more or the client is gone.

    The generator is closed in either case: what it holds is given back.
    """

    def __init__(
        self,
        parts: AsyncGenerator[bytes],
        media_type: str = JSON,
        code: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(None, code, headers, media_type)
        del self.headers["content-length"]
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with contextlib.aclosing(self._parts) as parts:
            gone = asyncio.ensure_future(_disconnected(receive))
            try:
                while True:
                    following = asyncio.ensure_future(anext(parts, None))
                    try:
                        await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        if not following.done():
                            following.cancel()
                            await asyncio.gather(following, return_exceptions=True)
                    if following.cancelled():
                        return
                    part = following.result()
                    if part is None:
                        break
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            finally:
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
