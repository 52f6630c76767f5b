"""Which pods a Deployment gains and loses, and what its status says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.errors import InvalidInputError
from torpor.local.kubelet.deployments import (
    Now,
    Plan,
    PodSeen,
    Wanted,
    condition,
    is_available,
    next_look_s,
    parse_deployment,
    plan,
    status,
)
from torpor.spec.kinds import Object

NOW = 1000.0
OLD, NEW = "old", "new"


def pods(text: str, hash_: str = NEW, first: int = 0) -> list[PodSeen]:
    """One pod per letter, oldest first: r(eady), n(ot ready), e(nding)."""
    return [
        PodSeen(f"{hash_}{index}", hash_, float(index), NOW - 60 if letter == "r" else None, letter == "e")
        for index, letter in enumerate(text, first)
    ]


def wanted(replicas: int, **changes: Any) -> Wanted:
    return Wanted(NEW, replicas, **{"surge": 1, "unavailable": 0, **changes})


@pytest.mark.parametrize(
    ("asked", "seen", "expected"),
    [
        pytest.param(wanted(0), [], Plan(), id="nothing-asked-and-nothing-there"),
        pytest.param(wanted(3), [], Plan(create=3), id="from-zero-to-three"),
        pytest.param(wanted(3), pods("rrr"), Plan(), id="as-many-as-asked"),
        pytest.param(wanted(3), pods("rre"), Plan(create=1), id="one-that-is-ending-counts-for-nothing"),
        pytest.param(wanted(1), pods("rrr"), Plan(delete=("new2", "new1")), id="youngest-go-first"),
        pytest.param(wanted(2), pods("nrr"), Plan(delete=("new0",)), id="one-that-is-not-ready-goes-before-the-young"),
        pytest.param(
            wanted(1), pods("nrn"), Plan(delete=("new2", "new0")), id="of-those-not-ready-the-youngest-goes-first"
        ),
        pytest.param(wanted(0), pods("rn"), Plan(delete=("new1", "new0")), id="to-zero-all-go"),
        pytest.param(
            wanted(0), pods("r") + pods("r", OLD, 1), Plan(delete=("old1", "new0")), id="to-zero-old-templates-too"
        ),
        pytest.param(wanted(1), pods("r", OLD), Plan(create=1), id="a-new-template-first-brings-a-new-pod"),
        pytest.param(wanted(1), pods("r", OLD) + pods("n", first=1), Plan(), id="and-waits-until-that-is-ready"),
        pytest.param(
            wanted(1), pods("r", OLD) + pods("r", first=1), Plan(delete=("old0",)), id="then-the-old-one-goes"
        ),
        pytest.param(
            wanted(2, surge=1),
            pods("rr", OLD),
            Plan(create=1),
            id="never-more-than-the-surge-at-a-time",
        ),
        pytest.param(
            wanted(2, surge=0, unavailable=1),
            pods("rr", OLD),
            Plan(delete=("old1",)),
            id="without-surge-an-old-one-makes-room",
        ),
        pytest.param(
            wanted(2), pods("rn", OLD), Plan(create=1), id="an-old-one-that-serves-nobody-is-kept-while-too-few-serve"
        ),
        pytest.param(
            wanted(1), pods("n", OLD) + pods("r", first=1), Plan(delete=("old0",)), id="and-goes-when-there-are-enough"
        ),
        pytest.param(wanted(1), pods("n", OLD), Plan(create=1), id="an-old-one-that-never-came-up-does-not-block"),
        pytest.param(
            wanted(1, recreate=True), pods("r", OLD), Plan(delete=("old0",)), id="recreate-first-ends-the-old"
        ),
        pytest.param(wanted(1, recreate=True), pods("e", OLD), Plan(), id="recreate-waits-for-their-end"),
        pytest.param(wanted(1, recreate=True), [], Plan(create=1), id="recreate-then-brings-the-new"),
    ],
)
def test_plan(asked: Wanted, seen: list[PodSeen], expected: Plan) -> None:
    """The whole decision, by example."""
    assert plan(asked, seen, NOW) == expected


SEEN = st.builds(
    PodSeen,
    uid=st.uuids().map(str),
    hash=st.sampled_from([OLD, NEW]),
    order=st.floats(0, 100),
    ready_since_s=st.none() | st.floats(0, NOW),
    ending=st.booleans(),
)
WANTED = st.builds(
    Wanted,
    hash=st.just(NEW),
    replicas=st.integers(0, 12),
    surge=st.integers(0, 4),
    unavailable=st.integers(0, 4),
    min_ready_s=st.sampled_from([0.0, 30.0]),
).filter(lambda each: each.surge or each.unavailable)


@given(WANTED, st.lists(SEEN, max_size=20))
def test_bounds(asked: Wanted, seen: list[PodSeen]) -> None:
    """Never over replicas + surge, never below the floor by our own hand, and only what is alive is ended, once."""
    decided = plan(asked, seen, NOW)
    alive = {pod.uid: pod for pod in seen if not pod.ending}
    assert set(decided.delete) <= set(alive)
    assert len(set(decided.delete)) == len(decided.delete)
    assert decided.create >= 0
    if decided.create:
        assert len(alive) + decided.create <= asked.replicas + asked.surge
    left = [pod for uid, pod in alive.items() if uid not in decided.delete]
    available = sum(is_available(asked, pod, NOW) for pod in alive.values())
    still = sum(is_available(asked, pod, NOW) for pod in left)
    new = [pod for pod in left if pod.hash == NEW]
    assert len(new) + decided.create <= max(asked.replicas, len(new))
    surplus = sum(pod.hash == NEW for pod in alive.values()) > asked.replicas
    if not surplus:
        assert still >= min(available, asked.replicas - asked.unavailable)


@given(WANTED, st.lists(SEEN, max_size=12))
def test_it_comes_to_rest_at_what_is_asked(asked: Wanted, seen: list[PodSeen]) -> None:
    """If pods become ready, a few rounds lead to exactly the replicas, all of the new template."""
    current = [pod for pod in seen if not pod.ending]
    for turn in range(60):
        decided = plan(asked, current, NOW)
        if decided == Plan() and all(pod.ready for pod in current):  # else it may be waiting for one to become so
            break
        current = [pod for pod in current if pod.uid not in decided.delete]
        current += [PodSeen(f"{turn}-{index}", NEW, 200.0 + turn, 0.0) for index in range(decided.create)]
        # Time passes: what exists becomes ready.
        current = [PodSeen(pod.uid, pod.hash, pod.order, 0.0) for pod in current]
    assert [pod.hash for pod in current] == [NEW] * asked.replicas


@pytest.mark.parametrize(
    ("spec", "surge", "unavailable"),
    [
        pytest.param({"replicas": 1}, 1, 0, id="a-quarter-of-one"),
        pytest.param({"replicas": 10}, 3, 2, id="a-quarter-of-ten-rounds-up-for-surge-and-down-for-unavailable"),
        pytest.param(
            {"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "30%"}}}, 0, 3, id="shares"
        ),
        pytest.param(
            {"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "30%"}}},
            0,
            1,
            id="both-rounded-to-nothing-would-never-end",
        ),
    ],
)
def test_rolling_bounds(spec: Object, surge: int, unavailable: int) -> None:
    """Kubernetes' arithmetic of shares."""
    read = parse_deployment({"spec": spec}, NEW)
    assert (read.surge, read.unavailable) == (surge, unavailable)


def test_a_share_that_is_none_is_named() -> None:
    """Field, value and what is allowed."""
    spec = {"strategy": {"rollingUpdate": {"maxSurge": "many"}}}
    with pytest.raises(InvalidInputError, match=r"spec\.strategy\.rollingUpdate\.maxSurge: 'many'"):
        parse_deployment({"spec": spec}, NEW)


# --- status --------------------------------------------------------------------------------------------------------


def told(asked: Wanted, seen: list[PodSeen], previous: Object | None = None, progressed_s: float = NOW) -> Object:
    obj = {"metadata": {"name": "d", "generation": 7}, "status": previous or {}}
    return status(obj, asked, seen, progressed_s, Now(NOW, "now"))


def test_counts() -> None:
    """Each in its field; what is zero is left out."""
    said = told(wanted(4), pods("rn") + pods("r", OLD, 2) + pods("e", OLD, 3))
    del said["conditions"]
    assert said == {
        "observedGeneration": 7,
        "replicas": 3,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "unavailableReplicas": 2,
    }
    assert set(told(wanted(0), [])) == {"observedGeneration", "conditions"}


def progress(replicas: int, seen: list[PodSeen], previous: Object | None = None, late: bool = False) -> Any:  # noqa: FBT001, FBT002
    asked = wanted(replicas, deadline_s=600.0)
    said = told(asked, seen, previous, NOW - 600 if late else NOW)
    found = condition(said, "Progressing")
    return found["status"], found["reason"]


STARTED = told(wanted(1), pods("n"))
COMPLETE = told(wanted(1), pods("r"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(progress(1, pods("n")), ("True", "NewReplicaSetCreated"), id="a-new-template"),
        pytest.param(progress(1, pods("r"), STARTED), ("True", "NewReplicaSetAvailable"), id="complete"),
        pytest.param(progress(2, pods("rn"), STARTED), ("True", "ReplicaSetUpdated"), id="one-more-is-ready"),
        pytest.param(progress(1, pods("n"), STARTED), ("True", "NewReplicaSetCreated"), id="nothing-new"),
        pytest.param(
            progress(1, pods("n"), STARTED, late=True), ("False", "ProgressDeadlineExceeded"), id="for-too-long"
        ),
        pytest.param(
            progress(3, pods("rnn"), COMPLETE, late=True),
            ("True", "NewReplicaSetAvailable"),
            id="a-scale-is-not-judged-by-the-deadline",
        ),
        pytest.param(progress(0, []), ("True", "NewReplicaSetAvailable"), id="zero-of-zero-is-complete"),
    ],
)
def test_progress(said: tuple[str, str], expected: tuple[str, str]) -> None:
    """Condition Progressing, which Knative reads."""
    assert said == expected


def test_conditions_keep_their_times() -> None:
    """A status that says the same is the same: nothing is written."""
    obj = {"metadata": {"name": "d", "generation": 7}, "status": COMPLETE}
    later = Now(NOW + 5, "later")
    assert status(obj, wanted(1), pods("r"), NOW, later) == COMPLETE
    changed = condition(status(obj, wanted(1), pods("n"), NOW, later), "Available")
    assert (changed["status"], changed["lastTransitionTime"]) == ("False", "later")


@pytest.mark.parametrize(
    ("asked", "seen", "expected"),
    [
        pytest.param(wanted(1), pods("r"), None, id="nothing-to-wait-for"),
        pytest.param(wanted(1, min_ready_s=90.0), pods("r"), 30.0, id="until-it-counts-as-available"),
        pytest.param(wanted(1, deadline_s=600.0), pods("n"), 600.0, id="until-the-deadline"),
    ],
)
def test_next_look(asked: Wanted, seen: list[PodSeen], expected: float | None) -> None:
    """When time alone changes something."""
    assert next_look_s(asked, seen, told(asked, seen), NOW, NOW) == expected
