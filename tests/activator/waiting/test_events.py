"""What a client that asked for events reads while it waits."""

from __future__ import annotations

import orjson
import pytest

from activator.waiting import events
from activator.waiting.stages import Stage
from torpor.errors import LoadError
from torpor.web.status import answer


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        pytest.param([], False, id="nothing said"),
        pytest.param(["Accept: */*"], False, id="anything"),
        pytest.param(["Accept: text/*"], False, id="any text"),
        pytest.param(["Accept: application/json"], False, id="JSON"),
        pytest.param(["Accept: text/event-stream"], True, id="events"),
        pytest.param(["accept: Text/Event-Stream; charset=utf-8"], True, id="in any letters, with parameters"),
        pytest.param(["Accept: text/event-stream, */*;q=0.1"], True, id="events, or else anything"),
        pytest.param(["Accept: text/event-stream, application/json;q=0.5"], True, id="events rather than JSON"),
        pytest.param(["Accept: application/json, text/event-stream"], False, id="either: the pod will choose"),
        pytest.param(["Accept: text/event-stream;q=0"], False, id="anything but events"),
        pytest.param(["Accept: text/event-stream;q=x"], False, id="nonsense"),
        pytest.param(["Accept: application/json", "Accept: text/event-stream"], False, id="in two lines"),
        pytest.param(["X-Accept: text/event-stream"], False, id="another header"),
    ],
)
def test_who_asks_for_events(lines: list[str], *, wanted: bool) -> None:
    """Only who wants them more than anything else gets the head of a stream before the pod has spoken."""
    head = "".join(f"{line}\r\n" for line in ("POST / HTTP/1.1", *lines, "Host: a", ""))
    assert events.wants_events(head.encode()) is wanted


def test_the_pod_is_not_asked_for_compression() -> None:
    """The head that would say so is out."""
    head = b"GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\nHost: a\r\naccept-encoding: br\r\n\r\n"
    assert events.without_encodings(head) == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def lines_of(*fields: tuple[bytes, bytes]) -> list[bytes]:
    return [piece for name, value in fields for piece in (name, b": ", value, b"\r\n")]


@pytest.mark.parametrize(
    ("status", "fields", "fits"),
    [
        pytest.param(200, [(b"content-type", b"text/event-stream")], True, id="events"),
        pytest.param(200, [(b"Content-Type", b"text/event-stream; charset=utf-8")], True, id="with a charset"),
        pytest.param(200, [(b"content-type", b"application/json")], False, id="something else"),
        pytest.param(200, [], False, id="nothing said"),
        pytest.param(503, [(b"content-type", b"text/event-stream")], False, id="an error"),
        pytest.param(
            200, [(b"content-type", b"text/event-stream"), (b"content-encoding", b"gzip")], False, id="compressed"
        ),
    ],
)
def test_which_answers_can_follow(status: int, fields: list[tuple[bytes, bytes]], *, fits: bool) -> None:
    """Those that are what the head that is out has promised."""
    assert events.is_stream(status, lines_of(*fields)) is fits


def test_a_comment_is_one_that_readers_skip() -> None:
    """With the percent where it is known."""
    assert events.comment(Stage("fetch", 42)) == b": torpor stage=fetch percent=42\n\n"
    assert events.comment(Stage("warm")) == b": torpor stage=warm\n\n"


def data_of(event: bytes) -> dict[str, object]:
    """Read an event as a browser does."""
    name, data, *rest = event.decode().split("\n")
    assert (name, rest) == ("event: error", ["", ""])
    said: dict[str, object] = orjson.loads(data.removeprefix("data: "))
    return said


def test_an_error_of_ours_is_what_it_would_have_been_and_its_status() -> None:
    """One event, on one line whatever the message."""
    said = answer(LoadError("fetch", "no such\nbucket"))
    assert data_of(events.failure(said.status, said.body)) == {
        "error": "no such\nbucket",
        "reason": "ModelLoadFailed",
        "status": 503,
    }


@pytest.mark.parametrize(
    ("status", "media", "body", "said"),
    [
        pytest.param(
            404,
            b"application/json",
            b'{"error": "no model x", "reason": "NotFound"}',
            {"error": "no model x", "reason": "NotFound", "status": 404},
            id="an error in our form passes",
        ),
        pytest.param(
            200,
            b"application/json",
            b'{"predictions": [1]}',
            {
                "error": "the model answered 200 with application/json, and not with a stream of events",
                "reason": "NoEventStream",
                "body": '{"predictions": [1]}',
                "status": 200,
            },
            id="an answer that is no stream",
        ),
        pytest.param(
            500,
            b"",
            b"\xff<html>",
            {
                "error": "the model answered 500 with no type, and not with a stream of events",
                "reason": "NoEventStream",
                "body": "\ufffd<html>",
                "status": 500,
            },
            id="bytes that are no text",
        ),
    ],
)
def test_what_a_pod_answers_instead_of_events(status: int, media: bytes, body: bytes, said: dict[str, object]) -> None:
    """Is told with its status, which the head of the response could not have."""
    assert data_of(events.refusal(status, media, body)) == said


def test_of_a_long_answer_the_beginning_is_told() -> None:
    """It is kept in memory."""
    body = data_of(events.refusal(200, b"text/html", b"x" * 10**6))["body"]
    assert body == "x" * events.ERROR_BODY_BYTES
