"""What one would write in Python without thinking of speed: an ASGI application that passes requests on with httpx."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import httpx

BACKEND = f"http://127.0.0.1:{os.environ.get('BACKEND_PORT', '80')}"
HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer"}

client = httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None, max_keepalive_connections=1024))


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Pass one request on, both ways as it comes."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await client.aclose()
        await send({"type": "lifespan.shutdown.complete"})
        return

    async def body() -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            yield message.get("body", b"")

    headers = [each for each in scope["headers"] if each[0] not in HOP_BY_HOP]
    content = body() if scope["method"] == "POST" else None
    request = client.build_request(scope["method"], BACKEND + scope["path"], headers=headers, content=content)
    answer = await client.send(request, stream=True)
    try:
        kept = [each for each in answer.headers.raw if each[0].lower() not in HOP_BY_HOP]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
        async for part in answer.aiter_raw():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
    finally:
        await answer.aclose()
