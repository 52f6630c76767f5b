"""UBJSON, in the parts that XGBoost writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from predictor.runtimes.ubjson import UbjsonError, read


def test_what_xgboost_writes() -> None:
    """Objects, texts, numbers, arrays of one type and of any."""
    raw = (
        b"{"
        b"L\0\0\0\0\0\0\0\x04nameSi\x03abc"
        b"i\x01x[$l#i\x02\0\0\0\x01\xff\xff\xff\xff"
        b"i\x01y[$d#i\x01\x3f\x80\0\0"
        b"i\x01z[U\x07TFZ]"
        b"i\x01w{#i\x01i\x01aI\x01\0}"
    )
    found = read(raw)
    assert found["name"] == "abc"
    assert (found["x"].dtype, found["x"].tolist()) == (np.dtype(">i4"), [1, -1])
    assert found["y"].tolist() == [1.0]
    assert found["z"] == [7, True, False, None]
    assert found["w"] == {"a": 256}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(b"", "byte 0 begins something of 1 bytes, and the file has 0", id="nothing"),
        pytest.param(b"{}x", "1 bytes follow", id="more-than-one-value"),
        pytest.param(b"?", "63, which begins nothing", id="no-marker"),
        pytest.param(b"{T", "84, and a length", id="a-key-without-length"),
        pytest.param(b"[$l#i\x02\0\0\0\x01", "begins something of 8 bytes", id="an-array-cut-short"),
        pytest.param(b"[$lx", "'#' should be there", id="a-type-without-a-count"),
        pytest.param(b"[#L\x7f" + b"\xff" * 7, "ends after the file", id="more-elements-than-bytes"),
        pytest.param(b"[$Z#L\x7f" + b"\xff" * 7, "ends after the file", id="elements-without-bytes"),
        pytest.param(b"Si\xff", "begins something of -1 bytes", id="a-length-below-zero"),
        pytest.param(b"Si\x01\xff", "no UTF-8", id="no-text"),
        pytest.param(b"[" * 70, "more than 64 levels", id="too-deep"),
    ],
)
def test_what_is_none(raw: bytes, says: str) -> None:
    """Says at which byte, and takes no memory that the bytes do not pay for."""
    with pytest.raises(UbjsonError, match=says):
        read(raw)


def test_every_beginning_of_a_document_is_refused() -> None:
    """Wherever it was cut."""
    raw: Any = b"{i\x01a[$l#i\x02\0\0\0\x01\0\0\0\x02i\x01b{i\x01cSi\x03abc}}"
    assert read(raw)["b"] == {"c": "abc"}
    for length in range(len(raw)):
        with pytest.raises(UbjsonError):
            read(raw[:length])
