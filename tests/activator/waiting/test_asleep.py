"""What is answered for a revision that sleeps, and what wakes it."""

from __future__ import annotations

import orjson
import pytest

from activator.throttle.remembered import Metadata, Remembered
from activator.waiting import asleep
from torpor.errors import UnavailableError
from torpor.spec.waiting import Asleep

HEALTH = Asleep(health=True)
METADATA = Asleep(metadata=True)
STRICT = Asleep(metadata=True, never_for_metadata=True)


def head(path: str, *lines: str, method: str = "GET") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "Host: a", *lines, "")).encode()


def answer(asked: Asleep, raw: bytes, metadata: Metadata | None = None) -> asleep.Answer | None:
    return asleep.answer(asked, raw, metadata, waking=False, now_s=1000.0)


@pytest.mark.parametrize(
    ("path", "status", "document"),
    [
        ("/healthz", 200, {"status": "alive"}),
        ("/readyz", 503, {"status": "asleep"}),
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 503, {"ready": False}),
        ("/v2/models/m/ready", 503, {"name": "m", "ready": False}),
        ("/v2/models/m/versions/1/ready?x=y", 503, {"name": "m", "ready": False}),
        ("/v1/models/m", 503, {"name": "m", "ready": False}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_is_told_as_it_is(path: str, status: int, document: dict[str, object], method: str) -> None:
    """The service is alive, the model is not ready, and a header says why."""
    said = answer(HEALTH, head(path, method=method))
    assert said is not None
    assert said.status == status
    assert orjson.loads(said.body) == document
    assert b"Torpor-State: asleep\r\n" in said.lines
    assert answer(Asleep(), head(path, method=method)) is None


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(head("/v1/models/m:predict", method="POST"), id="V1 inference"),
        pytest.param(head("/v2/models/m/infer", method="POST"), id="V2 inference"),
        pytest.param(head("/v2/health/live", method="POST"), id="another method"),
        pytest.param(head("/"), id="the root, which may be an application's"),
        pytest.param(head("/v2/health/live/more"), id="another path"),
        pytest.param(head("/v2/models/m/readyz"), id="a longer word"),
    ],
)
def test_everything_else_wakes(raw: bytes) -> None:
    """A request is a request."""
    assert answer(Asleep(health=True, metadata=True), raw, Metadata()) is None


def test_a_state_that_will_change_is_told() -> None:
    """Somebody else has woken it."""
    said = asleep.answer(HEALTH, head("/v2/health/live"), None, waking=True, now_s=0.0)
    assert said is not None
    assert b"Torpor-State: waking\r\n" in said.lines


@pytest.mark.parametrize(
    ("line", "body"),
    [
        pytest.param("User-Agent: kube-probe/1.32", b"asleep", id="the kubelet's"),
        pytest.param("user-agent: kube-probe/1.9+", b"asleep", id="an older one's"),
    ],
)
def test_probes_never_wake(line: str, body: bytes) -> None:
    """Whatever the annotation says: there is somebody, and that is what they ask."""
    said = answer(Asleep(), head("/anything", line))
    assert said is not None
    assert (said.status, said.body) == (200, body)


@pytest.mark.parametrize(("probe", "body"), [(b"activator", b"activator"), (b"", b"asleep")])
def test_knatives_probes_hear_what_they_want(probe: bytes, body: bytes) -> None:
    """By their header, which pods do not see."""
    said = asleep.answer(Asleep(), head("/"), None, probe=probe, waking=False, now_s=0.0)
    assert said is not None
    assert (said.status, said.body) == (200, body)


@pytest.mark.parametrize("line", ["User-Agent: curl/8 kube-probe/1", "X: kube-probe/1"])
def test_what_only_looks_like_a_probe_wakes(line: str) -> None:
    """The name stands at the beginning."""
    assert answer(Asleep(), head("/", line)) is None


PATHS = ["/v2", "/v2/", "/v2/models", "/v2/models/m", "/v2/models/m/versions/1", "/v1/models", "/openai/v1/models"]


@pytest.mark.parametrize("path", PATHS)
def test_metadata_is_what_the_model_said_last(path: str) -> None:
    """With its age. Where it has said nothing, the request wakes it, or is refused, as the owner chose."""
    metadata = Metadata()
    assert answer(METADATA, head(path), metadata) is None
    with pytest.raises(UnavailableError, match="an inference wakes it"):
        answer(STRICT, head(path), metadata)
    assert asleep.metadata_path(head(path)) == path.encode()
    metadata.put(path.encode(), Remembered(b"Content-Type: a/b\r\n", b"{}", 940.0))
    for asked in (METADATA, STRICT):
        said = answer(asked, head(path), metadata)
        assert said == (200, b"Torpor-State: asleep\r\nAge: 60\r\nContent-Type: a/b\r\n", b"{}")
    assert answer(HEALTH, head(path), metadata) is None


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(head("/v2/models/m", "Authorization: Bearer x"), id="with a credential"),
        pytest.param(head("/v2/models/m", "cookie: a=b"), id="with a cookie"),
        pytest.param(head("/v2/models/m", "Torpor-Caller: key:a"), id="with a caller whose credential was taken off"),
        pytest.param(head("/v2/models/m?verbose=1"), id="with a query"),
        pytest.param(head("/v2/models/m", method="HEAD"), id="HEAD"),
        pytest.param(head("/v2/models/m/infer"), id="something else"),
    ],
)
def test_what_is_not_for_everybody_is_not_remembered(raw: bytes) -> None:
    """What one user sees is not told to the next."""
    assert asleep.metadata_path(raw) is None


def test_who_asks_with_a_query_is_not_told_what_was_said_without() -> None:
    """The model may say something else to it."""
    metadata = Metadata()
    metadata.put(b"/v2/models/m", Remembered(b"", b"{}", 0.0))
    assert answer(METADATA, head("/v2/models/m?verbose=1"), metadata) is None
    assert answer(METADATA, head("/v2/models/m"), metadata) is not None


def test_only_so_much_is_remembered() -> None:
    """The oldest answers make place."""
    metadata = Metadata()
    for number in range(Metadata.PATHS + 1):
        metadata.put(b"%d" % number, Remembered(b"", b"", 0.0))
    assert metadata.get(b"0") is None
    assert metadata.get(b"%d" % Metadata.PATHS) is not None
