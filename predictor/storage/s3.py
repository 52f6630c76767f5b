"""`s3://BUCKET/FOLDER` and `s3://BUCKET/KEY`, at AWS or any endpoint that speaks S3."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from predictor.storage.parts import Part, split
from predictor.storage.place import MOST_FILES, File, Listing, Stop, safe_path
from predictor.storage.s3errors import FOREIGN, Where, translate
from predictor.storage.settings import S3Settings
from predictor.storage.target import Targets
from torpor.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError, UnsupportedError

THREADS = 8
"""One connection to AWS gives 85 to 100 MB/s; more threads than this fight for Python's lock."""
PART_BYTES = 32 * 2**20
"""Measured with 90 MB on loopback: a request costs a local server about as much as 20 MB."""
CHUNK_BYTES = 2**20
"""Read at a time. Each read costs a turn of Python's lock, for which the import of a framework competes."""
RESUMES = 4
"""How often one part goes on where its connection broke, before the whole fetch is tried again after a pause."""
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class S3Place:
    """Everything below a prefix, or one key. Objects are fetched in ranges, by several threads."""

    where: Where
    settings: S3Settings

    @cached_property
    def _client(self) -> Any:
        return _client(self.settings)

    def look(self) -> Listing:
        try:
            files = tuple(self._list())
        except FOREIGN as error:
            raise translate(error, self.where) from error
        if not files:
            raise NotFoundError(
                f"{self.where.uri}: there is no key {self.where.key!r}, and none below it,"
                f" in bucket {self.where.bucket!r} at {self.where.endpoint}"
            )
        return Listing(files)

    def fetch(self, files: Sequence[File], folder: Path, received: Callable[[int], None], stop: Stop) -> None:
        with Targets(folder) as targets, ThreadPoolExecutor(THREADS, "fetch") as threads:
            missing = [each for each in files if not targets.has(each.path, each.size)]
            received(sum(each.size for each in files) - sum(each.size for each in missing))
            work = [threads.submit(self._fetch, part, targets, received, stop) for part in split(missing, PART_BYTES)]
            try:
                done, _ = wait(work, return_when=FIRST_EXCEPTION)
                failed = [each for each in done if each.exception()]
            finally:
                stop.set()  # after a success nobody listens to it any more
                threads.shutdown(cancel_futures=True)
            for each in failed:
                each.result()

    def _list(self) -> Iterator[File]:
        prefix = self.where.key
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.where.bucket, Prefix=prefix)
        count = 0
        for page in pages:
            for entry in page.get("Contents", ()):
                key = entry["Key"]
                if key == prefix and not key.endswith("/"):
                    path = key.rpartition("/")[2]
                elif not prefix or prefix.endswith("/") or key.startswith(prefix + "/"):
                    path = key.removeprefix(prefix).removeprefix("/")
                else:
                    continue  # `models/a` shall not bring `models/ab`
                if not path or path.endswith("/"):  # consoles make such a key for an empty folder
                    continue
                count += 1
                if count > MOST_FILES:
                    raise TooLargeError(f"{self.where.uri} names more than {MOST_FILES} keys; name one model's folder")
                yield File(safe_path(path), entry["Size"], source=key, version=entry["ETag"])

    def _fetch(self, part: Part, targets: Targets, received: Callable[[int], None], stop: Stop) -> None:
        """Fetch one part; a connection that breaks is taken up where it broke."""
        stop.check()
        target = targets.get(part.file.path, part.file.size)
        where = replace(self.where, key=part.file.source)
        at, failures = part.start, 0
        while at < part.end:
            began = at
            broken: Exception | None = None
            try:
                for chunk in self._chunks(part, at, where, stop):
                    target.write(at, chunk)
                    at += len(chunk)
                    received(len(chunk))
            except FOREIGN as error:
                if isinstance(error, OSError) and error.filename:  # the disk, not the network
                    raise
                broken = error
            stop.check()  # a connection that was shut because of `stop` did not break
            if at < part.end:
                failures = 1 if at > began else failures + 1
                reason = translate(broken, where) if broken else _cut_off(part, at, where)
                if failures > RESUMES or not reason.retryable:
                    raise reason from broken

    def _chunks(self, part: Part, at: int, where: Where, stop: Stop) -> Iterator[bytes]:
        """Give the bytes from `at` to the end of the part, as far as the connection lasts."""
        whole = at == 0 and part.end == part.file.size
        # Without a range for what is whole: some gateways answer 416 to a range of all.
        asked = {} if whole else {"Range": f"bytes={at}-{part.end - 1}"}
        answer = self._client.get_object(Bucket=where.bucket, Key=where.key, IfMatch=part.file.version, **asked)
        if asked and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
            answer["Body"].close()
            raise UnsupportedError(f"{where.uri}: {where.endpoint} does not serve ranges of an object")
        raw = answer["Body"]._raw_stream  # noqa: SLF001  # urllib3's response: only it can be woken from outside
        try:
            with stop.waking(partial(wake, raw)):
                left = part.end - at
                while left and (chunk := raw.read(min(CHUNK_BYTES, left))):
                    stop.check()
                    left -= len(chunk)
                    yield chunk
        finally:
            answer["Body"].close()


def wake(response: Any) -> None:
    """End a wait for bytes of this answer, unless it has just ended by itself."""
    # urllib3's own: it has been closed, or its connection is the next request's.
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        response.shutdown()


def _cut_off(part: Part, at: int, where: Where) -> UnavailableError:
    return UnavailableError(f"{where.uri}: {where.endpoint} sent {at} of {part.file.size} bytes and ended")


def place(uri: str, settings: S3Settings) -> S3Place:
    """Return the place that `s3://BUCKET/KEY` names."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise InvalidInputError("storageUri", uri, "use s3://BUCKET/FOLDER or s3://BUCKET/KEY")
    return S3Place(Where(bucket, key, settings.endpoint_url or "AWS"), settings)


_making = threading.Lock()


def _client(settings: S3Settings) -> Any:
    options = Config(
        max_pool_connections=THREADS,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        # boto3's own retries sleep where they cannot be cancelled; ours resume, and pause in the pipeline.
        retries={"mode": "standard", "total_max_attempts": 2},
        s3={"addressing_style": "virtual" if settings.virtual_host else "path" if settings.endpoint_url else "auto"},
        signature_version=UNSIGNED if settings.anonymous else None,
        # Endpoints other than AWS do not know the newer checksums; ETag and size are checked here.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with _making:  # a session is not thread-safe
        return boto3.session.Session().client(
            "s3",
            endpoint_url=settings.endpoint_url,
            region_name=settings.region or "us-east-1",
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            aws_session_token=settings.session_token,
            verify=settings.verify,
            config=options,
        )
