"""What every reconciler knows of the world outside the objects: how services are called from there."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.spec.cluster import BUILT_IN, ClusterWide

HTTP_PORT = 80
USUAL_PORTS = {"http": HTTP_PORT, "https": 443}
"""URLs leave them out."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings that are part of what is decided."""

    domain: str = "localhost"
    http_port: int = HTTP_PORT
    gateway: str = ""
    """Host name under which pods reach the activator; empty: there is no name of its own for use inside."""
    scheme: str = "http"
    """What the activator speaks on that port: http, or https."""
    cluster: ClusterWide = BUILT_IN
    """What holds for all revisions, by Knative's ConfigMaps."""

    def url(self, name: str, namespace: str) -> str:
        """Return the URL under which everybody reaches a Route; of a tag the name is `{tag}-{route}`."""
        port = "" if self.http_port == USUAL_PORTS[self.scheme] else f":{self.http_port}"
        return f"{self.scheme}://{name}.{namespace}.{self.domain}{port}"

    def address(self, name: str, namespace: str) -> str:
        """Return the URL for callers inside: the cluster's own name where there is a gateway, else the same."""
        return f"{self.scheme}://{name}.{namespace}.svc.cluster.local" if self.gateway else self.url(name, namespace)
