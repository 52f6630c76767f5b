"""`python -m torpor.local.up`: the supervisor of one data directory, until SIGTERM."""

from __future__ import annotations

import asyncio
import sys

from torpor.aio.clock import SystemClock
from torpor.errors import SettingError
from torpor.local.up.plan import Patience, announcement, stages
from torpor.local.up.settings import parse
from torpor.local.up.supervisor import supervise


def main(arguments: list[str]) -> int:
    try:
        settings, lifeline_fd = parse(arguments)
    except SettingError as error:
        print(f"torpor up: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return asyncio.run(
        supervise(
            stages(settings),
            announcement(settings),
            settings.logs,
            lifeline_fd,
            clock=SystemClock(),
            patience=Patience(),
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
