"""What holds for every test, and what whole-cluster tests share: starting it is most of the cost of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.laptop import Laptop, running_laptop
from tests.support.models import minilm
from tests.support.s3 import S3, s3_server

# A busy machine is slow, not wrong: the time of one example says nothing; pytest-timeout bounds the whole test.
# Between two edits a sample is enough; `scripts/test` looks at more with `--hypothesis-profile thorough`.
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile("thorough", deadline=None, max_examples=150)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A running `torpor up`, stopped and checked for leftovers at the end."""
    with running_laptop(tmp_path_factory.mktemp("laptop")) as started:
        yield started


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 server with the bucket `models`, which holds all-minilm-l6-v2."""
    with s3_server(tmp_path_factory.mktemp("s3") / "moto.log") as server:
        server.create_bucket("models")
        server.upload(minilm(), "models", "all-minilm-l6-v2")
        yield server


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of what the documentation tells people to apply."""
    return Path(__file__).parents[1] / "manifests" / "examples"
