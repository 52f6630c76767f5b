"""A pod's spec, as far as something that runs pods as processes acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from torpor.spec.fields import MAX_INTEGER, Fields
from torpor.spec.kinds import Object
from torpor.spec.probe import Exec, HttpGet, Probe, Purpose, parse_http_get, parse_probe
from torpor.spec.quantity import parse_quantity

DEFAULT_GRACE_S = 30

Holder = Literal["configMap", "secret"]
"""What holds data that an environment or a volume is made of."""


@dataclass(frozen=True, slots=True)
class KeyRef:
    """One key of a ConfigMap or Secret."""

    holder: Holder
    name: str
    key: str
    optional: bool


@dataclass(frozen=True, slots=True)
class FieldRef:
    """One field of the pod."""

    path: str


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """One resource of a container, in units of `divisor`."""

    container: str
    resource: str
    divisor: Fraction


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One variable: a text, or where it comes from."""

    name: str
    value: str | KeyRef | FieldRef | ResourceRef


@dataclass(frozen=True, slots=True)
class EnvFrom:
    """Every key of a ConfigMap or Secret."""

    holder: Holder
    name: str
    prefix: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a container says it listens on."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits and requests; CPU in cores, memory in bytes; None where there is none."""

    limits: tuple[tuple[str, Fraction], ...] = ()
    requests: tuple[tuple[str, Fraction], ...] = ()

    @property
    def cpu(self) -> Fraction | None:
        return dict(self.limits).get("cpu")

    @property
    def memory(self) -> int | None:
        value = dict(self.limits).get("memory")
        return None if value is None else int(value)


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a container wants a volume."""

    volume: str
    path: str
    sub_path: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """One container."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[Port, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    resources: Resources = Resources()
    mounts: tuple[Mount, ...] = ()
    probes: tuple[tuple[Purpose, Probe], ...] = ()
    pre_stop: Exec | HttpGet | float | None = None
    """Done before SIGTERM; a number is how many seconds to sleep."""
    log_is_message: bool = False
    """terminationMessagePolicy FallbackToLogsOnError: without a message of its own its log is one."""

    def probe(self, purpose: Purpose) -> Probe | None:
        return dict(self.probes).get(purpose)


@dataclass(frozen=True, slots=True)
class VolumeItem:
    """Which key becomes which file."""

    key: str
    path: str


@dataclass(frozen=True, slots=True)
class DataVolume:
    """A volume with the keys of a ConfigMap or Secret as files; all of them where `items` is empty."""

    name: str
    holder: Holder
    source: str
    items: tuple[VolumeItem, ...]
    optional: bool
    mode: int


@dataclass(frozen=True, slots=True)
class EmptyDir:
    """A folder that lives as long as the pod."""

    name: str


@dataclass(frozen=True, slots=True)
class OtherVolume:
    """A volume of a type that is not made here."""

    name: str
    type: str


Volume = DataVolume | EmptyDir | OtherVolume


@dataclass(frozen=True, slots=True)
class PodSpec:
    """What is to run."""

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart: Literal["Always", "OnFailure", "Never"] = "Always"
    grace_s: int = DEFAULT_GRACE_S

    @property
    def serving(self) -> Container:
        """The container that receives the requests: the first with a port, else the first."""
        return next((container for container in self.containers if container.ports), self.containers[0])


def parse_pod(obj: Object) -> PodSpec:
    """Read a pod's spec; raises InvalidInputError that names field, value and what is allowed."""
    spec = Fields(obj.get("spec") or {}, "spec")
    containers = tuple(_parse_container(fields) for fields in spec.objects("containers"))
    if not containers:
        raise spec.refuse("containers", "at least one container is needed")
    restart = spec.text("restartPolicy") or "Always"
    if restart not in {"Always", "OnFailure", "Never"}:
        raise spec.refuse("restartPolicy", "use Always, OnFailure or Never")
    grace = spec.integer("terminationGracePeriodSeconds", minimum=0, maximum=MAX_INTEGER)
    return PodSpec(
        containers,
        tuple(_parse_container(fields) for fields in spec.objects("initContainers")),
        tuple(_parse_volume(fields) for fields in spec.objects("volumes")),
        restart,  # type: ignore[arg-type]  # checked above
        DEFAULT_GRACE_S if grace is None else grace,
    )


def _parse_container(fields: Fields) -> Container:
    ports = tuple(
        Port(item.integer("containerPort", minimum=0, maximum=65535) or 0, item.text("name"))
        for item in fields.objects("ports")
    )
    probes = {
        Purpose.STARTUP: parse_probe(fields.object("startupProbe")),
        Purpose.READINESS: parse_probe(fields.object("readinessProbe")),
        Purpose.LIVENESS: parse_probe(fields.object("livenessProbe")),
    }
    return Container(
        fields.required_text("name"),
        fields.text("image"),
        fields.texts("command"),
        fields.texts("args"),
        fields.text("workingDir"),
        ports,
        tuple(_parse_env(item) for item in fields.objects("env")),
        tuple(_parse_env_from(item) for item in fields.objects("envFrom")),
        _parse_resources(fields.object("resources")),
        tuple(
            Mount(item.text("name"), item.text("mountPath"), item.text("subPath"))
            for item in fields.objects("volumeMounts")
        ),
        tuple((purpose, probe) for purpose, probe in probes.items() if probe is not None),
        _parse_pre_stop(fields.object("lifecycle").object("preStop")),
        fields.text("terminationMessagePolicy") == "FallbackToLogsOnError",
    )


def _parse_env(fields: Fields) -> EnvVar:
    name = fields.required_text("name")
    source = fields.object("valueFrom")
    for field, holder in _KEY_REFS.items():
        if field in source:
            ref = source.object(field)
            return EnvVar(name, KeyRef(holder, ref.text("name"), ref.text("key"), ref.boolean("optional")))
    if "fieldRef" in source:
        return EnvVar(name, FieldRef(source.object("fieldRef").text("fieldPath")))
    if "resourceFieldRef" in source:
        ref = source.object("resourceFieldRef")
        divisor = parse_quantity(ref.at("divisor"), ref.raw.get("divisor") or "1") or Fraction(1)
        return EnvVar(name, ResourceRef(ref.text("containerName"), ref.text("resource"), divisor))
    return EnvVar(name, fields.text("value"))


_KEY_REFS: dict[str, Holder] = {"configMapKeyRef": "configMap", "secretKeyRef": "secret"}
_ENV_FROM: dict[str, Holder] = {"configMapRef": "configMap", "secretRef": "secret"}


def _parse_env_from(fields: Fields) -> EnvFrom:
    for field, holder in _ENV_FROM.items():
        if field in fields:
            ref = fields.object(field)
            return EnvFrom(holder, ref.text("name"), fields.text("prefix"), ref.boolean("optional"))
    raise fields.refuse("configMapRef", "a configMapRef or a secretRef is needed")


def _parse_resources(fields: Fields) -> Resources:
    def read(name: str) -> tuple[tuple[str, Fraction], ...]:
        given = fields.object(name)
        return tuple((key, parse_quantity(given.at(key), value)) for key, value in given.raw.items())

    return Resources(read("limits"), read("requests"))


def _parse_pre_stop(fields: Fields) -> Exec | HttpGet | float | None:
    if "exec" in fields:
        return Exec(fields.object("exec").texts("command"))
    if "httpGet" in fields:
        return parse_http_get(fields.object("httpGet"))
    if "sleep" in fields:
        return float(fields.object("sleep").integer("seconds", minimum=0, maximum=MAX_INTEGER) or 0)
    return None


def _parse_volume(fields: Fields) -> Volume:
    name = fields.required_text("name")
    for field, holder, source in _DATA_VOLUMES:
        if field in fields:
            given = fields.object(field)
            items = tuple(VolumeItem(item.text("key"), item.text("path")) for item in given.objects("items"))
            mode = given.integer("defaultMode", minimum=0, maximum=0o777)
            mode = 0o644 if mode is None else mode
            return DataVolume(name, holder, given.text(source), items, given.boolean("optional"), mode)
    if "emptyDir" in fields:
        return EmptyDir(name)
    types = [key for key in fields.raw if key != "name"]
    return OtherVolume(name, types[0]) if types else EmptyDir(name)


_DATA_VOLUMES: tuple[tuple[str, Holder, str], ...] = (
    ("configMap", "configMap", "name"),
    ("secret", "secret", "secretName"),
)
