"""What is checked before anything is started: that the directory is ours to use, and that the ports are free."""

from __future__ import annotations

import contextlib
import errno
import socket
from dataclasses import replace

from torpor.errors import SettingError
from torpor.local.apiserver.files import locked
from torpor.local.up.settings import Settings


def check(settings: Settings) -> Settings:
    """Return the settings with each port 0 replaced by a free one; raises SettingError that names the option."""
    with locked(settings.data_dir):
        return _with_ports(settings)


def _with_ports(settings: Settings) -> Settings:
    chosen: dict[str, int] = {}
    with contextlib.ExitStack() as held:  # all of them at once, so that no port is chosen twice
        for option, port in settings.ports().items():
            twin = next((other for other, taken in chosen.items() if port and taken == port), None)
            if twin is not None:
                raise SettingError(option, port, f"{twin} has that port already")
            listener = held.enter_context(_bound(option, settings.host, port))
            chosen[option] = listener.getsockname()[1]
    return replace(
        settings,
        http_port=chosen["--http-port"],
        grpc_port=chosen["--grpc-port"],
        api_port=chosen["--api-port"],
        admin_port=chosen["--admin-port"],
    )


def _bound(option: str, host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingError("--host", host, f"an address of this machine is needed: {error}") from error
    try:
        # As the services do it: a connection of a former run that is not quite gone does not count as taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _refused(option, host, port, error) from error
    return listener


def _refused(option: str, host: str, port: int, error: OSError) -> SettingError:
    match error.errno:
        case errno.EADDRINUSE:
            text = f"something else listens there on {host}; choose another port, or 0 for any that is free"
        case errno.EACCES:
            text = "this user may not listen there; choose a port from 1024 on, or 0 for any that is free"
        case errno.EADDRNOTAVAIL:
            return SettingError("--host", host, "an address of this machine is needed")
        case _:
            text = f"a port is needed that is free on {host}: {error.strerror}"
    return SettingError(option, port, text)
