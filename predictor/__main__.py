"""`python -m predictor`: listen at once, load the model that the environment names, serve it until SIGTERM.

`python -m predictor fetch` only fetches it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

from predictor.settings import HOST, PORT, Settings, from_environment
from torpor.errors import SettingError
from torpor.web.listen import listening


def main() -> int:
    signal.signal(signal.SIGTERM, _leave)  # until the server has its own handler
    try:
        if sys.argv[1:] == ["fetch"]:
            return _fetch()
        settings = from_environment(os.environ)
        with listening(settings.host, settings.port, host_key=HOST, port_key=PORT) as listener:
            return _run(settings, listener)
    except SettingError as error:
        print(f"torpor predictor: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _fetch() -> int:
    from predictor.fetch import run  # noqa: PLC0415
    from torpor.telemetry.logs import configure  # noqa: PLC0415

    configure()
    return run(os.environ)


def _run(settings: Settings, listener: socket.socket) -> int:
    # The port takes connections by now; these imports are most of the time until they are answered.
    import uvloop  # noqa: PLC0415

    from predictor.app import serve  # noqa: PLC0415
    from torpor.telemetry.logs import configure  # noqa: PLC0415

    async def serve_and_leave() -> NoReturn:
        status = await serve(settings, listener)
        logging.shutdown()
        sys.stdout.flush()
        # Neither a thread that still loads, nor what a model library has left behind, is waited for.
        os._exit(status)

    configure()
    uvloop.run(serve_and_leave())
    return 1  # not reached


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
