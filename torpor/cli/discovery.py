"""Which kinds the API serves, and which of them a word on the command line means."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from torpor import errors
from torpor.kube import Cluster
from torpor.spec.kinds import Kind, Object


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind and the words that people use for it."""

    kind: Kind
    words: frozenset[str]


async def resources(cluster: Cluster) -> tuple[Resource, ...]:
    """Ask for every kind of every group, in its preferred version; the core group comes first, as in kubectl."""
    groups = (await cluster.request("GET", "/apis")).get("groups") or ()
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
    lists = await asyncio.gather(*(_list(cluster, version) for version in versions))
    return tuple(resource for each in lists for resource in each)


async def kind_of(cluster: Cluster, api_version: str, kind: str) -> Kind:
    """Return how the API calls the kind that a manifest names."""
    try:
        served = await _list(cluster, api_version)
    except errors.NotFoundError as error:
        raise errors.NotFoundError(f"the cluster serves no apiVersion {api_version!r}") from error
    for resource in served:
        if resource.kind.kind == kind:
            return resource.kind
    known = sorted(resource.kind.kind for resource in served)
    raise errors.NotFoundError(f"apiVersion {api_version!r} has no kind {kind!r}; it has {', '.join(known)}")


def pick(known: Iterable[Resource], word: str) -> Kind:
    """Return the kind that `word` means: plural, singular, short name or kind, `.group` behind it if need be."""
    listed = tuple(known)
    name, _, group = word.lower().partition(".")
    for resource in listed:
        if name in resource.words and resource.kind.group.startswith(group):
            return resource.kind
    plurals = sorted({resource.kind.plural for resource in listed})
    every = sorted({each for resource in listed for each in resource.words})
    close = difflib.get_close_matches(name, every, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "it serves " + ", ".join(plurals)
    raise errors.NotFoundError(f"the cluster serves no kind {word!r}; {hint}")


def label(kind: Kind, name: str) -> str:
    """Return how kubectl writes an object: `pod/x`, `deployment.apps/x`."""
    return f"{kind.kind.lower()}{'.' + kind.group if kind.group else ''}/{name}"


async def _list(cluster: Cluster, api_version: str) -> list[Resource]:
    path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    body = await cluster.request("GET", path)
    group, _, version = api_version.rpartition("/")
    # A slash marks a subresource: `pods/log`.
    return [_resource(group, version, each) for each in body.get("resources") or () if "/" not in each["name"]]


def _resource(group: str, version: str, each: Object) -> Resource:
    kind = Kind(group, version, each["kind"], each["name"], namespaced=bool(each["namespaced"]))
    words = {kind.plural, kind.kind.lower(), each.get("singularName") or kind.kind.lower()}
    return Resource(kind, frozenset(words | set(each.get("shortNames") or ())))
