"""An S3 server of our own: moto, as a process on a free port."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports

START_S = 30.0


@dataclass(frozen=True, slots=True)
class S3:
    """A running server. Any credentials are right until `demand_credentials()`."""

    url: str
    access_key: str = "torpor"
    secret_key: str = "torpor-secret"

    def client(self, service: str = "s3") -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def create_bucket(self, bucket: str) -> None:
        self.client().create_bucket(Bucket=bucket)

    def upload(self, folder: Path, bucket: str, prefix: str) -> None:
        """Put every file below `folder` under `prefix`."""
        client = self.client()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(folder).as_posix()}")

    def demand_credentials(self) -> S3:
        """From now on refuse all but one user's keys; returns the server as that user sees it."""
        iam = self.client("iam")
        iam.create_user(UserName="reader")
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
        iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
        return S3(self.url, key["AccessKeyId"], key["SecretAccessKey"])


@contextlib.contextmanager
def s3_server(log: Path) -> Iterator[S3]:
    """Start moto, give it, stop it."""
    (port,) = free_ports(1)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url, log)
        yield S3(url)
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"moto ended at once:\n{log.read_text()}"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/moto-api/", timeout=1) as answer:
            answer.read()
            return
        time.sleep(0.05)
    raise TimeoutError(f"moto did not answer within {START_S:g} s:\n{log.read_text()}")
