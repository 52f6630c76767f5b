"""Header fields of the protocols, for those who read them before they load what reads bodies."""

from __future__ import annotations

HEADER_LENGTH = "Inference-Header-Content-Length"
"""V2: says how many bytes of the body are JSON; binary tensors follow."""
