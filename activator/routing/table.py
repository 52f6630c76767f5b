"""Build the table of names from Route objects, and keep what was looked up."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from activator.access.guard import Guard
from activator.routing import match
from activator.routing.match import Entry, Match, Table, read_host
from activator.routing.mirror import Mirror
from activator.routing.traffic import Traffic
from torpor.errors import InvalidInputError
from torpor.spec import conditions, names
from torpor.spec.kinds import Object, key_of
from torpor.spec.mirror import parse_mirror

log = logging.getLogger(__name__)

REMEMBERED = 4096
"""Host headers whose meaning is kept; clients choose them, so there is a limit."""

Key = tuple[str, str]
"""(namespace, name)"""


@dataclass(frozen=True, slots=True)
class Named:
    """What one Route makes known: its own name and its tags', each with the hosts it answers to."""

    entry: Entry
    hosts: frozenset[str]
    tags: tuple[tuple[Entry, frozenset[str]], ...]
    awaits: frozenset[Key]
    """Configurations whose newest revision stands in for traffic that is not in the status yet."""

    @property
    def revisions(self) -> Iterator[Key]:
        """Every revision that requests may be sent to."""
        for entry in (self.entry, *(entry for entry, _ in self.tags)):
            yield from entry.traffic.revisions


def build(routes: Iterable[Object], domain: str, configurations: Iterable[Object] = ()) -> Table:
    """Return the table for these Routes."""
    known = {key_of(obj): obj for obj in configurations}
    return merge((read(route, domain, known) for route in routes), domain)


def merge(named: Iterable[Named], domain: str) -> Table:
    """Return the table of what these Routes make known. Where a tag's name is also a service's, the service has it."""
    by_host: dict[str, Entry] = {}
    by_path: dict[Key, Entry] = {}
    ordered = sorted(named, key=lambda each: (each.entry.namespace, each.entry.name))
    for each in ordered:
        by_path[each.entry.namespace, each.entry.name] = each.entry
        by_host.update(dict.fromkeys(each.hosts, each.entry))
    for each in ordered:
        for entry, hosts in each.tags:
            by_path.setdefault((entry.namespace, entry.name), entry)
            for host in hosts:
                by_host.setdefault(host, entry)
    return Table(by_host, by_path, domain)


def read(route: Object, domain: str, configurations: Mapping[Key, Object], phase: float = 0.0) -> Named:
    """Return what a Route makes known.

    Its status says where traffic goes, once something was ready. Until then it is what the spec asks for, with the
    newest revision of a configuration, ready or not: early requests wait there, and hear if it cannot start.
    `phase`, in [0, 1), is where in their cycles the shares begin.
    """
    namespace, name = key_of(route)
    status = route.get("status") or {}
    targets = [each for each in status.get("traffic") or () if each.get("revisionName")]
    awaits: frozenset[Key] = frozenset()
    if not targets:
        awaits = frozenset((namespace, each) for each in _configurations(route))
        targets = list(_wanted(route, configurations))
    shares = [(str(each["revisionName"]), int(each.get("percent") or 0)) for each in targets]
    traffic = Traffic.of(namespace, shares, phase)
    unready = "" if traffic.revisions else _why_unready(route)
    tags = tuple(_tags(namespace, name, targets, domain))
    by_tag = {tagged.tag: tagged for tagged, _ in tags}
    entry = Entry(namespace, name, traffic, unready, tags=by_tag, mirror=_mirror(route, phase))
    urls = [status.get("url"), (status.get("address") or {}).get("url")]
    hosts = frozenset({f"{name}.{namespace}.{domain}", *_hosts(urls)})
    return Named(entry, hosts, tags, awaits)


def continued(named: Named, before: Named | None) -> Named:
    """Return what a Route makes known now, with the shares that did not change going on where they were."""
    if before is None:
        return named
    entry, old = named.entry, before.entry
    traffic = old.traffic if old.traffic == entry.traffic else entry.traffic
    mirror = old.mirror if old.mirror == entry.mirror else entry.mirror
    return replace(named, entry=replace(entry, traffic=traffic, mirror=mirror))


def guarded(named: Named, guard: Guard | None) -> Named:
    """Return what a Route makes known, with one guard before all of it: its name, and every tag."""
    if named.entry.guard is guard:
        return named
    tags = tuple((replace(tag, guard=guard), hosts) for tag, hosts in named.tags)
    entry = replace(named.entry, guard=guard, tags={tag.tag: tag for tag, _ in tags})
    return replace(named, entry=entry, tags=tags)


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

    def leads_to(self, namespace: str, name: str) -> tuple[Key, ...]:
        """Return the revisions that requests to a service go to."""
        entry = self._table.by_path.get((namespace, name))
        return () if entry is None else entry.traffic.revisions

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


def newest_revision(configuration: Object | None) -> str:
    """Return the revision that a Configuration made last, ready or not; empty where it has made none."""
    return str(((configuration or {}).get("status") or {}).get("latestCreatedRevisionName") or "")


def _spec_targets(route: Object) -> list[Object]:
    _, name = key_of(route)
    default: list[Object] = [{"configurationName": name, "percent": 100}]
    return (route.get("spec") or {}).get("traffic") or default


def _configurations(route: Object) -> Iterator[str]:
    """Yield whose newest revision the spec asks for."""
    for target in _spec_targets(route):
        if not target.get("revisionName") and target.get("configurationName"):
            yield str(target["configurationName"])


def _wanted(route: Object, configurations: Mapping[Key, Object]) -> Iterator[Object]:
    namespace, _ = key_of(route)
    for target in _spec_targets(route):
        configuration = configurations.get((namespace, str(target.get("configurationName"))))
        revision = target.get("revisionName") or newest_revision(configuration)
        if revision:
            yield {**target, "revisionName": revision}


def _tags(namespace: str, route: str, targets: Iterable[Object], domain: str) -> Iterator[tuple[Entry, frozenset[str]]]:
    for target in targets:
        if target.get("tag"):
            tag, name = str(target["tag"]), f"{target['tag']}-{route}"
            traffic = Traffic.of(namespace, [(str(target["revisionName"]), 100)])
            hosts = frozenset({f"{name}.{namespace}.{domain}", *_hosts([target.get("url")])})
            yield Entry(namespace, name, traffic, tag=tag.encode()), hosts


def _mirror(route: Object, phase: float) -> Mirror | None:
    raw = (route["metadata"].get("annotations") or {}).get(names.MIRROR)
    if raw is None:
        return None
    try:
        target = parse_mirror(f"metadata.annotations[{names.MIRROR}]", raw)
    except InvalidInputError as error:
        log.warning("route %s/%s is not mirrored: %s", *key_of(route), error)
        return None
    return Mirror.of(key_of(route)[0], target, phase)


def _hosts(urls: Iterable[str | None]) -> Iterator[str]:
    for url in urls:
        host = urlsplit(url or "").hostname
        if host:
            yield host


def _why_unready(route: Object) -> str:
    mark = conditions.read(route, conditions.READY)
    said = "" if mark is None or mark.is_true else ": ".join(filter(None, (mark.reason, mark.message)))
    return said or "it has no revision yet"
