"""gRPC beside HTTP/1.1 on one port: a connection whose first bytes are HTTP/2's goes to the gRPC server.

grpcio takes no connection that somebody else has accepted; so its bytes go through a Unix socket. That costs a copy
each way, and a pod needs no second port. Who wants none of it uses the port that is gRPC's alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from predictor.endpoints.inference import Inference
from predictor.repository import Repository
from predictor.settings import GRPC_PORT, Settings
from torpor.errors import SettingError

if TYPE_CHECKING:  # 100 ms
    from predictor.endpoints.grpc.server import GrpcServer
    from predictor.endpoints.grpc.service import Service

log = logging.getLogger(__name__)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 says first; no method of HTTP/1.1 is called PRI."""
HIGH_WATER_BYTES = 1024 * 1024


class Beside:
    """The gRPC server, made when the first client comes, or when the model is there."""

    def __init__(self, repository: Repository, inference: Inference, settings: Settings) -> None:
        self._repository = repository
        self._inference = inference
        self._settings = settings
        self.is_ending = False
        """No further calls are taken."""
        self._folder: Path | None = None
        self._server: GrpcServer | None = None
        self._starting: asyncio.Task[str] | None = None
        self._tunnels: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def offered(self) -> AsyncIterator[None]:
        """Be there while the block runs; after it, calls in flight have as long as the settings say."""
        with tempfile.TemporaryDirectory(prefix="torpor-grpc-") as folder:
            self._folder = Path(folder)
            try:
                yield
            finally:
                await self.end()

    async def started(self) -> str:
        """Return the path of the socket, once the server listens there; raises ImportError without grpcio."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    def carry(self, client: asyncio.Transport, seen: bytes) -> None:
        """Take a connection to the gRPC server; `seen` is what the client has said already."""
        task = asyncio.get_running_loop().create_task(_Tunnel(client).run(seen, self.started))
        self._tunnels.add(task)
        task.add_done_callback(self._tunnels.discard)

    async def end(self) -> None:
        """Take no further calls, and wait for those in flight."""
        self.is_ending = True
        if self._starting is not None:
            with contextlib.suppress(Exception):
                await self._starting
        if self._server is not None:
            await self._server.end(self._settings.grace_s)
        for each in self._tunnels:
            each.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)

    async def _start(self) -> str:
        if self._folder is None or self.is_ending:
            raise ConnectionError("the server is ending")
        path = str(self._folder / "grpc")
        server_type, service_type = await asyncio.to_thread(_imported)
        settings = self._settings
        service = service_type(self._repository, self._inference, is_controlled=settings.is_controlled)
        server = server_type(
            service, self._inference, self._repository.models, max_message_bytes=settings.max_body_bytes
        )
        server.listen(f"unix:{path}")
        if settings.grpc_port:
            try:
                server.listen(f"{settings.host}:{settings.grpc_port}")
            except RuntimeError as error:
                raise SettingError(GRPC_PORT, settings.grpc_port, f"it cannot be listened on: {error}") from error
            log.info("listening for gRPC on %s port %d", settings.host, settings.grpc_port)
        await server.start()
        self._server = server
        return path


class Either(asyncio.Protocol):
    """Looks at the first bytes of a connection, and hands it on to `http` or to the gRPC server."""

    def __init__(self, http: asyncio.Protocol, beside: Beside) -> None:
        self._http = http
        self._beside = beside
        self._seen = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if len(self._seen) < 3 and PREFACE.startswith(self._seen):
            return
        assert self._transport is not None  # noqa: S101  # data comes after connection_made
        if not self._seen.startswith(PREFACE[:3]):
            self._transport.set_protocol(self._http)
            self._http.data_received(self._seen)
            return
        # To the HTTP server it is a connection that broke.
        self._http.connection_lost(ConnectionAbortedError("it speaks HTTP/2"))
        self._beside.carry(self._transport, self._seen)

    def eof_received(self) -> bool | None:
        return self._http.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._http.connection_lost(error)


class _Tunnel:
    """Carries bytes between a client and the gRPC server; a side that takes nothing stops the other."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client
        self._server: asyncio.Transport | None = None
        client.pause_reading()
        client.set_write_buffer_limits(HIGH_WATER_BYTES)
        self._side = _Side()
        client.set_protocol(self._side)

    async def run(self, seen: bytes, socket_path: Callable[[], Awaitable[str]]) -> None:
        """Carry until either side is gone; `seen` is what the client has said already."""
        try:
            path = await socket_path()
            # With its peer at once: the server speaks first, and that may be here before the next line is.
            other = _Side(self._client)
            server, _ = await asyncio.get_running_loop().create_unix_connection(lambda: other, path)
        except (ImportError, OSError) as error:
            log.warning("a client of gRPC was sent away: %s", error)
            self._client.close()
            return
        try:
            server.set_write_buffer_limits(HIGH_WATER_BYTES)
            self._side.peer = server
            server.write(seen)
            if not self._side.lost.is_set():
                self._client.resume_reading()
                waits = [asyncio.ensure_future(side.lost.wait()) for side in (self._side, other)]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in waits:
                        each.cancel()
        finally:
            server.close()
            self._client.close()


class _Side(asyncio.Protocol):
    """One side of a tunnel."""

    def __init__(self, peer: asyncio.Transport | None = None) -> None:
        self.peer = peer
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.write(data)

    def pause_writing(self) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self.lost.set()


def _imported() -> tuple[type[GrpcServer], type[Service]]:
    from predictor.endpoints.grpc.server import GrpcServer  # noqa: PLC0415
    from predictor.endpoints.grpc.service import Service  # noqa: PLC0415

    return GrpcServer, Service
