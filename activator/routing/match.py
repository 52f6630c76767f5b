"""Find the service that a request is for, by its Host header or by its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from activator.access.guard import Guard
from activator.routing.mirror import Mirror
from activator.routing.traffic import Traffic
from torpor.errors import InvalidInputError, NotFoundError

PATH_PREFIX = b"/serving/"
TAG = b"knative-serving-tag"
TAG_LINE = b"Knative-Serving-Tag: %b\r\n"
DEFAULT_ROUTE_LINE = b"Knative-Serving-Default-Route: true\r\n"

# RFC 9110 uri-host [":" port], narrowed to what names and addresses are made of, and to the 255 bytes that a name may
# have. What does not fit is refused, for it goes on to the pod as it came, and is remembered.
_HOST = re.compile(rb"([A-Za-z0-9_.-]{0,255}|\[[0-9A-Fa-f:.]{1,255}\])(?::[0-9]{0,5})?\Z")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)\Z", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """A name that clients may use: a route, or one of its tags."""

    namespace: str
    name: str
    traffic: Traffic
    unready: str = ""
    """Why there is no traffic, where there is none."""
    tag: bytes = b""
    """Which tag this is, where it is one."""
    tags: Mapping[bytes, Entry] = field(default_factory=dict, compare=False)
    """The route's, for those who name one by a header."""
    mirror: Mirror | None = None
    """Who gets copies."""
    guard: Guard | None = None
    """Who lets requests in, where not everybody may."""

    @property
    def waiting_room(self) -> tuple[str, str]:
        """Where requests wait for a route that leads nowhere yet. No revision can have such a name."""
        return self.namespace, f"route {self.name}"


def tagged(entry: Entry, asked: bytes) -> tuple[Entry, bytes]:
    """Return the entry of the tag that a header asks for, and the lines by which its pod is told.

    As in Knative: a tag that there is not leads where no tag would, and the pod can see that; a host that is a tag's
    has said it already.
    """
    if entry.tag:
        return entry, TAG_LINE % entry.tag
    found = entry.tags.get(asked)
    if found is None:
        return entry, TAG_LINE % asked + DEFAULT_ROUTE_LINE
    return found, TAG_LINE % asked


@dataclass(frozen=True, slots=True)
class Match:
    """Which entry a request is for, and the request target that its pod shall see."""

    entry: Entry
    target: bytes


@dataclass(frozen=True, slots=True)
class Table:
    """Every name, in both forms."""

    by_host: Mapping[str, Entry]
    by_path: Mapping[tuple[str, str], Entry]
    """(namespace, name) as in the path form."""
    domain: str


def split_target(target: bytes) -> tuple[bytes | None, bytes]:
    """Return (host, origin form) of a request target: the absolute form names a host itself, which then counts."""
    if target.startswith(b"/"):
        return None, target
    if target == b"*":
        return None, target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise InvalidInputError("request target", _text(target), "use a path that begins with '/'")
    rest = absolute[2]
    return absolute[1], rest if rest.startswith(b"/") else b"/" + rest


def read_host(header: bytes) -> str:
    """Return the host in lower case, without its port; raises InvalidInputError where it is no host."""
    fits = _HOST.match(header)
    if fits is None:
        raise InvalidInputError("Host", _text(header), "use a host name or an address, with or without a port")
    return fits[1].decode("ascii").lower().removesuffix(".")


def by_path(table: Table, target: bytes) -> Match | None:
    """Match `/serving/{namespace}/{name}/…`; the pod sees what follows the name."""
    if not target.startswith(PATH_PREFIX):
        return None
    path, mark, query = target.partition(b"?")
    namespace, _, rest = path[len(PATH_PREFIX) :].partition(b"/")
    name, _, rest = rest.partition(b"/")
    entry = table.by_path.get((namespace.decode("latin-1"), name.decode("latin-1")))
    return None if entry is None else Match(entry, b"/" + rest + mark + query)


def match(table: Table, host: str, target: bytes) -> Match:
    """Return what a request is for; raises NotFoundError that says how services are addressed."""
    entry = table.by_host.get(host)
    if entry is not None:
        return Match(entry, target)
    found = by_path(table, target)
    if found is not None:
        return found
    at = f"the host {host!r}" if not target.startswith(PATH_PREFIX) else f"the path {_text(target)!r} on {host!r}"
    raise NotFoundError(
        f"no service answers to {at}; address one by its URL or Host header {{name}}.{{namespace}}.{table.domain}, "
        f"by tag {{tag}}-{{name}}.{{namespace}}.{table.domain}, or by the path /serving/{{namespace}}/{{name}}/ on any "
        "other host; `kubectl get ksvc,isvc --all-namespaces` lists their URLs"
    )


def _text(raw: bytes) -> str:
    return raw[:200].decode("latin-1")
