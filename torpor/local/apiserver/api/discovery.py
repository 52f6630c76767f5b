"""What is served, as clients ask for it: versions, groups, resources, each at once or one by one."""

from __future__ import annotations

import functools
import platform
import sys
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from torpor import __version__
from torpor.local.apiserver.api.answers import answer
from torpor.local.apiserver.api.media import parse_accept
from torpor.local.apiserver.kinds.resource import Resource
from torpor.local.apiserver.kinds.table import RESOURCES
from torpor.local.apiserver.status import no_such_path, not_acceptable
from torpor.spec.kinds import POD, Kind, Object

MINOR = 35
"""The release of Kubernetes whose ways are followed."""
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def version() -> Object:
    return {
        "major": "1",
        "minor": str(MINOR),
        "gitVersion": f"v1.{MINOR}.0+torpor-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{sys.platform}/{platform.machine()}",
    }


def api(request: Request) -> Response:
    """/api: the versions of the core group."""
    if _wants_all(request):
        return _aggregated(core=True, version=_wants_all(request))
    address = [{"clientCIDR": "0.0.0.0/0", "serverAddress": request.headers.get("host", "")}]
    return answer({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address})


def apis(request: Request) -> Response:
    """/apis: all other groups."""
    if _wants_all(request):
        return _aggregated(core=False, version=_wants_all(request))
    groups = [_group(name) for name in groups_and_versions() if name]
    return answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})


def group(name: str) -> Object:
    """/apis/GROUP; raises a 404 for one that is not served."""
    if not name or name not in groups_and_versions():
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}


def resources(group_name: str, version_name: str) -> Object:
    """/api/v1 and /apis/GROUP/VERSION; raises a 404 for one that is not served."""
    if version_name not in groups_and_versions().get(group_name, ()):
        raise no_such_path()
    listed: list[Object] = []
    for resource in _of(group_name, version_name):
        listed.append(_plain(resource))
        listed += [_plain_sub(resource, name, kind, verbs) for name, kind, verbs in subresources(resource)]
    name = f"{group_name}/{version_name}" if group_name else version_name
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": listed}


@functools.cache
def groups_and_versions() -> dict[str, tuple[str, ...]]:
    """Return group -> versions, in the order of the table."""
    found: dict[str, tuple[str, ...]] = {}
    for resource in RESOURCES:
        known = found.get(resource.kind.group, ())
        if resource.kind.version not in known:
            found[resource.kind.group] = (*known, resource.kind.version)
    return found


def subresources(resource: Resource) -> list[tuple[str, Kind, list[str]]]:
    """Return (name, kind of its body, verbs) of each."""
    found: list[tuple[str, Kind, list[str]]] = []
    if resource.status:
        found.append(("status", resource.kind, ["get", "patch", "update"]))
    if resource.scale:
        found.append(("scale", Kind("autoscaling", "v1", "Scale", "scales"), ["get", "patch", "update"]))
    if resource.kind == POD:
        found.append(("log", resource.kind, ["get"]))
        found.append(("proxy", Kind("", "v1", "PodProxyOptions", "pods"), ["get"]))
    return found


def _of(group_name: str, version_name: str) -> list[Resource]:
    return [each for each in RESOURCES if (each.kind.group, each.kind.version) == (group_name, version_name)]


def _group(name: str) -> Object:
    versions = [{"groupVersion": f"{name}/{each}", "version": each} for each in groups_and_versions()[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _plain(resource: Resource) -> Object:
    kind = resource.kind
    found: Object = {
        "name": kind.plural,
        "singularName": resource.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": VERBS,
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    return found


def _plain_sub(resource: Resource, name: str, kind: Kind, verbs: list[str]) -> Object:
    found: Object = {
        "name": f"{resource.kind.plural}/{name}",
        "singularName": "",
        "namespaced": resource.kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs,
    }
    if kind != resource.kind and kind.group:
        found |= {"group": kind.group, "version": kind.version}
    return found


# --- aggregated: everything in two answers -----------------------------------------------------------------------


def _wants_all(request: Request) -> str:
    """Return the version of the aggregated form if the client takes it before the plain one; a 406 if it takes none."""
    entries = parse_accept(request.headers.get("accept", ""))
    for entry in entries:
        if entry.type not in {"application/json", "application/*", "*/*"}:
            continue
        if "as" not in entry.parameters:
            return ""
        wanted = (entry.parameters.get("g"), entry.parameters["as"])
        version = entry.parameters.get("v", "")
        if wanted == ("apidiscovery.k8s.io", "apigroupdiscoverylist") and version in {"v2", "v2beta1"}:
            return version
    if entries:
        raise not_acceptable("application/json")
    return ""


def _aggregated(*, core: bool, version: str) -> Response:
    items: list[Any] = []
    for name, versions in groups_and_versions().items():
        if (name == "") == core:
            listed = [
                {
                    "version": each,
                    "freshness": "Current",
                    "resources": [_full(resource) for resource in _of(name, each)],
                }
                for each in versions
            ]
            items.append({"metadata": {"name": name} if name else {}, "versions": listed})
    body = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }
    response = answer(body)
    media = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    response.headers["content-type"] = media
    return response


def _full(resource: Resource) -> Object:
    kind = resource.kind
    found: Object = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": VERBS,
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    if below := subresources(resource):
        found["subresources"] = [
            {"subresource": name, "responseKind": _response_kind(each), "verbs": verbs} for name, each, verbs in below
        ]
    return found


def _response_kind(kind: Kind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}
