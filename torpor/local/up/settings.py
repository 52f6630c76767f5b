"""What `torpor up` is told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torpor import settings
from torpor.errors import SettingError
from torpor.spec.fields import DNS_LABEL
from torpor.spec.secret import parse_secret


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of it; the front hands it to the supervisor as a command line."""

    data_dir: Path
    host: str
    http_port: int
    grpc_port: int
    api_port: int
    admin_port: int
    domain: str
    tls_secret: str = ""
    """NAMESPACE/NAME of the Secret with the certificate of both data ports; empty: they speak without TLS."""

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    @property
    def logs(self) -> Path:
        """Where each service's output is kept."""
        return self.data_dir / "logs"

    def ports(self) -> dict[str, int]:
        """Return every port by the option that sets it."""
        return {
            "--http-port": self.http_port,
            "--grpc-port": self.grpc_port,
            "--api-port": self.api_port,
            "--admin-port": self.admin_port,
        }

    def arguments(self) -> tuple[str, ...]:
        """Return the command line that `parse` reads these settings from."""
        words = ["--data-dir", str(self.data_dir), "--host", self.host, "--domain", self.domain]
        for option, port in self.ports().items():
            words += [option, str(port)]
        if self.tls_secret:
            words += ["--tls-secret", self.tls_secret]
        return tuple(words)


def parse(arguments: Sequence[str]) -> tuple[Settings, int | None]:
    """Return the settings, and the descriptor that reaches its end when the front does."""
    parser = argparse.ArgumentParser(prog="python -m torpor.local.up", description=__doc__)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--domain", required=True)
    for name in ("http", "grpc", "api", "admin"):
        parser.add_argument(f"--{name}-port", required=True)
    parser.add_argument("--tls-secret", default="")
    parser.add_argument("--lifeline-fd")
    given = parser.parse_args(arguments)
    descriptor = given.lifeline_fd
    return (
        Settings(
            data_dir=Path(given.data_dir),
            host=given.host,
            http_port=settings.port("--http-port", given.http_port),
            grpc_port=settings.port("--grpc-port", given.grpc_port),
            api_port=settings.port("--api-port", given.api_port),
            admin_port=settings.port("--admin-port", given.admin_port),
            domain=domain("--domain", given.domain),
            tls_secret=secret("--tls-secret", given.tls_secret),
        ),
        None if descriptor is None else settings.integer("--lifeline-fd", descriptor, minimum=0, maximum=2**20),
    )


def domain(key: str, raw: str) -> str:
    """Return a DNS name below which services get theirs."""
    if len(raw) > 253 or not all(DNS_LABEL.match(label) for label in raw.split(".")):
        raise SettingError(key, raw, "use a DNS name: lower-case letters, digits, - and dots")
    return raw


def secret(key: str, raw: str) -> str:
    """Return NAMESPACE/NAME of a Secret, or nothing."""
    return "/".join(parse_secret(key, raw)) if raw else ""
