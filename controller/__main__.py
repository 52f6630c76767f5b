"""`python -m controller`: make the cluster match the specs until SIGTERM."""

from __future__ import annotations

import sys

import uvloop

from controller.app import run
from controller.settings import parse
from torpor.errors import SettingError
from torpor.telemetry.logs import configure


def main(arguments: list[str]) -> int:
    configure()
    try:
        uvloop.run(run(parse(arguments)))
    except SettingError as error:
        print(f"torpor controller: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
