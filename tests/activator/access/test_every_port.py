"""The table's credentials on every listener: with TLS as without, in the protocol that a port speaks and in others."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from activator.grpc.client import ClientLine
from activator.settings import ClientLimits, StreamLimits
from activator.tls import Certificate
from tests.activator.access.gate import ENTRIES, GOOD, WRONG, Gate, gate
from tests.activator.access.test_table import CREDENTIALS, GRPC, HOST, IDP, POLICY, WAYS
from tests.activator.grpc.pods import Pod as CallPod
from tests.activator.grpc.pods import pod as call_pod
from tests.activator.grpc.raw import raw
from tests.activator.proxy.pods import OK, Pod, answering, pod
from tests.activator.proxy.wire import Wire, get
from tests.activator.tls.certificates import Pair, pair
from tests.support.until import until
from torpor.kube import Change
from torpor.spec.kinds import SECRET

CALLS = "calls.default.example.test"


@dataclass
class Scene:
    """A door with a lock, two pods behind it, and four listeners by protocol and TLS."""

    gate: Gate
    pod: Pod
    calls: CallPod
    pair: Pair
    ports: dict[tuple[str, bool], int]

    def tls(self, *protocols: str) -> ssl.SSLContext:
        return self.pair.trusting(*protocols)

    @property
    def reached(self) -> int:
        """Requests that any pod has seen."""
        return len(self.pod.seen) + len(self.calls.seen)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    made_of = pair()
    certificate = Certificate(("default", "door"), Silent())  # type: ignore[arg-type]  # it fits
    certificate.secret_changed(Change(SECRET, ("default", "door"), None, made_of.secret()))
    limits = ClientLimits(linger_s=0.1)
    async with gate(limits) as made, pod(answering(OK)) as http, call_pod() as calls:
        made.keys(ENTRIES)
        made.issuer(IDP.config())
        made.door.revise("app")
        made.door.scale("app", http.port)
        made.door.port_name = "h2c"
        made.door.revise("calls")
        made.door.scale("calls", calls.port)
        for name in ("app", "calls"):
            made.route(name, POLICY, tags={"try": name})
        server, lines = made.door.server, lambda: ClientLine(made.door.door, StreamLimits())
        await server.start("127.0.0.1", 0, certificate.http)
        await server.listen("grpc-port", lines, "127.0.0.1", 0, certificate.http2)
        *_, https, grpcs = server.ports
        ports = {("http", False): made.port, ("grpc", False): made.grpc_port, ("http", True): https}
        yield Scene(made, http, calls, made_of, ports | {("grpc", True): grpcs})


class Silent:
    """Nobody is told."""

    def emit(self, *_: object) -> None:
        """Forget it."""


@contextlib.asynccontextmanager
async def wire(port: int, tls: ssl.SSLContext | None) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=HOST if tls else None)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def fields_of(*lines: str) -> list[tuple[str, str]]:
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(": ") for line in lines)]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_http_with_tls(scene: Scene, credential: str) -> None:
    """Every way in; by which methods is the same code's business as without."""
    lines, status = CREDENTIALS[credential]
    async with wire(scene.ports["http", True], scene.tls("http/1.1")) as client:
        for way, method in itertools.product(WAYS, ("GET", "POST")):
            target, host, more = WAYS[way]
            before = scene.reached
            answer = await client.ask(get(target, *more, *lines, host=host, method=method), method=method)
            assert answer.status == status, (way, method)
            assert scene.reached == before + (status == 200), (way, method)


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_calls_with_tls(scene: Scene, credential: str) -> None:
    """By name, by tag, by path."""
    lines, status = CREDENTIALS[credential]
    fields = [("content-type", "application/grpc"), ("te", "trailers"), *fields_of(*lines)]
    ways = ((CALLS, ""), (f"try-{CALLS}", ""), ("127.0.0.1", "/serving/default/calls"))
    async with raw(scene.ports["grpc", True], tls=scene.tls("h2")) as client:
        for host, path in ways:
            before = scene.reached
            number = await client.open(*fields, target=path + "/test.Pod/Echo", host=host, end=False)
            client.h2.send_data(number, b"\0\0\0\0\5hello", end_stream=True)
            await client.flush()
            answer = await client.answer(number)
            assert (answer.headers | answer.trailers)["grpc-status"] == GRPC[status], host
            assert scene.reached == before + (status == 200), host


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("port", ["http", "grpc"])
@pytest.mark.parametrize("line", ["", f"X-API-Key: {WRONG}", f"X-API-Key: {GOOD}"], ids=["none", "wrong", "good"])
async def test_the_other_protocol(scene: Scene, line: str, port: str, tls: bool) -> None:  # noqa: FBT001  # a column
    """What a port does not speak reaches no pod, whatever is brought along: there is no way round the lock."""
    before, lines = scene.reached, (line,) if line else ()
    context = scene.tls("http/1.1" if port == "grpc" else "h2") if tls else None
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        if port == "grpc":
            async with wire(scene.ports["grpc", tls], context) as client:
                await client.send(get("/", *lines, host=CALLS))
                assert b" 200 " not in await client.rest()
        else:
            async with raw(scene.ports["http", tls], tls=context) as calls, asyncio.timeout(5):
                await calls.open(*fields_of(*lines), method="GET", target="/", host=HOST, end=True)
                assert b" 200 " not in await calls.reader.read()
    assert scene.reached == before


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_kept_answers(scene: Scene, credential: str, tls: bool) -> None:  # noqa: FBT001  # a column
    """Who may call comes back for its own answers, by each name of the service, and nobody else for any."""
    lines, status = CREDENTIALS[credential]
    own = status == 200 and credential != "token"  # another caller, who may call too
    shelf = scene.gate.door.door.shelf
    async with wire(scene.ports["http", tls], scene.tls("http/1.1") if tls else None) as client:
        kept = await client.ask(get("/", "Prefer: respond-async", f"X-API-Key: {GOOD}", host=HOST))
        assert kept.status == 202
        [deferred] = shelf._all.values()
        await until(lambda: deferred.running is None)
        for (path, host), method in itertools.product(_kept_at(deferred.id), ("GET", "HEAD", "POST", "DELETE")):
            if own and method == "DELETE":
                continue
            answer = await client.ask(get(path, *lines, host=host, method=method), method=method)
            mine = 405 if method == "POST" else 200
            assert answer.status == (status if status != 200 else mine if own else 404), (path, host, method)
        assert list(shelf._all.values()) == [deferred], "nobody else has cancelled it"
        path, host = _kept_at(deferred.id)[0]
        gone = await client.ask(get(path, f"X-API-Key: {GOOD}", host=host, method="DELETE"))
    assert gone.status == 204
    assert not shelf._all


def _kept_at(id_: str) -> tuple[tuple[str, str], ...]:
    """Return the targets and hosts by which a service's answers are come back for."""
    path = f"/.torpor/requests/{id_}"
    return (path, HOST), (path, f"try-{HOST}"), (f"/serving/default/app{path}", "127.0.0.1")
