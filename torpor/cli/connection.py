"""Which cluster a command talks to: the kubeconfig, the namespace, and what to say when nobody answers."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import click
import yaml

from torpor import errors
from torpor.kube import Cluster

DEFAULT = Path("~/.torpor/kubeconfig")


@dataclass(frozen=True, slots=True)
class Where:
    """A kubeconfig and the namespace that commands mean when they name none."""

    kubeconfig: Path
    namespace: str
    server: str

    @property
    def is_laptop(self) -> bool:
        """Whether the API is on this machine: then so are the services, and their names need no name server."""
        return urlsplit(self.server).hostname in {"127.0.0.1", "::1", "localhost"}


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--kubeconfig` and `-n`; the command gets them as `where`."""

    @click.option(
        "--kubeconfig", type=click.Path(path_type=Path), help="Default: $KUBECONFIG, else ~/.torpor/kubeconfig."
    )
    @click.option("-n", "--namespace", help="Default: the namespace of the kubeconfig.")
    @functools.wraps(command)
    def wrapped(*args: Any, kubeconfig: Path | None, namespace: str | None, **kwargs: Any) -> Any:
        return command(*args, where=find(kubeconfig, namespace), **kwargs)

    return wrapped


def find(kubeconfig: Path | None, namespace: str | None) -> Where:
    """Choose the kubeconfig and read from it what the commands need to know themselves."""
    path = kubeconfig or _from_environment() or DEFAULT.expanduser()
    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise errors.NotFoundError(
            f"there is no kubeconfig at {path}: is `torpor up` running? --kubeconfig or $KUBECONFIG names another one"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise errors.SettingError("kubeconfig", str(path), f"it cannot be read: {error}") from error
    context, server = _current(config)
    return Where(path, namespace or context.get("namespace") or "default", server)


@contextlib.asynccontextmanager
async def connected(where: Where) -> AsyncIterator[Cluster]:
    """Give a connection; an API that cannot be reached at all is said so, with what to do."""
    try:
        async with await Cluster.connect(where.kubeconfig) as cluster:
            yield cluster
    except errors.UnavailableError as error:
        if isinstance(error.__cause__, aiohttp.ClientConnectorError):
            raise errors.UnavailableError(
                f"nobody answers at {where.server}, which {where.kubeconfig} names: is `torpor up` running?"
            ) from error
        raise


def _from_environment() -> Path | None:
    named = os.environ.get("KUBECONFIG", "")
    if os.pathsep in named:
        raise errors.SettingError("KUBECONFIG", named, "name one file; several are kubectl's alone")
    return Path(named).expanduser() if named else None


def _current(config: Any) -> tuple[dict[str, Any], str]:
    """Return the current context and its server; what is missing is for the library to complain about."""
    if not isinstance(config, dict):
        return {}, ""
    contexts = {each.get("name"): each.get("context") for each in config.get("contexts") or ()}
    clusters = {each.get("name"): each.get("cluster") for each in config.get("clusters") or ()}
    context = contexts.get(config.get("current-context")) or {}
    cluster = clusters.get(context.get("cluster")) or {}
    return context, str(cluster.get("server") or "")
