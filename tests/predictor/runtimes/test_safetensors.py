"""Weights files that are sound, and those that are not."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.runtimes.safetensors import CorruptError, check
from tests.support.models import minilm


def weights(header: object, body: int, *, length: int | None = None) -> bytes:
    raw = orjson.dumps(header)
    return struct.pack("<Q", len(raw) if length is None else length) + raw + bytes(body)


def entry(dtype: str = "F32", shape: object = (2, 2), offsets: object = (0, 16)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_the_real_model_is_sound() -> None:
    """All of its 104 tensors."""
    assert check(minilm() / "model.safetensors") == 104


@pytest.mark.parametrize(
    ("content", "tensors"),
    [
        pytest.param(weights({}, 0), 0, id="no-tensors"),
        pytest.param(weights({"__metadata__": {"format": "pt"}, "a": entry()}, 16), 1, id="metadata"),
        pytest.param(weights({"b": entry(offsets=(16, 32)), "a": entry()}, 32), 2, id="not-in-the-order-of-bytes"),
        pytest.param(weights({"a": entry("I64", (), (0, 8))}, 8), 1, id="a-scalar"),
        pytest.param(weights({"a": entry("BF16", (0, 3), (0, 0)), "b": entry()}, 16), 2, id="an-empty-tensor"),
        pytest.param(weights({"a": entry("F4", (2,), (0, 1))}, 1), 1, id="half-bytes"),
    ],
)
def test_sound_files(tmp_path: Path, content: bytes, tensors: int) -> None:
    """Everything that the format allows."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert check(path) == tensors


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "truncated: 0 bytes", id="empty"),
        pytest.param(b"\x10\0\0\0", "truncated: 4 bytes", id="shorter-than-a-length"),
        pytest.param(weights({"a": entry()}, 16)[:30], "truncated: its header", id="cut-off-in-the-header"),
        pytest.param(weights({"a": entry()}, 7), r"truncated: it should have \d+ bytes", id="cut-off-in-the-weights"),
        pytest.param(weights({"a": entry()}, 17), r"corrupt: it should have \d+ bytes", id="bytes-too-many"),
        pytest.param(b"\xff" * 4096, "corrupt: its header would be", id="not-safetensors"),
        pytest.param(b"\x80\x04\x95" + bytes(100), "truncated|corrupt", id="a-pickle-under-another-name"),
        pytest.param(struct.pack("<Q", 4) + b"{{{{", "corrupt: its header is not JSON", id="header-that-is-no-json"),
        pytest.param(weights([], 0), "not a JSON object", id="header-that-is-a-list"),
        pytest.param(weights({"a": 1}, 0), "entry of tensor 'a'", id="entry-that-is-a-number"),
        pytest.param(weights({"a": entry("F99")}, 16), "entry of tensor 'a'", id="a-type-that-is-none"),
        pytest.param(weights({"a": entry(shape="x")}, 16), "entry of tensor 'a'|does not fill", id="shape-of-text"),
        pytest.param(weights({"a": entry(offsets=(0, 12))}, 12), "'a' does not fill", id="too-small-for-its-shape"),
        pytest.param(weights({"a": entry(offsets=(-16, 0))}, 16), "'a' does not fill", id="before-the-beginning"),
        pytest.param(weights({"a": entry(), "b": entry(offsets=(8, 24))}, 24), "'b' begins at byte 8", id="overlap"),
        pytest.param(weights({"a": entry(offsets=(8, 24))}, 24), "'a' begins at byte 8 and not at 0", id="a-hole"),
    ],
)
def test_unsound_files_are_named_with_what_is_wrong(tmp_path: Path, content: bytes, says: str) -> None:
    """Before a library opens them."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptError, match=rf"^model\.safetensors is .*({says})|^model\.safetensors is ({says})"):
        check(path)


@given(st.binary(max_size=200))
def test_no_bytes_whatever_break_the_check(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """They are sound or refused, nothing else."""
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(content)
    with contextlib.suppress(CorruptError):
        assert check(path) >= 0


@given(st.integers(0, 119))
def test_every_truncation_is_noticed(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    """At whichever byte a transfer ended."""
    whole = weights({"a": entry(), "b": entry(offsets=(16, 32))}, 32)
    assert len(whole) > 120
    path = tmp_path_factory.getbasetemp() / "cut.safetensors"
    path.write_bytes(whole[:length])
    with pytest.raises(CorruptError, match="truncated"):
        check(path)
