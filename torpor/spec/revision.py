"""A Revision's spec (also the template of a Service or Configuration), as far as Torpor acts on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec.fields import DNS_LABEL, Fields
from torpor.spec.knative import BUILT_IN, RevisionDefaults, RevisionLimits, parse_limits
from torpor.spec.names import PREDICTOR_IMAGE, USER_CONTAINER

DEFAULT_PORT = 8080
H2C = "h2c"


@dataclass(frozen=True, slots=True)
class Container:
    """One container, with the name it goes by where it was given none."""

    name: str
    image: str
    port: int | None
    h2c: bool


@dataclass(frozen=True, slots=True)
class RevisionSpec:
    """What is needed to run a revision and to route to it."""

    limits: RevisionLimits
    containers: tuple[Container, ...]
    serving: str
    """Name of the container that receives the requests."""
    port: int

    @property
    def h2c(self) -> bool:
        return any(container.h2c for container in self.containers)


def parse_revision(spec: Fields, defaults: RevisionDefaults = BUILT_IN) -> RevisionSpec:
    """Read a RevisionSpec by the rules of Knative's API specification, and of the cluster."""
    limits = parse_limits(spec, defaults)
    fields = spec.objects("containers")
    if not fields:
        raise spec.refuse("containers", "at least one container is needed")
    containers = tuple(_parse_container(item, index) for index, item in enumerate(fields))
    for name, count in Counter(container.name for container in containers).items():
        if count > 1:
            raise InvalidInputError(spec.at("containers"), name, "each container's name may be used once")
    serving = _serving(spec, containers)
    account = spec.text("serviceAccountName")
    if account and not all(DNS_LABEL.match(part) for part in account.split(".")):
        raise spec.refuse("serviceAccountName", "use lower-case letters, digits, '-' and '.' (a DNS-1123 subdomain)")
    return RevisionSpec(limits, containers, serving.name, serving.port or DEFAULT_PORT)


def is_predictor(image: str) -> bool:
    """Tell whether an image is the built-in predictor, whatever its tag."""
    name, _, _ = image.partition("@")
    repository, _, tag = name.rpartition(":")
    return (repository if repository and "/" not in tag else name) == PREDICTOR_IMAGE


def _serving(spec: Fields, containers: tuple[Container, ...]) -> Container:
    if len(containers) == 1:
        return containers[0]
    with_port = [container for container in containers if container.port is not None]
    if len(with_port) != 1:
        names = [container.name for container in with_port]
        raise InvalidInputError(
            spec.at("containers"), names, "of several containers exactly one must have ports: it receives the requests"
        )
    return with_port[0]


def _parse_container(fields: Fields, index: int) -> Container:
    name = fields.text("name") or (USER_CONTAINER if index == 0 else f"{USER_CONTAINER}-{index}")
    if not DNS_LABEL.match(name):
        raise fields.refuse("name", "use lower-case letters, digits and '-' (a DNS-1123 label)")
    image = fields.required_text("image")
    ports = fields.objects("ports")
    if len(ports) > 1:
        raise InvalidInputError(fields.at("ports"), len(ports), "at most one port is allowed")
    if not ports:
        return Container(name, image, None, h2c=False)
    port_name = ports[0].text("name")
    if port_name not in {"", "http1", H2C}:
        raise ports[0].refuse("name", "use http1 or h2c")
    if ports[0].text("protocol", "TCP") != "TCP":
        raise ports[0].refuse("protocol", "use TCP")
    port = ports[0].integer("containerPort", minimum=0, maximum=65535) or DEFAULT_PORT
    return Container(name, image, port, h2c=port_name == H2C)
