"""What `kubectl get` shows: the columns that users of Kubernetes, Knative and KServe know."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.local.apiserver.objects import make
from tests.local.apiserver.server import Api
from torpor.local.apiserver.kinds.reading import human
from torpor.local.apiserver.kinds.table import BY_KIND
from torpor.spec.kinds import (
    CONFIG_MAP,
    CONFIGURATION,
    CORE_SERVICE,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    INFERENCE_SERVICE,
    KSERVICE,
    LEASE,
    NAMESPACE,
    POD,
    REVISION,
    ROUTE,
    SECRET,
    Kind,
    Object,
)

NOW = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)
BORN = "2026-01-01T11:00:00Z"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def row(kind: Kind, *, wide: bool = False, born: str = BORN, **parts: Any) -> dict[str, Any]:
    """The cells of an object that is an hour old, by the names of their columns."""
    obj: Object = make(kind, "a", "default", creationTimestamp=born, **parts.pop("metadata", {})) | parts
    columns = [column for column in BY_KIND[kind].columns if wide or not column.wide]
    return {column.name.upper(): column.value(obj, NOW) for column in columns}


def ready(status: str = "True", reason: str = "") -> Object:
    return {"type": "Ready", "status": status} | ({"reason": reason} if reason else {})


def status_of(state: Object, **more: Any) -> Object:
    return {"name": "c", "ready": False, "restartCount": 0, "state": state} | more


@pytest.mark.parametrize(
    ("kind", "parts", "cells"),
    [
        pytest.param(
            DEPLOYMENT,
            {"status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}},
            {"NAME": "a", "READY": "1/1", "UP-TO-DATE": 2, "AVAILABLE": 1, "AGE": "60m"},
            id="Deployment",
        ),
        pytest.param(
            KSERVICE,
            {
                "status": {
                    "url": "http://a.b",
                    "latestCreatedRevisionName": "a-00002",
                    "latestReadyRevisionName": "a-00001",
                    "conditions": [ready("False", "RevisionFailed")],
                }
            },
            {
                "NAME": "a",
                "URL": "http://a.b",
                "LATESTCREATED": "a-00002",
                "LATESTREADY": "a-00001",
                "READY": "False",
                "REASON": "RevisionFailed",
            },
            id="Knative Service",
        ),
        pytest.param(
            CONFIGURATION,
            {"status": {"latestCreatedRevisionName": "a-00002", "conditions": [ready("Unknown")]}},
            {"NAME": "a", "LATESTCREATED": "a-00002", "LATESTREADY": None, "READY": "Unknown", "REASON": None},
            id="Configuration",
        ),
        pytest.param(
            ROUTE,
            {"status": {"url": "http://a.b", "conditions": [ready()]}},
            {"NAME": "a", "URL": "http://a.b", "READY": "True", "REASON": None},
            id="Route",
        ),
        pytest.param(
            REVISION,
            {
                "metadata": {
                    "labels": {
                        "serving.knative.dev/configuration": "cfg",
                        "serving.knative.dev/configurationGeneration": "3",
                    }
                },
                "status": {"conditions": [ready()], "actualReplicas": 0, "desiredReplicas": 2},
            },
            {
                "NAME": "a",
                "CONFIG NAME": "cfg",
                "GENERATION": "3",
                "READY": "True",
                "REASON": None,
                "ACTUAL REPLICAS": 0,
                "DESIRED REPLICAS": 2,
            },
            id="Revision",
        ),
        pytest.param(
            INFERENCE_SERVICE,
            {
                "status": {
                    "url": "http://a.b",
                    "conditions": [ready()],
                    "components": {
                        "predictor": {
                            "traffic": [
                                {"revisionName": "r2", "latestRevision": True, "percent": 10},
                                {"revisionName": "r1", "tag": "prev", "percent": 90},
                            ]
                        }
                    },
                }
            },
            {
                "NAME": "a",
                "URL": "http://a.b",
                "READY": "True",
                "PREV": 90,
                "LATEST": 10,
                "PREVROLLEDOUTREVISION": "r1",
                "LATESTREADYREVISION": "r2",
                "AGE": "60m",
            },
            id="InferenceService",
        ),
        pytest.param(
            CORE_SERVICE,
            {
                "spec": {
                    "type": "ClusterIP",
                    "clusterIP": "None",
                    "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}],
                }
            },
            {
                "NAME": "a",
                "TYPE": "ClusterIP",
                "CLUSTER-IP": "None",
                "EXTERNAL-IP": "<none>",
                "PORT(S)": "80/TCP,53/UDP",
                "AGE": "60m",
            },
            id="Service",
        ),
        pytest.param(
            ENDPOINT_SLICE,
            {"addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": [{"addresses": ["127.0.0.1"]}]},
            {"NAME": "a", "ADDRESSTYPE": "IPv4", "PORTS": "8080", "ENDPOINTS": "127.0.0.1", "AGE": "60m"},
            id="EndpointSlice",
        ),
        pytest.param(
            CONFIG_MAP, {"data": {"a": "1", "b": "2"}}, {"NAME": "a", "DATA": 2, "AGE": "60m"}, id="ConfigMap"
        ),
        pytest.param(
            SECRET,
            {"type": "Opaque", "data": {"a": ""}},
            {"NAME": "a", "TYPE": "Opaque", "DATA": 1, "AGE": "60m"},
            id="Secret",
        ),
        pytest.param(LEASE, {}, {"NAME": "a", "HOLDER": "me", "AGE": "60m"}, id="Lease"),
        pytest.param(
            NAMESPACE, {"status": {"phase": "Active"}}, {"NAME": "a", "STATUS": "Active", "AGE": "60m"}, id="Namespace"
        ),
        pytest.param(
            EVENT,
            {"lastTimestamp": "2026-01-01T11:59:00Z", "type": "Normal", "reason": "Started", "message": "it did\n"},
            {"LAST SEEN": "60s", "TYPE": "Normal", "REASON": "Started", "OBJECT": "pod/p", "MESSAGE": "it did"},
            id="Event",
        ),
    ],
)
def test_rows(kind: Kind, parts: dict[str, Any], cells: dict[str, Any]) -> None:
    """Each cell from where it is in the object."""
    assert row(kind, **parts) == cells


@pytest.mark.parametrize(
    ("status", "metadata", "cells"),
    [
        pytest.param({}, {}, ("0/1", "Pending", "0"), id="new"),
        pytest.param(
            {"phase": "Running", "containerStatuses": [status_of({"running": {}}, ready=True)]},
            {},
            ("1/1", "Running", "0"),
            id="running",
        ),
        pytest.param(
            {"phase": "Pending", "containerStatuses": [status_of({"waiting": {"reason": "ContainerCreating"}})]},
            {},
            ("0/1", "ContainerCreating", "0"),
            id="waiting",
        ),
        pytest.param(
            {
                "phase": "Running",
                "containerStatuses": [
                    status_of(
                        {"waiting": {"reason": "CrashLoopBackOff"}},
                        restartCount=3,
                        lastState={"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T11:58:20Z"}},
                    )
                ],
            },
            {},
            ("0/1", "CrashLoopBackOff", "3 (100s ago)"),
            id="crashing",
        ),
        pytest.param(
            {"phase": "Failed", "containerStatuses": [status_of({"terminated": {"exitCode": 3}})]},
            {},
            ("0/1", "ExitCode:3", "0"),
            id="ended by itself",
        ),
        pytest.param(
            {"phase": "Failed", "containerStatuses": [status_of({"terminated": {"signal": 9, "exitCode": 137}})]},
            {},
            ("0/1", "Signal:9", "0"),
            id="ended by a signal",
        ),
        pytest.param(
            {"phase": "Failed", "containerStatuses": [status_of({"terminated": {"reason": "OOMKilled"}})]},
            {},
            ("0/1", "OOMKilled", "0"),
            id="ended for a reason",
        ),
        pytest.param(
            {"phase": "Running", "containerStatuses": [status_of({"running": {}}, ready=True)]},
            {"deletionTimestamp": BORN},
            ("1/1", "Terminating", "0"),
            id="being deleted",
        ),
        pytest.param({"phase": "Failed", "reason": "Evicted"}, {}, ("0/1", "Evicted", "0"), id="evicted"),
    ],
)
def test_pods(status: Object, metadata: dict[str, Any], cells: tuple[str, str, str]) -> None:
    """The word that says most of how a pod is."""
    found = row(POD, status=status, metadata=metadata)
    assert (found["READY"], found["STATUS"], found["RESTARTS"]) == cells


def test_wide_columns_are_marked(api: Api, namespace: str) -> None:
    """`-o wide` shows those of priority 1."""
    api.create(POD, make(POD, "p", namespace), namespace)
    table = api.http.get(POD.path(namespace), headers={"Accept": TABLE}).json()
    plain = [each["name"] for each in table["columnDefinitions"] if not each["priority"]]
    wide = [each["name"] for each in table["columnDefinitions"] if each["priority"]]
    assert plain == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert wide[:2] == ["IP", "Node"]
    [listed] = table["rows"]
    assert listed["cells"][:4] == ["p", "0/1", "Pending", "0"]
    assert len(listed["cells"]) == len(table["columnDefinitions"])


@pytest.mark.parametrize(
    ("include", "wanted"),
    [("None", None), ("Metadata", "PartialObjectMetadata"), ("Object", "Pod"), ("", "PartialObjectMetadata")],
)
def test_rows_bring_along_what_was_asked_for(api: Api, namespace: str, include: str, wanted: str | None) -> None:
    """kubectl sorts and labels by it."""
    api.create(POD, make(POD, "p", namespace), namespace)
    for path in (POD.path(namespace), POD.path(namespace, "p")):
        table = api.http.get(path, headers={"Accept": TABLE}, params={"includeObject": include}).json()
        assert table["kind"] == "Table"
        assert table["rows"][0].get("object", {}).get("kind") == wanted


def test_metadata_alone(api: Api, namespace: str) -> None:
    """For clients that look at nothing else."""
    api.create(POD, make(POD, "p", namespace, labels={"a": "b"}), namespace)
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
    listed = api.http.get(POD.path(namespace), headers={"Accept": accept}).json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert [item["metadata"]["labels"] for item in listed["items"]] == [{"a": "b"}]
    assert "spec" not in listed["items"][0]


def test_a_write_answers_in_the_same_forms(api: Api, namespace: str) -> None:
    """`kubectl create -o wide` shows a row of what it made."""
    made = api.http.post(POD.path(namespace), json=make(POD, "p", namespace), headers={"Accept": TABLE})
    assert (made.status_code, made.json()["rows"][0]["cells"][0]) == (201, "p")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-60, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (10799, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 20 * 60, "3h20m"),
        (30 * 3600, "30h"),
        (48 * 3600, "2d"),
        (76 * 3600, "3d4h"),
        (20 * 86400, "20d"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    """As kubectl writes them."""
    assert human(seconds) == text
