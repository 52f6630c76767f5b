"""Every metric Torpor exports, declared once: prefix `torpor_`, base units, few labels.

Declared here and set elsewhere, so that the list can be read, and so that no two places invent one name.
"""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

REGISTRY = CollectorRegistry()


def exposition() -> tuple[bytes, str]:
    """Return (body, content type) for `/metrics`."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
