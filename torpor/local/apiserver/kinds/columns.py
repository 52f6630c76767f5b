"""The columns of Kubernetes' own kinds, as `kubectl get` shows them."""

from __future__ import annotations

import datetime
from typing import Any

from torpor.local.apiserver.kinds.reading import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    age,
    at,
    find,
    human,
    joined,
    labels,
    parse_time,
)
from torpor.local.apiserver.kinds.resource import Cell, Column
from torpor.spec.kinds import Object

Now = datetime.datetime


def _count(*path: str) -> Column:
    def read(obj: Object, _now: Now) -> Cell:
        return len(find(obj, *path) or ())

    return Column(path[-1].title(), read, type="integer")


# --- Deployment ------------------------------------------------------------------------------------------------


def _ready_replicas(obj: Object, _now: Now) -> Cell:
    wanted = find(obj, "spec", "replicas")
    return f"{find(obj, 'status', 'readyReplicas') or 0}/{1 if wanted is None else wanted}"


def _replicas(name: str) -> Any:
    def read(obj: Object, _now: Now) -> Cell:
        return find(obj, "status", name) or 0

    return read


def _containers(part: str) -> Any:
    def read(obj: Object, _now: Now) -> Cell:
        return joined(item.get(part, "") for item in find(obj, "spec", "template", "spec", "containers") or ())

    return read


DEPLOYMENT = (
    NAME,
    Column("Ready", _ready_replicas),
    Column("Up-to-date", _replicas("updatedReplicas")),
    Column("Available", _replicas("availableReplicas")),
    AGE,
    Column("Containers", _containers("name"), wide=True),
    Column("Images", _containers("image"), wide=True),
    Column("Selector", lambda obj, _: labels(find(obj, "spec", "selector", "matchLabels")), wide=True),
)

# --- Service, EndpointSlice ------------------------------------------------------------------------------------


def _service_ports(obj: Object, _now: Now) -> Cell:
    texts = []
    for port in find(obj, "spec", "ports") or ():
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}")
    return joined(texts)


def _external(obj: Object, _now: Now) -> Cell:
    if find(obj, "spec", "type") == "ExternalName":
        return find(obj, "spec", "externalName") or NONE
    return joined(find(obj, "spec", "externalIPs") or ())


SERVICE = (
    NAME,
    Column("Type", lambda obj, _: find(obj, "spec", "type") or "ClusterIP"),
    Column("Cluster-IP", lambda obj, _: find(obj, "spec", "clusterIP") or NONE),
    Column("External-IP", _external),
    Column("Port(s)", _service_ports),
    AGE,
    Column("Selector", lambda obj, _: labels(find(obj, "spec", "selector")), wide=True),
)


def _addresses(obj: Object, _now: Now) -> Cell:
    return joined(address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ())


ENDPOINT_SLICE = (
    NAME,
    Column("AddressType", at("addressType")),
    Column("Ports", lambda obj, _: joined(port.get("port", "*") for port in obj.get("ports") or ())),
    Column("Endpoints", _addresses),
    AGE,
)

# --- Pod -------------------------------------------------------------------------------------------------------


def _statuses(obj: Object) -> list[Any]:
    return find(obj, "status", "containerStatuses") or []


def _pod_ready(obj: Object, _now: Now) -> Cell:
    ready = sum(1 for status in _statuses(obj) if status.get("ready"))
    return f"{ready}/{len(find(obj, 'spec', 'containers') or ())}"


def _pod_status(obj: Object, _now: Now) -> Cell:
    """The reason that says most: what a container waits for or died of, else the phase."""
    status = obj.get("status") or {}
    reason = status.get("reason") or status.get("phase") or "Pending"
    running = False
    for container in reversed(_statuses(obj)):
        state = container.get("state") or {}
        if why := find(state, "waiting", "reason"):
            reason = why
        elif ended := state.get("terminated"):
            signal, code = ended.get("signal"), ended.get("exitCode", 0)
            reason = ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{code}")
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        reason = "Running"
    if obj["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _restarts(obj: Object, now: Now) -> Cell:
    count = sum(status.get("restartCount", 0) for status in _statuses(obj))
    ends = [find(status, "lastState", "terminated", "finishedAt") for status in _statuses(obj)]
    times = [parse_time(end) for end in ends if end]
    if not count or not times:
        return str(count)
    return f"{count} ({human(int((now - max(times)).total_seconds()))} ago)"


POD = (
    NAME,
    Column("Ready", _pod_ready),
    Column("Status", _pod_status),
    Column("Restarts", _restarts),
    AGE,
    Column("IP", lambda obj, _: find(obj, "status", "podIP") or NONE, wide=True),
    Column("Node", lambda obj, _: find(obj, "spec", "nodeName") or NONE, wide=True),
    Column("Nominated Node", lambda obj, _: find(obj, "status", "nominatedNodeName") or NONE, wide=True),
    Column("Readiness Gates", lambda _obj, _now: NONE, wide=True),
)

# --- Event -----------------------------------------------------------------------------------------------------


def _last_seen(obj: Object, now: Now) -> Cell:
    time = find(obj, "series", "lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime")
    first = _first_seen(obj, now)
    count = _event_count(obj, now)
    seen = age(time, now) if time else first
    return f"{seen} (x{count} over {first})" if isinstance(count, int) and count > 1 else seen


def _first_seen(obj: Object, now: Now) -> str:
    time = obj.get("firstTimestamp") or obj.get("eventTime")
    return age(time, now) if time else UNKNOWN


def _event_count(obj: Object, _now: Now) -> Cell:
    count = find(obj, "series", "count") or obj.get("count")
    return count if isinstance(count, int) and count else 1


def _about(obj: Object, _now: Now) -> Cell:
    return f"{str(find(obj, 'involvedObject', 'kind') or '').lower()}/{find(obj, 'involvedObject', 'name') or ''}"


def _source(obj: Object, _now: Now) -> Cell:
    parts = [find(obj, "source", "component") or obj.get("reportingComponent"), find(obj, "source", "host")]
    return ", ".join(part for part in parts if part)


EVENT = (
    Column("Last Seen", _last_seen),
    Column("Type", at("type")),
    Column("Reason", at("reason")),
    Column("Object", _about),
    Column("Subobject", at("involvedObject", "fieldPath"), wide=True),
    Column("Source", _source, wide=True),
    Column("Message", lambda obj, _: str(obj.get("message") or "").strip()),
    Column("First Seen", _first_seen, wide=True),
    Column("Count", _event_count, type="integer", wide=True),
    Column("Name", at("metadata", "name"), format="name", wide=True),
)

# --- the small ones --------------------------------------------------------------------------------------------

NAMESPACE = (NAME, Column("Status", at("status", "phase")), AGE)
SECRET = (NAME, Column("Type", at("type")), _count("data"), AGE)


def _config_map_size(obj: Object, _now: Now) -> Cell:
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


CONFIG_MAP = (NAME, Column("Data", _config_map_size, type="integer"), AGE)
SERVICE_ACCOUNT = (NAME, _count("secrets"), AGE)
LEASE = (NAME, Column("Holder", lambda obj, _: find(obj, "spec", "holderIdentity") or ""), AGE)
