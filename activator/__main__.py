"""`python -m activator`: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import sys

import uvloop

from activator.app import serve_until_signalled
from activator.settings import parse
from torpor.errors import SettingError
from torpor.telemetry.logs import configure


def main(arguments: list[str]) -> int:
    configure()
    status = 0
    try:
        uvloop.run(serve_until_signalled(parse(arguments, os.environ)))
    except* SettingError as group:
        for error in group.exceptions:
            print(f"torpor activator: {error}", file=sys.stderr)  # noqa: T201
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
