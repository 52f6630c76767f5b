"""One server for all tests that leave it running, and a namespace of its own for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.local.apiserver.server import Api, serving
from torpor.spec.kinds import NAMESPACE

HISTORY = 100
"""Changes kept of each kind: few, so that a test can outlast them."""

_COUNT = itertools.count()


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving(tmp_path_factory.mktemp("apiserver"), "--history", str(HISTORY)) as (_, api):
        yield api


@pytest.fixture
def namespace(api: Api) -> str:
    """A namespace that nobody else uses; the server does not outlive the tests, so nobody empties it."""
    name = f"test-{next(_COUNT)}"
    api.create(NAMESPACE, {"metadata": {"name": name}})
    return name
