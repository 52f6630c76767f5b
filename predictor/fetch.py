"""`python -m predictor fetch`: put a model's files into a folder, for a container of the user's own that serves them.

It is what KServe calls a storage initializer, and runs as an initial container: the other one starts when this is done.
"""

from __future__ import annotations

import logging
import random
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from predictor.lastwords import say_why
from predictor.loading.failure import explain
from predictor.loading.patience import PATIENCE, Patience
from predictor.settings import storage_uri, termination_log
from predictor.storage import schemes
from predictor.storage import settings as storage
from predictor.storage.place import Place, Stop
from torpor.errors import TorporError
from torpor.spec import names

log = logging.getLogger(__name__)

TERMINATED = 128 + signal.SIGTERM
"""No success, or the container after this one would start on half a model."""


def run(environ: Mapping[str, str]) -> int:
    """Fetch what the environment names; returns the exit status. Raises SettingError."""
    uri, settings = storage_uri(environ), storage.read(environ)
    folder = Path(environ.get(names.MODEL_PLACE) or names.MODEL_MOUNT)
    stop = Stop()

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        stop.set()  # its threads; what waits in this one is left by the exception
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, leave)
    try:
        fetch(schemes.place(uri, settings), folder, stop)
    except (TorporError, OSError) as error:
        say_why(f"{uri} was not fetched", explain("fetch", error), termination_log(environ))
        return 1
    return 0


def fetch(place: Place, folder: Path, stop: Stop, patience: Patience = PATIENCE) -> None:
    """Put every file below the place into `folder`; what may succeed later is tried again for a while."""
    began_s, failures = time.monotonic(), 0
    while True:
        try:
            files = place.look().files
            folder.mkdir(parents=True, exist_ok=True)
            place.fetch(files, folder, lambda _bytes: None, stop)
        except TorporError as error:
            failures += 1
            pause_s = patience.backoff.delay_s(failures, random.random())  # noqa: S311  # spreads, hides nothing
            if not error.retryable or time.monotonic() - began_s + pause_s > patience.limit_s:
                raise
            log.warning("trying again in %.1f s: %s", pause_s, error)
            time.sleep(pause_s)
        else:
            size, took_s = sum(each.size for each in files), time.monotonic() - began_s
            log.info("fetched %d files, %.1f MB, into %s in %.1f s", len(files), size / 1e6, folder, took_s)
            return
