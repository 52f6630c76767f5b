"""What a request is known by: its id, its trace, and who is believed about who sent it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activator.grpc import fields
from activator.proxy import forwarding, identity
from activator.proxy.forwarding import PRIVATE, Networks
from activator.proxy.headers import PRUNED
from activator.settings import ClientLimits
from tests.activator.proxy.doorway import doorway, served
from tests.activator.proxy.pods import OK, answering
from tests.activator.proxy.wire import get, wire

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE = b"vendor@tenant=a value,other=1"
HOST = b"app.default.example.test"


# --- the id ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        pytest.param(["X-Request-Id: mine"], b"mine", id="the client's"),
        pytest.param(["x-request-id: " + "a" * 200], b"a" * 200, id="a long one"),
        pytest.param(["X-Request-Id: one", "X-Request-Id: two"], b"one", id="the first of two"),
        pytest.param(["X-Request-Id: " + "a" * 201], None, id="one that is too long is replaced"),
        pytest.param(["X-Request-Id: a b"], None, id="one that would split a log line is replaced"),
        pytest.param(["X-Request-Id:"], None, id="none is made"),
        pytest.param([], None, id="without the header one is made"),
    ],
)
async def test_the_pod_and_the_client_are_told_the_same_id(lines: list[str], kept: bytes | None) -> None:
    """Once each, whatever the pod answers."""
    answer = OK.replace(b"\r\n\r\n", b"\r\nX-Request-Id: the-pod's\r\n\r\n")
    async with served(answering(answer)) as (door, pod), wire(door.port) as client:
        told = (await client.ask(get("/", *lines))).header(b"x-request-id")
        assert told == pod.request.header(b"x-request-id")
        assert told
        assert kept is None or told == kept
        assert kept is not None or told not in {line.partition(":")[2].strip().encode() for line in lines}


async def test_an_error_of_ours_has_the_id_of_its_request() -> None:
    """So that a client's report finds the line in a log; also where nothing was sent anywhere."""
    async with doorway() as door, wire(door.port) as client:
        answer = await client.ask(get("/", "X-Request-Id: mine", host="nobody.test"))
        assert (answer.status, answer.header(b"x-request-id")) == (404, b"mine")
        door.deploy("app")
        door.throttler().set_failure("it is broken", 0.0)
        answer = await client.ask(get("/", "X-Request-Id: yours"))
        assert (answer.status, answer.header(b"x-request-id")) == (503, b"yours")


# --- the trace ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "state", "expected"),
    [
        pytest.param(PARENT, STATE, [PARENT, STATE], id="both"),
        pytest.param(PARENT, None, [PARENT], id="no state"),
        pytest.param(PARENT.replace(b"-01", b"-00"), None, [PARENT.replace(b"-01", b"-00")], id="not sampled"),
        pytest.param(None, STATE, [], id="a state alone is nothing"),
        pytest.param(None, None, [], id="none begins here"),
        pytest.param(PARENT.upper(), STATE, [], id="capitals"),
        pytest.param(b"ff" + PARENT[2:], STATE, [], id="version ff"),
        pytest.param(PARENT + b"-more", None, [], id="version 00 has no more"),
        pytest.param(b"01" + PARENT[2:] + b"-more", None, [b"01" + PARENT[2:] + b"-more"], id="a later one may"),
        pytest.param(b"01" + PARENT[2:] + b"more", None, [], id="behind a dash"),
        pytest.param(b"00-" + b"0" * 32 + PARENT[35:], STATE, [], id="no trace id"),
        pytest.param(PARENT[:36] + b"0" * 16 + b"-01", STATE, [], id="no parent id"),
        pytest.param(PARENT[:-1], STATE, [], id="too short"),
        pytest.param(b"", STATE, [], id="empty"),
        pytest.param(PARENT, b"", [PARENT], id="an empty state"),
        pytest.param(PARENT, b"a=1,a=2", [PARENT], id="a key twice spoils the state, not the parent"),
        pytest.param(PARENT, b"a", [PARENT], id="no value"),
        pytest.param(PARENT, b"A=1", [PARENT], id="a key in capitals"),
        pytest.param(PARENT, b" a=1 , , b=2", [PARENT, b" a=1 , , b=2"], id="blanks and empty members"),
        pytest.param(PARENT, b",".join(b"k%d=1" % n for n in range(32)), [PARENT, ...], id="32 members"),
        pytest.param(PARENT, b",".join(b"k%d=1" % n for n in range(33)), [PARENT], id="33 members"),
    ],
)
def test_trace(parent: bytes | None, state: bytes | None, expected: list[object]) -> None:
    """Passed on as it came, where it is what W3C Trace Context says."""
    found = [value for _, value in identity.trace(parent, state)]
    if expected[-1:] == [...]:
        assert found == [parent, state]
    else:
        assert found == expected


@given(st.binary(max_size=80), st.binary(max_size=80))
@example(PARENT + b"\n", STATE)
def test_what_is_passed_on_is_what_came(parent: bytes, state: bytes) -> None:
    """Nothing that is no trace context comes through, and nothing is changed."""
    for name, value in identity.trace(parent, state):
        assert value == {b"traceparent": parent, b"tracestate": state}[name]
        assert not set(value) & set(b"\r\n")


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        pytest.param([f"TraceParent: {PARENT.decode()}"], [PARENT], id="by any case"),
        pytest.param(
            ["tracestate: a=1", f"traceparent: {PARENT.decode()}", "tracestate: b=2"],
            [PARENT, b"a=1,b=2"],
            id="a state in two lines, in order",
        ),
        pytest.param([f"traceparent: {PARENT.decode()}"] * 2, [], id="two parents are none"),
        pytest.param(["traceparent: nonsense", "tracestate: a=1"], [], id="nonsense"),
        pytest.param([], [], id="none"),
    ],
)
async def test_the_pod_sees_the_trace(lines: list[str], seen: list[bytes]) -> None:
    """The next request on the connection has nothing of it."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        await client.ask(get("/", *lines))
        await client.ask(get("/"))
        traces = [[value for name, value in each.headers if name.startswith(b"trace")] for each in pod.seen]
        assert traces == [seen, []]


# --- who is believed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "believed"),
    [
        pytest.param(b"127.0.0.1", True, id="this machine"),
        pytest.param(b"::1", True, id="this machine by IPv6"),
        pytest.param(b"::ffff:10.1.2.3", True, id="IPv4 in IPv6"),
        pytest.param(b"fe80::1%eth0", True, id="a link's"),
        pytest.param(b"100.64.1.1", True, id="a cluster's pod"),
        pytest.param(b"172.32.0.1", False, id="just outside"),
        pytest.param(b"8.8.8.8", False, id="anybody"),
        pytest.param(b"::ffff:8.8.8.8", False, id="anybody by IPv6"),
        pytest.param(b"unknown", False, id="no address"),
    ],
)
def test_who_is_a_proxy_of_ours(peer: bytes, *, believed: bool) -> None:
    """By default: who is near."""
    assert forwarding.trusted(peer, PRIVATE) is believed
    assert not forwarding.trusted(peer, Networks(()))


@given(st.ip_addresses())
def test_every_private_address_is_near(address: object) -> None:
    """Our list is no wider than Python's own idea of what is not global."""
    found = ip_address(str(address))
    if forwarding.trusted(str(address).encode(), PRIVATE):
        mapped = getattr(found, "ipv4_mapped", None) or found
        assert not mapped.is_global


FORGED = (
    "Forwarded: for=1.2.3.4;proto=https;host=evil.test",
    "X-Forwarded-For: 1.2.3.4",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Proto: https",
)


async def test_strangers_are_not_believed() -> None:
    """Their own address, host and scheme are what the pod is told; a plain request and a forged one are the same."""
    limits = ClientLimits(trusted_proxies=Networks.parse("10.0.0.0/8"))
    async with served(answering(OK), client=limits) as (door, pod), wire(door.port) as client:
        await client.ask(get("/", *FORGED))
        seen = {name: value for name, value in pod.request.headers if b"forwarded" in name}
    assert seen == {
        b"forwarded": b'for=127.0.0.1;host="%b";proto=http' % HOST,
        b"x-forwarded-for": b"127.0.0.1",
        b"x-forwarded-host": HOST,
        b"x-forwarded-proto": b"http",
    }


async def test_proxies_of_ours_are_believed() -> None:
    """What they say stands before what we see; TLS may have ended with them."""
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        await client.ask(get("/", *FORGED))
        seen = {name: value for name, value in pod.request.headers if b"forwarded" in name}
    assert seen == {
        b"forwarded": b'for=1.2.3.4;proto=https;host=evil.test, for=127.0.0.1;host="%b";proto=http' % HOST,
        b"x-forwarded-for": b"1.2.3.4, 127.0.0.1",
        b"x-forwarded-host": b"evil.test",
        b"x-forwarded-proto": b"https",
    }


def test_nor_by_http2() -> None:
    """Its fields are read by the same list."""
    pseudo = [(b":method", b"GET"), (b":path", b"/"), (b":authority", HOST), (b":scheme", b"http")]
    head = fields.read([*pseudo, *((name, b"forged") for name in PRUNED), (b"x-mine", b"1")], 65536)
    seen = {name for name, _ in fields.for_pod(head, b"/", b"127.0.0.1", b"http", b"id", believed=True)}
    assert b"x-mine" in seen
    assert not seen & PRUNED


@pytest.mark.parametrize("name", sorted(PRUNED), ids=bytes.decode)
async def test_what_only_we_say_does_not_come_in_from_outside(name: bytes) -> None:
    """Neither as a header nor as a trailer, nor hidden by case."""
    body = b"0\r\n%b: forged\r\n\r\n" % name
    async with served(answering(OK)) as (door, pod), wire(door.port) as client:
        head = get("/", f"{name.decode().title()}: forged", "Transfer-Encoding: chunked", method="POST")
        assert (await client.ask(head + body)).status == 200
        assert name not in {each for each, _ in pod.request.headers + pod.request.trailers}
