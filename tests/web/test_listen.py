"""A port is taken at once, or it is said why not."""

from __future__ import annotations

import socket

import pytest

from torpor.errors import SettingError
from torpor.web.listen import listening


def test_who_connects_before_anybody_accepts_waits() -> None:
    """The kernel takes the connection; nobody is refused while a service still imports."""
    with listening("127.0.0.1", 0, host_key="HOST", port_key="PORT") as listener:
        with socket.create_connection(listener.getsockname(), timeout=5) as client:
            client.sendall(b"early")
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(5) == b"early"
        address = listener.getsockname()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


def test_a_port_that_is_taken_is_named() -> None:
    """Under the name of the setting, with the address."""
    with (
        listening("127.0.0.1", 0, host_key="HOST", port_key="PORT") as first,
        pytest.raises(SettingError, match=r"PORT: \d+ is not allowed; a port is needed that is free on 127.0.0.1"),
        listening("127.0.0.1", first.getsockname()[1], host_key="HOST", port_key="PORT"),
    ):
        pass


def test_a_host_that_is_none_is_named() -> None:
    """An address of another machine."""
    with (
        pytest.raises(SettingError, match=r"HOST: '192\.0\.2\.1' is not allowed; an address of this machine"),
        listening("192.0.2.1", 0, host_key="HOST", port_key="PORT"),
    ):
        pass
