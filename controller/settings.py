"""How the controller is started."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.options import HTTP_PORT, Options
from torpor import settings
from torpor.errors import SettingError

KNATIVE = ("auto", "on", "off")

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it comes from the command line."""

    options: Options
    kubeconfig: Path | None
    """None: the credentials of the pod that we run in."""
    knative: str
    """Whether Knative's kinds are ours to reconcile: on, off, or auto, which is on unless Knative itself is there."""
    ready_fd: int | None
    """Gets one byte when every object is known and looked after."""


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line; raises SettingError, or exits with 2 where an option does not exist."""
    parser = argparse.ArgumentParser(prog="python -m controller", description=__doc__)
    parser.add_argument("--kubeconfig", help="credentials; without it, those of the pod's service account")
    parser.add_argument("--domain", default="localhost", help="services are NAME.NAMESPACE.DOMAIN")
    parser.add_argument("--http-port", default=str(HTTP_PORT), help="port of the activator in URLs; 80 is left out")
    parser.add_argument("--https", action="store_true", help="the activator speaks TLS there; then 443 is left out")
    parser.add_argument(
        "--gateway", default="", help="name of the activator inside the cluster; gives Routes names of their own there"
    )
    parser.add_argument(
        "--knative", default="auto", help="reconcile Knative's kinds: auto (unless Knative is installed), on, off"
    )
    parser.add_argument("--ready-fd", help="descriptor that gets one byte when the controller works")
    given = parser.parse_args(arguments)
    descriptor = given.ready_fd
    return Settings(
        options=Options(
            domain=_host("--domain", given.domain),
            http_port=settings.integer("--http-port", given.http_port, minimum=1, maximum=65535),
            scheme="https" if given.https else "http",
            gateway=_host("--gateway", given.gateway) if given.gateway else "",
        ),
        kubeconfig=Path(given.kubeconfig).expanduser().resolve() if given.kubeconfig else None,
        knative=settings.choice("--knative", given.knative, KNATIVE),
        ready_fd=None if descriptor is None else settings.integer("--ready-fd", descriptor, minimum=0, maximum=2**20),
    )


def _host(key: str, raw: str) -> str:
    if not _HOST.match(raw):
        raise SettingError(key, raw, "use a DNS name: lower-case letters, digits, '-' and '.'")
    return raw
