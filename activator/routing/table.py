"""Build the table of names from Route objects, and keep what was looked up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from activator.routing import match
from activator.routing.match import Entry, Match, Table, read_host
from activator.routing.traffic import Traffic
from torpor.spec import conditions
from torpor.spec.kinds import Object, key_of

REMEMBERED = 4096
"""Host headers whose meaning is kept; clients choose them, so there is a limit."""


def build(routes: Iterable[Object], domain: str) -> Table:
    """Return the table for these Routes. Where a tag's name is also a service's, the service has it."""
    by_host: dict[str, Entry] = {}
    by_path: dict[tuple[str, str], Entry] = {}
    tags: list[tuple[Entry, set[str]]] = []
    for route in sorted(routes, key=key_of):
        entry, hosts = _read(route, domain)
        by_path[entry.namespace, entry.name] = entry
        by_host.update(dict.fromkeys(hosts, entry))
        tags += _tags(route, domain)
    for entry, hosts in tags:
        by_path.setdefault((entry.namespace, entry.name), entry)
        for host in hosts:
            by_host.setdefault(host, entry)
    return Table(by_host, by_path, domain)


class Router:
    """The current table, and what Host headers were found to mean in it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        # By the raw header; only hosts that are a service's, for others the path decides.
        self._known: dict[bytes, Entry] = {}

    @property
    def table(self) -> Table:
        return self._table

    @table.setter
    def table(self, table: Table) -> None:
        self._table = table
        self._known = {}

    def find(self, host: bytes, target: bytes) -> tuple[Entry, bytes]:
        """Return the entry and the target its pod shall see; raises NotFoundError or InvalidInputError."""
        entry = self._known.get(host)
        if entry is not None:
            return entry, target
        found = self._match(host, target)
        return found.entry, found.target

    def _match(self, host: bytes, target: bytes) -> Match:
        name = read_host(host)
        if name in self._table.by_host:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[host] = self._table.by_host[name]
        return match.match(self._table, name, target)


def _read(route: Object, domain: str) -> tuple[Entry, set[str]]:
    namespace, name = key_of(route)
    status = route.get("status") or {}
    weights = [(str(each["revisionName"]), int(each.get("percent") or 0)) for each in _targets(route)]
    traffic = Traffic.of(namespace, weights)
    entry = Entry(namespace, name, traffic, "" if traffic.revisions else _why_unready(route))
    urls = [status.get("url"), (status.get("address") or {}).get("url")]
    return entry, {f"{name}.{namespace}.{domain}", *_hosts(urls)}


def _tags(route: Object, domain: str) -> Iterator[tuple[Entry, set[str]]]:
    namespace, name = key_of(route)
    for target in _targets(route):
        if target.get("tag"):
            tagged = f"{target['tag']}-{name}"
            entry = Entry(namespace, tagged, Traffic.of(namespace, [(str(target["revisionName"]), 100)]))
            yield entry, {f"{tagged}.{namespace}.{domain}", *_hosts([target.get("url")])}


def _targets(route: Object) -> list[Object]:
    return [each for each in (route.get("status") or {}).get("traffic") or () if each.get("revisionName")]


def _hosts(urls: Iterable[str | None]) -> Iterator[str]:
    for url in urls:
        host = urlsplit(url or "").hostname
        if host:
            yield host


def _why_unready(route: Object) -> str:
    mark = conditions.read(route, conditions.READY)
    said = "" if mark is None or mark.is_true else ": ".join(filter(None, (mark.reason, mark.message)))
    return said or "it has no revision that is ready yet"
