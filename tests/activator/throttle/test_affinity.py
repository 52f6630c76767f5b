"""Sessions stay on their pods: few move when pods come and go, and none drowns its neighbours."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from activator.throttle import affinity
from activator.throttle.affinity import BALANCE, CALM, Sessions, point
from activator.throttle.pod import Endpoint
from torpor.spec.session import Affinity

BY_HEADER = Affinity("header", "X-Session-Id")
SESSIONS = [point(b"session %d" % number) for number in range(2000)]


@dataclass(eq=False)
class Pod:
    """Fits `activator.throttle.affinity.Member`."""

    name: str
    in_flight: int = 0
    limit: int = 2**20
    host: str = "127.0.0.1"
    held: bool = False
    ejected: bool = False

    @property
    def at(self) -> Endpoint:
        return Endpoint(self.name, f"uid-{self.name}", self.host, 1)


def ring(pods: list[Pod], *, strict: bool = False) -> Sessions[Pod]:
    made = Sessions[Pod](Affinity("header", "X", strict=strict))
    made.set_pods(pods)
    return made


def fleet(count: int, **fields: int) -> list[Pod]:
    return [Pod(f"pod-{number}", **fields) for number in range(count)]


def homes(sessions: Sessions[Pod]) -> list[str]:
    """At whose place each of the sessions is at home."""
    found = [sessions.home(session) for session in SESSIONS]
    return [pod.name for pod in found if pod is not None]


# --- the ring ----------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(1, 20), st.data())
def test_a_pod_that_comes_takes_its_share_and_moves_nothing_else(count: int, data: st.DataObject) -> None:
    """Of n + 1 pods the new one has about one part in n + 1; whoever moves, moves to it."""
    pods = fleet(count)
    sessions = ring(pods)
    before = homes(sessions)
    sessions.set_pods(data.draw(st.permutations([*pods, Pod("new")])))
    moved = [(old, new) for old, new in zip(before, homes(sessions), strict=True) if old != new]
    assert {new for _, new in moved} <= {"new"}
    share = 1 / (count + 1)
    assert 0.5 * share < len(moved) / len(SESSIONS) < 1.7 * share


@settings(max_examples=20)
@given(st.integers(2, 20), st.data())
def test_a_pod_that_goes_gives_its_sessions_to_all_and_moves_nothing_else(count: int, data: st.DataObject) -> None:
    """And when it comes back, they do."""
    pods = fleet(count)
    sessions = ring(pods)
    before = homes(sessions)
    gone = data.draw(st.sampled_from(pods))
    sessions.set_pods([pod for pod in pods if pod is not gone])
    after = homes(sessions)
    assert all((old != new) == (old == gone.name) for old, new in zip(before, after, strict=True))
    heirs = {new for old, new in zip(before, after, strict=True) if old == gone.name}
    assert len(heirs) >= (count - 1) / 2
    sessions.set_pods(pods)
    assert homes(sessions) == before


@given(st.permutations(fleet(6)), st.permutations(fleet(6)))
@settings(max_examples=20)
def test_every_activator_computes_the_same(one: list[Pod], other: list[Pod]) -> None:
    """Whatever the order in which it heard of the pods, and however it came to know them."""
    slowly = Sessions[Pod](BY_HEADER)
    for count in range(1, 7):
        slowly.set_pods(other[:count])
    assert homes(ring(one)) == homes(slowly)


def test_a_session_s_place_is_the_same_in_every_process() -> None:
    """Not Python's hash, which is another one in each."""
    assert point(b"session") == 0x24F89FA18D88A5B5
    assert len(affinity.arcs("uid")) == 96


def test_a_pod_with_two_addresses_is_on_the_ring_by_both() -> None:
    """As one that has IPv4 and IPv6."""
    assert len(ring([Pod("a"), Pod("a", host="::1")])._ring) == 192


def test_shares_are_about_equal() -> None:
    """Ten pods: nobody has half or twice of what is fair."""
    counts = Counter(homes(ring(fleet(10))))
    assert len(counts) == 10
    assert all(0.6 < count / 200 < 1.5 for count in counts.values())


def test_a_pod_that_was_replaced_is_another_one() -> None:
    """Its address says nothing: what it knew of its sessions went with it, and they are spread over all."""
    before = homes(ring([Pod("a"), Pod("b"), Pod("c")]))
    after = homes(ring([Pod("a"), Pod("b"), Pod("d")]))
    assert all(new in {old, "d"} for old, new in zip(before, after, strict=True) if old != "c")
    assert {new for old, new in zip(before, after, strict=True) if old == "c"} == {"a", "b", "d"}


# --- bounded loads -----------------------------------------------------------------------------------------------

pods_lists = st.lists(st.builds(Pod, st.uuids().map(str), st.integers(0, 40), st.integers(1, 40)), max_size=12)


@given(pods_lists, st.integers(0, 2**64 - 1))
def test_whoever_is_chosen_has_room_and_is_not_loaded(pods: list[Pod], session: int) -> None:
    """Within the bound of the paper, or within what counts as calm."""
    load = sum(pod.in_flight for pod in pods)
    chosen = ring(pods).choose(session, load)
    if chosen is not None:
        assert chosen.in_flight < chosen.limit
        assert chosen.in_flight < max(CALM, ceil(BALANCE * (load + 1) / len(pods)))


@given(st.integers(1, 12), st.integers(1, 400), st.integers(1, 5))
@settings(max_examples=50)
def test_few_sessions_do_not_drown_their_pods(count: int, requests: int, different: int) -> None:
    """Nobody ever has more than the bound, though all come from five clients; and all find a place."""
    pods = fleet(count)
    sessions = ring(pods)
    for number in range(requests):
        chosen = sessions.choose(SESSIONS[number % different], number)
        assert chosen is not None
        chosen.in_flight += 1
    assert max(pod.in_flight for pod in pods) <= max(CALM, ceil(BALANCE * requests / count))


@given(st.integers(0, 2**64 - 1), st.integers(1, 12))
@example(2**64 - 1, 3)
@example(0, 3)
def test_a_calm_home_is_chosen(session: int, count: int) -> None:
    """Two requests of one session are on one pod, though another pod has none."""
    sessions = ring(fleet(count))
    home = sessions.home(session)
    assert home is not None
    home.in_flight = CALM - 1
    assert sessions.choose(session, CALM - 1) is home


@pytest.mark.parametrize("mark", ["held", "ejected", "full"])
def test_a_home_that_takes_nothing_is_passed_over_by_all_its_sessions_alike(mark: str) -> None:
    """Each has the same second home, so that what it builds up there is of use."""
    pods = fleet(5)
    sessions = ring(pods)
    for session in SESSIONS[:50]:
        home = sessions.home(session)
        assert home is not None
        if mark == "full":
            home.limit = 0
        else:
            setattr(home, mark, True)
        seconds = {sessions.choose(session, 0) for _ in range(3)}
        without = ring([pod for pod in pods if pod is not home])
        assert seconds == {without.home(session)}
        home.held = home.ejected = False
        home.limit = 2**20


@pytest.mark.parametrize("mark", ["held", "ejected", "full"])
def test_a_strict_session_goes_nowhere_else(mark: str) -> None:
    """It waits."""
    pods = fleet(5)
    sessions = ring(pods, strict=True)
    home = sessions.home(SESSIONS[0])
    assert home is not None
    home.in_flight = 1000
    assert sessions.choose(SESSIONS[0], 1000) is home, "loaded is not full"
    if mark == "full":
        home.limit = 1000
    else:
        setattr(home, mark, True)
    assert sessions.choose(SESSIONS[0], 1000) is None


def test_no_pods_no_choice() -> None:
    """Strict or not."""
    for strict in (True, False):
        assert ring([], strict=strict).choose(1, 0) is None


@pytest.mark.parametrize("count", [1, 3, 30, 300])
def test_a_ring_is_in_order_however_it_came_about(count: int) -> None:
    """A few pods are put into it, many are ordered with it: what counts is who is there."""
    sessions = ring(fleet(count))
    arcs = list(sessions._ring)
    new = Pod("new")
    sessions.set_pods([*sessions._members, new])
    assert len(sessions._ring) == len(arcs) + 96
    assert [arc for arc in sessions._ring if arc[2] is not new] == arcs
    assert [arc[:2] for arc in sessions._ring] == sorted(arc[:2] for arc in sessions._ring)
    sessions.set_pods([pod for pod in sessions._members if pod is not new])
    assert sessions._ring == arcs
    sessions.set_pods([])
    assert sessions._ring == []


@given(st.lists(st.frozensets(st.integers(0, 30)), max_size=8))
@settings(max_examples=50)
def test_what_is_on_a_ring_is_who_is_there(steps: list[frozenset[int]]) -> None:
    """Whatever came and went before."""
    pods = fleet(31)
    sessions = ring([])
    for step in steps:
        sessions.set_pods([pods[number] for number in step])
        assert sessions._ring == ring([pods[number] for number in step])._ring


# --- what names a session ----------------------------------------------------------------------------------------


def head(*lines: str) -> bytes:
    return "\r\n".join(("POST /x-session-id: no HTTP/1.1", *lines, "Host: a", "", "")).encode()


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        pytest.param(["X-Session-Id: me"], b"me", id="as it is written"),
        pytest.param(["x-session-ID: me"], b"me", id="in any case"),
        pytest.param(["X-Session-Id: one", "X-Session-Id: two"], b"one", id="the first of two"),
        pytest.param(["X-Session-Id: "], None, id="empty"),
        pytest.param(["X-Session: me", "My-X-Session-Id: me"], None, id="another's name"),
        pytest.param([], None, id="not in the request line"),
    ],
)
def test_header(lines: list[str], name: bytes | None) -> None:
    """A line of the head whose name it is."""
    assert Sessions[Pod](BY_HEADER).named_in(head(*lines)) == name


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        pytest.param(["Cookie: sid=me"], b"me", id="alone"),
        pytest.param(["cookie: a=b; sid=me; c=d"], b"me", id="among others"),
        pytest.param(["Cookie: a=b;sid=me"], b"me", id="without a blank"),
        pytest.param(["Cookie: a=b", "Cookie: sid=me"], b"me", id="in a second line"),
        pytest.param(['Cookie: sid="me"'], b'"me"', id="in quotes, which are part of it"),
        pytest.param(["Cookie: my-sid=no; sid2=no; a=sid=no"], None, id="another's name"),
        pytest.param(["Cookie: SID=me"], None, id="in another case: another cookie"),
        pytest.param(["Cookie: sid="], None, id="empty"),
        pytest.param(["Set-Cookie: sid=me", "X: sid=me"], None, id="another header"),
    ],
)
def test_cookie(lines: list[str], name: bytes | None) -> None:
    """A pair of the Cookie header whose name it is."""
    assert Sessions[Pod](Affinity("cookie", "sid")).named_in(head(*lines)) == name


def test_a_long_cookie_is_looked_through_once() -> None:
    """Names are clients' choice, and so is their number: not quadratic."""
    cookies = "; ".join(f"s{number}=id" for number in range(5000))
    assert Sessions[Pod](Affinity("cookie", "sid")).named_in(head(f"Cookie: {cookies}")) is None
