"""Who asks a pod something by HTTP/2: a call that came by HTTP/2, or a request of HTTP/1.1 in translation."""

from __future__ import annotations

from typing import Protocol

from activator.grpc.connection import Headers, Stream
from activator.throttle.pod import Pod
from torpor.errors import TorporError


class Asker(Protocol):
    """What a connection to a pod tells."""

    @property
    def done(self) -> bool:
        """Whether nobody waits for the answer any more."""

    def attached(self, stream: Stream[Asker]) -> None:
        """The stream is yours: send the request."""

    def unreachable(self, pod: Pod, why: str, limit_s: float) -> None:
        """Nothing has been sent: try another pod, or the same again in a moment."""

    def unprocessed(self, pod: Pod, why: str) -> None:
        """The pod says that it has not looked at the request: it may be sent again."""

    def uploaded(self, size: int) -> None:
        """So much of the request's body has left."""

    def interim(self, headers: Headers) -> None:
        """An answer before the answer."""

    def answered(self, headers: Headers, *, end: bool) -> None:
        """The head of the answer; `end`: that is all of it."""

    def downloaded(self, data: bytes) -> None:
        """Some of the answer's body; its window opens again when you say so."""

    def answer_ended(self, trailers: Headers | None) -> None:
        """The answer is complete."""

    def broken(self, error: TorporError) -> None:
        """The pod failed."""
