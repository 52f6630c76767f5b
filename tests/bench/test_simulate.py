"""The simulation: the same traces for the same seed, and waits and costs as they must be where that is clear."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "scripts/benchmarks/simulate"
sys.path.insert(0, str(FOLDER))
try:
    from picture import Point, draw
    from traces import KINDS, Trace, made, read
    from world import simulate
finally:
    sys.path.remove(str(FOLDER))

from torpor.errors import InvalidInputError  # noqa: E402  # after what needs the path

HOUR_S = 3600.0


def every(seconds: float, count: int, start_s: float = 10.0) -> Trace:
    times = [100.5 + seconds * number for number in range(count)]
    return Trace("poisson", start_s, times, [0.2] * count)


def test_one_request_waits_for_one_start_and_costs_a_window_more() -> None:
    """The pod is there for its start, the request, and Knative's minute, to within a tick and a sample."""
    outcome = simulate([every(1, 1)], "standard", HOUR_S)
    assert outcome.waits["poisson"] == [pytest.approx(10.0)]
    assert outcome.starts == 1
    assert 70 <= outcome.replica_s <= 75


@pytest.mark.parametrize(
    ("keep_alive", "starts"),
    [pytest.param("standard", 12, id="standard"), pytest.param("fixed:3m", 1, id="fixed")],
)
def test_pauses_longer_than_the_keep_alive_start_anew(keep_alive: str, starts: int) -> None:
    """Every two minutes: each finds nobody, or all but the first find a pod."""
    outcome = simulate([every(120, 12)], keep_alive, HOUR_S)
    assert outcome.starts == starts
    assert sum(wait > 0 for wait in outcome.waits["poisson"]) == starts


def test_a_timer_is_learned_and_costs_no_more() -> None:
    """After a while it waits for nothing, and costs less than Knative's minute after each request."""
    trace = every(300, 90)
    knatives, ours = (simulate([trace], keep_alive, 8 * HOUR_S) for keep_alive in ("standard", "adaptive"))
    assert ours.replica_s <= knatives.replica_s
    assert all(wait > 0 for wait in knatives.waits["poisson"])
    assert not any(ours.waits["poisson"][-40:])


@pytest.mark.parametrize("kind", KINDS)
def test_traces_are_the_same_for_the_same_seed(kind: str) -> None:
    """Policies are compared on the same requests."""
    one, again, other = made(kind, 3, 6 * HOUR_S, 1), made(kind, 3, 6 * HOUR_S, 1), made(kind, 3, 6 * HOUR_S, 2)
    assert one == again
    assert one != other
    assert one.arrivals == sorted(one.arrivals)
    assert len(one.arrivals) == len(one.serve)


def test_a_file_of_arrivals(tmp_path: Path) -> None:
    """Services by name, in order of time, with what is known of them."""
    path = tmp_path / "arrivals.csv"
    path.write_text("seconds,service,serve_s,start_s\n5,a,0.1,30\n1,a,0.2,30\n2,b,,\n")
    first, second = read(path, 1)
    assert (first.arrivals, first.serve, first.start_s) == ([1.0, 5.0], [0.2, 0.1], 30.0)
    assert (second.arrivals, second.start_s) == ([2.0], 15.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("time\n1\n", "names the columns", id="no column of seconds"),
        pytest.param("seconds\nx\n", "line 2", id="no number"),
        pytest.param("seconds\n-1\n", "from 0 up", id="before the beginning"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, text: str, said: str) -> None:
    """File and line are named."""
    path = tmp_path / "arrivals.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=said):
        read(path, 1)


def test_the_picture_has_every_policy() -> None:
    """A point and a name for each."""
    picture = draw([Point("Knative's defaults", 1.0, 40.0), Point("5m", 1.7, 20.0, joined=True)], "title")
    assert picture.count("<circle") == 2
    assert ">5m</text>" in picture


def test_a_wrong_policy_is_refused() -> None:
    """Before anything is simulated."""
    command = [sys.executable, str(FOLDER), "--policy", "sometimes"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert ended.returncode == 2
    assert "use standard, adaptive, or fixed:DURATION" in ended.stderr
