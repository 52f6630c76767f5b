"""What each kind looks like: OpenAPI schemas, compiled for checking, pruning and merging.

kubernetes.json, knative.json and kserve.json are written by scripts/generate-schemas.
"""

from torpor.local.apiserver.schema.conform import Findings, Mistake, conform
from torpor.local.apiserver.schema.node import Node, definitions, node

__all__ = ["Findings", "Mistake", "Node", "conform", "definitions", "node"]
