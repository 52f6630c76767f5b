"""`python -m torpor.local.kubelet`: run the pods of one data directory until SIGTERM."""

from __future__ import annotations

import sys

import uvloop

from torpor.errors import TorporError
from torpor.local.kubelet.app import serve
from torpor.local.kubelet.settings import parse
from torpor.telemetry.logs import configure


def main(arguments: list[str]) -> int:
    configure()
    try:
        uvloop.run(serve(parse(arguments)))
    except TorporError as error:
        print(f"torpor kubelet: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
