"""HTTP/2 connections to pods: made when needed, shared by calls."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from h2 import events
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from activator.grpc.asker import Asker
from activator.grpc.connection import Connection, Headers, Stream
from activator.settings import PodLimits
from activator.throttle.pod import Pod
from torpor.aio.clock import Clock
from torpor.errors import TorporError, UnsupportedError, UpstreamError

log = logging.getLogger(__name__)

HEADER_BYTES = 64 * 1024
"""Of an answer; the 256 KiB at which h2 ends the connection are four times this."""
CONTROL_FRAMES = 2**31
"""Pods are trusted not to flood."""
STREAMS = 100
"""Calls on one connection, where the pod allows more: beyond, a second one is as cheap."""
IDLE_S = 60.0
"""How long an unused connection is kept. A pod that wants to end it earlier says so in time (GOAWAY)."""


class PodLine(Connection[Asker]):
    """One connection to one pod."""

    def __init__(self, lines: Lines, pod: Pod, buffered_bytes: int) -> None:
        super().__init__(
            client_side=True, window=buffered_bytes, header_bytes=HEADER_BYTES, control_frames=CONTROL_FRAMES
        )
        self.pod = pod
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the pod has shown that it speaks HTTP/2."""
        self.leaving = False
        self.idle_since_s = 0.0
        self._lines = lines

    def greeting(self) -> dict[int, int]:
        return {SettingCodes.ENABLE_PUSH: 0, **super().greeting()}

    @property
    def has_room(self) -> bool:
        """Whether one more call may be sent."""
        allowed = min(STREAMS, self.h2.remote_settings.max_concurrent_streams)
        return not self.leaving and not self.ended and len(self.streams) < allowed

    def begin(self, asker: Asker) -> None:
        """Open a stream for this request."""
        number = self.h2.get_next_available_stream_id()
        stream = Stream(self, number, asker)
        self.streams[number] = stream
        asker.attached(stream)

    def fail(self, code: ErrorCodes | int, why: str) -> None:
        super().fail(code, why)
        self.transport.abort()  # it need not be told

    def retire(self) -> None:
        """Take no more calls, and close when those there are have ended."""
        self.leaving = True
        if not self.streams and not self.transport.is_closing():
            self.transport.close()

    # --- what h2 says ------------------------------------------------------------------------------------------

    def handlers(self) -> dict[type[events.Event], Callable[[Any], None]]:
        return {
            events.InformationalResponseReceived: self._interim,
            events.ResponseReceived: self._answered,
            events.DataReceived: self._data,
            events.TrailersReceived: self._trailers,
            events.StreamEnded: self._ended,
            events.StreamReset: self._reset,
            events.WindowUpdated: self._window,
            events.RemoteSettingsChanged: self._settings,
        }

    def _interim(self, event: events.InformationalResponseReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.owner.interim(event.headers)

    def _answered(self, event: events.ResponseReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.owner.answered(event.headers, end=event.stream_ended is not None)

    def _data(self, event: events.DataReceived) -> None:
        stream = self.took(event)
        if stream is not None:
            stream.owner.downloaded(event.data)

    def _trailers(self, event: events.TrailersReceived) -> None:
        self._end(event.stream_id, [pair for pair in event.headers if pair[0][:1] != b":"])

    def _ended(self, event: events.StreamEnded) -> None:
        self._end(event.stream_id, None)

    def _end(self, number: int, trailers: Headers | None) -> None:
        stream = self.streams.get(number)
        if stream is None:
            return
        stream.peer_done = True
        stream.owner.answer_ended(trailers)
        if stream.closed:
            self._forget(stream)
        else:  # the pod does not want the rest of the request
            self.reset(stream, ErrorCodes.NO_ERROR)

    def _reset(self, event: events.StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            return
        self._forget(stream)
        stream.lose()
        if event.error_code == ErrorCodes.REFUSED_STREAM:
            stream.owner.unprocessed(self.pod, "refused the call")
        else:
            code = event.error_code
            name = code.name if isinstance(code, ErrorCodes) else str(code)
            stream.owner.broken(self._error(f"broke off its answer ({name})"))

    def _window(self, event: events.WindowUpdated) -> None:
        self.window_opened(event.stream_id)

    def _settings(self, event: events.RemoteSettingsChanged) -> None:
        if not self.greeted.done():
            self.greeted.set_result(None)
        if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
            self.windows_changed()
        self._lines.freed(self.pod)

    # --- for the connection ------------------------------------------------------------------------------------

    def on_sent(self, stream: Stream[Asker], size: int) -> None:
        stream.owner.uploaded(size)

    def on_done(self, stream: Stream[Asker]) -> None:
        if stream.peer_done:
            self._forget(stream)

    def reset(self, stream: Stream[Asker], code: ErrorCodes) -> None:
        known = stream.number in self.streams
        super().reset(stream, code)
        if known:
            self._freed()

    def on_goaway(self) -> None:
        said = self.sieve.goaway
        if said is None or self.ended:
            return
        self.leaving = True
        for stream in [stream for number, stream in self.streams.items() if number > said.last]:
            super().reset(stream, ErrorCodes.CANCEL)
            stream.owner.unprocessed(self.pod, "takes no more calls")
        self._freed()

    def on_end(self, why: str) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(UpstreamError(why) if not self.heard else UnsupportedError(why))
            self.greeted.exception()  # who waits for it may be gone
        streams, self.streams = list(self.streams.values()), {}
        self._lines.lost(self)
        for stream in streams:
            stream.lose()
            stream.owner.broken(self._error(f"ended the connection ({why})"))

    def _forget(self, stream: Stream[Asker]) -> None:
        if self.streams.pop(stream.number, None) is not None:
            self._freed()

    def _freed(self) -> None:
        if not self.streams:
            self.idle_since_s = self._lines.clock.monotonic()
            if self.leaving and not self.transport.is_closing():
                self.transport.close()
                return
        self._lines.freed(self.pod)

    def _error(self, what: str) -> UpstreamError:
        return UpstreamError(f"pod {self.pod.at.pod} {what}")


class Lines:
    """All of them, by pod, and who waits for one."""

    def __init__(self, limits: PodLimits, buffered_bytes: int, clock: Clock) -> None:
        self.clock = clock
        self.refused_s = limits.refused_s
        self._connect_timeout_s = limits.connect_timeout_s
        self._buffered_bytes = buffered_bytes
        self._open: dict[Pod, list[PodLine]] = {}
        self._waiting: dict[Pod, deque[Asker]] = {}
        self._dialling: dict[Pod, asyncio.Task[None]] = {}

    def ask(self, pod: Pod, asker: Asker) -> None:
        """Send a request to a pod, now or when there is a connection that has room for it."""
        if pod.at.http2_port == 0:
            asker.broken(_speaks_no_http2(pod))
            return
        waiting = self._waiting.get(pod)
        if not waiting:
            for line in self._open.get(pod, ()):
                if line.has_room:
                    line.begin(asker)
                    return
        if waiting is None:
            waiting = self._waiting[pod] = deque()
        waiting.append(asker)
        self._dial(pod)

    def freed(self, pod: Pod) -> None:
        """A connection has room again, or is gone: whoever waits goes on."""
        waiting = self._waiting.get(pod)
        if waiting:
            for line in list(self._open.get(pod, ())):
                while waiting and line.has_room:
                    asker = waiting.popleft()
                    if not asker.done:
                        line.begin(asker)
            if waiting:
                self._dial(pod)
            else:
                self._waiting.pop(pod, None)

    def lost(self, line: PodLine) -> None:
        """A connection is over."""
        lines = self._open.get(line.pod)
        if lines is not None and line in lines:
            lines.remove(line)
            if not lines:
                del self._open[line.pod]

    def gone(self, pod: Pod) -> None:
        """A pod gets no new calls: what is in flight is finished."""
        for line in self._open.pop(pod, []):
            line.retire()

    def sweep(self, now_s: float) -> None:
        """Close what has been idle for too long."""
        for lines in list(self._open.values()):
            for line in list(lines):
                if not line.streams and now_s - line.idle_since_s > IDLE_S:
                    line.retire()

    async def close(self) -> None:
        """Close everything."""
        tasks = list(self._dialling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lines in list(self._open.values()):
            for line in list(lines):
                line.abort()

    def _dial(self, pod: Pod) -> None:
        if pod not in self._dialling:
            task = asyncio.get_running_loop().create_task(self._connect(pod))
            self._dialling[pod] = task
            task.add_done_callback(lambda _: self._dialled(pod))

    def _dialled(self, pod: Pod) -> None:
        del self._dialling[pod]
        if self._waiting.get(pod):
            self.freed(pod)
        else:
            self._waiting.pop(pod, None)

    async def _connect(self, pod: Pod) -> None:
        loop = asyncio.get_running_loop()
        line: PodLine | None = None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, line = await loop.create_connection(
                    lambda: PodLine(self, pod, self._buffered_bytes), pod.at.host, pod.at.http2_port
                )
                await line.greeted
        except (OSError, TimeoutError, UpstreamError) as error:
            why = str(error) or f"nothing within {self._connect_timeout_s:g} s"
            self._give_up(pod, line, why, None)
        except UnsupportedError:
            self._give_up(pod, line, "", _speaks_no_http2(pod))
        except Exception as error:
            log.exception("connecting to pod %s failed", pod.at.pod)
            self._give_up(pod, line, str(error), None)
        else:
            if line.ended:
                self._give_up(pod, line, "it ended the connection at once", None)
                return
            pod.refusals = 0
            line.idle_since_s = self.clock.monotonic()
            self._open.setdefault(pod, []).append(line)
            self.freed(pod)

    def _give_up(self, pod: Pod, line: PodLine | None, why: str, error: TorporError | None) -> None:
        if line is not None:
            line.abort()
        for asker in self._waiting.pop(pod, ()):
            if asker.done:
                continue
            if error is not None:
                asker.broken(error)
            else:
                asker.unreachable(pod, why, self.refused_s)


def _speaks_no_http2(pod: Pod) -> UnsupportedError:
    return UnsupportedError(
        f"pod {pod.at.pod} does not speak HTTP/2; a container that does says so by the name of its port: "
        "ports: [{name: h2c}]"
    )
