"""Models of users that do what they should not, and how they are opened in processes of their own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from predictor.model import Model
from predictor.processes.model import ModelApart, model_of
from predictor.processes.pool import Pool
from predictor.processes.process import Order
from predictor.runtimes.runtime import Files
from tests.support.models import save_python_model
from torpor.aio.backoff import Backoff

QUICK = Backoff(first_s=0.01, limit_s=0.05)

ILL = """
import ctypes, logging, os, signal, subprocess, sys, time
from pathlib import Path

import numpy as np

log = logging.getLogger("model")
kept = []


class Model:
    def load(self):
        print("garbage from load")
        if Path(__file__).with_name("broken").exists():
            os._exit(9)
        if Path(__file__).with_name("stuck").exists():
            time.sleep(60)

    def predict(self, instances, parameters):
        first = "exit" if "exit" in instances else instances[0]
        match first:
            case "exit":
                os._exit(3)
            case "sys.exit":
                sys.exit(4)
            case "segfault":
                ctypes.string_at(0)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "close":
                os.closerange(3, 256)
                time.sleep(60)
            case "garble":
                for fd in range(3, 64):
                    try:
                        os.write(fd, b"HTTP/1.1 200 OK\\\\r\\\\n" * 10)
                    except OSError:
                        pass
                time.sleep(60)
            case "helper":
                if not os.fork():
                    time.sleep(60)  # holds all that its parent held
                os._exit(5)
            case "fork":
                helper = os.fork()
                if not helper:
                    time.sleep(60)
                return [helper]
            case "hang":
                time.sleep(60)
            case "print":
                print("garbage " * 10_000, flush=True)
                sys.stdout.buffer.write(bytes(range(256)))
                log.warning("a word of the model")
            case "leak":
                kept.append(bytearray(os.urandom(1) * 5_000_000))
            case "short":
                return []
            case "object":
                return [object()]
            case "value":
                raise ValueError("not like this")
            case "unknown":
                raise ZeroDivisionError("secret")
            case "slow":
                time.sleep(0.2)
            case {"sleep": seconds}:
                time.sleep(seconds)
            case "pid":
                return [os.getpid() for _ in instances]
        return [[each, dict(parameters)] for each in instances]

    def explain(self, instances):
        return [{"because": each} for each in instances]

    def infer(self, inputs, parameters):
        if parameters.get("transposed"):
            return {name: array.T for name, array in inputs.items()}
        return {**inputs, "rows": np.array([len(inputs)])}

    def stream(self, inputs, parameters):
        try:
            for index in range(int(parameters.get("count", 3))):
                if index == parameters.get("dies"):
                    os._exit(6)
                if index == parameters.get("hangs"):
                    time.sleep(60)
                if index == parameters.get("fails"):
                    raise ValueError("no further")
                yield {"index": np.array([index])}
        finally:
            log.warning("the stream was closed")
"""


def save_ill(folder: Path) -> Path:
    return save_python_model(folder, ILL)


def files(folder: Path) -> Files:
    return Files(folder, tuple(sorted(each.name for each in folder.iterdir())))


def pool_of(folder: Path, count: int = 1, limit_s: float = 0.0) -> Pool:
    return Pool("ill", Order("python", files(folder)), count, limit_s, backoff=QUICK)


@contextlib.contextmanager
def opened(folder: Path, count: int = 1, limit_s: float = 0.0) -> Iterator[Any]:
    """Give the model while the block runs, and see that nothing of it is left."""
    pool = pool_of(folder, count, limit_s)
    model: Model = model_of(pool, pool.start())
    assert isinstance(model, ModelApart)
    before = set(model.pids())
    try:
        yield model
    finally:
        before |= set(model.pids())
        model.close()
        assert not [each for each in before if runs(each)]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
