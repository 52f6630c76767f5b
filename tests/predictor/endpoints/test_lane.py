"""The short way answers as the long one does, however the bytes come; whatever is not for it goes the long way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import h11
import orjson
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from predictor.endpoints.lane import MOST_BYTES, Connection, Lane, short_way
from tests.predictor.endpoints.pod import Gate, Pod, running
from tests.support.until import until

V1 = "/v1/models/m:predict"
V2 = "/v2/models/m/infer"
TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}
ONE = orjson.dumps({"instances": [1]})
INFER = orjson.dumps({"inputs": [TENSOR]})


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pod() -> AsyncIterator[Pod]:
    async with running(inline=True) as made:
        yield made


def post(path: str, body: bytes, *fields: str, version: str = "1.1") -> bytes:
    head = [f"POST {path} HTTP/{version}", "Host: m", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


class Client:
    """A connection on which an independent parser reads the answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._parser = h11.Connection(h11.CLIENT)

    async def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Return status, fields and body of the next answer."""
        self._parser.send(h11.Request(method="POST", target="/", headers=[("Host", "m")]))
        self._parser.send(h11.EndOfMessage())
        response, body = None, b""
        async with asyncio.timeout(10):
            while True:
                event = self._parser.next_event()
                if event is h11.NEED_DATA:
                    self._parser.receive_data(await self.reader.read(65536))
                elif isinstance(event, h11.Response):
                    response = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
                elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    raise ConnectionError
        if self._parser.our_state is h11.DONE and self._parser.their_state is h11.DONE:
            self._parser.start_next_cycle()
        assert response is not None
        return response.status_code, dict(response.headers), body


@contextlib.asynccontextmanager
async def client(pod: Pod) -> AsyncIterator[Client]:
    reader, writer = await pod.connect()
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def short(pod: Pod) -> int:
    """How many connections are on the short way."""
    return sum(isinstance(each, Connection) for each in pod.server.server_state.connections)


BODIES = {
    "v1": (V1, ONE),
    "v2": (V2, INFER),
    "a version": ("/v2/models/m/versions/1/infer", INFER),
    "no JSON": (V2, b"{"),
    "no body": (V2, b""),
    "another model": ("/v2/models/n/infer", INFER),
    "a wrong tensor": (V2, orjson.dumps({"inputs": [TENSOR | {"shape": [3]}]})),
    "a failure": (V1, orjson.dumps({"instances": [None]})),
}


@pytest.mark.parametrize(("path", "body"), BODIES.values(), ids=BODIES)
async def test_both_ways_give_one_answer(pod: Pod, path: str, body: bytes) -> None:
    """Status, body, and fields; a query, which means nothing, leads the long way."""
    found = []
    for query in ("", "?long"):
        async with client(pod) as made:
            made.writer.write(post(path + query, body))
            status, fields, content = await made.answer()
        assert fields.pop(b"date")
        found.append((status, fields, content))
    assert found[0] == found[1]


CHUNKED = b"POST %s HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
LONG = {
    "another path": (b"GET /v2/health/live HTTP/1.1\r\nHost: m\r\n\r\n", 200),
    "another method": (post(V2, INFER).replace(b"POST", b"PUT"), 405),
    "chunks": (CHUNKED % (V2.encode(), len(INFER), INFER), 200),
    "HTTP/1.0": (post(V2, INFER, version="1.0"), 200),
    "the last one": (post(V2, INFER, "Connection: close"), 200),
    "a large one": (post(V2, INFER + b" " * MOST_BYTES), 200),
    "too large": (post(V2, b" " * 200_000), 413),
    "encoded": (post(V2, INFER, "Content-Encoding: br"), 415),
    "binary": (post(V2, INFER, f"Inference-Header-Content-Length: {len(INFER)}"), 200),
    "an event": (post(V1, ONE, "ce-specversion: 1.0", "ce-id: 1", "ce-source: s", "ce-type: t"), 200),
    "no HTTP": (b"what\r\n\r\n", 400),
    "no length": (b"POST %s HTTP/1.1\r\nHost: m\r\nContent-Length: x\r\n\r\n" % V2.encode(), 400),
    "a long length": (post(V2, INFER).replace(b"Content-Length: ", b"Content-Length: 00000000"), 200),
    "two lengths": (post(V2, INFER, "Content-Length: 3"), 400),
}


@pytest.mark.parametrize(("sent", "status"), LONG.values(), ids=LONG)
async def test_all_else_goes_the_long_way(pod: Pod, sent: bytes, status: int) -> None:
    """After a request that did not, on the same connection, too."""
    async with client(pod) as made:
        made.writer.write(post(V1, ONE))
        assert (await made.answer())[0] == 200
        before = short(pod)
        made.writer.write(sent)
        assert (await made.answer())[0] == status
        assert short(pod) == before - 1


async def test_who_waits_for_leave_to_send_gets_it(pod: Pod) -> None:
    reader, writer = await pod.connect()
    head, _, body = post(V2, INFER, "Expect: 100-continue").partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 100")
    writer.write(body)
    assert b" 200 " in await reader.readuntil(b"\r\ndate")
    writer.close()


REQUESTS = (post(V1, ONE), post(V2, INFER), post(V2, b"{"), b"GET /v1/models HTTP/1.1\r\nHost: m\r\n\r\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    which=st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 600), max_size=12),
)
async def test_it_does_not_matter_how_the_bytes_come(pod: Pod, which: Sequence[int], cuts: Sequence[int]) -> None:
    """One after the other without waiting, cut anywhere: one answer each, in order."""
    sent = b"".join(REQUESTS[each] for each in which)
    start = 0
    async with client(pod) as made:
        for end in (*sorted(cuts), len(sent)):
            made.writer.write(sent[start:end])
            start = max(start, min(end, len(sent)))
            await asyncio.sleep(0)
        found = [(await made.answer())[0] for _ in which]
    assert found == [(200, 200, 400, 200)[each] for each in which]


async def test_what_comes_meanwhile_waits() -> None:
    """Answers come in order, also of requests that were sent while one was computed."""
    async with running() as pod:
        gate = Gate()
        pod.model.before = gate
        async with client(pod) as made:
            made.writer.write(post(V1, ONE))
            await gate.someone_waits()
            made.writer.write(post(V1, orjson.dumps({"instances": [2]})))
            gate.opened.set()
            assert [orjson.loads((await made.answer())[2])["predictions"] for _ in range(2)] == [[2], [4]]


async def test_a_client_that_leaves_is_not_computed_for() -> None:
    async with running(threads=1) as pod:
        gate = Gate()
        pod.model.before = gate
        async with client(pod) as first, client(pod) as second:
            first.writer.write(post(V1, ONE))
            await gate.someone_waits()
            second.writer.write(post(V1, ONE))
            await until(lambda: pod.counters.in_flight == 2)
            second.writer.close()
            await until(lambda: pod.counters.in_flight == 1)
            gate.opened.set()
            assert (await first.answer())[0] == 200
        assert len(pod.model.computed) == 1


async def test_at_the_end_what_was_begun_is_answered() -> None:
    """Idle connections are closed; one at work is answered and closed; half a request may still be finished."""
    async with running() as pod, client(pod) as idle, client(pod) as busy, client(pod) as half:
        for each in (idle, busy, half):
            each.writer.write(post(V1, ONE))
            assert (await each.answer())[0] == 200
        gate = Gate()
        pod.model.before = gate
        busy.writer.write(post(V1, ONE))
        await gate.someone_waits()
        whole = post(V1, ONE)
        half.writer.write(whole[:-3])
        await until(lambda: sum(bool(getattr(each, "_seen", b"")) for each in pod.server.server_state.connections) == 1)
        pod.server.end()
        assert await idle.reader.read() == b""
        half.writer.write(whole[-3:])
        gate.opened.set()
        for each in (busy, half):
            status, fields, _ = await each.answer()
            assert (status, fields[b"connection"]) == (200, b"close")
            assert await each.reader.read() == b""


async def test_at_the_end_nobody_is_waited_for_for_ever() -> None:
    """One whose request is still being computed when all time is over is closed."""
    async with running() as pod, client(pod) as made:
        pod.server.config.timeout_graceful_shutdown = 0
        gate = Gate()
        pod.model.before = gate
        made.writer.write(post(V1, ONE))
        await gate.someone_waits()
        pod.server.end()
        assert await asyncio.wait_for(made.reader.read(), 5) == b""
        gate.opened.set()


async def test_a_connection_without_requests_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, and not while one is computed."""
    monkeypatch.setattr("tests.predictor.endpoints.pod.short_way", lambda inference, _idle_s: soon(inference))

    def soon(inference: object) -> Lane:
        return short_way(inference, 0.05)  # type: ignore[arg-type]  # what it is given

    async with running() as pod, client(pod) as made, client(pod) as busy:
        gate = Gate()
        pod.model.before = gate
        busy.writer.write(post(V1, ONE))
        await gate.someone_waits()
        assert await asyncio.wait_for(made.reader.read(), 5) == b""
        gate.opened.set()
        assert (await busy.answer())[0] == 200
        assert await asyncio.wait_for(busy.reader.read(), 5) == b""


async def test_a_client_that_takes_nothing_is_read_no_further(pod: Pod) -> None:
    """Its answers lie in the socket, and a few more in memory; then its requests wait with it."""
    request = post(V1, orjson.dumps({"instances": ["x" * 30_000]}))

    def answered() -> int:
        return pod.counters.codes["v1", 2]

    def is_stuck() -> bool:
        connections = pod.server.server_state.connections
        return any(isinstance(each, Connection) and each.is_stuck for each in connections)

    async with client(pod) as made:
        for _ in range(1000):
            before = answered()
            made.writer.write(request)  # one at a time: two at once go the long way
            await until(lambda before=before: answered() > before)  # type: ignore[misc]  # its kind is plain
            if is_stuck():
                break
        assert is_stuck()
        made.writer.write(request)
        for _ in range(300):  # the reader's own buffer is full, and so are the sockets
            if not is_stuck():
                break
            await made.reader.read(2**16)
        assert not is_stuck()
        await until(lambda: answered() == before + 2)
