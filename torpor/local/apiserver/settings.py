"""How the API server is started."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torpor import settings
from torpor.local.apiserver.store.store import HISTORY


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it comes from the command line; the supervisor is who writes that."""

    data_dir: Path
    host: str
    port: int
    """0: any that is free; the kubeconfig says which."""
    ready_fd: int | None
    """Gets one byte when the server serves."""
    history: int
    """Changes kept of each kind for watches that resume; an older one is told to list again."""


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line; raises SettingError, or exits with 2 where an option does not exist."""
    parser = argparse.ArgumentParser(prog="python -m torpor.local.apiserver", description=__doc__)
    parser.add_argument("--data-dir", required=True, help="where objects, certificates and the token are kept")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default="6443", help="port to listen on; 0 is any that is free")
    parser.add_argument("--ready-fd", help="descriptor that gets one byte when the server serves")
    parser.add_argument("--history", default=str(HISTORY), help="changes kept of each kind for watches that resume")
    given = parser.parse_args(arguments)
    descriptor = given.ready_fd
    return Settings(
        data_dir=Path(given.data_dir).expanduser().resolve(),
        host=given.host,
        port=settings.port("--port", given.port),
        ready_fd=None if descriptor is None else settings.integer("--ready-fd", descriptor, minimum=0, maximum=2**20),
        history=settings.integer("--history", given.history, minimum=1, maximum=1_000_000),
    )
