"""Where an API is, and what proves who we are.

A kubeconfig with a server, its CA and a token is read here: that of every laptop is one. Everything else, such as
plugins, certificates of ours and a pod's service account, is the library's work. Only then is it imported, which takes
four tenths of a second of processor time: much for each process of `torpor up`, and for each command that is typed.
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import yaml

from torpor import errors

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

READ_BYTES = 2 << 20
"""Read ahead of a watch at most: as the library has it, for objects are large."""
_CLUSTER = {"server", "certificate-authority-data"}
_USER = {"token"}


class Access(Protocol):
    """Use what it gives inside the event loop, and close it."""

    @property
    def server(self) -> str:
        """The URL before every path."""

    def session(self) -> aiohttp.ClientSession:
        """Return the one that trusts the server; it is made on first use."""

    async def authorize(self, headers: dict[str, str]) -> None:
        """Add to a request's headers what proves who we are, renewed where that is needed."""

    async def close(self) -> None: ...


@dataclass(slots=True)
class TokenAccess:
    """Fits `Access`: a token that stays the same."""

    server: str
    ca: str | None
    """In PEM; None: those that the machine trusts."""
    token: str
    _session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            tls = ssl.create_default_context(cadata=self.ca) if self.server.startswith("https:") else True
            # A watch holds a connection: no limit.
            connector = aiohttp.TCPConnector(limit=0, ssl=tls)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=True, read_bufsize=READ_BYTES)
        return self._session

    async def authorize(self, headers: dict[str, str]) -> None:
        headers["Authorization"] = f"Bearer {self.token}"

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class LibraryAccess:
    """Fits `Access`: whatever the library can do."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @property
    def server(self) -> str:
        host: str = self._client.configuration.host
        return host

    def session(self) -> aiohttp.ClientSession:
        rest = self._client.rest_client
        if rest.pool_manager is None:  # the library makes its session on first use, inside the loop
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001
        session: aiohttp.ClientSession = rest.pool_manager
        return session

    async def authorize(self, headers: dict[str, str]) -> None:
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)

    async def close(self) -> None:
        await self._client.close()


async def access(kubeconfig: Path | None) -> Access:
    """Read credentials from `kubeconfig`, or from the pod's service account where there is none."""
    if kubeconfig is None:
        return await _library_access(None)
    return token_access(_read(kubeconfig)) or await _library_access(kubeconfig)


def _read(kubeconfig: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(kubeconfig.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise errors.SettingError("kubeconfig", str(kubeconfig), str(error)) from error
    if not isinstance(config, dict):  # the library would fail on it in a way of its own
        raise errors.SettingError("kubeconfig", str(kubeconfig), "a file with clusters, users and contexts is needed")
    return config


def token_access(config: dict[str, Any]) -> TokenAccess | None:
    """Return what a kubeconfig says if it says nothing but a server, its CA and a token."""
    try:
        context = _named(config, "context", config["current-context"])
        cluster, user = _named(config, "cluster", context["cluster"]), _named(config, "user", context["user"])
        if not (cluster.keys() <= _CLUSTER and user.keys() <= _USER):
            return None
        ca = cluster.get("certificate-authority-data")
        pem = None if ca is None else base64.b64decode(ca, validate=True).decode("ascii")
        server, token = str(cluster["server"]), str(user["token"])
    except (AttributeError, KeyError, TypeError, ValueError):  # the library says what is wrong with it
        return None
    return TokenAccess(server.rstrip("/"), pem, token)


def _named(config: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    [found] = [each[kind] for each in config[f"{kind}s"] if each["name"] == name]
    return dict(found)


async def _library_access(kubeconfig: Path | None) -> LibraryAccess:
    from kubernetes.aio import client, config  # noqa: PLC0415  # paid by who needs it

    configuration = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(configuration)
        else:
            await config.load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
    except (config.ConfigException, OSError) as error:
        raise errors.SettingError("kubeconfig", str(kubeconfig or "in-cluster"), str(error)) from error
    configuration.connection_pool_maxsize = 0  # a watch holds a connection: no limit
    return LibraryAccess(client.ApiClient(configuration))
