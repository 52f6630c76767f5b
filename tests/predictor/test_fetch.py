"""`python -m predictor fetch`: a model's files for a container of the user's own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from predictor.fetch import fetch
from predictor.loading.patience import Patience
from predictor.storage.place import Place, Stop
from predictor.storage.schemes import place
from predictor.storage.settings import S3Settings, StorageSettings
from tests.predictor.storage.faulty import faulty_network
from tests.support.s3 import S3
from torpor.aio.backoff import Backoff
from torpor.errors import NotFoundError, UnavailableError

pytestmark = pytest.mark.slow

QUICK = Patience(limit_s=20, backoff=Backoff(first_s=0.01, limit_s=0.05))


@pytest.fixture(scope="module")
def server(s3: S3) -> S3:
    """The server, with a bucket of this test's own."""
    s3.create_bucket("fetched")
    client = s3.client()
    client.put_object(Bucket="fetched", Key="iris/model.bin", Body=b"weights")
    client.put_object(Bucket="fetched", Key="iris/deep/labels.txt", Body=b"a b")
    return s3


async def run(folder: Path, uri: str, endpoint: str, **env: str) -> tuple[int, str, str]:
    """Run it as a kubelet does; returns the exit status, the termination message and the log."""
    given = {
        "PATH": os.environ["PATH"],
        "STORAGE_URI": uri,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "torpor",
        "AWS_SECRET_ACCESS_KEY": "torpor-secret",
        "TORPOR_VOLUME_TORPOR_MODEL": str(folder / "models"),
        "TORPOR_TERMINATION_LOG": str(folder / "message"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "predictor", "fetch", env=given | env, stderr=asyncio.subprocess.PIPE
    )
    _, log = await asyncio.wait_for(process.communicate(), 60)
    message = folder / "message"
    assert process.returncode is not None
    return process.returncode, message.read_text() if message.exists() else "", log.decode()


async def test_every_file_is_put_where_the_volume_is(server: S3, tmp_path: Path) -> None:
    """Below the folder that the variable names; the log says how much it was."""
    status, message, log = await run(tmp_path, "s3://fetched/iris", server.url)
    assert (status, message) == (0, ""), log
    models = tmp_path / "models"
    assert (models / "model.bin").read_bytes() == b"weights"
    assert (models / "deep/labels.txt").read_bytes() == b"a b"
    assert "fetched 2 files" in log


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        pytest.param("s3://fetched/none", "fetch: ", id="nothing there"),
        pytest.param("s3://nowhere/iris", "nowhere", id="no such bucket"),
        pytest.param("gs://fetched/iris", "use one of file://, pvc://, s3://", id="a scheme that is not read"),
    ],
)
async def test_what_cannot_be_fetched_is_its_last_word(server: S3, tmp_path: Path, uri: str, says: str) -> None:
    """Exit status 1, and the reason where Kubernetes reads it."""
    status, message, log = await run(tmp_path, uri, server.url)
    assert status == 1, log
    assert message.startswith("fetch: ")
    assert says in message


async def test_a_setting_that_is_missing_is_one_line() -> None:
    """As the predictor says it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "predictor", "fetch", env={"PATH": os.environ["PATH"]}, stderr=asyncio.subprocess.PIPE
    )
    _, log = await process.communicate()
    assert process.returncode == 1
    assert log.decode().startswith("torpor predictor: STORAGE_URI: ")


def source(url: str, uri: str = "s3://fetched/iris") -> Place:
    settings = S3Settings(endpoint_url=url, access_key="torpor", secret_key="torpor-secret")
    return place(uri, StorageSettings(s3=settings))


def test_a_network_that_fails_for_a_moment_is_tried_again(server: S3, tmp_path: Path) -> None:
    """The container need not be started once more for it."""
    with faulty_network(server.url) as network:
        network.faults.refusals = 6
        fetch(source(network.url), tmp_path, Stop(), QUICK)
        assert network.faults.happened == 6
    assert (tmp_path / "model.bin").read_bytes() == b"weights"


def test_a_network_that_fails_for_good_is_given_up(tmp_path: Path) -> None:
    """Kubernetes then tries on, more slowly."""
    with pytest.raises(UnavailableError):
        fetch(source("http://127.0.0.1:1"), tmp_path, Stop(), Patience(0.1, Backoff(first_s=0.01, limit_s=0.02)))


def test_what_is_not_there_is_not_asked_for_again(server: S3, tmp_path: Path) -> None:
    """Trying again cannot help."""
    with pytest.raises(NotFoundError):
        fetch(source(server.url, "s3://fetched/none"), tmp_path, Stop(), QUICK)


async def test_sigterm_ends_it(tmp_path: Path) -> None:
    """At once, though a server is silent; with no success: the container after it must not start on half a model."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    asked = asyncio.Event()
    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    env = {
        "PATH": os.environ["PATH"],
        "STORAGE_URI": "s3://fetched/iris",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "TORPOR_VOLUME_TORPOR_MODEL": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "predictor", "fetch", env=env)
    async with listener:
        await asyncio.wait_for(asked.wait(), 30)
        process.send_signal(signal.SIGTERM)
        listener.close()
        assert await asyncio.wait_for(process.wait(), 10) == 128 + signal.SIGTERM
