"""A container's probes: what is asked, how often, and how many answers count."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from torpor.spec.fields import Fields

MAX_SECONDS = 2**31 - 1


class Purpose(enum.Enum):
    """What a probe's answer is for."""

    STARTUP = "Startup"
    READINESS = "Readiness"
    LIVENESS = "Liveness"


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Success is any status from 200 to 399."""

    host: str
    """Empty: the pod's own address."""
    port: int | str
    path: str
    https: bool
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """Success is a connection."""

    host: str
    port: int | str


@dataclass(frozen=True, slots=True)
class Exec:
    """Success is exit status 0."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grpc:
    """gRPC's health service."""

    port: int | str
    service: str


Action = HttpGet | TcpSocket | Exec | Grpc


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe, with Kubernetes' defaults filled in."""

    action: Action
    initial_delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3


def parse_probe(fields: Fields) -> Probe | None:
    """Read a probe; None where there is none, or none that asks anything."""
    action = _parse_action(fields)
    if action is None:
        return None

    def number(name: str, default: int, minimum: int = 1) -> int:
        # Kubernetes reads 0 as "not given" wherever 0 makes no sense.
        value = fields.integer(name, minimum=0, maximum=MAX_SECONDS)
        return default if value is None or value < minimum else value

    return Probe(
        action,
        initial_delay_s=number("initialDelaySeconds", 0, minimum=0),
        period_s=number("periodSeconds", 10),
        timeout_s=number("timeoutSeconds", 1),
        success_threshold=number("successThreshold", 1),
        failure_threshold=number("failureThreshold", 3),
    )


def _parse_action(fields: Fields) -> Action | None:
    if "httpGet" in fields:
        return parse_http_get(fields.object("httpGet"))
    if "tcpSocket" in fields:
        tcp = fields.object("tcpSocket")
        return TcpSocket(tcp.text("host"), parse_port(tcp))
    if "exec" in fields:
        return Exec(fields.object("exec").texts("command"))
    if "grpc" in fields:
        grpc = fields.object("grpc")
        return Grpc(parse_port(grpc), grpc.text("service"))
    return None


def parse_http_get(fields: Fields) -> HttpGet:
    headers = tuple((item.text("name"), item.text("value")) for item in fields.objects("httpHeaders"))
    path = fields.text("path") or "/"
    return HttpGet(
        fields.text("host"),
        parse_port(fields),
        path if path.startswith("/") else f"/{path}",
        fields.text("scheme", "HTTP").upper() == "HTTPS",
        headers,
    )


def parse_port(fields: Fields, name: str = "port") -> int | str:
    """Return a port's number or name; 0 is the one that the container has anyway, as Knative leaves it out."""
    value = fields.raw.get(name)
    if isinstance(value, str):
        return int(value) if value.isdecimal() else value
    return fields.integer(name, minimum=0, maximum=65535) or 0
