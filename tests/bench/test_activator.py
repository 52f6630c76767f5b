"""What the activator's benchmark makes of what wrk says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarks.activator.figures import (
    ACTIVATOR,
    ACTIVATOR_ALL_ON,
    DIRECT,
    ENVOY,
    NGINX,
    UVICORN,
    Paced,
    Round,
    Sample,
    added_ratio,
    foreign,
    inflation,
    medians,
    paced_summary,
    parse,
    rate_ratio,
    summary,
)

WRK = """Running 2s test @ http://127.0.0.1:40001/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   812.11us    1.02ms  28.29ms   97.43%
    Req/Sec    43.07k     2.92k   46.73k    85.00%
  Latency Distribution
     50%  710.00us
     75%    0.85ms
     90%    1.02ms
     99%    2.56ms
  {requests} requests in 2.10s, 19.73MB read
{trouble}Requests/sec:  42881.31
Transfer/sec:      9.39MB
"""


def said(trouble: str = "", requests: int = 90051) -> str:
    return WRK.format(trouble=trouble, requests=requests)


def test_parse() -> None:
    """Rate and percentiles are read, the latter in microseconds whatever unit they come in."""
    assert parse(said()) == Sample(rps=42881.31, p50_us=710.0, p99_us=2560.0, requests=90051, errors=0)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        pytest.param("99.00us", 99.0, id="microseconds"),
        pytest.param("1.50ms", 1500.0, id="milliseconds"),
        pytest.param("2.00s", 2e6, id="seconds"),
        pytest.param("1.50m", 90e6, id="minutes"),
    ],
)
def test_units(text: str, microseconds: float) -> None:
    """wrk chooses the unit by the size of the value."""
    assert parse(said().replace("710.00us", text)).p50_us == microseconds


@pytest.mark.parametrize(
    ("trouble", "errors"),
    [
        pytest.param("  Non-2xx or 3xx responses: 7\n", 7, id="answers"),
        pytest.param("  Socket errors: connect 1, read 2, write 3, timeout 4\n", 10, id="connections"),
        pytest.param(
            "  Socket errors: connect 0, read 1, write 0, timeout 0\n  Non-2xx or 3xx responses: 2\n", 3, id="both"
        ),
    ],
)
def test_errors_are_counted(trouble: str, errors: int) -> None:
    """A rate of failures is no rate: the benchmark stops on any."""
    assert parse(said(trouble)).errors == errors


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1:1 Connection refused\n"])
def test_no_figures(text: str) -> None:
    """Where wrk gives no figures, what it said is in the error."""
    with pytest.raises(ValueError, match="something else than expected"):
        parse(text)


def round_of(direct: float, ours: float, nginx: float, envoy: float) -> Round:
    """A round with these rates; latencies are as much as a thousand connections' would be."""
    rates = {DIRECT: direct, ACTIVATOR: ours, NGINX: nginx, ENVOY: envoy}
    return {name: Sample(rate, 1e9 / rate, 2e9 / rate, 1000, 0, 10.0) for name, rate in rates.items()}


ROUNDS = [round_of(100e3, 40e3, 50e3, 20e3), round_of(80e3, 20e3, 40e3, 8e3), round_of(110e3, 44e3, 44e3, 20e3)]


def test_ratios_are_those_of_a_round() -> None:
    """A round in which all were slow counts as much as one in which all were fast: 2.0, 2.5, 2.2 are 2.2."""
    assert rate_ratio(ROUNDS, ENVOY) == pytest.approx(2.2)
    assert rate_ratio(ROUNDS, NGINX) == pytest.approx(0.8)


def test_added_latency() -> None:
    """Added is what comes on top of the direct way: of 25 and 50 against 10 it is 15 against 40."""
    assert added_ratio(ROUNDS, "p50_us") == pytest.approx(15 / 40)


def test_nothing_added() -> None:
    """Where Envoy seems to add nothing there is no ratio, rather than an infinite or a negative one."""
    assert added_ratio([round_of(100, 50, 50, 100)], "p50_us") is None


def test_summary() -> None:
    """The JSON line has the keys that are promised."""
    expected = {"rps", "rps_vs_envoy", "rps_vs_nginx", "added_p50_vs_envoy", "added_p99_vs_envoy"}
    assert set(summary(ROUNDS)) == expected
    assert summary(ROUNDS)["rps"] == 40e3


def test_summary_of_more() -> None:
    """Where there were more of them, there is more to say."""
    more = [{**each, UVICORN: Sample(100, 1, 1, 1, 0), ACTIVATOR_ALL_ON: Sample(32e3, 1, 1, 1, 0)} for each in ROUNDS]
    assert summary(more)["rps_vs_uvicorn"] == 400
    assert summary(more)["rps_all_on_vs_off"] == 0.8


def test_inflation() -> None:
    """How much longer the slowest take when many ask: here the rate is a quarter, so four times."""
    many = [round_of(1, 10e3, 1, 1)] * 3
    assert inflation(ROUNDS, many, ACTIVATOR) == pytest.approx(4)


def test_paced() -> None:
    """At a given rate, what is added; and how late the sender was at worst, for then it means nothing."""
    one = {DIRECT: Paced(100, 200, 1, 0), ACTIVATOR: Paced(150, 400, 9, 0), ENVOY: Paced(200, 300, 2, 0)}
    assert paced_summary([one]) == {
        "added_p50_vs_envoy_at_half_load": 0.5,
        "added_p99_vs_envoy_at_half_load": 2.0,
        "late_p99_us": 9,
    }


def test_foreign_work() -> None:
    """What else the machine did counts where a proxy was measured, not while the backend was asked directly."""
    quiet, busy = (Sample(1, 1, 1, 1, 0, foreign=part) for part in (0.0, 0.5))
    assert foreign([{DIRECT: quiet, ACTIVATOR: busy, NGINX: busy, ENVOY: quiet}]) == 0.5


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=9))
def test_medians_are_figures_that_were_seen(rates: list[float]) -> None:
    """The middle lies between the lowest and the highest; requests add up."""
    middle = medians([round_of(rate, rate, rate, rate) for rate in rates], ACTIVATOR)
    assert min(rates) <= middle.rps <= max(rates)
    assert middle.requests == 1000 * len(rates)
