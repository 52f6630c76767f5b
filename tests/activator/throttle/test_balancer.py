"""The choice of a pod: never one that is full, never always the same."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.throttle.balancer import FEW, UNLIMITED, choose, grown


@dataclass
class Pod:
    """Fits `activator.throttle.balancer.Candidate`."""

    in_flight: int
    limit: int


pods = st.builds(Pod, st.integers(0, 12), st.integers(1, 12))
throws = st.floats(0, 1, exclude_max=True)


@given(st.lists(pods, max_size=40), throws)
def test_a_pod_is_chosen_if_and_only_if_one_has_room(candidates: list[Pod], dice: float) -> None:
    """And the one that is chosen has room itself."""
    chosen = choose(candidates, dice)
    room = [pod for pod in candidates if pod.in_flight < pod.limit]
    assert (chosen is None) == (not room)
    assert chosen is None or chosen.in_flight < chosen.limit


@given(st.lists(pods, min_size=1, max_size=FEW), throws)
def test_of_few_it_is_the_least_loaded_with_room(candidates: list[Pod], dice: float) -> None:
    """There every pod is looked at."""
    chosen = choose(candidates, dice)
    room = [pod.in_flight for pod in candidates if pod.in_flight < pod.limit]
    assert chosen is None or chosen.in_flight == min(room)


@given(st.integers(1, 60), st.integers(1, 20), st.randoms(use_true_random=False))
def test_requests_that_stay_are_spread_over_all_pods(count: int, each: int, dice: random.Random) -> None:
    """As many as all pods have room for are all taken; among few no pod is ever two ahead of another."""
    candidates = [Pod(0, each) for _ in range(count)]
    for _ in range(count * each):
        chosen = choose(candidates, dice.random())
        assert chosen is not None
        chosen.in_flight += 1
        assert chosen.in_flight <= chosen.limit
        if count <= FEW:
            loads = [pod.in_flight for pod in candidates]
            assert max(loads) - min(loads) <= 1
    assert choose(candidates, dice.random()) is None


@pytest.mark.parametrize("count", [2, FEW, FEW + 1, 100], ids=lambda count: f"{count} pods")
def test_single_requests_do_not_all_go_to_the_first_pod(count: int) -> None:
    """With all pods idle each is chosen about equally often, where the dice are fair."""
    candidates = [Pod(0, 1) for _ in range(count)]
    chosen = [choose(candidates, (throw + 0.5) / (count * 100)) for throw in range(count * 100)]
    shares = [sum(one is pod for one in chosen) for pod in candidates]
    assert min(shares) >= 50
    assert max(shares) <= 200


@given(st.integers(FEW + 1, 200), throws)
def test_of_many_two_different_ones_are_compared(count: int, dice: float) -> None:
    """With one idle pod among busy ones, whoever is drawn with it loses; a full pair is no end."""
    candidates = [Pod(3, 4) for _ in range(count)]
    chosen = choose(candidates, dice)
    assert chosen is not None
    at = next(index for index, pod in enumerate(candidates) if pod is chosen)
    candidates[at].in_flight = 4
    other = choose(candidates, dice)
    assert other is not None
    assert other is not chosen


@pytest.mark.parametrize("count", [FEW + 1, 50, 200])
@pytest.mark.parametrize("each", [1, 10, 30])
def test_two_choices_keep_many_pods_even(count: int, each: int) -> None:
    """Where no pod has a limit, none has much more than the average: the excess does not grow with the load."""
    dice = random.Random(count * each)
    candidates = [Pod(0, UNLIMITED) for _ in range(count)]
    for _ in range(count * each):
        chosen = choose(candidates, dice.random())
        assert chosen is not None
        chosen.in_flight += 1
    assert max(pod.in_flight for pod in candidates) <= each + 5


@given(st.lists(pods, min_size=2, max_size=40), throws)
def test_a_choice_changes_nothing(candidates: list[Pod], dice: float) -> None:
    """The same throw chooses the same pod: whoever has it is who takes the slot."""
    before = [(pod.in_flight, pod.limit) for pod in candidates]
    assert choose(candidates, dice) is choose(candidates, dice)
    assert [(pod.in_flight, pod.limit) for pod in candidates] == before


def test_a_ramp_ends() -> None:
    """A limit that grows reaches the one that is none, and stays there."""
    limit, steps = 64, 0
    while limit < UNLIMITED:
        limit, steps = grown(limit), steps + 1
    assert steps == 14
    assert grown(limit) == UNLIMITED
