"""Settings of the activator: one dataclass per concern, read at the door."""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from activator.proxy.forwarding import PRIVATE, Networks
from torpor import settings as read
from torpor.errors import SettingError
from torpor.spec.fields import DNS_LABEL
from torpor.spec.secret import parse_secret

PREFIX = "TORPOR_ACTIVATOR_"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client connection may cost."""

    head_bytes: int = 64 * 1024
    """Request line and headers together, trailers likewise. Cookies and tokens of several kilobytes exist."""
    head_fields: int = 256
    """Fields of a head. Short ones take twenty times the memory that they have bytes. Envoy and Apache allow 100."""
    head_timeout_s: float = 30.0
    """From the first byte of a request to the end of its headers; a slow client is answered 408."""
    body_silence_s: float = 60.0
    """Longest pause within a body, both ways."""
    body_bytes: int | None = None
    """Largest request body; None is no limit: bodies are streamed, and the model knows best what it takes."""
    keep_alive_s: float = 75.0
    """How long an idle connection stays. Longer than the 60 s of common load balancers, so that they close first."""
    connections: int = 20_000
    """Connections at once; more are answered 503 and closed."""
    pipelined: int = 64
    """Requests sent ahead of their answers; after so many the connection is closed, and the rest may be sent again."""
    buffered_bytes: int = 64 * 1024
    """Of a body that waits for a pod, and of data on its way in either direction, before the sender is paused."""
    linger_s: float = 2.0
    """How long what a refused client still sends is read and dropped, so that it can read the answer."""
    linger_bytes: int = 4 * 1024 * 1024
    trusted_proxies: Networks = PRIVATE
    """Whose Forwarded and X-Forwarded-... fields are continued; those of everybody else are replaced."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one client connection may cost where it carries many calls at once (HTTP/2)."""

    streams: int = 256
    """Calls at once; more are refused, and may be sent again. gRPC's clients wait or connect once more."""
    resets: int = 512
    """Streams that are reset, beyond those that are answered, before the connection is closed. An eighth of it is
    forgiven four times a second."""
    control_frames: int = 2000
    """Likewise for frames that ask for nothing: settings, pings, priorities, data without data."""


@dataclass(frozen=True, slots=True)
class PodLimits:
    """How pods are spoken to."""

    connect_timeout_s: float = 2.0
    idle_s: float = 4.0
    """How long an unused connection is kept. Shorter than the 5 s after which uvicorn and Node.js close theirs."""
    refused_s: float = 10.0
    """A request is offered to pods that refuse connections for so long, then it is a 502."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The queue before each revision."""

    queue_limit: int = 10_000
    """Knative's. It holds for every container concurrency."""
    queue_bytes: int = 64 * 1024 * 1024
    """Kept for those who wait for one revision: heads, and what came of bodies."""
    waiting_bytes: int = 256 * 1024 * 1024
    """Kept for those who wait for any."""
    activation_timeout_s: float = 300.0
    """How long a request waits for a pod; annotation torpor.dev/activation-timeout-seconds overrides it."""
    told_after_s: float = 1.0
    """A client that asked for events is answered when it has waited so long: before, the pod's own head may come."""
    told_every_s: float = 10.0
    """The longest silence on such an answer while there is no pod. Common load balancers cut after 60 s."""


@dataclass(frozen=True, slots=True)
class Deferring:
    """Requests with `Prefer: respond-async`, whose clients come back for the answer."""

    deferred_requests: int = 1000
    """At once, with those whose answer was not forgotten yet."""
    deferred_bytes: int = 256 * 1024 * 1024
    """Kept for all of them."""
    deferred_body_bytes: int = 8 * 1024 * 1024
    """Largest body of one request: it is taken in whole."""
    deferred_answer_bytes: int = 32 * 1024 * 1024
    """Largest body of one answer."""
    deferred_kept_s: float = 600.0
    """How long an answer is kept."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """How the process ends."""

    grace_s: float = 30.0
    """How long requests in flight may take after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set: where and for whom by the command line, how much by the environment."""

    host: str
    http_port: int
    admin_port: int
    domain: str
    """What the hosts of services end with."""
    token_file: Path
    """Whose contents admin requests must bear."""
    kubeconfig: Path | None = None
    """None: the credentials of the pod that we run in."""
    ready_fd: int | None = None
    """Gets one byte when the data ports are open."""
    name: str = "activator"
    """Unlike any other activator's of the same cluster."""
    namespace: str = "default"
    """Where the Leases are by which activators know of one another."""
    advertise: str = "127.0.0.1"
    """The address where the others reach our admin port."""
    grpc_port: int = 0
    tls_secret: tuple[str, str] | None = None
    """(namespace, name) of the Secret with the certificate of both data ports; None: they speak without TLS."""
    client: ClientLimits = ClientLimits()
    streams: StreamLimits = StreamLimits()
    pods: PodLimits = PodLimits()
    waiting: Waiting = Waiting()
    deferring: Deferring = Deferring()
    leaving: Leaving = Leaving()


def _optional_bytes(key: str, raw: str) -> int | None:
    return None if raw == "none" else read.integer(key, raw, minimum=1, maximum=2**63, unit="bytes, or none")


def _networks(key: str, raw: str) -> Networks:
    try:
        return Networks.parse(raw)
    except ValueError as error:
        raise SettingError(key, raw, "use networks, as 10.0.0.0/8,192.168.1.7, or none") from error


_seconds = partial(read.number, minimum=0.1, maximum=86_400, unit="seconds")
_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "head_bytes": partial(read.integer, minimum=1024, maximum=2**20, unit="bytes"),
    "head_fields": partial(read.integer, minimum=16, maximum=10_000),
    "body_bytes": _optional_bytes,
    "connections": partial(read.integer, minimum=1, maximum=2**20),
    "pipelined": partial(read.integer, minimum=1, maximum=10_000),
    "buffered_bytes": partial(read.integer, minimum=4096, maximum=2**24, unit="bytes"),
    "trusted_proxies": _networks,
    "linger_bytes": partial(read.integer, minimum=0, maximum=2**30, unit="bytes"),
    "streams": partial(read.integer, minimum=1, maximum=10_000),
    "resets": partial(read.integer, minimum=8, maximum=2**20),
    "control_frames": partial(read.integer, minimum=8, maximum=2**20),
    "queue_bytes": partial(read.integer, minimum=64 * 1024, maximum=2**40, unit="bytes"),
    "waiting_bytes": partial(read.integer, minimum=64 * 1024, maximum=2**40, unit="bytes"),
    "told_every_s": partial(read.number, minimum=0.1, maximum=15, unit="seconds"),
    "deferred_requests": partial(read.integer, minimum=0, maximum=1_000_000, unit="requests"),
    "deferred_bytes": partial(read.integer, minimum=0, maximum=2**40, unit="bytes"),
    "deferred_body_bytes": partial(read.integer, minimum=0, maximum=2**40, unit="bytes"),
    "deferred_answer_bytes": partial(read.integer, minimum=0, maximum=2**40, unit="bytes"),
    "queue_limit": partial(read.integer, minimum=1, maximum=1_000_000, unit="requests"),
    "grace_s": partial(read.number, minimum=0, maximum=86_400, unit="seconds"),
}


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read command line and environment; raises SettingError, or exits with 2 where an option does not exist."""
    parser = argparse.ArgumentParser(
        prog="python -m activator",
        description="The door: buffers, wakes, routes, scales. Limits are set by TORPOR_ACTIVATOR_... variables.",
    )
    parser.add_argument("--kubeconfig", type=Path, help="credentials of the API; in a pod: leave it out")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--http-port", default="8080", help="port for requests to services; 0 is any that is free")
    parser.add_argument("--grpc-port", default="8081", help="port for HTTP/2 and so gRPC; 0 is any that is free")
    parser.add_argument(
        "--tls-secret", help="NAMESPACE/NAME of a kubernetes.io/tls Secret: both data ports speak TLS with it"
    )
    parser.add_argument("--admin-port", default="9090", help="port for /metrics and /healthz; 0 is any that is free")
    parser.add_argument("--domain", default="localhost", help="what the hosts of services end with")
    parser.add_argument("--name", help="unlike any other activator's; default: POD_NAME, or the machine's name")
    parser.add_argument("--namespace", help="where the activators' Leases are; default: POD_NAMESPACE, or default")
    parser.add_argument("--advertise", help="address where others reach the admin port; default: POD_IP, or --host")
    parser.add_argument("--token-file", type=Path, required=True, help="whose contents admin requests must bear")
    parser.add_argument("--ready-fd", help="descriptor that gets one byte when the data ports are open")
    given = parser.parse_args(arguments)
    descriptor = given.ready_fd
    listens = "127.0.0.1" if given.host in {"0.0.0.0", "::", ""} else given.host
    return Settings(
        host=given.host,
        http_port=read.port("--http-port", given.http_port),
        admin_port=read.port("--admin-port", given.admin_port),
        domain=_domain("--domain", given.domain),
        token_file=given.token_file,
        kubeconfig=given.kubeconfig,
        ready_fd=None if descriptor is None else read.integer("--ready-fd", descriptor, minimum=0, maximum=2**20),
        name=_label("--name", given.name or environment.get("POD_NAME") or _machine()),
        namespace=_label("--namespace", given.namespace or environment.get("POD_NAMESPACE") or "default"),
        advertise=given.advertise or environment.get("POD_IP") or listens,
        grpc_port=read.port("--grpc-port", given.grpc_port),
        tls_secret=None if given.tls_secret is None else parse_secret("--tls-secret", given.tls_secret),
        streams=from_environment(StreamLimits(), environment),
        client=from_environment(ClientLimits(), environment),
        pods=from_environment(PodLimits(), environment),
        waiting=from_environment(Waiting(), environment),
        deferring=from_environment(Deferring(), environment),
        leaving=from_environment(Leaving(), environment),
    )


def _machine() -> str:
    """Return the machine's name, as far as it can be an object's."""
    return re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:40] or "activator"


def _label(key: str, raw: str) -> str:
    if not all(DNS_LABEL.match(label) for label in raw.split(".")):
        raise SettingError(key, raw, "use lower-case letters, digits, '-' and '.'")
    return raw


def _domain(key: str, raw: str) -> str:
    if not all(DNS_LABEL.match(label) for label in raw.split(".")):
        raise SettingError(key, raw, "use a domain in lower case, as example.com or localhost")
    return raw


def from_environment(defaults: T, environment: Mapping[str, str]) -> T:
    """Return a settings dataclass with the fields that `TORPOR_ACTIVATOR_<FIELD>` names set to what it says."""
    changes: dict[str, Any] = {}
    for field in fields(defaults):  # type: ignore[arg-type]  # a dataclass, whichever
        key = PREFIX + field.name.upper()
        if key in environment:
            changes[field.name] = _READERS.get(field.name, _seconds)(key, environment[key])
    return replace(defaults, **changes)  # type: ignore[type-var]
