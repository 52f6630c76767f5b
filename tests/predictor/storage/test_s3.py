"""Models out of a real S3 server, over a network that fails on purpose."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import urllib3

from predictor.storage import s3 as module
from predictor.storage.place import File, Place, Stop, StoppedError
from predictor.storage.schemes import place
from predictor.storage.settings import S3Settings, StorageSettings
from tests.predictor.storage.faulty import FaultyNetwork, faulty_network
from tests.support.ports import free_ports
from tests.support.s3 import S3, s3_server
from torpor.errors import ForbiddenError, InvalidInputError, NotFoundError, UnavailableError, UnsupportedError

pytestmark = pytest.mark.slow

MB = 2**20
CONTENT = {
    "set/a.txt": b"a",
    "set/deep/b.txt": b"bb",
    "set/empty": b"",
    "set/folder/": b"",
    "settings/c.txt": b"not in the set",
    "large/weights.bin": hashlib.shake_128(b"weights").digest(4 * MB + 321),
    "evil/../../escaped": b"x",
}


@pytest.fixture(scope="module")
def server(s3: S3) -> S3:
    """The server, with a bucket of this test's own."""
    s3.create_bucket("places")
    client = s3.client()
    for key, body in CONTENT.items():
        client.put_object(Bucket="places", Key=key, Body=body)
    return s3


@pytest.fixture
def network(server: S3) -> Iterator[FaultyNetwork]:
    with faulty_network(server.url) as network:
        yield network


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small object comes in several ranges, each in several reads."""
    monkeypatch.setattr(module, "PART_BYTES", MB)
    monkeypatch.setattr(module, "CHUNK_BYTES", 100_000)


def at(url: str, uri: str, **changes: object) -> Place:
    settings = {"endpoint_url": url, "access_key": "torpor", "secret_key": "torpor-secret"} | changes
    return place(uri, StorageSettings(s3=S3Settings(**settings)))  # type: ignore[arg-type]


class Count:
    """Adds up from several threads."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self.total += count


def fetched(source: Place, folder: Path) -> dict[str, bytes]:
    """Return what was fetched, having checked that each byte was counted once."""
    listing = source.look()
    count = Count()
    source.fetch(listing.files, folder, count, Stop())
    assert count.total == listing.size
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("uri", "files"),
    [
        pytest.param("s3://places/set", {"a.txt": b"a", "deep/b.txt": b"bb", "empty": b""}, id="below-a-prefix"),
        pytest.param("s3://places/set/", {"a.txt": b"a", "deep/b.txt": b"bb", "empty": b""}, id="with-a-slash"),
        pytest.param("s3://places/set/deep/b.txt", {"b.txt": b"bb"}, id="one-key"),
    ],
)
def test_what_the_uri_names_is_fetched(server: S3, tmp_path: Path, uri: str, files: dict[str, bytes]) -> None:
    """No key of a folder whose name only begins alike, no marker of an empty folder."""
    assert fetched(at(server.url, uri), tmp_path) == files


@pytest.mark.usefixtures("small_parts")
def test_a_large_object_comes_in_ranges(server: S3, tmp_path: Path) -> None:
    """Several at a time, put together right."""
    files = fetched(at(server.url, "s3://places/large"), tmp_path)
    assert files == {"weights.bin": CONTENT["large/weights.bin"]}


@pytest.mark.usefixtures("small_parts")
def test_a_connection_that_breaks_is_taken_up_where_it_broke(network: FaultyNetwork, tmp_path: Path) -> None:
    """The file is right and no byte is fetched, or counted, twice."""
    source = at(network.url, "s3://places/large")
    source.look()
    network.faults.after, network.faults.cuts = 300_000, 6
    files = fetched(source, tmp_path)
    assert network.faults.happened == 6
    assert files == {"weights.bin": CONTENT["large/weights.bin"]}


@pytest.mark.usefixtures("small_parts")
def test_a_transfer_that_is_always_cut_off_fails(network: FaultyNetwork, tmp_path: Path) -> None:
    """As something to try later, and nothing half-fetched is left."""
    source = at(network.url, "s3://places/large")
    listing = source.look()
    network.faults.after, network.faults.cuts = 0, 10_000
    with pytest.raises(UnavailableError, match=r"s3://places/large/weights.bin"):
        source.fetch(listing.files, tmp_path, Count(), Stop())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("small_parts")
def test_stop_wakes_a_download_that_waits(network: FaultyNetwork, tmp_path: Path) -> None:
    """A server that has fallen silent does not hold up the end of a pod."""
    source = at(network.url, "s3://places/large")
    listing = source.look()
    network.faults.after, network.faults.silent = 300_000, True
    stop = Stop()
    with ThreadPoolExecutor(1) as thread:
        download = thread.submit(source.fetch, listing.files, tmp_path, Count(), stop)
        assert network.faults.went_silent.wait(10)
        stop.set()
        with pytest.raises(StoppedError):
            download.result(module.READ_TIMEOUT_S / 2)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_there_already_is_not_fetched_again(server: S3, tmp_path: Path) -> None:
    """After a failure the next try goes on with the files that are missing; their bytes count as done."""
    source = at(server.url, "s3://places/set")
    (tmp_path / "a.txt").write_bytes(b"z")
    assert fetched(source, tmp_path) == {"a.txt": b"z", "deep/b.txt": b"bb", "empty": b""}


def test_an_object_that_changed_after_it_was_listed_is_not_mixed(server: S3, tmp_path: Path) -> None:
    """All ranges are of one object, or the fetch is tried again from a new listing."""
    client = server.client()
    client.put_object(Bucket="places", Key="moving/x", Body=b"old")
    source = at(server.url, "s3://places/moving")
    listing = source.look()
    client.put_object(Bucket="places", Key="moving/x", Body=b"new")
    with pytest.raises(UnavailableError, match="changed while it was being fetched"):
        source.fetch(listing.files, tmp_path, Count(), Stop())


def test_a_key_that_climbs_out_is_refused(server: S3) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidInputError, match=r"'\.\./\.\./escaped'"):
        at(server.url, "s3://places/evil").look()


def test_an_object_that_is_gone_is_named(server: S3, tmp_path: Path) -> None:
    """It was listed, and deleted since."""
    gone = File("gone", 1, source="set/gone", version='"0"')
    with pytest.raises(NotFoundError, match="'set/gone' is not in bucket 'places'"):
        at(server.url, "s3://places/set").fetch([gone], tmp_path, Count(), Stop())


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        pytest.param("s3://nowhere/model", "bucket 'nowhere' does not exist at http://", id="no-bucket"),
        pytest.param("s3://places/no/such", "no key 'no/such', and none below it, in bucket 'places'", id="no-key"),
    ],
)
def test_what_is_not_there_is_named(server: S3, uri: str, says: str) -> None:
    """The bucket, or what was looked for in it."""
    with pytest.raises(NotFoundError, match=says):
        at(server.url, uri).look()


@pytest.mark.parametrize(
    ("uri", "changes", "says"),
    [
        pytest.param("s3://no_such_bucket!/x", {}, "bucket", id="a-bucket-name-that-is-none"),
        pytest.param("s3://places/x", {"endpoint_url": "nonsense"}, "AWS_ENDPOINT_URL", id="an-endpoint-that-is-none"),
    ],
)
def test_what_can_never_work_is_refused(server: S3, uri: str, changes: dict[str, object], says: str) -> None:
    """Not something to try again."""
    with pytest.raises(InvalidInputError, match=says):
        at(server.url, uri, **changes).look()


def test_an_endpoint_where_nobody_listens_may_come_later() -> None:
    """It is named, and worth another try."""
    (port,) = free_ports(1)
    with pytest.raises(UnavailableError, match=f"the endpoint http://127.0.0.1:{port} cannot be reached"):
        at(f"http://127.0.0.1:{port}", "s3://places/x").look()


def test_wrong_credentials_are_called_that(tmp_path: Path) -> None:
    """By a server that looks at them."""
    with s3_server(tmp_path / "moto.log") as open_server:
        open_server.create_bucket("places")
        open_server.client().put_object(Bucket="places", Key="x", Body=b"x")
        guarded = open_server.demand_credentials()
        right = {"access_key": guarded.access_key, "secret_key": guarded.secret_key}
        assert len(at(guarded.url, "s3://places/x", **right).look().files) == 1
        with pytest.raises(ForbiddenError, match="does not accept these credentials"):
            at(guarded.url, "s3://places/x").look()


def test_an_endpoint_without_ranges_is_told_so(
    server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_parts: None
) -> None:
    """Rather than a file put together from whole ones."""
    source = at(server.url, "s3://places/large")
    listing = source.look()
    client = source._client  # type: ignore[attr-defined]
    ask: Callable[..., dict[str, object]] = client.get_object
    monkeypatch.setattr(client, "get_object", lambda Range, **rest: ask(**rest))  # noqa: N803  # boto3's name
    with pytest.raises(UnsupportedError, match="does not serve ranges"):
        source.fetch(listing.files, tmp_path, Count(), Stop())


def test_an_answer_that_has_just_ended_needs_no_waking() -> None:
    """Whoever stops a fetch in that moment learns nothing of it: urllib3 raises for what it has closed."""
    ended = urllib3.HTTPResponse(io.BytesIO(b"bytes"), preload_content=False)
    with pytest.raises(ValueError, match="Cannot shutdown"):
        ended.shutdown()
    stop = Stop()
    with stop.waking(partial(module.wake, ended)):
        stop.set()
    with pytest.raises(StoppedError):
        stop.check()
