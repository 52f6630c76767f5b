"""What a probe's answers add up to, and when it is asked."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.local.kubelet.probes import COMMAND_S, EAGER_S, PATIENT_S, after, first_try_s, fresh, next_try_s
from torpor.spec.probe import Exec, Probe, Purpose, TcpSocket

LIVE, READY, START = Purpose.LIVENESS, Purpose.READINESS, Purpose.STARTUP


def probe(**changes: float) -> Probe:
    return Probe(TcpSocket("", 80), **{"period_s": 10.0, **changes})  # type: ignore[arg-type]


def passes(purpose: Purpose, asked: Probe, answers: str, every_s: float = 10.0) -> str:
    """Answers (y, n) one after the other; returns what is believed after each (Y, N, and X: it gave up)."""
    state, believed = fresh(purpose, 0.0), ""
    for number, letter in enumerate(answers, 1):
        outcome = after(asked, purpose, state, success=letter == "y", now_s=number * every_s)
        state = outcome.state
        believed += "X" if outcome.gave_up else "Y" if state.passed else "N"
    return believed


@pytest.mark.parametrize(
    ("purpose", "asked", "answers", "expected"),
    [
        pytest.param(READY, probe(), "nny", "NNY", id="ready-at-the-first-success"),
        pytest.param(READY, probe(success_threshold=2), "yyn", "NYY", id="ready-at-the-second"),
        pytest.param(READY, probe(success_threshold=2), "ynyy", "NNNY", id="two-in-a-row"),
        pytest.param(READY, probe(failure_threshold=2), "ynn", "YYN", id="unready-at-the-second-failure"),
        pytest.param(READY, probe(failure_threshold=2), "ynyn", "YYYY", id="two-in-a-row-again"),
        pytest.param(READY, probe(failure_threshold=1), "yny", "YNY", id="and-ready-again"),
        pytest.param(LIVE, probe(), "nn", "YY", id="alive-until-shown-otherwise"),
        pytest.param(LIVE, probe(), "nnn", "YYX", id="dead-at-the-third-failure"),
        pytest.param(LIVE, probe(), "nnynn", "YYYYY", id="three-in-a-row"),
        pytest.param(START, probe(failure_threshold=2), "nn", "NX", id="never-started"),
        pytest.param(START, probe(failure_threshold=2), "ny", "NY", id="started-in-time"),
    ],
)
def test_thresholds(purpose: Purpose, asked: Probe, answers: str, expected: str) -> None:
    """What is believed after each answer."""
    assert passes(purpose, asked, answers) == expected


def test_eager_failures_do_not_use_up_the_threshold() -> None:
    """A startup probe that allows 3 failures of 10 s each has 30 s, though it is asked every 20 ms."""
    state, asked = fresh(START, 0.0), probe()
    counted = []
    for number in itertools.count(1):
        now_s = number * EAGER_S
        outcome = after(asked, START, state, success=False, now_s=now_s)
        state = outcome.state
        if outcome.counts:
            counted.append(round(now_s))
        if outcome.gave_up:
            break
    assert counted == [10, 20, 30]


@pytest.mark.parametrize(
    ("purpose", "ever", "tried_for_s", "expected"),
    [
        pytest.param(READY, False, 0.5, EAGER_S, id="eager-at-first"),
        pytest.param(READY, False, 5.0, PATIENT_S, id="less-eager-later"),
        pytest.param(READY, True, 5.0, 10.0, id="by-the-period-after-the-first-success"),
        pytest.param(START, False, 0.5, EAGER_S, id="startup-is-eager-too"),
        pytest.param(LIVE, False, 0.5, 10.0, id="liveness-never-is"),
    ],
)
def test_pace(purpose: Purpose, ever: bool, tried_for_s: float, expected: float) -> None:  # noqa: FBT001
    """The pause before the next try."""
    state = fresh(purpose, 0.0)
    if ever:
        state = after(probe(), purpose, state, success=True, now_s=1.0).state
    assert next_try_s(probe(), purpose, state, tried_for_s) == expected


def test_a_command_is_not_started_fifty_times_a_second() -> None:
    """Ten times is often enough for what costs a process."""
    asked = Probe(Exec(("true",)))
    assert next_try_s(asked, READY, fresh(READY, 0.0), 0.5) == COMMAND_S


def test_the_delay_that_its_owner_asks_for_is_kept() -> None:
    """initialDelaySeconds is before the first try of each; without it readiness is asked at once."""
    assert first_try_s(probe(initial_delay_s=3.0), READY) == 3.0
    assert first_try_s(probe(initial_delay_s=3.0), LIVE) == 3.0
    assert first_try_s(probe(), READY) == EAGER_S
    assert first_try_s(probe(), LIVE) == 1.0


@given(
    purpose=st.sampled_from(Purpose),
    success=st.integers(1, 4),
    failure=st.integers(1, 4),
    answers=st.text("yn", max_size=30),
)
def test_what_is_believed_follows_from_the_last_answers(
    purpose: Purpose, success: int, failure: int, answers: str
) -> None:
    """It turns to good only after `success` good ones in a row, to bad only after `failure` bad ones in a row."""
    believed = passes(purpose, probe(success_threshold=success, failure_threshold=failure), answers)
    before = "Y" if purpose is LIVE else "N"
    for index, now in enumerate(believed):
        tail = answers[: index + 1]
        if before == "N" and now == "Y":
            assert tail.endswith("y" * success)
        if before == "Y" and now == "N":
            assert tail.endswith("n" * failure)
        if tail.endswith("y" * success):
            assert now == "Y"
        if now == "X":
            assert purpose is not READY
            assert tail.endswith("n" * failure)
        before = "Y" if now == "Y" else "N"
