"""What a client asks of its wait."""

from __future__ import annotations

import pytest

from activator.throttle.line import Client, Priority
from activator.waiting import asked
from activator.waiting.asked import Asked
from torpor.errors import InvalidInputError


@pytest.mark.parametrize(
    ("rare", "what", "lines"),
    [
        pytest.param({}, Asked(), b"", id="nothing"),
        pytest.param(
            {b"torpor-priority": b"batch"},
            Asked(Priority.BATCH),
            b"Torpor-Priority: batch\r\n",
            id="a priority goes on",
        ),
        pytest.param(
            {b"torpor-priority": b"Interactive"}, Asked(), b"Torpor-Priority: Interactive\r\n", id="in any letters"
        ),
        pytest.param({b"torpor-deadline": b"2.5"}, Asked(deadline_s=2.5), b"", id="seconds"),
        pytest.param({b"torpor-deadline": b"2.5s"}, Asked(deadline_s=2.5), b"", id="seconds with their unit"),
        pytest.param({b"torpor-deadline": b"500ms"}, Asked(deadline_s=0.5), b"", id="milliseconds"),
        pytest.param({b"torpor-deadline": b"86400"}, Asked(deadline_s=86400), b"", id="a day"),
        pytest.param({b"prefer": b"respond-async"}, Asked(later=True), b"", id="an answer later"),
        pytest.param(
            {b"prefer": b'Respond-Async; x=1, wait=10, return="a,b"'},
            Asked(later=True),
            b'Prefer: wait=10, return="a, b"\r\n',
            id="other preferences go on",
        ),
        pytest.param(
            {b"prefer": b'return="a,b"'}, Asked(), b'Prefer: return="a,b"\r\n', id="without it nothing is touched"
        ),
    ],
)
def test_what_is_asked(rare: dict[bytes, bytes], what: Asked, lines: bytes) -> None:
    """And what the pod sees of it: the deadline is told when it is known how much of it is left."""
    assert asked.read(rare) == (what, lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("torpor-priority", value) for value in ("", "high", "batch, interactive", "1")),
        *(("torpor-deadline", value) for value in ("", "0", "0ms", "-1", "soon", "1m", "1e3", "nan", "1, 2", "86401")),
        *(("torpor-deadline", value) for value in ("１", "0x10", " 1", "1 s", "999999999999")),  # noqa: RUF001
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, value: str) -> None:
    """By the name of its header, with what is allowed."""
    with pytest.raises(InvalidInputError, match="(?i)" + name) as refused:
        asked.read({name.encode(): value.encode()})
    assert "use " in str(refused.value)


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        pytest.param(2.5, b"Torpor-Deadline: 2500ms\r\n", id="rest"),
        pytest.param(0.0004, b"Torpor-Deadline: 1ms\r\n", id="never none"),
        pytest.param(-1.0, b"Torpor-Deadline: 1ms\r\n", id="nor less"),
    ],
)
def test_the_pod_is_told_how_much_is_left(seconds: float, line: bytes) -> None:
    """In a form that is read here as well."""
    assert asked.deadline_line(seconds) == line
    assert asked.read({b"torpor-deadline": line.split()[1]})[0].deadline_s is not None


HEAD = b"GET / HTTP/1.1\r\n%bX: authorization: none\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        pytest.param(b"", Client(b"192.0.2.1", b" "), id="an address"),
        pytest.param(b"authorization: Bearer x\r\n", Client(b"192.0.2.1", b" Bearer x"), id="with a credential"),
        pytest.param(b"X-Forwarded-For: 192.0.2.1\r\n", Client(b"192.0.2.1", b" "), id="no proxy"),
        pytest.param(
            b"X-Forwarded-For: 198.51.100.7, 203.0.113.5, 192.0.2.1\r\n",
            Client(b"192.0.2.1", b"203.0.113.5 "),
            id="a proxy says for whom it asks",
        ),
    ],
)
def test_whom_a_request_is_from(lines: bytes, client: Client) -> None:
    """By the address of its connection first, for that cannot be invented."""
    assert asked.client_of(b"192.0.2.1", HEAD % lines) == client
