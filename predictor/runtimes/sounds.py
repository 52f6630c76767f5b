"""WAV files without ffmpeg: read, made mono, and brought to the rate that a model hears."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torpor.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

START = b"RIFF"
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SAMPLES = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "u1",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}
_ZEROS = 16
"""Of the filter, on each side: the error of a tone below nine tenths of what both rates carry is under a thousandth."""
_ROLLOFF = 0.95
_BLOCK = 16_384
"""Samples that are computed at once: their windows are copied."""
MAX_RATE = 384_000


def read(field: str, raw: bytes) -> tuple[NDArray[np.float32], int]:
    """Return the samples, from -1 to 1, all channels in one, and their rate; raises InvalidInputError."""
    import numpy as np

    chunks = dict(_chunks(raw))
    if raw[:4] != START or raw[8:12] != b"WAVE" or len(chunks.get(b"fmt ", b"")) < 16:
        raise InvalidInputError(field, f"{len(raw)} bytes", "a WAV file is needed")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    if code == _EXTENSIBLE and len(chunks[b"fmt "]) >= 26:
        (code,) = struct.unpack_from("<H", chunks[b"fmt "], 24)
    if (code, bits) not in _SAMPLES or not 1 <= channels <= 64 or not 1000 <= rate <= MAX_RATE:
        what = f"format {code}, {bits} bits, {channels} channels, {rate} Hz"
        raise InvalidInputError(field, what, f"PCM or floats, of 1000 to {MAX_RATE} Hz, are needed")
    data = chunks.get(b"data", b"")
    frame = channels * bits // 8
    flat = np.frombuffer(data[: len(data) // frame * frame], _SAMPLES[code, bits])
    mono = _from_minus_one_to_one(flat, code, bits).reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return np.nan_to_num(mono, nan=0.0, posinf=1.0, neginf=-1.0).astype(np.float32), rate


def resampled(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Return the sound at another rate: each new sample is a sum of old ones, by a windowed sinc."""
    import numpy as np

    if rate == wanted or not len(samples):
        return samples
    divisor = math.gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    cutoff = min(1.0, wanted / rate) * _ROLLOFF
    half = math.ceil(_ZEROS / cutoff)
    padded = np.pad(samples, (half, half + down + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    found = np.empty(math.ceil(len(samples) * up / down), np.float32)
    for phase in range(min(up, len(found))):  # samples `up` apart lie alike among the old ones
        first, between = divmod(phase * down, up)
        distance = np.arange(-half, half + 1) - between / up
        window = np.cos(np.clip(distance / (half + 1), -1, 1) * math.pi / 2) ** 2
        kernel = (np.sinc(distance * cutoff) * cutoff * window).astype(np.float32)
        rows = found[phase::up]
        aligned = windows[first::down]
        for start in range(0, len(rows), _BLOCK):
            rows[start : start + _BLOCK] = aligned[start : min(start + _BLOCK, len(rows))] @ kernel
    return found


def _chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(raw):
        name, length = struct.unpack_from("<4sI", raw, at)
        yield name, raw[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _from_minus_one_to_one(flat: NDArray[np.generic], code: int, bits: int) -> NDArray[np.float32]:
    import numpy as np

    if code == _FLOAT:
        return flat.astype(np.float32)
    if bits == 8:
        return ((flat.astype(np.float64) - 128) / 128).astype(np.float32)
    if bits == 24:
        wide = np.zeros((len(flat) // 3, 4), np.uint8)
        wide[:, 1:] = flat.view(np.uint8).reshape(-1, 3)
        flat, bits = wide.view("<i4").ravel(), 32
    scaled: NDArray[np.float32] = np.divide(flat, 2.0 ** (bits - 1), dtype=np.float64).astype(np.float32)
    return scaled
