"""`python -m torpor.local.apiserver`: serve the API of one data directory until SIGTERM."""

from __future__ import annotations

import os
import sys

import uvloop

from torpor.errors import SettingError
from torpor.local.apiserver.app import serve
from torpor.local.apiserver.settings import parse
from torpor.telemetry.logs import configure


def main(arguments: list[str]) -> int:
    configure()
    os.umask(0o077)  # Secrets, tokens and keys: what we write is for our owner
    try:
        uvloop.run(serve(parse(arguments)))
    except SettingError as error:
        print(f"torpor apiserver: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
