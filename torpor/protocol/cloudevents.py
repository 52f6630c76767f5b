"""CloudEvents 1.0 over HTTP, by its SDK: one event in, binary or structured, and one out in the same mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from cloudevents.conversion import to_binary, to_structured
from cloudevents.exceptions import GenericException
from cloudevents.http import CloudEvent, from_http

from torpor.errors import InvalidInputError
from torpor.protocol.document import brief

_NEEDED = ("id", "source", "type", "specversion")
_OURS = frozenset({"id", "source", "type", "time", "datacontenttype", "dataschema", "specversion"})
"""Attributes that say something of one event, and not of what it is about."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event that came in; its data is JSON that was read."""

    attributes: Mapping[str, Any]
    data: Any
    is_structured: bool


def read(headers: Mapping[str, str], body: bytes) -> Event:
    """Read an event whose data is JSON; raises InvalidInputError."""
    is_structured = "ce-specversion" not in headers
    for name in () if is_structured else _NEEDED:  # the SDK then says something else
        if not headers.get(f"ce-{name}"):
            raise InvalidInputError(f"ce-{name}", "", "every CloudEvent has it")
    try:
        event = from_http(dict(headers), body)
    except (GenericException, ValueError, TypeError, AttributeError) as error:
        # The SDK's words have all of the body in them.
        allowed = f"a CloudEvent 1.0 with JSON data is needed: {str(error)[:200]}"
        raise InvalidInputError("body", brief(body[:120]), allowed) from error
    attributes = event.get_attributes()
    if not is_structured:  # the SDK leaves the percent signs of the HTTP binding where they are
        attributes = {name: _text(value) if isinstance(value, str) else value for name, value in attributes.items()}
    return Event(attributes, event.get_data(), is_structured)


def reply(event: Event, type_: str, source: str, data: Any, *, merged: bool) -> tuple[dict[str, str], bytes]:
    """Return (headers, body) of the event that answers, with an id and a time of its own.

    `merged`: it also has what attributes and extensions the event had, but for those that are each event's own.
    """
    kept = {name: value for name, value in event.attributes.items() if merged and name not in _OURS}
    attributes = {**kept, "type": type_, "source": source, "datacontenttype": "application/json"}
    answer = CloudEvent(attributes, data)
    headers, body = (to_structured if event.is_structured else to_binary)(answer)
    return {name.lower(): quote(value, safe=_PLAIN) for name, value in headers.items()}, body


def _text(value: str) -> str:
    """Return what a header field says: percent signs stand for UTF-8, and some clients send UTF-8 as it is."""
    try:
        return unquote(value.encode("latin-1").decode())
    except UnicodeError:
        return unquote(value)


_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%') + " "
