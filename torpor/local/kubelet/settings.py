"""How the kubelet is started."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torpor import settings


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it comes from the command line; the supervisor is who writes that."""

    data_dir: Path
    """Where pods' logs and volumes are kept."""
    kubeconfig: Path
    ready_fd: int | None
    """Gets one byte when pods can run."""


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line; raises SettingError, or exits with 2 where an option does not exist."""
    parser = argparse.ArgumentParser(prog="python -m torpor.local.kubelet", description=__doc__)
    parser.add_argument("--data-dir", required=True, help="where pods' logs and volumes are kept")
    parser.add_argument("--kubeconfig", help="how to reach the API; default: kubeconfig in the data directory")
    parser.add_argument("--ready-fd", help="descriptor that gets one byte when pods can run")
    given = parser.parse_args(arguments)
    data_dir = Path(given.data_dir).expanduser().resolve()
    kubeconfig = data_dir / "kubeconfig" if given.kubeconfig is None else Path(given.kubeconfig).expanduser()
    descriptor = given.ready_fd
    return Settings(
        data_dir,
        kubeconfig.resolve(),
        None if descriptor is None else settings.integer("--ready-fd", descriptor, minimum=0, maximum=2**20),
    )
