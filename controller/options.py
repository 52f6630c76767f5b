"""What every reconciler knows of the world outside the objects: how services are called from there."""

from __future__ import annotations

from dataclasses import dataclass

HTTP_PORT = 80
"""URLs leave it out."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings that are part of what is decided."""

    domain: str = "localhost"
    http_port: int = HTTP_PORT
    gateway: str = ""
    """Host name under which pods reach the activator; empty: there is no name of its own for use inside."""

    def url(self, name: str, namespace: str) -> str:
        """Return the URL under which everybody reaches a Route; of a tag the name is `{tag}-{route}`."""
        port = "" if self.http_port == HTTP_PORT else f":{self.http_port}"
        return f"http://{name}.{namespace}.{self.domain}{port}"

    def address(self, name: str, namespace: str) -> str:
        """Return the URL for callers inside: the cluster's own name where there is a gateway, else the same."""
        return f"http://{name}.{namespace}.svc.cluster.local" if self.gateway else self.url(name, namespace)
