"""Why this process ends without having done its work: in the log, and where Kubernetes reads it."""

from __future__ import annotations

import logging
from pathlib import Path

from torpor.errors import LoadError

log = logging.getLogger(__name__)

MESSAGE_BYTES = 4096
"""Kubernetes reads no more of a termination message."""


def say_why(what: str, error: LoadError, termination_log: Path | None) -> None:
    """Log why `what` was not done, and leave it as the termination message; None: nobody reads one."""
    log.error("%s: %s: %s", what, error.stage, error)
    if termination_log is None:
        return
    try:
        termination_log.write_bytes(f"{error.stage}: {error}".encode()[:MESSAGE_BYTES])
    except OSError as problem:
        log.warning("the termination message cannot be written: %s", problem)
