"""The Deployment of a revision: the user's pod, made to fit the runtime contract."""

from __future__ import annotations

from typing import Any

import pytest

from controller.knative.resources import core_services
from controller.knative.resources.deployment import deployment
from controller.knative.resources.revision import revision as make_revision
from tests.controller.knative.objects import NOW, configuration, stored
from torpor.spec import names
from torpor.spec.fields import Fields
from torpor.spec.kinds import REVISION, Object
from torpor.spec.revision import parse_revision
from torpor.spec.service import scaling_of

DEFAULT_PROBE = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
IDENTITY = [
    {"name": "K_REVISION", "value": "svc-00001"},
    {"name": "K_CONFIGURATION", "value": "svc"},
    {"name": "K_SERVICE", "value": "svc"},
]


def made(*containers: Object, metadata: Object | None = None, **spec: Any) -> tuple[Object, Object]:
    """Return (Deployment, core Service) of a revision with these containers."""
    template = {"metadata": metadata or {}, "spec": {"containers": list(containers), **spec}}
    revision = stored(REVISION, make_revision(configuration(template_=template), NOW))
    parsed = parse_revision(Fields(revision).object("spec"))
    scaling = scaling_of(Fields(revision).object("metadata"), parsed)
    return deployment(revision, parsed, scaling), core_services.private_service(revision, parsed)


def pod(*containers: Object, **spec: Any) -> Object:
    found: Object = made(*containers, **spec)[0]["spec"]["template"]["spec"]
    return found


def container(**given: Any) -> Object:
    """The only container of a pod made from one with these fields."""
    [found] = pod({"image": "i", **given})["containers"]
    return dict(found)


def test_the_least() -> None:
    """A container with an image alone."""
    assert pod({"image": "i"}) == {
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 300,
        "containers": [
            {
                "name": "user-container",
                "image": "i",
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "env": [{"name": "PORT", "value": "8080"}, *IDENTITY],
                "ports": [{"name": "http1", "containerPort": 8080, "protocol": "TCP"}],
                "readinessProbe": DEFAULT_PROBE,
            }
        ],
    }


def test_what_the_user_wrote_is_handed_on() -> None:
    """Command, resources, volumes, security context, account: all but what is the revision's own."""
    mine = {
        "command": ["serve"],
        "args": ["--fast"],
        "resources": {"limits": {"cpu": "1000m"}},
        "securityContext": {"runAsUser": 1000},
        "volumeMounts": [{"name": "v", "mountPath": "/data"}],
        "workingDir": "/srv",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "Never",
    }
    outside: dict[str, Any] = {
        "volumes": [{"name": "v", "emptyDir": {}}],
        "serviceAccountName": "reader",
        "securityContext": {"fsGroup": 1},
        "nodeSelector": {"gpu": "yes"},
        "enableServiceLinks": True,
    }
    found = pod({"image": "i", **mine}, containerConcurrency=3, timeoutSeconds=20, idleTimeoutSeconds=5, **outside)
    assert found.items() >= outside.items()
    assert found["containers"][0].items() >= mine.items()
    assert found["terminationGracePeriodSeconds"] == 20
    assert not {"containerConcurrency", "timeoutSeconds", "idleTimeoutSeconds"} & found.keys()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param({}, DEFAULT_PROBE, id="none: the port takes connections"),
        pytest.param({"periodSeconds": 7}, {"tcpSocket": {"port": 8080}, "periodSeconds": 7}, id="only how often"),
        pytest.param(
            {"httpGet": {"path": "/readyz"}},
            {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
            id="a path without a port",
        ),
        pytest.param(
            {"httpGet": {"path": "/", "port": 0}, "periodSeconds": 0},
            {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
            id="zeros are Knative's way to say: as is good",
        ),
        pytest.param(
            {"httpGet": {"path": "/", "port": 9000}},
            {"httpGet": {"path": "/", "port": 9000}, "periodSeconds": 1},
            id="a port of its own",
        ),
        pytest.param(
            {"exec": {"command": ["true"]}}, {"exec": {"command": ["true"]}, "periodSeconds": 1}, id="a command"
        ),
        pytest.param({"grpc": {}}, {"grpc": {"port": 8080}, "periodSeconds": 1}, id="gRPC's own health check"),
    ],
)
def test_readiness(given: Object, wanted: Object) -> None:
    """A pod counts as ready when this says so; asked every second, for a cold start waits for it."""
    assert container(readinessProbe=given)["readinessProbe"] == wanted


def test_liveness_is_asked_only_where_the_user_wants_it() -> None:
    """With the port filled in, and as often as Kubernetes does."""
    assert "livenessProbe" not in container()
    assert container(livenessProbe={"httpGet": {"path": "/"}})["livenessProbe"] == {
        "httpGet": {"path": "/", "port": 8080}
    }


@pytest.mark.parametrize(
    ("ports", "pod_port", "service_port"),
    [
        pytest.param(
            [{"containerPort": 9000}], {"containerPort": 9000, "protocol": "TCP"}, ("http", 9000), id="another port"
        ),
        pytest.param(
            [{"name": "h2c", "containerPort": 8080}],
            {"name": "h2c", "containerPort": 8080, "protocol": "TCP"},
            ("h2c", 8080),
            id="HTTP/2",
        ),
        pytest.param(
            [{"name": "http1"}],
            {"name": "http1", "containerPort": 8080, "protocol": "TCP"},
            ("http", 8080),
            id="a name",
        ),
    ],
)
def test_ports(ports: list[Object], pod_port: Object, service_port: tuple[str, int]) -> None:
    """The container is told its port in PORT, and the core Service leads to it."""
    deployment_, service = made({"image": "i", "ports": ports})
    [found] = deployment_["spec"]["template"]["spec"]["containers"]
    assert found["ports"] == [pod_port]
    assert {"name": "PORT", "value": str(pod_port["containerPort"])} in found["env"]
    [port] = service["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == (service_port[0], 80, service_port[1])


@pytest.mark.parametrize(
    ("container", "ports"),
    [
        pytest.param({"image": f"{names.PREDICTOR_IMAGE}:1"}, ["http", "grpc"], id="the predictor"),
        pytest.param(
            {"image": names.PREDICTOR_IMAGE, "ports": [{"name": "h2c"}]}, ["h2c"], id="the predictor, HTTP/2 alone"
        ),
        pytest.param({"image": "other"}, ["http"], id="any other"),
    ],
)
def test_the_predictor_speaks_grpc_on_its_one_port(container: Object, ports: list[str]) -> None:
    """So the activator takes gRPC calls there too."""
    _, service = made(container)
    assert [port["name"] for port in service["spec"]["ports"]] == ports
    assert {port["targetPort"] for port in service["spec"]["ports"]} == {8080}


def test_the_contracts_variables_win() -> None:
    """The user's own come first and stay, but for those that the contract sets."""
    env = [{"name": "A", "value": "1"}, {"name": "PORT", "value": "1"}, {"name": "K_SERVICE", "value": "x"}]
    assert container(env=env)["env"] == [
        {"name": "A", "value": "1"},
        {"name": "PORT", "value": "8080"},
        *IDENTITY,
    ]


def test_a_container_beside_the_serving_one() -> None:
    """It has a name and knows its revision, but no port and no probe that it did not ask for."""
    found = pod({"image": "i", "ports": [{"containerPort": 8080}]}, {"image": "side"})["containers"]
    assert [each["name"] for each in found] == ["user-container", "user-container-1"]
    assert found[1] == {
        "name": "user-container-1",
        "image": "side",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": IDENTITY,
    }


def test_labels_and_selector() -> None:
    """Deployment, pods and core Service have the revision's labels; pods are found by its uid."""
    metadata = {"labels": {"team": "a"}, "annotations": {"autoscaling.knative.dev/max-scale": "2", "torpor.dev/x": "y"}}
    deployment_, service = made({"image": "i"}, metadata=metadata)
    uid = {names.REVISION_UID: "uid-of-Revision-svc-00001"}
    assert deployment_["spec"]["selector"] == {"matchLabels": uid}
    assert service["spec"]["selector"] == uid
    template = deployment_["spec"]["template"]["metadata"]
    assert deployment_["metadata"]["labels"] == template["labels"] == service["metadata"]["labels"]
    assert (
        template["labels"].items()
        >= {
            "team": "a",
            names.SERVICE: "svc",
            names.CONFIGURATION: "svc",
            names.REVISION: "svc-00001",
            names.APP: "svc-00001",
            **uid,
        }.items()
    )
    assert names.ROUTING_STATE not in template["labels"]
    assert template["annotations"] == metadata["annotations"]


def test_the_digest_depends_on_what_is_asked_for_and_not_on_the_replicas() -> None:
    """It is how the controller knows whether a Deployment is still as it would make it."""

    def mark(**metadata: Any) -> str:
        return str(made({"image": "i"}, metadata=metadata)[0]["metadata"]["annotations"][names.MADE_FROM])

    assert mark() == mark()
    assert mark() != mark(labels={"team": "a"})
    deployments = [made({"image": image}, metadata={})[0] for image in ("i", "j")]
    assert len({each["metadata"]["annotations"][names.MADE_FROM] for each in deployments}) == 2


def test_a_deadline_of_ones_own() -> None:
    """serving.knative.dev/progress-deadline; 600 s where there is none."""
    assert made({"image": "i"})[0]["spec"]["progressDeadlineSeconds"] == 600
    metadata = {"annotations": {names.PROGRESS_DEADLINE: "15m"}}
    assert made({"image": "i"}, metadata=metadata)[0]["spec"]["progressDeadlineSeconds"] == 900
