"""One server for the tests of a module, which is a new pod to each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.predictor.endpoints.pod import Pod, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Pod]:
    """Starting and ending take longer than a test."""
    async with running() as pod:
        yield pod


@pytest.fixture
def pod(shared: Pod) -> Pod:
    """Ready."""
    shared.reset(loaded=True)
    return shared


@pytest.fixture
def loading(shared: Pod) -> Pod:
    """Still loading."""
    shared.reset(loaded=False)
    return shared
