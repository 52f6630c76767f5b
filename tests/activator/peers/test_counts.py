"""Counts on the wire."""

from __future__ import annotations

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.peers.counts import Counts, Message, decode, encode
from activator.throttle.report import LoadReport
from torpor.errors import InvalidInputError

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)
keys = st.tuples(names, names)
whole = st.integers(0, 2**40)
seconds = st.floats(0, 1e6)
reports = st.builds(LoadReport, keys, seconds, whole, whole, whole, whole)
counts = st.builds(Counts, whole, seconds, st.lists(reports, max_size=5).map(tuple))
messages = st.builds(
    Message, names, names, st.lists(counts, max_size=3).map(tuple), st.lists(keys, max_size=3).map(tuple)
)


@given(messages)
def test_what_is_read_is_what_was_written(message: Message) -> None:
    assert decode(encode(message)) == message


GOOD = {"sender": "a", "run": "r", "counts": [{"number": 1, "elapsed_s": 1.0, "reports": []}], "wakes": []}
ROW = ["ns", "app", 1.0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        pytest.param([], "body", id="no object"),
        pytest.param(GOOD | {"sender": ""}, "sender", id="nobody"),
        pytest.param(GOOD | {"sender": "a" * 254}, "sender", id="a name that is none"),
        pytest.param(GOOD | {"run": 7}, "run", id="no text"),
        pytest.param(GOOD | {"counts": {}}, "counts", id="no list"),
        pytest.param(GOOD | {"counts": [1]}, r"counts\[0\]", id="no object in it"),
        pytest.param(GOOD | {"counts": [{"number": -1}]}, r"counts\[0\].number", id="less than nothing"),
        pytest.param(GOOD | {"counts": [{"number": True}]}, r"counts\[0\].number", id="no number"),
        pytest.param(GOOD | {"counts": [{"number": 1, "elapsed_s": "1"}]}, r"counts\[0\].elapsed_s", id="no seconds"),
        pytest.param(
            GOOD | {"counts": [{"number": 1, "elapsed_s": 1, "reports": [ROW[:6]]}]},
            r"counts\[0\].reports\[0\]",
            id="a row that is too short",
        ),
        pytest.param(
            GOOD | {"counts": [{"number": 1, "elapsed_s": 1, "reports": [[*ROW[:4], 1.5, 1, 1]]}]},
            r"counts\[0\].reports\[0\]\[4\]",
            id="half a request",
        ),
        pytest.param(GOOD | {"wakes": [["ns"]]}, r"wakes\[0\]", id="no revision"),
    ],
)
def test_what_is_none_is_refused_by_its_field(document: object, field: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{field}"):
        decode(orjson.dumps(document))


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_worse(body: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        decode(body)
