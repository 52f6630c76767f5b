"""`python -m predictor.processes.child FD PARENT`: open one model and answer what the server asks, one at a time.

Started by predictor/processes/process.py, which has the other end of the socket FD.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from predictor.loading.failure import explain
from predictor.model import Model
from predictor.processes import asking, description, errors
from predictor.processes.channel import Channel, EndedError
from predictor.processes.messages import Message, write
from predictor.runtimes import cpus, registry
from predictor.runtimes.runtime import Files
from torpor.errors import TorporError, UnsupportedError
from torpor.telemetry.logs import configure

log = logging.getLogger("predictor.processes")

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = Path("/proc/self/oom_score_adj")
SOONER = "500"
"""Of 1000: where memory runs out, the system ends a process of a model, which is started again, and not the server."""


def main() -> NoReturn:
    signal.signal(signal.SIGTERM, _leave)
    _die_with(int(sys.argv[2]))
    own = socket.socket(fileno=int(sys.argv[1]))
    own.set_inheritable(False)  # what the model starts must not hold it open
    configure()
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text(SOONER)
    status = 0
    try:
        _serve(Channel(own))
    except (EndedError, SystemExit):
        pass  # the server has no more questions
    except BaseException:
        log.exception("a model's process failed")
        status = 1
    logging.shutdown()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(status)  # threads of the model's are not waited for


def _die_with(parent: int) -> None:
    """End when the server does, however it does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it ended before
        os._exit(0)


_leaving = threading.Event()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    _leaving.set()  # a model may take the exception for one of its own
    sys.exit(0)


def _serve(channel: Channel) -> None:
    order = channel.receive().value
    try:
        model = _opened(order)
    except Exception as error:
        if not isinstance(error, TorporError | OSError):
            log.exception("open failed")
        channel.send(write(errors.told(explain("open", error))))
        return
    try:
        channel.send(write(description.told(description.describe(model))))
        while not _leaving.is_set():
            _answer(channel, model, channel.receive())
    finally:
        model.close()


def _opened(order: dict[str, Any]) -> Model:
    """Return the model, warm; raises what opening raises, LoadError."""
    files = order["files"]
    gc.disable()  # modules and weights make millions of objects that all stay
    cpus.share(order["processes"])
    runtime = registry.runtime(order["format"])
    runtime.prepare()
    model = runtime.open(
        Files(
            Path(files["folder"]),
            tuple(files["names"]),
            files["allow_pickle"],
            Path(files["scratch"]),
        )
    )
    try:
        _warm(model)
    except BaseException:
        model.close()
        raise
    gc.freeze()
    gc.enable()
    return model


def _warm(model: Model) -> None:
    if getattr(model, "sequencing", None) is not None:
        raise UnsupportedError(
            "this model is stateful, and its state would be in one of its processes; let it have none"
        )
    try:
        model.warm()
    except Exception as error:
        raise explain("warm", error) from error


def _answer(channel: Channel, model: Model, asked: Message) -> None:
    if asked.kind == asking.STOP:
        return  # of a stream that has ended meanwhile
    try:
        if asked.kind in {asking.STREAM, asking.PARTS}:
            _stream(channel, asking.steps(model, asked))
            answer = write(Message(asking.END))
        else:
            answer = write(asking.compute(model, asked))
    except EndedError:
        raise
    except BaseException as error:
        if not isinstance(error, TorporError):
            log.exception("%s failed", asked.kind)
        answer = write(errors.told(_tellable(error)))
    channel.send(answer)


def _stream(channel: Channel, steps: Generator[Message, None, None]) -> None:
    with contextlib.closing(steps):
        for each in steps:
            if channel.has_message():  # that no more are wanted
                channel.receive()
                return
            channel.send(write(each))


def _tellable(error: BaseException) -> Exception:
    from predictor.workers import tellable  # noqa: PLC0415  # few models raise, and few of those what this is for

    return tellable(error)


if __name__ == "__main__":
    main()
