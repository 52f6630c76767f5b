"""By what pods report themselves: what is read, and what is refused."""

from __future__ import annotations

import pytest

from torpor.errors import InvalidInputError
from torpor.spec.scalemetric import QUEUE_WAIT_GAUGE, TOKENS_GAUGE, ScaleMetric, parse_scale_metric


@pytest.mark.parametrize(
    ("raw", "read", "name"),
    [
        pytest.param("tokens=4000", ScaleMetric(TOKENS_GAUGE, 4000.0), "tokens", id="tokens"),
        pytest.param("queue-wait=200ms", ScaleMetric(QUEUE_WAIT_GAUGE, 0.2, is_wait=True), "queue-wait", id="a wait"),
        pytest.param(
            " vllm:num_requests_waiting = 2.5 ",
            ScaleMetric("vllm:num_requests_waiting", 2.5),
            "vllm:num_requests_waiting",
            id="a gauge of another server",
        ),
    ],
)
def test_what_is_read(raw: str, read: ScaleMetric, name: str) -> None:
    found = parse_scale_metric("f", raw)
    assert (found, found.name) == (read, name)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="nothing"),
        pytest.param("tokens", id="no target"),
        pytest.param("tokens=", id="an empty target"),
        pytest.param("tokens=many", id="no number"),
        pytest.param("tokens=0", id="zero"),
        pytest.param("tokens=-1", id="less than nothing"),
        pytest.param("tokens=nan", id="nan"),
        pytest.param("tokens=inf", id="without end"),
        pytest.param("queue-wait=200", id="a wait without a unit"),
        pytest.param("queue-wait=0s", id="no wait"),
        pytest.param("queue-wait=2h", id="a wait that is too long"),
        pytest.param("1st=3", id="no name of a metric"),
        pytest.param('a{b="c"}=3', id="labels"),
    ],
)
def test_what_is_refused(raw: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^f"):
        parse_scale_metric("f", raw)
