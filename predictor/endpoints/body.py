"""Request bodies: read as a whole, up to a limit."""

from __future__ import annotations

from starlette.requests import Request

from predictor.settings import MAX_BODY_BYTES
from torpor.errors import MediaTypeError, TooLargeError


async def read(request: Request, limit: int) -> bytearray:
    """Return the body; raises TooLargeError as soon as it is known to be over the limit.

    Compressed bodies are refused: what ten kilobytes become is known only when it is too late.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        text = f"Content-Encoding: {encoding} is not accepted; send the body as it is"
        raise MediaTypeError(text)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(f"{int(announced)} bytes are", limit)
    # One buffer that grows: to join parts at the end would hold the body twice.
    body = bytearray()
    async for part in request.stream():
        if len(body) + len(part) > limit:
            raise _too_large("it is", limit)
        body += part
    return body


def _too_large(what: str, limit: int) -> TooLargeError:
    return TooLargeError(f"body: {what} over the limit of {limit} bytes; the owner of the model sets {MAX_BODY_BYTES}")
