"""What holds of every conversation, whatever the client sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import h11

from tests.activator.hostile.readers import READERS, Reading, Seen, UnreadableError
from tests.activator.hostile.sealed import Heard

OURS = frozenset({400, 404, 405, 408, 413, 431, 501, 503})
"""How the door may answer by itself."""


def answers(heard: Heard) -> list[int]:
    """Return the status of every answer, as h11 reads them; fails the test where they are no HTTP."""
    asked = iter([seen.method for seen in whole(heard)])
    found: list[int] = []
    rest = heard.answers
    while rest:
        if rest.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 100 ")):
            method = next(asked)
        else:  # an answer of our own, which has no body where it is to HEAD
            method = b"GET" if rest.partition(b"\r\n\r\n")[2].startswith(b"{") else b"HEAD"
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(rest)
        while isinstance(event := parser.next_event(), h11.InformationalResponse):
            pass
        assert isinstance(event, h11.Response), event
        found.append(event.status_code)
        while isinstance(event := parser.next_event(), h11.Data):
            pass
        assert isinstance(event, h11.EndOfMessage), event
        rest = parser.trailing_data[0]
    return found


def whole(heard: Heard) -> list[Seen]:
    """Return every whole request that reached a pod."""
    return [seen for reading in heard.readings for seen in reading.whole]


def agreed(raw: bytes) -> Reading | None:
    """Return what three parsers read in what a client sent; None where one refuses it or reads something else."""
    try:
        first, *others = (reader(raw) for reader in READERS)
    except (UnreadableError, ValueError):
        return None
    return first if all(each == first for each in others) else None


def check(sent: bytes, heard: Heard) -> None:
    """Fail the test where a law is broken. That all parsers agree on what the pods got was checked on the way."""
    assert not heard.logged, "the door was taken by surprise"
    said = answers(heard)
    assert said.count(200) == heard.answered, "not every answer of a pod went to the client"
    assert all(status in OURS for status in said if status != 200)
    reading = agreed(sent)
    if reading is not None:
        passed = [(seen.method, seen.body) for seen in whole(heard)]
        # Some may have been for services that there are not, and after a refusal nothing is read any more.
        assert is_part_of(passed, [(seen.method, seen.body) for seen in reading.whole]), "the pod got something else"


def is_part_of(some: Iterable[object], of: Iterable[object]) -> bool:
    """Tell whether these come among those, in their order."""
    rest: Iterator[object] = iter(of)
    return all(each in rest for each in some)
