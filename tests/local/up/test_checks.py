"""What is checked before anything is started, on real sockets and directories."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from torpor.errors import SettingError
from torpor.local.apiserver.files import locked
from torpor.local.up.checks import check
from torpor.local.up.settings import Settings

OPTIONS = {
    "--http-port": "http_port",
    "--grpc-port": "grpc_port",
    "--api-port": "api_port",
    "--admin-port": "admin_port",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    http, grpc, api, admin = free_ports(4)
    return Settings(tmp_path / "data", "127.0.0.1", http, grpc, api, admin, "localhost")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_free_ports_stay_as_they_are(settings: Settings) -> None:
    """And the directory is there afterwards, for its owner alone, free to be locked."""
    assert check(settings) == settings
    assert settings.data_dir.stat().st_mode & 0o777 == 0o700
    with locked(settings.data_dir):
        pass


def test_a_port_0_becomes_one_that_is_free(settings: Settings) -> None:
    """Each another one, and free again for the service that is told of it."""
    chosen = check(replace(settings, http_port=0, grpc_port=0, api_port=0, admin_port=0))
    assert len({*chosen.ports().values()} - {0}) == 4
    assert check(chosen) == chosen


@pytest.mark.parametrize("option", OPTIONS)
def test_a_port_that_is_taken(option: str, settings: Settings, taken: int) -> None:
    """The error names the option and the port."""
    with pytest.raises(SettingError, match=f"{option}: {taken} is not allowed; something else listens there"):
        check(replace(settings, **{OPTIONS[option]: taken}))


def test_one_port_for_two_things(settings: Settings) -> None:
    """Both options are named."""
    with pytest.raises(SettingError, match=r"--admin-port: \d+ is not allowed; --http-port has that port already"):
        check(replace(settings, admin_port=settings.http_port))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_this_machine(host: str, settings: Settings) -> None:
    """An address of the documentation's own network, and a name that nobody has."""
    with pytest.raises(SettingError, match=r"--host: .* an address of this machine is needed"):
        check(replace(settings, host=host))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen everywhere")
def test_a_port_for_root_alone(settings: Settings) -> None:
    """The error says which ones are not."""
    with pytest.raises(SettingError, match=r"--http-port: 1 is not allowed; .*choose a port from 1024 on"):
        check(replace(settings, http_port=1))


def test_a_directory_in_use(settings: Settings) -> None:
    """By another Torpor; the directory is named, whatever is wrong with the ports too."""
    with locked(settings.data_dir), pytest.raises(SettingError, match=f"{settings.data_dir}.*another Torpor"):
        check(replace(settings, admin_port=settings.http_port))


def test_a_directory_that_cannot_be(settings: Settings) -> None:
    """A file stands in its way."""
    blocked = settings.data_dir.parent / "file"
    blocked.touch()
    with pytest.raises(SettingError, match=f"--data-dir: '{blocked}/data' is not allowed; .* can be written"):
        check(replace(settings, data_dir=blocked / "data"))
