"""The table: every path, port and method with every credential, against the listeners that there are."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.activator.access.gate import ELSEWHERE, ENTRIES, EXPIRED, GOOD, KEYS, UNKNOWN, WRONG, Gate, gate
from tests.activator.access.issuing import Idp
from tests.activator.grpc.pods import Pod as CallPod
from tests.activator.grpc.pods import pod as call_pod
from tests.activator.grpc.raw import raw
from tests.activator.proxy.pods import OK, Pod, answering, pod
from tests.activator.proxy.wire import get, wire
from torpor.spec import names

HOST = "app.default.example.test"
POLICY = f"keys={KEYS}; jwt=idp"
GRPC = {200: "0", 401: "16", 403: "7"}
IDP = Idp()

# Credential as header lines -> status. Everything that is not one good credential is none.
CREDENTIALS: dict[str, tuple[tuple[str, ...], int]] = {
    "none": ((), 401),
    "key-as-bearer": ((f"Authorization: Bearer {GOOD}",), 200),
    "key-as-bearer-in-lower-case": ((f"authorization: bearer  {GOOD} ",), 200),
    "key-as-header": ((f"X-API-Key: {GOOD}",), 200),
    "key-as-header-and-authorization-for-the-pod": ((f"X-API-Key: {GOOD}", "Authorization: Basic YTpi"), 200),
    "wrong-key-of-a-known-id": ((f"X-API-Key: {WRONG}",), 401),
    "unknown-id": ((f"Authorization: Bearer {UNKNOWN}",), 401),
    "key-for-another-service": ((f"X-API-Key: {ELSEWHERE}",), 403),
    "key-that-has-expired": ((f"X-API-Key: {EXPIRED}",), 401),
    "key-and-more": ((f"X-API-Key: {GOOD}x",), 401),
    "half-a-key": ((f"X-API-Key: {GOOD[:30]}",), 401),
    "empty-key": (("X-API-Key: ",), 401),
    "empty-bearer": (("Authorization: Bearer ",), 401),
    "two-keys-in-one-header": ((f"X-API-Key: {GOOD}, {WRONG}",), 401),
    "header-twice": ((f"X-API-Key: {GOOD}", f"X-API-Key: {GOOD}"), 401),
    "authorization-twice": ((f"Authorization: Bearer {GOOD}", f"Authorization: Bearer {WRONG}"), 401),
    "wrong-key-beside-a-good-one": ((f"X-API-Key: {WRONG}", f"Authorization: Bearer {GOOD}"), 401),
    "basic": (("Authorization: Basic YTpi",), 401),
    "key-with-another-scheme": ((f"Authorization: Token {GOOD}",), 401),
    "key-without-a-scheme": ((f"Authorization: {GOOD}",), 401),
    "key-as-cookie": ((f"Cookie: key={GOOD}; X-API-Key={GOOD}",), 401),
    "key-for-a-proxy": ((f"Proxy-Authorization: Bearer {GOOD}",), 401),
    "who-says-who-it-is": (("Torpor-Caller: key:alice",), 401),
    "very-long": ((f"X-API-Key: {'a' * 8000}",), 401),
    "token": ((f"Authorization: Bearer {IDP.token()}",), 200),
    "token-that-has-expired": ((f"Authorization: Bearer {IDP.token(exp=1_000_000_000)}",), 401),
    "token-for-another-audience": ((f"Authorization: Bearer {IDP.token(aud='others')}",), 401),
    "token-as-key": ((f"X-API-Key: {IDP.token()}",), 401),
    "token-unsigned": ((f"Authorization: Bearer {IDP.unsigned()}",), 401),
}

# Way in -> request line's target, Host, and more lines.
WAYS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "host": ("/v2/models/m/infer", HOST, ()),
    "path": ("/serving/default/app/v2/models/m/infer", "127.0.0.1", ()),
    "absolute": (f"http://{HOST}/v2", "other.example.test", ()),
    "host-with-port-and-capitals": ("/", "APP.default.Example.test.:8080", ()),
    "tag-host": ("/", f"try-{HOST}", ()),
    "tag-path": ("/serving/default/try-app/", "127.0.0.1", ()),
    "tag-header": ("/", HOST, ("Knative-Serving-Tag: try",)),
    "key-in-the-query": (f"/?api_key={GOOD}&access_token={GOOD}", HOST, ()),
    "health": ("/v2/health/live", HOST, ()),
    "metadata": ("/v2/models/m", HOST, ()),
    "kubernetes-probe": ("/", HOST, ("User-Agent: kube-probe/1.32",)),
    "knative-probe": ("/healthz", HOST, ("K-Network-Probe: queue",)),
    "with-a-deadline": ("/", HOST, ("Torpor-Deadline: 5s", "Torpor-Priority: batch")),
    "events": ("/", HOST, ("Accept: text/event-stream",)),
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")


@dataclass
class Scene:
    gate: Gate
    pod: Pod
    calls: CallPod


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    async with gate() as made, pod(answering(OK)) as http, call_pod() as calls:
        made.keys(ENTRIES)
        made.issuer(IDP.config())
        made.door.revise("app")
        made.door.scale("app", http.port)
        made.door.port_name = "h2c"
        made.door.revise("calls")
        made.door.scale("calls", calls.port)
        made.door.revise("asleep", annotations={names.ANSWER_WHILE_ASLEEP: "health,metadata"})
        for name in ("app", "calls", "asleep"):
            made.route(name, POLICY, tags={"try": name})
        yield Scene(made, http, calls)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_http(scene: Scene, credential: str) -> None:
    """On every way in and by every method a request passes by its credential alone; who does not reaches no pod."""
    lines, status = CREDENTIALS[credential]
    async with wire(scene.gate.port) as client:
        for way, method in itertools.product(WAYS, METHODS):
            target, host, more = WAYS[way]
            before = len(scene.pod.seen)
            answer = await client.ask(get(target, *more, *lines, host=host, method=method), method=method)
            assert answer.status == status, (way, method)
            assert len(scene.pod.seen) == before + (status == 200), (way, method)
            if status == 401:
                challenge = answer.header(b"www-authenticate")
                assert challenge is not None
                assert challenge.startswith(b'Bearer realm="default/app"')
            if status != 200 and method != "HEAD":
                assert answer.reason == {401: "Unauthorized", 403: "Forbidden"}[status]


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_http_to_http2(scene: Scene, credential: str) -> None:
    """Likewise by HTTP/1.1 to a pod that speaks HTTP/2 alone."""
    lines, status = CREDENTIALS[credential]
    more = ("Content-Type: application/grpc", "Content-Length: 10", *lines)
    before = len(scene.calls.seen)
    async with wire(scene.gate.port) as client:
        request = get("/test.Pod/Echo", *more, host="calls.default.example.test", method="POST") + b"\0\0\0\0\5hello"
        answer = await client.ask(request)
    assert answer.status == status
    assert len(scene.calls.seen) == before + (status == 200)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("way", ["host", "path", "tag-host", "tag-path", "tag-header"])
async def test_grpc(scene: Scene, credential: str, way: str) -> None:
    """Likewise on the port for HTTP/2, told in gRPC's codes."""
    lines, status = CREDENTIALS[credential]
    target, host, more = WAYS[way]
    target = target.replace("app", "calls").removesuffix("/").removesuffix("/v2/models/m/infer") + "/test.Pod/Echo"
    fields = [("content-type", "application/grpc"), ("te", "trailers")]
    fields += [(line.partition(": ")[0].lower(), line.partition(": ")[2].strip()) for line in (*lines, *more)]
    before = len(scene.calls.seen)
    async with raw(scene.gate.grpc_port) as client:
        number = await client.open(*fields, target=target, host=host.replace("app", "calls"), end=False)
        client.h2.send_data(number, b"\0\0\0\0\5hello", end_stream=True)
        await client.flush()
        answer = await client.answer(number)
    assert (answer.headers | answer.trailers)["grpc-status"] == GRPC[status]
    assert len(scene.calls.seen) == before + (status == 200)
    if status == 401:
        assert answer.headers["www-authenticate"].startswith('Bearer realm="default/calls"')


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_plain_http2(scene: Scene, credential: str) -> None:
    """What is no gRPC is told by status there."""
    lines, status = CREDENTIALS[credential]
    fields = [(line.partition(": ")[0].lower(), line.partition(": ")[2].strip()) for line in lines]
    async with raw(scene.gate.grpc_port) as client:
        for method in ("GET", "DELETE"):
            host = "calls.default.example.test"
            number = await client.open(*fields, method=method, target="/x", host=host, end=True)
            answer = await client.answer(number)
            if status == 200:  # gRPC's server has its own opinion of such requests
                assert answer.headers[":status"] not in {"401", "403"} or answer.reset is not None
            else:
                assert answer.headers[":status"] == str(status)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/models/m", "/healthz", "/"])
async def test_asleep(scene: Scene, credential: str, path: str) -> None:
    """What is answered in place of a pod that sleeps is for those who may call; nobody else wakes it."""
    lines, status = CREDENTIALS[credential]
    poked = len(scene.gate.door.poked)
    if status == 200 and path in {"/", "/v2/models/m"}:
        return  # it would wait for a pod
    async with wire(scene.gate.port) as client:
        for probe in ((), ("User-Agent: kube-probe/1.32",), ("K-Network-Probe: activator",)):
            answer = await client.ask(get(path, *lines, *probe, host="asleep.default.example.test"))
            assert answer.status == status
    assert len(scene.gate.door.poked) == poked


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_websocket(scene: Scene, credential: str) -> None:
    """A tunnel is a request first."""
    lines, status = CREDENTIALS[credential]
    if status == 200:
        return  # the pod of this scene speaks nothing else: test_gate has one that does
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
    async with wire(scene.gate.port) as client:
        answer = await client.ask(get("/", *upgrade, *lines, host=HOST))
        assert answer.status == status
        assert await client.ends()


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_answers_for_later(scene: Scene, credential: str) -> None:
    """A request whose answer is kept, and whoever comes back for it, pass like any other."""
    lines, status = CREDENTIALS[credential]
    async with wire(scene.gate.port) as client:
        answer = await client.ask(get("/", "Prefer: respond-async", *lines, host=HOST))
        assert answer.status == (202 if status == 200 else status)
        looked = await client.ask(get("/.torpor/requests/unknown", *lines, host=HOST))
        assert looked.status == (404 if status == 200 else status)
    shelf = scene.gate.door.door.shelf
    for deferred in list(shelf._all.values()):  # as its clients would by DELETE
        shelf.drop(deferred)
