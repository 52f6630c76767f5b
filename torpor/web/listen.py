"""Take a port before anything else is done or said: whoever connects early waits instead of being refused."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from torpor.errors import SettingError

BACKLOG = 2048


@contextlib.contextmanager
def listening(host: str, port: int, *, host_key: str, port_key: str) -> Iterator[socket.socket]:
    """Give a listening socket; raises SettingError under the names of the settings. Port 0 is any that is free."""
    no_host = "an address of this machine is needed"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingError(host_key, host, f"{no_host}: {error}") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise SettingError(host_key, host, no_host) from error
            text = f"a port is needed that is free on {host}: {error.strerror}"
            raise SettingError(port_key, port, text) from error
        yield listener
