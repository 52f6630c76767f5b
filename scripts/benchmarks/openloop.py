"""Send requests at a given rate, however slowly they are answered, and say how late the sender itself was.

A closed loop (wrk, hey) sends the next request when the last is answered: a slow server is asked less, and the requests
that would have waited are not in its figures. Here every request has a time at which it is due; where no connection is
free, another is made. Run as `openloop.py PORT --host NAME --steps 100x5,200x5`; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import re
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import uvloop

TICK_S = 0.0005
CONNECTIONS = 4096
"""More are not made; what is due then waits, and its lateness says so."""
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) .*?\r\ncontent-length: *(\d+)\r\n(?:.*?\r\n)?\r\n", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """So many requests a second for so long."""

    rate: float
    seconds: float

    @classmethod
    def read(cls, text: str) -> Step:
        """Take `RATExSECONDS`."""
        rate, _, seconds = text.partition("x")
        made = cls(float(rate), float(seconds))
        if not (made.rate > 0 and made.seconds > 0):
            raise ValueError(f"{text!r} is no step; use RATExSECONDS, as 100x5")
        return made

    @property
    def requests(self) -> int:
        """Return how many that are."""
        return round(self.rate * self.seconds)


def due(steps: Sequence[Step]) -> Iterator[float]:
    """Yield when each request is due, in seconds from the beginning."""
    begin = 0.0
    for step in steps:
        for number in range(step.requests):
            yield begin + number / step.rate
        begin += step.seconds


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that so many of all are not over; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Record:
    """What came of each request: seconds from the beginning; NaN: never."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.due = array("d", due(steps))
        self.sent = array("d", [math.nan]) * len(self.due)
        self.answered = array("d", [math.nan]) * len(self.due)
        self.failed: dict[str, int] = {}

    def fail(self, why: str) -> None:
        """Count a request that got no answer, or the wrong one."""
        self.failed[why] = self.failed.get(why, 0) + 1

    def summary(self) -> dict[str, object]:
        """Return all figures."""
        numbers = range(len(self.due))
        sent = [each for each in numbers if not math.isnan(self.sent[each])]
        late = [self.sent[each] - self.due[each] for each in sent]
        first, drained = self.wake()
        steps, begin = [], 0
        for step in self.steps:
            steps.append({"rate": step.rate} | self._latencies(range(begin, begin + step.requests)))
            begin += step.requests
        return {
            "planned": len(self.due),
            "sent": len(sent),
            "errors": sum(self.failed.values()),
            "failed": self.failed,
            "late_p50_us": _us(percentile(late, 0.5)),
            "late_p99_us": _us(percentile(late, 0.99)),
            "late_max_us": _us(max(late, default=None)),
            "first_answer_s": first,
            "drained_s": drained,
            **self._latencies(numbers),
            "after_wake": self._latencies([each for each in numbers if self.due[each] > drained]),
            "steps": steps,
        }

    def wake(self) -> tuple[float, float]:
        """Return when the first answer came, and when the last of those was answered that were due by then."""
        ends = [(begin, end) for begin, end in zip(self.due, self.answered, strict=True) if not math.isnan(end)]
        first = min((end for _, end in ends), default=math.inf)
        waited = [end for begin, end in ends if begin <= first]
        return first, max(waited, default=math.inf)

    def _latencies(self, numbers: Sequence[int]) -> dict[str, object]:
        done = [each for each in numbers if not math.isnan(self.answered[each])]
        from_due = [self.answered[each] - self.due[each] for each in done]
        from_sent = [self.answered[each] - self.sent[each] for each in done]
        figures: dict[str, object] = {"requests": len(numbers), "answered": len(done)}
        for name, values in (("", from_due), ("sent_", from_sent)):
            figures |= {f"{name}p{share}_us": _us(percentile(values, share / 100)) for share in (50, 95, 99)}
        return figures | {"max_us": _us(max(from_due, default=None))}


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e6, 1)


class Sender:
    """The connections, and what is due."""

    def __init__(self, port: int, request: bytes, record: Record) -> None:
        self._port = port
        self._request = request
        self.record = record
        self.idle: list[Line] = []
        self.lines: set[Line] = set()
        self._connecting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = 0
        """Requests that are due and not done."""
        self.closed = asyncio.Event()
        self.begin = 0.0

    def now(self) -> float:
        """Return the seconds since the beginning."""
        return time.perf_counter() - self.begin

    async def run(self, patience_s: float) -> None:
        """Send everything at its time, and wait for the answers."""
        times, number = self.record.due, 0
        self.begin = time.perf_counter() + 0.05
        while number < len(times):
            now = self.now()
            while number < len(times) and times[number] <= now and self._send(number):
                number += 1
            # Behind, it still lets the answers in.
            await asyncio.sleep(max(TICK_S, times[number] - now) if number < len(times) else 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self.open:
                    self.closed.clear()
                    await self.closed.wait()
        for _ in range(self.open):
            self.record.fail("no answer")
        for line in list(self.lines):
            line.number = None
            line.transport.abort()
        await asyncio.sleep(0)  # in which they end

    def _send(self, number: int) -> bool:
        if self.idle:
            self.open += 1
            self.idle.pop().ask(number, self._request)
            return True
        if len(self.lines) + self._connecting >= CONNECTIONS:
            return False
        self.open += 1
        self._connecting += 1
        task = asyncio.ensure_future(self._connect(number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def close(self, why: str | None = None) -> None:
        """Count a request as done; `why` it failed, if it did."""
        self.open -= 1
        if why is not None:
            self.record.fail(why)
        self.closed.set()

    async def _connect(self, number: int) -> None:
        self.record.sent[number] = self.now()
        try:
            _, line = await asyncio.get_running_loop().create_connection(lambda: Line(self), "127.0.0.1", self._port)
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        finally:
            self._connecting -= 1
        line.ask(number, self._request, sent=self.record.sent[number])


class Line(asyncio.Protocol):
    """One connection, one request at a time."""

    transport: asyncio.Transport

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._buffer = b""
        self._need = 0
        self._status = b""
        self.number: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._sender.lines.add(self)

    def ask(self, number: int, request: bytes, *, sent: float | None = None) -> None:
        """Send one request."""
        self.number = number
        if sent is None:
            self._sender.record.sent[number] = self._sender.now()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._need:
            self._buffer += data
            head = _HEAD.match(self._buffer)
            if head is None:
                return
            self._status = head[1]
            self._need = head.end() + int(head[2]) - len(self._buffer)
            self._buffer = b""
        else:
            self._need -= len(data)
        if self._need <= 0 and self.number is not None:
            sender, number, self.number = self._sender, self.number, None
            self._need = 0
            sender.idle.append(self)
            if self._status.startswith(b"2"):
                sender.record.answered[number] = sender.now()
                sender.close()
            else:
                sender.close(f"status {self._status.decode()}")

    def connection_lost(self, exc: Exception | None) -> None:
        sender = self._sender
        sender.lines.discard(self)
        if self in sender.idle:
            sender.idle.remove(self)
        if self.number is not None:
            sender.close("connection lost" if exc is None else str(exc))


def request_for(host: str, path: str, body: str, headers: Sequence[str]) -> bytes:
    """Return the bytes of the request."""
    method = "POST" if body else "GET"
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    return "\r\n".join((*lines, "", "")).encode() + body.encode()


async def send(port: int, request: bytes, steps: Sequence[Step], patience_s: float = 30.0) -> dict[str, object]:
    """Send all of it; returns the figures."""
    record = Record(steps)
    await Sender(port, request, record).run(patience_s)
    return record.summary()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--host", default="localhost", help="what the Host header says")
    parser.add_argument("--path", default="/")
    parser.add_argument("--body", default="", help="sent by POST; without it, GET")
    parser.add_argument("--header", action="append", default=[], help="a further line of the head")
    parser.add_argument("--steps", required=True, help="RATExSECONDS, separated by commas")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds to wait for the last answers")
    given = parser.parse_args()
    steps = [Step.read(each) for each in given.steps.split(",")]
    request = request_for(given.host, given.path, given.body, given.header)
    print(json.dumps(uvloop.run(send(given.port, request, steps, given.patience))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
