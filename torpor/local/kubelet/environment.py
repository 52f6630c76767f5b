"""A container's environment, as Kubernetes puts it together, and `$(NAME)` in its command and arguments."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from torpor.errors import TorporError
from torpor.spec.kinds import Object
from torpor.spec.pod import Container, EnvFrom, FieldRef, Holder, KeyRef, PodSpec, ResourceRef

Sources = Mapping[tuple[Holder, str], Object | None]
"""The ConfigMaps and Secrets that are referred to; None for one that does not exist."""

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_WORDS: dict[Holder, tuple[str, str]] = {"configMap": ("configmap", "ConfigMap"), "secret": ("secret", "Secret")}


class ConfigError(TorporError):
    """A container cannot be made from its spec: what it refers to is missing. Kubernetes' own words."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Machine:
    """What a container may use where it names no limit."""

    cpus: int
    memory: int


def references(containers: tuple[Container, ...]) -> set[tuple[Holder, str]]:
    """Return the ConfigMaps and Secrets that environments refer to."""
    found = {(each.holder, each.name) for container in containers for each in container.env_from}
    values = [variable.value for container in containers for variable in container.env]
    return found | {(value.holder, value.name) for value in values if isinstance(value, KeyRef)}


def environment(
    container: Container,
    pod: Object,
    spec: PodSpec,
    sources: Sources,
    machine: Machine,
    ours: Mapping[str, str],
) -> dict[str, str]:
    """Return the variables of a container: its manifest's, and `ours`, which win; raises ConfigError."""
    made: dict[str, str] = {}
    for each in container.env_from:
        made |= _all_of(each, pod, sources)
    made |= ours
    for variable in container.env:
        if variable.name in ours:
            continue
        match variable.value:
            case str(text):
                made[variable.name] = expand(text, made)
            case KeyRef() as ref:
                value = _key(ref, pod, sources)
                if value is not None:
                    made[variable.name] = value
            case FieldRef(path):
                made[variable.name] = field(pod, path)
            case ResourceRef() as ref:
                made[variable.name] = _resource(ref, container, spec, machine)
    return made


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; an unknown one stays as it is, and `$$` is a dollar sign."""

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


def _all_of(ref: EnvFrom, pod: Object, sources: Sources) -> dict[str, str]:
    obj = sources.get((ref.holder, ref.name))
    if obj is None:
        if ref.optional:
            return {}
        raise _not_found(ref.holder, ref.name)
    del pod
    return {f"{ref.prefix}{key}": value for key, value in texts(ref.holder, obj).items()}


def _key(ref: KeyRef, pod: Object, sources: Sources) -> str | None:
    obj = sources.get((ref.holder, ref.name))
    if obj is None:
        if ref.optional:
            return None
        raise _not_found(ref.holder, ref.name)
    value = texts(ref.holder, obj).get(ref.key)
    if value is None and not ref.optional:
        where = f"{pod['metadata'].get('namespace', '')}/{ref.name}"
        raise ConfigError(f"couldn't find key {ref.key} in {_WORDS[ref.holder][1]} {where}")
    return value


def _not_found(holder: Holder, name: str) -> ConfigError:
    return ConfigError(f'{_WORDS[holder][0]} "{name}" not found')


def texts(holder: Holder, obj: Object) -> dict[str, str]:
    """Return the data of a ConfigMap or Secret as text; what is no text becomes the nearest to it."""
    if holder == "configMap":
        return {key: str(value) for key, value in (obj.get("data") or {}).items()}
    return {key: value.decode(errors="replace") for key, value in blobs(holder, obj).items()}


def blobs(holder: Holder, obj: Object) -> dict[str, bytes]:
    """Return the data of a ConfigMap or Secret as bytes."""
    if holder == "configMap":
        plain = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
        return plain | {key: _decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    return {key: _decode(value) for key, value in (obj.get("data") or {}).items()}


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"illegal base64 data: {error}") from error


def field(pod: Object, path: str) -> str:
    """Return a field of the pod that Kubernetes lets a container know; raises ConfigError for any other."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    if match := _FIELD.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    known = {
        "metadata.name": metadata.get("name"),
        "metadata.namespace": metadata.get("namespace"),
        "metadata.uid": metadata.get("uid"),
        "spec.nodeName": spec.get("nodeName"),
        "spec.serviceAccountName": spec.get("serviceAccountName"),
        "status.podIP": "127.0.0.1",
        "status.podIPs": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
    }
    if path not in known:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(known[path] or "")


def _resource(ref: ResourceRef, container: Container, spec: PodSpec, machine: Machine) -> str:
    """Return a limit or request in units of the divisor, rounded up; without a limit it is all the machine has."""
    of = next((each for each in spec.containers if each.name == ref.container), container)
    kind, _, name = ref.resource.partition(".")
    table = dict(of.resources.limits if kind == "limits" else of.resources.requests)
    if kind == "requests" and name not in table:
        table = dict(of.resources.limits)
    defaults = {"cpu": machine.cpus, "memory": machine.memory} if kind == "limits" else {}
    value = table.get(name, defaults.get(name, 0))
    return str(math.ceil(value / ref.divisor))
