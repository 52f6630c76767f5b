"""The door's own part of one request: the data plane between two transports that do nothing, without kernel or network.

Two figures, plain and with everything on: processor time, which depends on the machine and its noise, and bytecodes by
function, which are the same every time and say where the work is. Run by `scripts/bench/hotpath`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from activator.proxy.client import ClientConnection
from activator.proxy.door import Door
from activator.proxy.pool import Pool
from activator.proxy.upstream import Upstream
from activator.routing.table import Router, guarded, merge, read
from activator.settings import ClientLimits, PodLimits, Waiting
from activator.throttle.throttler import Hooks
from activator.throttle.throttlers import Throttlers
from scripts.benchmarks.activator.door import DOMAIN, HOST, KEY, SESSION, lock, objects
from torpor.aio.clock import SystemClock
from torpor.kube import Change
from torpor.spec.kinds import REVISION, key_of

BODY = b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1.0,2.0,3.0,4.0]}]}'
ANSWER = b'{"model_name":"m","outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[10.0]}]}'
HEAD = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
EXTRA = (
    f"{SESSION}: session-1\r\nAuthorization: Bearer {KEY}\r\n"
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    "tracestate: vendor=value\r\nX-Request-Id: 0af7651916cd43dd\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 23:43:12 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%b" % (len(ANSWER), ANSWER)
)


class _Nowhere(asyncio.Transport):
    """Takes all, and keeps nothing."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def write(self, data: Any) -> None:
        """Forget it."""

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        raise AssertionError("something is wrong with the request")


class HotPath:
    """One client, one pod, and what passes between them."""

    def __init__(self, *, all_on: bool) -> None:
        clock, waiting = SystemClock(), Waiting()
        limits = ClientLimits(body_bytes=2**30) if all_on else ClientLimits()
        self._pool = Pool(PodLimits(), limits.buffered_bytes, clock)
        hooks = Hooks(lambda _: None, lambda *_: None, self._pool.gone)
        throttlers = Throttlers(waiting.queue_limit, waiting.activation_timeout_s, hooks, clock)
        route, told = objects(1, all_on=all_on)
        for kind, obj in told:
            tell = throttlers.revision_changed if kind is REVISION else throttlers.slice_changed
            tell(Change(kind, key_of(obj), None, obj))
        table = merge([guarded(read(route, DOMAIN, {}), lock() if all_on else None)], DOMAIN)
        door = Door(Router(table), throttlers, self._pool, limits, clock)
        self._client = ClientConnection(door)
        self._client.connection_made(_Nowhere())
        (pod,) = next(iter(throttlers)).pods
        self._upstream = Upstream(self._pool, pod)
        self._upstream.connection_made(_Nowhere())
        self._pool.give(self._upstream)
        head = HEAD + (EXTRA if all_on else "")
        self._request = head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)

    def request(self) -> None:
        """Have one request pass, and its answer."""
        # A pause of the machine must not make it ask the socket, which is none, whether it is still there.
        self._upstream.idle_since_s = time.monotonic()
        self._client.data_received(self._request)
        self._upstream.data_received(RESPONSE)


def microseconds(path: HotPath, requests: int, rounds: int) -> float:
    """Return the processor time of one request, in the quickest of the rounds: what disturbs only ever adds."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time_ns()
        for _ in range(requests):
            path.request()
        best = min(best, (time.process_time_ns() - begin) / requests / 1000)
    return best


def bytecodes(path: HotPath, requests: int = 10) -> tuple[Counter[str], Counter[str]]:
    """Return how many bytecodes and calls a request takes, by function."""
    ops: Counter[str] = Counter()
    calls: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        code = frame.f_code
        name = f"{code.co_filename.rpartition('/')[2]}: {getattr(code, 'co_qualname', code.co_name)}"
        if event == "call":
            calls[name] += 1
        elif event == "opcode":
            ops[name] += 1
        return trace

    for _ in range(200):  # until the interpreter knows it
        path.request()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for _ in range(requests):
            path.request()
    finally:
        sys.settrace(before)
    ours = [name for name in ops if not name.startswith("hotpath.py")]
    return Counter({name: ops[name] // requests for name in ours}), Counter({name: calls[name] for name in ours})


def table(ops: Counter[str], title: str, most: int) -> Table:
    """Draw where the bytecodes are."""
    drawn = Table(title=title, title_justify="left")
    drawn.add_column("function")
    drawn.add_column("bytecodes", justify="right")
    drawn.add_column("part", justify="right")
    for name, count in ops.most_common(most):
        drawn.add_row(name, str(count), f"{count / ops.total():.0%}")
    return drawn


async def measure(rounds: int, most: int, show: Console) -> dict[str, Any]:
    """Take all figures."""
    found: dict[str, Any] = {}
    for suffix, all_on in (("", False), ("_all_on", True)):
        ops, _ = bytecodes(HotPath(all_on=all_on))
        quickest = microseconds(HotPath(all_on=all_on), 1000, rounds)
        title = f"{'everything on' if all_on else 'plain'}: {quickest:.1f} µs and {ops.total()} bytecodes a request"
        show.print(table(ops, title, most))
        found |= {f"us{suffix}": round(quickest, 2), f"bytecodes{suffix}": ops.total()}
    return found


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds: within 50 s, as without it on most machines"
    )
    parser.add_argument("--most", type=int, default=15, help="functions that are shown (default: 15)")
    given = parser.parse_args()
    show = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    print(json.dumps(uvloop.run(measure(50 if given.quick else 200, given.most, show))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
