"""What gRPC calls our errors, and how long it waits."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.grpc import timeouts
from activator.grpc.status import MESSAGE_BYTES, Code, status_class, trailers, written
from torpor import errors


@pytest.mark.parametrize(
    ("error", "code", "pushback"),
    [
        pytest.param(errors.InvalidInputError("a", 1, "b"), Code.INVALID_ARGUMENT, None, id="invalid"),
        pytest.param(errors.NotFoundError("x"), Code.UNIMPLEMENTED, None, id="no such service"),
        pytest.param(errors.UnsupportedError("x"), Code.UNIMPLEMENTED, None, id="unsupported"),
        pytest.param(errors.HeadTooLargeError("x"), Code.RESOURCE_EXHAUSTED, None, id="too large"),
        pytest.param(errors.UpstreamError("x"), Code.UNAVAILABLE, None, id="a pod that died"),
        pytest.param(errors.QueueFullError("x"), Code.UNAVAILABLE, b"1000", id="a full queue"),
        pytest.param(
            errors.QueueFullError("x").after(2.5), Code.UNAVAILABLE, b"3000", id="a full queue, known for how long"
        ),
        pytest.param(errors.ColdStartError("x").after(7), Code.UNAVAILABLE, b"7000", id="too slow a start"),
        pytest.param(errors.LoadError("start", "x"), Code.UNAVAILABLE, None, id="a load that failed"),
        pytest.param(errors.DeadlineError("x"), Code.DEADLINE_EXCEEDED, None, id="a deadline"),
        pytest.param(errors.UnauthorizedError("x"), Code.UNAUTHENTICATED, None, id="nobody"),
        pytest.param(errors.ForbiddenError("x"), Code.PERMISSION_DENIED, None, id="somebody else"),
        pytest.param(ValueError("secret"), Code.INTERNAL, None, id="a bug"),
    ],
)
def test_codes(error: Exception, code: Code, pushback: bytes | None) -> None:
    """Each has one; where another try is worth it, when."""
    said = dict(trailers(error))
    assert (said[b"grpc-status"], said.get(b"grpc-retry-pushback-ms")) == (b"%d" % code, pushback)
    assert b"secret" not in said[b"grpc-message"]


@given(st.text())
def test_messages(text: str) -> None:
    """Any text, as far as there is room, in printable ASCII."""
    raw = written(text)
    assert all(0x20 <= each < 0x7F for each in raw)
    assert unquote_to_bytes(raw) == text.encode()[: len(unquote_to_bytes(raw))]
    assert len(unquote_to_bytes(raw)) <= MESSAGE_BYTES
    if len(text.encode()) <= MESSAGE_BYTES:
        assert unquote_to_bytes(raw).decode() == text


@pytest.mark.parametrize(
    ("code", "digit"), [(b"0", 2), (b"5", 4), (b"16", 4), (b"2", 5), (b"14", 5), (b"", 5), (b"x", 5)]
)
def test_for_the_counters(code: bytes, digit: int) -> None:
    """Beside HTTP's own."""
    assert status_class(code) == digit


@given(st.floats(0, 10**12))
def test_what_is_left_is_never_more(seconds: float) -> None:
    """Written and read again: at most what it was, and near it."""
    again = timeouts.read(timeouts.write(seconds))
    assert again <= seconds or again == pytest.approx(seconds, rel=1e-9)
    if seconds < 10**8:
        assert again == pytest.approx(seconds, rel=2e-5, abs=1e-9)


@pytest.mark.parametrize("raw", [b"", b"5", b"S", b"-1S", b"1.5S", b"123456789S", b"1s", b"1S ", b"\xff1S"])
def test_what_is_no_timeout(raw: bytes) -> None:
    """Is refused, and named."""
    with pytest.raises(errors.InvalidInputError, match="grpc-timeout"):
        timeouts.read(raw)


@pytest.mark.parametrize(
    ("raw", "seconds"), [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"4m", 0.004), (b"5u", 5e-6), (b"6n", 6e-9)]
)
def test_units(raw: bytes, seconds: float) -> None:
    """All six."""
    assert timeouts.read(raw) == pytest.approx(seconds)
