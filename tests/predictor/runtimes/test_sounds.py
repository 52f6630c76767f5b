"""WAV files of all kinds are read alike, and brought to another rate without a hum."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from predictor.runtimes.sounds import read, resampled
from torpor.errors import InvalidInputError

RATE = 8000


def tone(rate: int, hertz: float = 440.0, seconds: float = 0.5) -> Any:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def wav(samples: Any, code: int = 1, channels: int = 1, rate: int = RATE, extra: bytes = b"") -> bytes:
    bits = samples.dtype.itemsize * 8
    if samples.dtype == np.uint8 and samples.ndim == 2:  # bytes of wider samples
        bits = samples.shape[1] * 8
    head = struct.pack("<HHIIHH", code, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits) + extra
    data = samples.tobytes()
    chunks = b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"fmt " + struct.pack("<I", len(head)) + head
    chunks += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def wide(samples: Any) -> Any:
    """Three bytes each."""
    return (samples * 2**23).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].copy()


@pytest.mark.parametrize(
    ("raw", "tolerance"),
    [
        pytest.param(wav((tone(RATE) * 127 + 128).astype(np.uint8)), 2 / 128, id="8-bits"),
        pytest.param(wav((tone(RATE) * 2**15).astype("<i2")), 2**-14, id="16-bits"),
        pytest.param(wav(wide(tone(RATE))), 2**-22, id="24-bits"),
        pytest.param(wav((tone(RATE) * 2.0**31).astype("<i4")), 1e-6, id="32-bits"),
        pytest.param(wav(tone(RATE), code=3), 0, id="floats"),
        pytest.param(wav(tone(RATE).astype("<f8"), code=3), 0, id="wide-floats"),
        pytest.param(wav(np.repeat(tone(RATE), 2), code=3, channels=2), 0, id="two-channels"),
        pytest.param(
            wav((tone(RATE) * 2**15).astype("<i2"), 0xFFFE, extra=struct.pack("<HHIH", 22, 16, 4, 1) + b"\0" * 14),
            2**-14,
            id="extensible",
        ),
        pytest.param(wav(tone(RATE), code=3) + b"\0", 0, id="a-byte-too-many"),
    ],
)
def test_samples_are_those_that_were_written(raw: bytes, tolerance: float) -> None:
    """From -1 to 1, in one channel."""
    samples, rate = read("audio[0]", raw)
    assert (rate, samples.dtype) == (RATE, np.float32)
    np.testing.assert_allclose(samples, tone(RATE), atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"ID3" + b"\0" * 100, id="an-mp3"),
        pytest.param(b"RIFF\0\0\0\0WAVE", id="no-format"),
        pytest.param(wav(tone(RATE), code=85), id="an-mp3-in-a-wav"),
        pytest.param(wav(tone(RATE), code=3, channels=0), id="no-channels"),
        pytest.param(wav(tone(RATE), code=3, rate=0), id="no-rate"),
    ],
)
def test_what_is_no_such_file_is_refused(raw: bytes) -> None:
    """By field."""
    with pytest.raises(InvalidInputError, match=r"audio\[0\]"):
        read("audio[0]", raw)


@pytest.mark.parametrize(
    ("rate", "wanted"), [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (11025, 44100)]
)
def test_a_tone_is_the_same_tone_at_another_rate(rate: int, wanted: int) -> None:
    """All of it but the ends, which have silence beside them."""
    found = resampled(tone(rate), rate, wanted)
    assert len(found) == pytest.approx(wanted / 2, abs=4)
    right = tone(wanted)[: len(found)]
    np.testing.assert_allclose(found[200:-200], right[200 : len(found) - 200], atol=2e-3)


def test_what_the_new_rate_cannot_carry_is_gone() -> None:
    """It would come back as another tone."""
    assert np.abs(resampled(tone(48000, hertz=12000), 48000, 16000)[200:-200]).max() < 2e-3


def test_the_same_rate_and_silence_stay() -> None:
    """Nothing is computed."""
    samples = tone(RATE)
    assert resampled(samples, RATE, RATE) is samples
    assert len(resampled(samples[:0], RATE, 16000)) == 0
