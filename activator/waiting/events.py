"""What a client that asked for events reads while it waits, as bytes."""

from __future__ import annotations

import re

import orjson

from activator.waiting.stages import Stage

MEDIA_TYPE = b"text/event-stream"
ERROR_BODY_BYTES = 16 * 1024
"""Of a pod's answer that could not be passed on, this much is told."""

# In a head that was written by us: `Name: value` lines after the first.
_ACCEPT = re.compile(rb"\r\n(?i:accept): ([^\r\n]*)")
_ENCODINGS = re.compile(rb"\r\n(?i:accept-encoding): [^\r\n]*")


def wants_events(head: bytes) -> bool:
    """Tell whether a request asks for an event stream, and for no other type as much.

    Who sends `application/json, text/event-stream` takes either, and which of them the pod gives is known only then.
    """
    quality: dict[bytes, float] = {}
    for line in _ACCEPT.findall(head):
        for part in line.split(b","):
            media, *parameters = (each.strip().lower() for each in part.split(b";"))
            quality[media] = max(quality.get(media, 0.0), _quality(parameters))
    wanted = quality.pop(MEDIA_TYPE, 0.0)
    others = [value for media, value in quality.items() if not media.endswith(b"*")]
    return wanted > 0 and wanted > max(others, default=0.0)


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def without_encodings(head: bytes) -> bytes:
    """Return a request's head that asks for no compression: the answer's own head, which would say so, is out."""
    return _ENCODINGS.sub(b"", head)


def is_stream(status: int, lines: list[bytes]) -> bool:
    """Tell whether what a pod answers can follow on the events that were told; `lines` are name, colon, value, CRLF."""
    fields = {lines[at].lower(): lines[at + 2] for at in range(0, len(lines), 4)}
    media = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
    plain = fields.get(b"content-encoding", b"identity").lower() == b"identity"
    return status == 200 and media == MEDIA_TYPE and plain


def comment(stage: Stage) -> bytes:
    """Return the line that says how far the wait is; readers of events skip it."""
    percent = "" if stage.percent is None else f" percent={stage.percent}"
    return f": torpor stage={stage.name}{percent}\n\n".encode()


def cold_start(line: bytes) -> bytes:
    """Return the comment that stands in for the line of the header Torpor-Cold-Start."""
    return b": torpor cold-start %b\n\n" % line.partition(b": ")[2].strip()


def failure(status: int, document: bytes) -> bytes:
    """Return the event by which an error of ours is told; `document` is its JSON object."""
    said = {**orjson.loads(document), "status": status}
    return b"event: error\ndata: %b\n\n" % orjson.dumps(said)


def refusal(status: int, media: bytes, body: bytes) -> bytes:
    """Return the event by which a pod's answer is told that is no stream of events."""
    text = body[:ERROR_BODY_BYTES].decode("utf-8", "replace")
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("error"), str):
        kind = media.decode("latin-1") or "no type"
        error = f"the model answered {status} with {kind}, and not with a stream of events"
        said = {"error": error, "reason": "NoEventStream", "body": text}
    return b"event: error\ndata: %b\n\n" % orjson.dumps(said | {"status": status})
