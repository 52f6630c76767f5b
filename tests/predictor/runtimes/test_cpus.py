"""How many threads a model gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from predictor.runtimes import cpus as module
from predictor.runtimes.cpus import available


@pytest.mark.parametrize(
    ("limit", "cpus"),
    [
        pytest.param("50000 100000", 1, id="half-a-cpu-is-one-thread"),
        pytest.param("150000 100000", 2, id="one-and-a-half-are-two"),
        pytest.param("max 100000", 4, id="no-limit-is-the-machine"),
        pytest.param("800000 100000", 4, id="never-more-than-the-machine"),
        pytest.param("nonsense", 4, id="nonsense-is-the-machine"),
        pytest.param(None, 4, id="no-cgroup-is-the-machine"),
    ],
)
def test_the_limit_of_the_pod_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, cpus: int
) -> None:
    """Not the CPUs of a machine that it shares."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit + "\n")
    assert available(tmp_path) == cpus


@pytest.mark.parametrize(("processes", "each"), [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_processes_of_a_model_share_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, each: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(module, "_shared_by", 1)  # is put back
    module.share(processes)
    assert available(tmp_path) == each
