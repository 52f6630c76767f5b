"""The queue before one revision, and the slots on its pods."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from activator.throttle.balancer import RAMP_START, UNLIMITED
from activator.throttle.pod import Pod
from activator.throttle.report import LoadReport
from activator.throttle.throttler import EJECTION, RAMP_S, THAW_S
from tests.activator.throttle.revision import KEY, Client, Revision, endpoint, served_by, terms_of
from torpor.errors import DeadlineError, LoadError, QueueFullError, UnavailableError

# --- the queue -----------------------------------------------------------------------------------------------------


def test_a_request_that_finds_a_pod_with_room_goes_on_at_once() -> None:
    """It never sees the queue, and the autoscaler is left alone."""
    revision = Revision(concurrency=1)
    revision.show("a")
    assert served_by([revision.ask()]) == ["a"]
    assert revision.demanded == []


def test_requests_at_zero_wake_the_revision_and_are_served_in_their_order() -> None:
    """A pod with two places serves the first two; the others follow as places become free."""
    revision = Revision(concurrency=2)
    clients = [revision.ask() for _ in range(4)]
    assert revision.demanded == [KEY] * 4
    revision.pass_time(3.0)
    revision.show("a")
    assert served_by(clients) == ["a", "a", None, None]
    assert clients[0].waited_s == pytest.approx(3.0)
    revision.answer(clients[1])
    assert served_by(clients) == ["a", "a", "a", None]
    revision.answer(clients[0])
    assert served_by(clients) == ["a", "a", "a", "a"]


def test_who_comes_later_does_not_overtake() -> None:
    """Not even when a place becomes free in that very moment."""
    revision = Revision(concurrency=1)
    revision.show("a")
    first, second, third = revision.ask(), revision.ask(), revision.ask()
    revision.answer(first)
    assert served_by([second, third]) == ["a", None]
    fourth = revision.ask()
    revision.answer(second)
    assert served_by([third, fourth]) == ["a", None]


def test_a_full_queue_refuses_and_stays_as_it_is() -> None:
    """The message says how many wait; who waits already is not touched."""
    revision = Revision(queue_limit=2)
    waiting = [revision.ask(), revision.ask()]
    with pytest.raises(QueueFullError, match=r"default/app-1 is full: 2 requests wait"):
        revision.ask()
    revision.show("a")
    assert served_by(waiting) == ["a", "a"]


def test_a_deadline_that_passes_is_a_refusal_that_names_the_annotation() -> None:
    """Only for whose deadline it is."""
    revision = Revision(timeout_s=10)
    early = revision.ask()
    revision.pass_time(6)
    late = revision.ask()
    revision.pass_time(5)
    revision.throttler.expire(revision.now_s)
    assert isinstance(early.error, DeadlineError)
    assert "within 10 s" in str(early.error)
    assert "torpor.dev/activation-timeout-seconds" in str(early.error)
    assert late.error is None
    assert revision.throttler.queued == 1


def test_a_slot_is_not_given_to_whose_deadline_is_over() -> None:
    """Even where nobody looked at the deadlines yet: the next in the queue gets it."""
    revision = Revision(concurrency=1, timeout_s=10)
    early = revision.ask()
    revision.pass_time(6)
    late = revision.ask()
    revision.pass_time(5)
    revision.show("a")
    assert isinstance(early.error, DeadlineError)
    assert served_by([late]) == ["a"]


class Hasty(Client):
    """Is done with its slot in the moment in which it gets it."""

    def __init__(self, revision: Revision) -> None:
        super().__init__(revision.now_s)
        self._revision = revision

    def granted(self, pod: Pod, now_s: float) -> None:
        super().granted(pod, now_s)
        self._revision.answer(self)


def test_thousands_that_are_done_in_the_moment_they_get_a_slot() -> None:
    """Each makes room for the next, one after the other, without recursion."""
    revision = Revision(concurrency=1, queue_limit=5000)
    clients = [Hasty(revision) for _ in range(5000)]
    for client in clients:
        assert revision.throttler.enter(client, revision.now_s) is None
    revision.show("a")
    assert all(client.pod is not None for client in clients)
    assert revision.throttler.queued == revision.throttler.in_flight == 0


def test_who_hangs_up_frees_the_place() -> None:
    """And never gets a slot afterwards; hanging up twice is hanging up once."""
    revision = Revision(concurrency=1, queue_limit=2)
    first, second = revision.ask(), revision.ask()
    revision.throttler.cancel(first, revision.now_s)
    revision.throttler.cancel(first, revision.now_s)
    third = revision.ask()
    revision.show("a")
    assert served_by([first, second, third]) == [None, "a", None]


def test_new_terms_count_for_those_who_wait() -> None:
    """A revision that was only expected becomes known: its own deadline is counted from when each request came."""
    revision = Revision(timeout_s=300)
    client = revision.ask()
    revision.pass_time(4)
    revision.throttler.terms = terms_of(timeout_s=5)
    revision.throttler.expire(revision.now_s)
    assert client.error is None
    revision.pass_time(1)
    revision.throttler.expire(revision.now_s)
    assert "within 5 s" in str(client.error)


# --- slots and pods ------------------------------------------------------------------------------------------------


def test_a_burst_is_spread_over_the_pods() -> None:
    """Never a herd on the first pod, never more than each may have."""
    revision = Revision(concurrency=3)
    revision.show("a", "b", "c")
    clients = [revision.ask() for _ in range(12)]
    assert sorted(str(name) for name in served_by(clients)) == sorted(["a", "b", "c"] * 3 + ["None"] * 3)


def test_a_pod_that_comes_takes_from_the_queue() -> None:
    """At once, without anybody being done first; and it is told of, for somebody waited for it."""
    revision = Revision(concurrency=1)
    revision.show("a")
    clients = [revision.ask() for _ in range(3)]
    revision.show("a", "b")
    assert served_by(clients) == ["a", "b", None]
    assert [pod.at.pod for pod in revision.woken] == ["b"]


def test_a_pod_that_goes_gets_nothing_more_and_its_requests_end_in_peace() -> None:
    """Their slots are its own; none of them is given to somebody else."""
    revision = Revision(concurrency=1)
    revision.show("a", "b")
    clients = [revision.ask(), revision.ask()]
    waiting = revision.ask()
    gone = next(client for client in clients if client.pod is not None and client.pod.at.pod == "a")
    revision.show("b")
    assert [pod.at.pod for pod in revision.gone] == ["a"]
    revision.answer(gone)
    assert waiting.pod is None
    assert revision.throttler.in_flight == 1


def test_the_last_pod_goes_while_requests_wait() -> None:
    """The autoscaler is told again: it may have taken that pod away itself."""
    revision = Revision(concurrency=1)
    revision.show("a")
    revision.ask()
    revision.ask()
    assert revision.demanded == []
    revision.show()
    assert revision.demanded == [KEY]


def test_a_pod_that_was_replaced_at_its_address_is_another_one() -> None:
    """It starts with all its places, whatever its predecessor had."""
    revision = Revision(concurrency=1)
    old, new = endpoint("a"), endpoint("a")._replace(uid="another")
    revision.throttler.set_pods([old], revision.now_s)
    first = revision.ask()
    revision.throttler.set_pods([new], revision.now_s)
    second = revision.ask()
    assert second.pod is not None
    assert second.pod is not first.pod


def test_a_pod_without_limit_gets_a_bounded_number_at_first_and_more_with_time() -> None:
    """A burst onto a pod that just woke must not all land on it before others are there; streams must not block it."""
    revision = Revision(queue_limit=10_000)
    clients = [revision.ask() for _ in range(RAMP_START * 4)]
    revision.show("a")
    assert len([client for client in clients if client.pod]) == RAMP_START
    revision.pass_time(RAMP_S)
    assert len([client for client in clients if client.pod]) == RAMP_START * 2
    revision.show("a", "b")
    assert revision.pod("b").in_flight == RAMP_START
    revision.pass_time(20 * RAMP_S)
    assert [pod.limit for pod in revision.throttler.pods] == [UNLIMITED, UNLIMITED]
    assert revision.timers.pending == []
    assert all(client.pod for client in clients)


def test_a_pod_in_its_ramp_that_finishes_one_request_may_have_two() -> None:
    """Quick answers are the best proof of room."""
    revision = Revision(queue_limit=10_000)
    clients = [revision.ask() for _ in range(RAMP_START + 10)]
    revision.show("a")
    revision.answer(clients[0])
    assert revision.pod("a").in_flight == RAMP_START + 1


# --- pods that refuse ----------------------------------------------------------------------------------------------


def test_a_request_whose_pod_refused_is_offered_to_another_before_all_others() -> None:
    """What was never sent may be tried again, and has waited longest."""
    revision = Revision(concurrency=1)
    revision.show("a", "b")
    clients = [revision.ask(), revision.ask()]
    waiting = revision.ask()
    refused = next(client for client in clients if client.pod is revision.pod("a"))
    done = next(client for client in clients if client is not refused)
    pod, refused.pod = refused.pod, None
    assert pod is not None
    revision.throttler.retry(refused, pod, revision.now_s)
    revision.answer(done)
    assert served_by([refused, waiting]) == ["b", None]
    assert revision.throttler.counters.retries == 1


def test_a_pod_that_refused_is_let_alone_for_a_moment_then_tried_again() -> None:
    """Longer each time it refuses in a row, and as at first once it has accepted."""
    revision = Revision(concurrency=1)
    revision.show("a")
    client = revision.ask()
    for failures in (1, 2, 3):
        pod, client.pod = client.pod, None
        assert pod is not None
        revision.throttler.retry(client, pod, revision.now_s)
        assert client.pod is None
        revision.pass_time(EJECTION.delay_s(failures, 0.0) * 0.99)
        assert client.pod is None
        revision.pass_time(EJECTION.delay_s(failures, 0.0) * 0.02)
        assert client.pod is pod
        client.waited_s = None
    assert revision.throttler.in_flight == 1


def test_a_pod_that_refused_and_went_is_not_brought_back() -> None:
    """Its timer goes with it."""
    revision = Revision(concurrency=1)
    revision.show("a")
    client = revision.ask()
    pod, client.pod = client.pod, None
    assert pod is not None
    revision.throttler.retry(client, pod, revision.now_s)
    revision.show()
    assert revision.timers.pending == []
    revision.pass_time(60)
    assert client.pod is None
    revision.show("b")
    assert served_by([client]) == ["b"]


# --- failures ------------------------------------------------------------------------------------------------------


def test_who_waits_for_a_pod_that_will_not_start_is_told_why() -> None:
    """Those that wait, and those that come while it is so; when it is over, requests wait again."""
    revision = Revision()
    waiting = revision.ask()
    revision.throttler.set_failure("fetch: no such bucket", revision.now_s)
    assert isinstance(waiting.error, LoadError)
    assert str(waiting.error) == "fetch: no such bucket"
    with pytest.raises(LoadError, match="no such bucket"):
        revision.ask()
    revision.throttler.set_failure(None, revision.now_s)
    again = revision.ask()
    assert again.error is None
    revision.show("a")
    assert served_by([again]) == ["a"]


def test_a_failing_pod_beside_a_ready_one_fails_nobody() -> None:
    """There is one that serves."""
    revision = Revision(concurrency=1)
    revision.show("a")
    first, waiting = revision.ask(), revision.ask()
    revision.throttler.set_failure("out of memory", revision.now_s)
    assert waiting.error is None
    revision.answer(first)
    assert served_by([waiting]) == ["a"]
    last = revision.ask()
    revision.show()
    assert isinstance(last.error, LoadError)


def test_a_revision_that_is_deleted_refuses_whoever_waits_and_whoever_comes() -> None:
    """Also a request that was read before and whose turn comes after."""
    revision = Revision(concurrency=1)
    revision.show("a")
    served, waiting = revision.ask(), revision.ask()
    revision.throttler.close(revision.now_s)
    assert isinstance(waiting.error, UnavailableError)
    with pytest.raises(UnavailableError, match="not there any more"):
        revision.ask()
    revision.answer(served)
    assert (revision.throttler.in_flight, revision.throttler.queued) == (0, 0)
    assert [pod.at.pod for pod in revision.gone] == ["a"]
    assert revision.timers.pending == []


# --- the autoscaler ------------------------------------------------------------------------------------------------


def test_a_revision_with_requests_is_not_frozen() -> None:
    """Whether they wait or are being served."""
    revision = Revision(concurrency=1)
    waiting = revision.ask()
    assert not revision.throttler.freeze_if_idle()
    revision.show("a")
    assert not revision.throttler.freeze_if_idle()
    revision.answer(waiting)
    assert revision.throttler.freeze_if_idle()


def test_a_frozen_revision_gives_no_slots_until_it_is_thawed_and_then_a_moment_more() -> None:
    """In that moment its pods leave the endpoints, if the scale to zero was granted; else they serve again."""
    revision = Revision(concurrency=1)
    revision.show("a")
    assert revision.throttler.freeze_if_idle()
    client = revision.ask()
    assert client.pod is None
    assert revision.demanded == [KEY]
    revision.throttler.thaw()
    revision.pass_time(THAW_S * 0.9)
    assert client.pod is None
    revision.pass_time(THAW_S * 0.2)
    assert served_by([client]) == ["a"]


def test_a_new_pod_serves_though_the_old_ones_are_frozen() -> None:
    """It came after the scale to zero, so it is here to stay."""
    revision = Revision(concurrency=1)
    revision.show("a")
    revision.throttler.freeze_if_idle()
    client = revision.ask()
    revision.show("a", "b")
    assert served_by([client]) == ["b"]


def test_a_report_integrates_the_requests_that_are_there_over_time() -> None:
    """One that waited two of four seconds, and one that waited one and was served for one, make one on average."""
    revision = Revision(concurrency=1)
    revision.show("a")
    revision.throttler.report(revision.now_s)
    revision.show()
    first = revision.ask()
    second = revision.ask()
    revision.pass_time(1)
    revision.show("a")
    assert first.pod is not None
    revision.pass_time(1)
    revision.throttler.cancel(second, revision.now_s)
    revision.answer(first)
    revision.pass_time(2)
    assert revision.throttler.report(revision.now_s) == LoadReport(KEY, pytest.approx(1.0), 2, 0, 0, 1)


def test_requests_that_stay_are_counted_in_every_report() -> None:
    """Each report covers the time since the one before; requests are counted when they come."""
    revision = Revision(concurrency=1)
    revision.show("a")
    revision.ask()
    revision.ask()
    for requests in (2, 0, 0):
        revision.pass_time(1)
        assert revision.throttler.report(revision.now_s) == LoadReport(KEY, pytest.approx(2.0), requests, 1, 1, 1)


def test_where_nothing_is_and_nothing_was_there_is_no_report() -> None:
    """But a request that came and went within the second is reported, and refused ones are not load."""
    revision = Revision(queue_limit=1)
    assert revision.throttler.report(revision.now_s) is None
    revision.throttler.cancel(revision.ask(), revision.now_s)
    revision.pass_time(1)
    report = revision.throttler.report(revision.now_s)
    assert report is not None
    assert report.requests == 1
    revision.throttler.set_failure("it is broken", revision.now_s)
    with pytest.raises(LoadError):
        revision.ask()
    assert revision.throttler.report(revision.now_s) is None


# --- whatever happens ----------------------------------------------------------------------------------------------


class Anything(RuleBasedStateMachine):
    """Requests, pods, failures and time in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.revision = Revision(concurrency=2, queue_limit=6, timeout_s=20)
        self.clients: list[Client] = []
        self.area = 0.0
        self.last_report_s = self.revision.now_s

    def _active(self) -> list[Client]:
        return [client for client in self.clients if client.error is None]

    @rule()
    def ask(self) -> None:
        try:
            self.clients.append(self.revision.ask())
        except QueueFullError:
            assert self.revision.throttler.queued >= 6  # those whose pod refused come back whether it is full or not
        except LoadError:
            assert self.revision.throttler.queued == 0

    @precondition(lambda self: any(client.pod for client in self.clients))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from([client for client in self.clients if client.pod]))
        self.clients.remove(client)
        self.revision.answer(client)

    @precondition(lambda self: any(client.pod for client in self.clients))
    @rule(data=st.data())
    def refuse_connection(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from([client for client in self.clients if client.pod]))
        pod, client.pod = client.pod, None
        assert pod is not None
        self.revision.throttler.retry(client, pod, self.revision.now_s)

    @precondition(lambda self: any(not client.pod for client in self._active()))
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from([client for client in self._active() if not client.pod]))
        self.clients.remove(client)
        self.revision.throttler.cancel(client, self.revision.now_s)

    @rule(names=st.sets(st.sampled_from("abcd")))
    def show(self, names: set[str]) -> None:
        self.revision.show(*sorted(names))

    @rule(failure=st.sampled_from([None, "broken"]))
    def fail(self, failure: str | None) -> None:
        self.revision.throttler.set_failure(failure, self.revision.now_s)

    @rule(seconds=st.sampled_from([0.01, 0.5, 5.0]))
    def pass_time(self, seconds: float) -> None:
        self.revision.pass_time(seconds)
        self.revision.throttler.expire(self.revision.now_s)

    @rule()
    def sleep(self) -> None:
        idle = not self._active()
        assert self.revision.throttler.freeze_if_idle() == idle
        if idle:
            self.revision.throttler.thaw()

    @rule()
    def report(self) -> None:
        report = self.revision.throttler.report(self.revision.now_s)
        if report is not None:
            assert report.average_concurrency >= 0
            assert (report.queued, report.in_flight) == (self.revision.throttler.queued, self._in_flight())

    def _in_flight(self) -> int:
        return sum(client.pod is not None for client in self.clients)

    @invariant()
    def nobody_is_lost_and_no_slot_either(self) -> None:
        """Everyone who came is served, waits, or was refused; slots are as many as requests being served."""
        self.clients = self._active()
        throttler = self.revision.throttler
        assert throttler.in_flight == self._in_flight()
        assert throttler.queued == len(self.clients) - self._in_flight()
        for pod in throttler.pods:
            assert pod.in_flight == sum(client.pod is pod for client in self.clients)
            assert pod.in_flight <= pod.limit

    @invariant()
    def nobody_waits_beside_a_free_slot(self) -> None:
        throttler = self.revision.throttler
        free = [pod for pod in throttler.pods if pod.in_flight < pod.limit and not pod.held and not pod.ejected]
        assert not (throttler.queued and free)


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
