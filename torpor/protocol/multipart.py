"""multipart/form-data, as browsers and curl's -F send it: parts with names, each with octets of its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.protocol.document import brief

MEDIA_TYPE = "multipart/form-data"
MOST_PARTS = 1000
"""Each costs more to read than its octets do."""
_MOST_HEAD = 8 * 1024
_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"]*)')
_BOUNDARY = re.compile(r"[\w'()+,\-./:=? ]{0,69}[\w'()+,\-./:=?]", re.ASCII)
_QUOTED = {"%22": '"', "%0D": "\r", "%0A": "\n"}


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form, or one file."""

    name: str
    content: bytes
    content_type: str
    """Empty where it names none."""


def boundary(content_type: str) -> bytes:
    """Return what stands between the parts; raises InvalidInputError where a Content-Type does not say it."""
    found = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(found):
        raise InvalidInputError("Content-Type", brief(content_type), f"{MEDIA_TYPE} needs a boundary")
    return found.encode()


def decode(body: bytes, limit: bytes) -> list[Part]:
    """Return the parts between which `limit` stands; raises InvalidInputError."""
    found = []
    for index, raw in enumerate(_between(body, b"--" + limit)):
        if index == MOST_PARTS:
            raise InvalidInputError("body", f"{len(body)} bytes", f"at most {MOST_PARTS} parts are taken")
        found.append(_part(f"body: part {index}", raw))
    return found


def _between(body: bytes, delimiter: bytes) -> Iterator[bytes]:
    """Yield what is between a delimiter's line and the line break before the next one."""
    line = b"\r\n" + delimiter
    at = 0 if body.startswith(delimiter) else body.find(line) + 2
    if at == 1:
        raise InvalidInputError("body", f"{len(body)} bytes", "the boundary that Content-Type names is not in it")
    while True:
        at += len(delimiter)
        if body.startswith(b"--", at):
            return
        begin = body.find(b"\r\n", at)
        if begin < 0 or body[at:begin].strip(b" \t"):
            raise InvalidInputError("body", f"byte {at}", "a line break is needed after a boundary")
        end = body.find(line, begin)
        if end < 0:
            raise InvalidInputError("body", f"{len(body)} bytes", "the boundary that ends the last part is missing")
        yield body[begin + 2 : end]
        at = end + 2


def _part(path: str, raw: bytes) -> Part:
    head, mark, content = raw.partition(b"\r\n\r\n")
    if not mark or len(head) > _MOST_HEAD:
        raise InvalidInputError(
            path, f"{len(raw)} bytes", f"headers, at most {_MOST_HEAD} bytes, and an empty line are needed"
        )
    headers = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    disposition = headers.get("content-disposition", "")
    name = _parameters(disposition).get("name", "")
    if not disposition.lower().startswith("form-data") or not name:
        raise InvalidInputError(f"{path}: Content-Disposition", brief(disposition), 'use form-data; name="…"')
    return Part(name, content, headers.get("content-type", ""))


def _parameters(value: str) -> dict[str, str]:
    return {name.lower(): _unquoted(text.strip()) for name, text in _PARAMETER.findall(value)}


def _unquoted(text: str) -> str:
    if len(text) < 2 or not text.startswith('"'):
        return text
    text = re.sub(r"\\(.)", r"\1", text[1:-1])
    for escaped, character in _QUOTED.items():  # how browsers write these
        text = text.replace(escaped, character)
    return text
