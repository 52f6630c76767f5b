"""What Triton's statistics extension says of a model: how many inferences, and where their time went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect

from torpor.errors import DeadlineError, ModelError, QueueFullError, UnavailableError


@dataclass(slots=True)
class Laps:
    """When the parts of one computation ended, in nanoseconds; written by the thread that computes."""

    began_ns: int = 0
    decoded_ns: int = 0
    inferred_ns: int = 0
    encoded_ns: int = 0
    kept_ns: int = 0
    """How long it took to find an answer that was kept, or to keep it."""
    is_hit: bool = False
    """It was kept, and nothing was computed."""
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


MOST_SIZES = 256
"""Of batches whose times are kept apart."""


@dataclass(slots=True)
class Batches:
    """Executions of one size, and where their time went."""

    compute_input: Lap = field(default_factory=Lap)
    compute_infer: Lap = field(default_factory=Lap)
    compute_output: Lap = field(default_factory=Lap)

    def document(self, size: int) -> dict[str, Any]:
        """Return one entry of `batch_stats`."""
        return {
            "batch_size": size,
            "compute_input": self.compute_input.document(),
            "compute_infer": self.compute_infer.document(),
            "compute_output": self.compute_output.document(),
        }


@dataclass(slots=True)
class Statistics:
    """Of one version of one model, since it was made. Belongs to the event loop."""

    inferences: int = 0
    executions: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """Requests by the reason, in Triton's words."""
    batches: dict[int, Batches] = field(default_factory=dict)
    """Executions by how many rows they had."""
    last_at_ms: int = 0
    """Since 1970."""
    success: Lap = field(default_factory=Lap)
    fail: Lap = field(default_factory=Lap)
    queue: Lap = field(default_factory=Lap)
    compute_input: Lap = field(default_factory=Lap)
    compute_infer: Lap = field(default_factory=Lap)
    compute_output: Lap = field(default_factory=Lap)
    cache_hit: Lap = field(default_factory=Lap)
    """Requests whose answers were kept, and how long these took to find."""
    cache_miss: Lap = field(default_factory=Lap)
    """Requests whose answers were not, and how long these took to keep."""

    def executed(self, laps: Laps) -> None:
        """Count one execution of the model, for one request or more."""
        self.executions += 1
        batch = self.batches.get(laps.rows)
        if batch is None:
            if len(self.batches) >= MOST_SIZES:  # sizes come from clients
                return
            batch = self.batches[laps.rows] = Batches()
        batch.compute_input.add(laps.decoded_ns - laps.began_ns)
        batch.compute_infer.add(laps.inferred_ns - laps.decoded_ns)
        batch.compute_output.add(laps.encoded_ns - laps.inferred_ns)

    def succeeded(self, arrived_ns: int, laps: Laps, now_ms: int) -> None:
        """Count one request that was answered: `arrived_ns` is when it began to wait for a thread."""
        if laps.kept_ns:
            (self.cache_hit if laps.is_hit else self.cache_miss).add(laps.kept_ns)
        if laps.is_hit:  # Triton's count of inferences is of those that are computed
            self.last_at_ms = now_ms
            self.success.add(laps.encoded_ns - arrived_ns)
            return
        self.inferences += laps.rows
        self.last_at_ms = now_ms
        self.success.add(laps.encoded_ns - arrived_ns)
        self.queue.add(laps.began_ns - arrived_ns)
        self.compute_input.add(laps.decoded_ns - laps.began_ns)
        self.compute_infer.add(laps.inferred_ns - laps.decoded_ns)
        self.compute_output.add(laps.encoded_ns - laps.inferred_ns)

    def failed(self, nanoseconds: int, error: Exception) -> None:
        """Count one request that was not."""
        self.fail.add(nanoseconds)
        self.failures[_reason(error)] += 1

    def document(self, name: str, version: str) -> dict[str, Any]:
        """Return one entry of `model_stats`."""
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
                "cache_hit": self.cache_hit.document(),
                "cache_miss": self.cache_miss.document(),
            },
            "batch_stats": [each.document(size) for size, each in sorted(self.batches.items())],
            "memory_usage": [],
        }


def _reason(error: Exception) -> str:
    if isinstance(error, QueueFullError | DeadlineError | UnavailableError):
        return "REJECTED"
    if isinstance(error, ClientDisconnect):
        return "CANCELED"
    return "BACKEND" if isinstance(error, ModelError) else "OTHER"
