"""The way from the one port to the gRPC server: every byte of both sides, also of a server that speaks first."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from predictor.endpoints.grpc.beside import PREFACE, _Tunnel

FIRST = b"SETTINGS"
CONNECTIONS = 20


@pytest.fixture
def eager(tmp_path: Path) -> Iterator[str]:
    """The path of a server that speaks as soon as it is connected to, as HTTP/2's do, then says what it heard."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(CONNECTIONS)

        def serve() -> None:
            with contextlib.suppress(OSError):  # its end
                while True:
                    peer, _ = listener.accept()
                    with peer:
                        peer.sendall(FIRST)
                        peer.sendall(peer.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()


async def carried(path: str) -> bytes:
    """Return all that a client is told who says the preface."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, theirs)

    async def where() -> str:
        return path

    reader, writer = await asyncio.open_connection(sock=ours)
    async with asyncio.timeout(5):
        await _Tunnel(transport).run(PREFACE, where)
        told = await reader.read()
    with contextlib.closing(writer):
        return told


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_what_the_server_says_first_arrives(eager: str, new_loop: object) -> None:
    """Each time: the server may have spoken before the loop says that it is connected."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        for _ in range(CONNECTIONS):
            assert runner.run(carried(eager)) == FIRST + PREFACE
