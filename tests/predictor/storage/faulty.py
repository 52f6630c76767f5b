"""A network that fails on purpose: a TCP proxy that refuses, cuts off, or falls silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Faults:
    """What goes wrong next. Counted down as it happens; `happened` counts all."""

    refusals: int = 0
    """Connections closed before they were answered."""
    cuts: int = 0
    """Connections closed in the middle of what they answer."""
    after: int = 0
    """How many bytes of answers a connection carries before it is cut or falls silent."""
    silent: bool = False
    """Instead of a cut: nothing more comes, and the connection stays open."""
    happened: int = 0
    went_silent: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class FaultyNetwork:
    """A proxy in front of one server."""

    url: str
    faults: Faults


@contextlib.contextmanager
def faulty_network(upstream: str) -> Iterator[FaultyNetwork]:
    """Stand in front of the server at `upstream`."""
    target = urlsplit(upstream)
    faults = Faults()
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = (target.hostname or "", target.port or 0)
        thread = threading.Thread(target=_accept, args=(listener, address, faults, ended), daemon=True)
        thread.start()
        yield FaultyNetwork(f"http://127.0.0.1:{listener.getsockname()[1]}", faults)
        ended.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _accept(listener: socket.socket, address: tuple[str, int], faults: Faults, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            client, _ = listener.accept()
        except OSError:
            return
        if faults.refusals:
            faults.refusals -= 1
            faults.happened += 1
            client.close()
            continue
        server = socket.create_connection(address)
        threading.Thread(target=_relay, args=(client, server), daemon=True).start()
        threading.Thread(target=_answer, args=(server, client, faults, ended), daemon=True).start()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _close(sink)


def _answer(server: socket.socket, client: socket.socket, faults: Faults, ended: threading.Event) -> None:
    carried = 0
    with contextlib.suppress(OSError):
        while data := server.recv(65536):
            carried += len(data)
            if carried > faults.after and (faults.cuts or faults.silent):
                faults.happened += 1
                if faults.silent:
                    faults.went_silent.set()
                    ended.wait(30)
                else:
                    faults.cuts -= 1
                break
            client.sendall(data)
    _close(client)
    _close(server)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
