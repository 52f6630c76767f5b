"""A throttler with sessions: the same slots, the same queue, but each request has a pod that it would rather have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activator.throttle.affinity import point
from activator.throttle.line import Client as Whose
from activator.throttle.line import Priority, Ticket
from activator.throttle.pod import Pod
from tests.activator.throttle.revision import Client, Revision, terms_of
from torpor.spec.session import Affinity

LAX = Affinity("header", "X")
STRICT = Affinity("header", "X", strict=True)
PODS = ("a", "b", "c")


def home(revision: Revision, session: int) -> Pod:
    assert revision.throttler.sessions is not None
    found = revision.throttler.sessions.home(session)
    assert found is not None
    return found


def at_home_on(revision: Revision, name: str, number: int = 0) -> int:
    """A session whose home is this pod; another one for each number."""
    found = (
        session for session in map(point, (b"%d" % n for n in range(1000))) if home(revision, session).at.pod == name
    )
    return [next(found) for _ in range(number + 1)][-1]


@pytest.mark.parametrize("affinity", [LAX, STRICT], ids=["lax", "strict"])
def test_requests_of_a_session_go_to_its_pod(affinity: Affinity) -> None:
    """Though others are idle; who has no session goes where there is least to do."""
    revision = Revision(concurrency=10, affinity=affinity)
    revision.show(*PODS)
    session = at_home_on(revision, "b")
    assert [client.pod.at.pod for client in (revision.ask(session=session) for _ in range(7)) if client.pod] == [
        "b"
    ] * 7
    assert {client.pod.at.pod for client in (revision.ask() for _ in range(2)) if client.pod} == {"a", "c"}


def test_a_session_whose_pod_is_full_goes_to_the_next() -> None:
    """It does not wait while another pod has room, and comes home when there is room again."""
    revision = Revision(concurrency=1, affinity=LAX)
    revision.show(*PODS)
    session = at_home_on(revision, "b")
    first, second, third = (revision.ask(session=session) for _ in range(3))
    assert {client.pod.at.pod for client in (first, second, third) if client.pod} == set(PODS)
    waits = revision.ask(session=session)
    assert waits.pod is None
    revision.answer(first)
    assert waits.pod is home(revision, session)


def test_a_strict_session_waits_for_its_pod_and_holds_up_nobody() -> None:
    """Those behind it whose pods have room go on; it is the first for its own."""
    revision = Revision(concurrency=1, affinity=STRICT)
    revision.show(*PODS)
    session, other = at_home_on(revision, "b"), at_home_on(revision, "c")
    first, waits, later = (revision.ask(session=session) for _ in range(3))
    assert (waits.pod, later.pod, revision.throttler.queued) == (None, None, 2)
    passes, anybody = revision.ask(session=other), revision.ask()
    assert passes.pod is home(revision, other)
    assert anybody.pod is not None
    assert anybody.pod.at.pod == "a"
    revision.answer(passes)
    assert waits.pod is None
    revision.answer(first)
    assert waits.pod is home(revision, session)
    assert later.pod is None
    revision.answer(waits)
    assert later.pod is home(revision, session)


def test_who_waits_for_a_strict_session_waits_by_turns_and_by_priority() -> None:
    """In the line before its pod, as in any other."""
    revision = Revision(concurrency=1, affinity=STRICT)
    revision.show(*PODS)
    session = at_home_on(revision, "b")
    busy = revision.ask(session=session)
    batch = revision.ask(Ticket(priority=Priority.BATCH), session)
    many = [revision.ask(Ticket(Whose(b"many")), session) for _ in range(3)]
    single = revision.ask(Ticket(Whose(b"single")), session)
    for client in (busy, many[0], single, many[1], many[2]):
        assert client.pod is not None
        revision.answer(client)
    assert batch.pod is home(revision, session)


def test_a_pod_that_is_free_asks_only_those_who_wait_for_it() -> None:
    """However many wait for another."""

    class Asked(Client):
        times = 0

        @property  # type: ignore[override]
        def session(self) -> int | None:
            type(self).times += 1
            return self.home

        @session.setter
        def session(self, value: int | None) -> None:
            self.home = value

    revision = Revision(concurrency=1, affinity=STRICT, queue_limit=1000)
    revision.show("a", "b")
    on_a, on_b = at_home_on(revision, "a"), at_home_on(revision, "b")
    busy = [revision.ask(session=on_a), revision.ask(session=on_b)]
    for _ in range(500):
        client = Asked(revision.now_s)
        client.session = on_a
        assert revision.throttler.enter(client, revision.now_s) is None
    mine = [revision.ask(session=on_b) for _ in range(20)]
    Asked.times = 0
    for client in (busy[1], *mine):
        assert client.pod is home(revision, on_b)
        revision.answer(client)
    assert Asked.times == 0
    assert revision.throttler.queued == 500


def test_requests_without_a_session_wait_behind_strict_ones_and_take_what_those_cannot() -> None:
    """In the queue too: the first who fits has the slot."""
    revision = Revision(concurrency=1, affinity=STRICT)
    revision.show("a", "b")
    on_a, on_b = at_home_on(revision, "a"), at_home_on(revision, "b")
    busy_a, busy_b = revision.ask(session=on_a), revision.ask(session=on_b)
    waits, anybody = revision.ask(session=on_a), revision.ask()
    revision.answer(busy_b)
    assert waits.pod is None
    assert anybody.pod is home(revision, on_b)
    revision.answer(busy_a)
    assert waits.pod is home(revision, on_a)


@pytest.mark.parametrize("affinity", [LAX, STRICT], ids=["lax", "strict"])
def test_a_pod_that_refuses_is_let_alone_by_its_sessions_too(affinity: Affinity) -> None:
    """A lax one is served elsewhere at once, and not sent to it again; a strict one waits until it is tried again."""
    revision = Revision(concurrency=5, affinity=affinity)
    revision.show(*PODS)
    session = at_home_on(revision, "b")
    client = revision.ask(session=session)
    refused, client.pod = client.pod, None
    assert refused is home(revision, session)
    revision.throttler.retry(client, refused, revision.now_s)
    assert refused.ejected
    next_one = revision.ask(session=session)
    if affinity.strict:
        assert (client.pod, next_one.pod) == (None, None)
    else:
        assert client.pod is not None
        assert client.pod is not refused
        assert next_one.pod is client.pod
    revision.pass_time(5)
    assert revision.ask(session=session).pod is refused
    assert client.pod is not None


def test_strict_sessions_of_a_pod_that_goes_find_another() -> None:
    """Their state is gone with it; waiting for it would be for ever."""
    revision = Revision(concurrency=1, affinity=STRICT)
    revision.show(*PODS)
    session = at_home_on(revision, "b")
    revision.ask(session=session)
    waits = revision.ask(session=session)
    revision.show("a", "c")
    assert waits.pod is home(revision, session)


def test_sessions_wait_for_the_first_pod_like_all_others() -> None:
    """There is no home while the revision sleeps."""
    for affinity in (LAX, STRICT):
        revision = Revision(concurrency=5, affinity=affinity)
        clients = [revision.ask(session=point(b"%d" % number)) for number in range(4)]
        assert revision.demanded
        revision.show("a")
        assert [client.pod.at.pod for client in clients if client.pod] == ["a"] * 4


def test_affinity_can_be_given_and_taken() -> None:
    """An annotation that is changed holds from the next request on."""
    revision = Revision(concurrency=10)
    revision.show(*PODS)
    assert revision.throttler.sessions is None
    revision.throttler.terms = replace(terms_of(10), affinity=LAX)
    session = at_home_on(revision, "b")
    assert {revision.ask(session=session).pod for _ in range(5)} == {home(revision, session)}
    before = revision.throttler.sessions
    revision.throttler.terms = replace(terms_of(10, 5.0), affinity=LAX)
    assert revision.throttler.sessions is before, "other terms say nothing about sessions"
    revision.throttler.terms = terms_of(10)
    assert revision.throttler.sessions is None
    assert len({revision.ask(session=session).pod for _ in range(2)}) == 2


def test_a_revision_that_is_gone_has_no_sessions() -> None:
    """Its pods are not to be found by them either."""
    revision = Revision(affinity=LAX)
    revision.show(*PODS)
    revision.throttler.close(revision.now_s)
    assert revision.throttler.sessions is not None
    assert revision.throttler.sessions.choose(1, 0) is None


@settings(max_examples=100)
@given(st.sampled_from([LAX, STRICT]), st.integers(1, 3), st.data())
def test_nobody_waits_who_could_be_served(affinity: Affinity, concurrency: int, data: st.DataObject) -> None:
    """Whatever comes and goes: no pod has too many, nobody is lost, and a strict session is at home only."""
    revision = Revision(concurrency=concurrency, affinity=affinity)
    clients: list[Client] = []
    for _ in range(data.draw(st.integers(1, 40))):
        step = data.draw(st.sampled_from(["ask", "ask", "ask", "answer", "refuse", "show", "pass"]))
        served = [client for client in clients if client.pod is not None]
        if step == "ask":
            session = data.draw(st.none() | st.integers(0, 5))
            clients.append(revision.ask(session=None if session is None else point(b"%d" % session)))
            client = clients[-1]
            if affinity.strict and client.pod is not None and client.session is not None:
                assert client.pod is home(revision, client.session)
        elif step == "answer" and served:
            done = data.draw(st.sampled_from(served))
            clients.remove(done)
            revision.answer(done)
        elif step == "refuse" and served:
            unlucky = data.draw(st.sampled_from(served))
            pod, unlucky.pod = unlucky.pod, None
            assert pod is not None
            revision.throttler.retry(unlucky, pod, revision.now_s)
        elif step == "show":
            revision.show(*data.draw(st.lists(st.sampled_from("abcd"), unique=True)))
        elif step == "pass":
            revision.pass_time(data.draw(st.floats(0, 3)))
        check(revision, clients)


def check(revision: Revision, clients: list[Client]) -> None:
    """Nobody is lost, nobody has too much, and nobody waits for nothing."""
    sessions = revision.throttler.sessions
    assert sessions is not None
    waiting = [client for client in clients if client.pod is None]
    assert revision.throttler.queued == len(waiting)
    assert revision.throttler.in_flight == len(clients) - len(waiting)
    assert all(0 <= pod.in_flight <= pod.limit for pod in revision.throttler.pods)
    room = [pod for pod in revision.throttler.pods if pod.in_flight < pod.limit and not pod.ejected]
    for client in waiting:
        if sessions.affinity.strict and client.session is not None:
            assert sessions.home(client.session) not in room
        else:
            assert not room
