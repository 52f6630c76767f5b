"""What Triton's statistics extension says of a model: how many inferences, and where their time went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Laps:
    """When the parts of one computation ended, in nanoseconds; written by the thread that computes."""

    began_ns: int = 0
    decoded_ns: int = 0
    inferred_ns: int = 0
    encoded_ns: int = 0
    rows: int = 1
    """Of the first input's first axis: what counts as inferences."""


@dataclass(slots=True)
class Lap:
    """So many, and their time together."""

    count: int = 0
    total_ns: int = 0

    def add(self, nanoseconds: int) -> None:
        self.count += 1
        self.total_ns += nanoseconds

    def document(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.total_ns}


@dataclass(slots=True)
class Statistics:
    """Of one version of one model, since it was made. Belongs to the event loop."""

    inferences: int = 0
    executions: int = 0
    last_at_ms: int = 0
    """Since 1970."""
    success: Lap = field(default_factory=Lap)
    fail: Lap = field(default_factory=Lap)
    queue: Lap = field(default_factory=Lap)
    compute_input: Lap = field(default_factory=Lap)
    compute_infer: Lap = field(default_factory=Lap)
    compute_output: Lap = field(default_factory=Lap)

    def succeeded(self, arrived_ns: int, laps: Laps, now_ms: int) -> None:
        """Count one request that was answered: `arrived_ns` is when it began to wait for a thread."""
        self.inferences += laps.rows
        self.executions += 1
        self.last_at_ms = now_ms
        self.success.add(laps.encoded_ns - arrived_ns)
        self.queue.add(laps.began_ns - arrived_ns)
        self.compute_input.add(laps.decoded_ns - laps.began_ns)
        self.compute_infer.add(laps.inferred_ns - laps.decoded_ns)
        self.compute_output.add(laps.encoded_ns - laps.inferred_ns)

    def failed(self, nanoseconds: int) -> None:
        """Count one request that was not."""
        self.fail.add(nanoseconds)

    def document(self, name: str, version: str) -> dict[str, Any]:
        """Return one entry of `model_stats`."""
        nothing = Lap().document()
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_at_ms,
            "inference_count": self.inferences,
            "execution_count": self.executions,
            "inference_stats": {
                "success": self.success.document(),
                "fail": self.fail.document(),
                "queue": self.queue.document(),
                "compute_input": self.compute_input.document(),
                "compute_infer": self.compute_infer.document(),
                "compute_output": self.compute_output.document(),
                "cache_hit": nothing,
                "cache_miss": nothing,
            },
            "batch_stats": [],
            "memory_usage": [],
        }
