"""What the corpus says comes of each of its cases, however the bytes arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import h11
import pytest

from tests.activator.hostile.cases import AFTER, Case, load
from tests.activator.hostile.readers import Seen
from tests.activator.hostile.sealed import Heard, converse

CASES = [pytest.param(case, id=case.name) for case in load()]
READ = 65536
"""Bytes that a socket gives at once, at most."""
LONG = 2000
"""Longer ones are not sent byte by byte."""
IN_PIECES = [pytest.param(case, id=case.name) for case in load() if len(case.raw) < LONG and not case.at_once]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def sent(case: Case) -> bytes:
    return case.raw if case.alone else case.raw + AFTER


def statuses(heard: Heard, methods: list[bytes]) -> list[int]:
    """Return the status of every answer, as h11 reads them."""
    found: list[int] = []
    rest = heard.answers
    while rest:
        parser = h11.Connection(h11.CLIENT)
        method = methods[len(found)] if len(found) < len(methods) else b"GET"
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(rest)
        while isinstance(event := parser.next_event(), h11.InformationalResponse | h11.Data):
            pass
        assert isinstance(event, h11.Response), event
        found.append(event.status_code)
        while isinstance(event := parser.next_event(), h11.Data):
            pass
        assert isinstance(event, h11.EndOfMessage), event
        rest = parser.trailing_data[0]
    return found


def check(case: Case, heard: Heard) -> None:
    assert not heard.logged
    goes_on = not (case.closed or case.alone)
    expected = [*case.seen, *((Seen(b"GET", b"/after", b""),) if goes_on else ())]
    whole = [seen for reading in heard.readings for seen in reading.whole]
    assert whole == expected
    assert statuses(heard, [seen.method for seen in whole]) == [*case.statuses, *((200,) if goes_on else ())]
    # A head goes on before its body has come; then the pod is left in the middle of a request, never at its end.
    partial = [reading.partial for reading in heard.readings]
    assert not any(partial) or case.partial


@pytest.mark.parametrize("case", CASES)
def test_at_once(case: Case, loop: asyncio.Runner) -> None:
    """The answers are as told, and no parser finds more in what reached the pod than is told."""
    raw = sent(case)
    check(case, converse(loop, [raw[at : at + READ] for at in range(0, len(raw), READ)]))


@pytest.mark.parametrize("case", IN_PIECES)
def test_byte_by_byte(case: Case, loop: asyncio.Runner) -> None:
    """It makes no difference where the network cuts."""
    raw = sent(case)
    check(case, converse(loop, [raw[at : at + 1] for at in range(len(raw))]))
