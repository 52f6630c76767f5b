"""The same pod as for HTTP: one port, both protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.predictor.endpoints.conftest import loading, pod, shared
from tests.predictor.endpoints.pod import Pod
from tests.support.triton import aio as triton

__all__ = ["loading", "pod", "shared"]


@pytest_asyncio.fixture(loop_scope="module")
async def client(pod: Pod) -> AsyncIterator[triton.InferenceServerClient]:
    """Triton's own."""
    async with triton.InferenceServerClient(f"127.0.0.1:{pod.port}") as found:
        yield found
