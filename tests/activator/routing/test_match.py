"""A request is for the service that its host or its path names, and for no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.routing.match import match, read_host, split_target
from activator.routing.table import Router, build
from tests.activator.routing.routes import route, to
from torpor.errors import InvalidInputError, NotFoundError, TorporError

TABLE = build(
    [
        route("app", to("app-1"), to("app-2", 0, tag="next"), url="http://app.default.example.test:8080"),
        route("app", to("other-1"), namespace="other"),
        route("next-app", to("next-app-1"), namespace="other"),
    ],
    "example.test",
)


@pytest.mark.parametrize(
    ("host", "target", "revision", "seen"),
    [
        pytest.param(b"app.default.example.test", b"/v1?x=1", ("default", "app-1"), b"/v1?x=1", id="host"),
        pytest.param(b"app.default.example.test:8080", b"/", ("default", "app-1"), b"/", id="host with port"),
        pytest.param(b"APP.Default.Example.TEST", b"/", ("default", "app-1"), b"/", id="host in capitals"),
        pytest.param(b"app.default.example.test.", b"/", ("default", "app-1"), b"/", id="host with its last dot"),
        pytest.param(b"app.other.example.test", b"/", ("other", "other-1"), b"/", id="another namespace"),
        pytest.param(b"next-app.default.example.test", b"/", ("default", "app-2"), b"/", id="tag"),
        pytest.param(b"localhost", b"/serving/default/app/v1/x", ("default", "app-1"), b"/v1/x", id="path"),
        pytest.param(b"127.0.0.1:8080", b"/serving/default/app", ("default", "app-1"), b"/", id="path without more"),
        pytest.param(b"[::1]:8080", b"/serving/default/app/?a=/b", ("default", "app-1"), b"/?a=/b", id="path, query"),
        pytest.param(b"", b"/serving/default/app?q", ("default", "app-1"), b"/?q", id="no host, path and query alone"),
        pytest.param(b"x", b"/serving/default/next-app/", ("default", "app-2"), b"/", id="tag by path"),
        pytest.param(b"x", b"/serving/other/next-app/", ("other", "next-app-1"), b"/", id="a service, not a tag"),
        pytest.param(
            b"app.default.example.test",
            b"/serving/other/app/",
            ("default", "app-1"),
            b"/serving/other/app/",
            id="the host has the first word",
        ),
    ],
)
def test_found(host: bytes, target: bytes, revision: tuple[str, str], seen: bytes) -> None:
    """The pod sees the target without what was for us."""
    entry, shown = Router(TABLE).find(host, target)
    assert entry.traffic.revisions == (revision,)
    assert shown == seen


@pytest.mark.parametrize(
    ("host", "target"),
    [
        pytest.param(b"nobody.default.example.test", b"/", id="unknown name"),
        pytest.param(b"app.default.example.test.evil", b"/", id="a domain behind ours"),
        pytest.param(b"app.default", b"/", id="without the domain"),
        pytest.param(b"", b"/", id="no host"),
        pytest.param(b"x", b"/serving/default", id="path without a name"),
        pytest.param(b"x", b"/serving/default/apple/", id="a longer name"),
        pytest.param(b"x", b"/serving/default/%61pp/", id="an escaped name"),
        pytest.param(b"x", b"/serving//app/", id="no namespace"),
        pytest.param(b"x", b"/serving/default/../default/app/", id="dots"),
        pytest.param(b"x", b"/Serving/default/app/", id="capitals in the prefix"),
        pytest.param(b"x", b"*", id="the server as a whole"),
    ],
)
def test_not_found_says_how_services_are_addressed(host: bytes, target: bytes) -> None:
    """404, with both forms and this domain in it."""
    with pytest.raises(
        NotFoundError, match=r"\{name\}\.\{namespace\}\.example\.test.*/serving/\{namespace\}/\{name\}/"
    ):
        Router(TABLE).find(host, target)


@pytest.mark.parametrize(
    "host",
    [
        b"app default.example.test", b"app.default.example.test/", b"a\r\nX-Evil: 1", b"a\x00b", b"user@host",
        b"a:port", b"a:123456", b"[::1", b"::1", b'"quoted"', b"a;b", b"a,b", "ä".encode(), b"a%41",
        b"a" * 256, b"[" + b":" * 256 + b"]",
    ],
)  # fmt: skip
def test_a_host_that_is_none_is_refused(host: bytes) -> None:
    """It would go on to the pod, and into the Forwarded header, as it came."""
    with pytest.raises(InvalidInputError, match="Host"):
        Router(TABLE).find(host, b"/serving/default/app/")


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_comes_is_found_or_refused(host: bytes, target: bytes) -> None:
    """No input raises anything but our own errors, and what passes is fit to be written into a head."""
    try:
        entry, seen = Router(TABLE).find(host, target)
    except TorporError:
        return
    assert entry.traffic.revisions
    assert set(host) <= set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:[]")
    assert seen.startswith(b"/") or read_host(host) in TABLE.by_host


@given(st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789.-", min_size=1, max_size=60), st.integers(0, 65535))
def test_a_host_is_read_alike_with_and_without_port(name: str, port: int) -> None:
    """In lower case, without the dot at the end, of which there is at most one."""
    assert read_host(f"{name}:{port}".encode()) == read_host(name.encode()) == name.lower().removesuffix(".")


@pytest.mark.parametrize(
    ("target", "split"),
    [
        pytest.param(b"/a?b", (None, b"/a?b"), id="origin form"),
        pytest.param(b"*", (None, b"*"), id="asterisk form"),
        pytest.param(b"http://h.example:80/a?b", (b"h.example:80", b"/a?b"), id="absolute form"),
        pytest.param(b"HTTPS://h", (b"h", b"/"), id="absolute form without a path"),
        pytest.param(b"http://h?q", (b"h", b"/?q"), id="absolute form with a query alone"),
        pytest.param(b"http:///a", (b"", b"/a"), id="absolute form without a host"),
    ],
)
def test_a_target_is_split(target: bytes, split: tuple[bytes | None, bytes]) -> None:
    """RFC 9112, 3.2: the absolute form names a host itself, which then counts."""
    assert split_target(target) == split


@pytest.mark.parametrize("target", [b"a", b"", b"ftp://h/", b"h:443"])
def test_a_target_that_is_none_is_refused(target: bytes) -> None:
    """400 with what is allowed."""
    with pytest.raises(InvalidInputError, match="use a path that begins with '/'"):
        split_target(target)


def test_a_long_target_is_cut_in_the_message() -> None:
    """A message repeats little of what a client sent."""
    with pytest.raises(NotFoundError) as refused:
        match(TABLE, "x", b"/serving/" + b"a" * 100_000)
    assert len(str(refused.value)) < 1000
