"""The same pod as for HTTP: one port, both protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import tritonclient.grpc.aio as triton

from tests.predictor.endpoints.conftest import loading, pod, shared
from tests.predictor.endpoints.pod import Pod

__all__ = ["loading", "pod", "shared"]


@pytest_asyncio.fixture(loop_scope="module")
async def client(pod: Pod) -> AsyncIterator[triton.InferenceServerClient]:
    """Triton's own."""
    async with triton.InferenceServerClient(f"127.0.0.1:{pod.port}") as found:
        yield found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
