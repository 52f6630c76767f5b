"""Decide which services there are, in what order, and what follows when one of them ends. Pure."""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass

from torpor.aio.backoff import Backoff
from torpor.local.up.settings import Settings

# -P: what lies in the folder where `torpor up` is typed hides no module of ours.
PYTHON = (sys.executable, "-P", "-m")


@dataclass(frozen=True, slots=True)
class Service:
    """A process to be kept running."""

    name: str
    command: tuple[str, ...]
    """Gets `--ready-fd N` appended."""
    patience_s: float
    """How long it may take to end after SIGTERM."""


Stages = tuple[tuple[Service, ...], ...]
"""What stands in one stage starts together, once all of the stage before are ready."""


def stages(settings: Settings) -> Stages:
    """Return the services: who is first starts first and stops last.

    The activator stops first, while everything that its last requests need is still there; the kubelet
    stops the pods while there is an API server to say so to.
    """
    kubeconfig = ("--kubeconfig", str(settings.kubeconfig))
    data_dir = ("--data-dir", str(settings.data_dir))
    http = ("--domain", settings.domain, "--http-port", str(settings.http_port))
    host = ("--host", settings.host)
    api = (*data_dir, *host, "--port", str(settings.api_port))
    grpc = ("--grpc-port", str(settings.grpc_port))
    tls = ("--tls-secret", settings.tls_secret) if settings.tls_secret else ()
    https = ("--https",) if settings.tls_secret else ()
    admin = ("--admin-port", str(settings.admin_port), "--token-file", str(settings.data_dir / "token"))
    return (
        (Service("apiserver", (*PYTHON, "torpor.local.apiserver", *api), patience_s=12),),
        (
            Service("kubelet", (*PYTHON, "torpor.local.kubelet", *data_dir, *kubeconfig), patience_s=35),
            # What it writes gets 5 s.
            Service("controller", (*PYTHON, "controller", *kubeconfig, *http, *https), patience_s=8),
            # Requests in flight get 30 s.
            Service(
                "activator",
                (*PYTHON, "activator", "--name", "laptop", *kubeconfig, *host, *http, *grpc, *tls, *admin),
                patience_s=35,
            ),
        ),
    )


def announcement(settings: Settings) -> str:
    """Return the line that says where everything is."""
    host = _reachable(settings.host)
    scheme = "https" if settings.tls_secret else "http"
    return (
        f"torpor is ready: services {scheme}://NAME.NAMESPACE.{settings.domain}:{settings.http_port}, "
        f"gRPC {host}:{settings.grpc_port}, "
        f"API https://{host}:{settings.api_port}, admin http://{host}:{settings.admin_port}, "
        f"kubeconfig {settings.kubeconfig}"
    )


def _reachable(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1"
    return f"[{host}]" if address.version == 6 else host


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a service that ends by itself is started again."""

    backoff: Backoff = Backoff(first_s=0.2, limit_s=10.0)
    tries: int = 8
    """Failures in a row before we give up: some 30 s."""
    steady_s: float = 30.0
    """Who was ready for so long had been started well: its end is the first failure of a new row."""
    start_s: float = 60.0
    """How long a service may take to get ready, on a busy machine too."""
    hurry_s: float = 2.0
    """How long each may take to end once there is no time left."""
    twice_s: float = 0.5
    """Signals this close together are one request: a service manager sends them to the whole tree."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again after a pause."""

    delay_s: float
    failures: int


def next_start(patience: Patience, failures: int, ready_s: float) -> Restart | None:
    """Return what follows the end of a service that failed `failures` times before; None: give up.

    `ready_s` is how long it had been ready, 0 if it never was.
    """
    failures = 1 if ready_s >= patience.steady_s else failures + 1
    if failures > patience.tries:
        return None
    return Restart(patience.backoff.delay_s(failures), failures)


def ending(status: int) -> str:
    """Return how a process ended, in words; a negative status is a signal, as Python has it."""
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
