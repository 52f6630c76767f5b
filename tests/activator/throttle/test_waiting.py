"""The queue before a revision: turns, deadlines of requests, bytes, and starts that take too long to wait for."""

from __future__ import annotations

import pytest

from activator.throttle.foresight import ENOUGH
from activator.throttle.line import Client as Whose
from activator.throttle.line import Priority, Ticket
from tests.activator.throttle.revision import KEY, Client, Revision, served_by, terms_of
from torpor.errors import ColdStartError, DeadlineError, QueueFullError

BATCH = Ticket(priority=Priority.BATCH)


def whose(name: bytes, size: int = 0) -> Ticket:
    return Ticket(Whose(name), size=size)


def with_deadline(revision: Revision, seconds: float) -> Ticket:
    return Ticket(deadline_s=revision.now_s + seconds)


# --- turns ---------------------------------------------------------------------------------------------------------


def test_clients_take_turns() -> None:
    """One request of somebody else is not held up by a thousand of one client."""
    revision = Revision(concurrency=1, queue_limit=2000)
    many = [revision.ask(whose(b"a")) for _ in range(1000)]
    single = revision.ask(whose(b"b"))
    revision.show("p")
    revision.answer(many[0])
    assert single.pod is not None
    assert served_by(many[:2]) == ["p", None]


def test_the_urgent_are_served_first() -> None:
    """Though the batch was there before."""
    revision = Revision(concurrency=1)
    batch, urgent = revision.ask(BATCH), revision.ask()
    revision.show("p")
    assert served_by([batch, urgent]) == [None, "p"]
    revision.answer(urgent)
    assert served_by([batch]) == ["p"]


# --- deadlines -----------------------------------------------------------------------------------------------------


def test_a_request_may_have_less_time_than_the_revision_gives() -> None:
    """It is refused when its own time is over, and says so."""
    revision = Revision(timeout_s=300)
    hurried, patient = revision.ask(with_deadline(revision, 2)), revision.ask()
    revision.pass_time(1.9)
    revision.throttler.expire(revision.now_s)
    assert hurried.error is None
    revision.pass_time(0.1)
    revision.throttler.expire(revision.now_s)
    assert isinstance(hurried.error, DeadlineError)
    assert "within the 2 s that the request gave itself" in str(hurried.error)
    assert patient.error is None


def test_a_request_may_not_have_more_time_than_the_revision_gives() -> None:
    """Nor when the revision becomes known while it waits."""
    revision = Revision(timeout_s=300)
    client = revision.ask(with_deadline(revision, 60))
    revision.throttler.terms = terms_of(timeout_s=5)
    revision.pass_time(5)
    revision.throttler.expire(revision.now_s)
    assert "activation-timeout" in str(client.error)


def test_a_request_whose_time_is_over_is_never_given_a_pod() -> None:
    """Even where nobody looked at deadlines in between."""
    revision = Revision(concurrency=1)
    hurried, patient = revision.ask(with_deadline(revision, 2)), revision.ask()
    revision.pass_time(2)
    revision.show("p")
    assert isinstance(hurried.error, DeadlineError)
    assert served_by([patient]) == ["p"]


def test_deadlines_that_come_later_are_looked_at_again() -> None:
    """Whatever the order in which requests come, and who has left since."""
    revision = Revision(timeout_s=300)
    clients = [revision.ask(with_deadline(revision, seconds)) for seconds in (9, 3, 6)]
    revision.throttler.cancel(clients[1], revision.now_s)
    for seconds, refused in ((3, [False, False]), (6, [False, True]), (9, [True, True])):
        revision.pass_time(1000.0 + seconds - revision.now_s)
        revision.throttler.expire(revision.now_s)
        assert [clients[0].error is not None, clients[2].error is not None] == refused


# --- bytes ---------------------------------------------------------------------------------------------------------


def test_the_queue_is_bounded_in_bytes() -> None:
    """For one revision; what is kept for who leaves, or gets a pod, is there for others."""
    revision = Revision(concurrency=1, queue_bytes=100)
    first, _ = revision.ask(whose(b"a", 60)), revision.ask(whose(b"a", 40))
    with pytest.raises(QueueFullError, match=r"default/app-1 is full: 100 bytes are kept for 2 requests"):
        revision.ask(whose(b"b", 1))
    revision.throttler.cancel(first, revision.now_s)
    revision.ask(whose(b"b", 60))
    revision.show("p")
    assert revision.throttler.held == revision.budget.held == 60


def test_bytes_that_come_while_it_waits_count() -> None:
    """Who brings too many is told; it keeps what it had."""
    revision = Revision(queue_bytes=100)
    client = revision.ask(whose(b"a", 60))
    revision.throttler.hold(client, 40, revision.now_s)
    with pytest.raises(QueueFullError):
        revision.throttler.hold(client, 1, revision.now_s)
    assert revision.throttler.held == 100
    revision.show("p")
    assert revision.throttler.held == 0
    revision.throttler.hold(client, 1000, revision.now_s)
    assert revision.throttler.held == 0, "it waits no longer"


def test_all_revisions_together_are_bounded_in_bytes() -> None:
    """Ten thousand queues of a size that is right for each are too many."""
    revision = Revision(queue_bytes=100)
    revision.budget.held = 150
    revision.ask(whose(b"a", 50))
    with pytest.raises(QueueFullError, match="200 bytes are kept for requests that wait, for this and other services"):
        revision.ask(whose(b"a", 1))


def test_who_is_refused_gives_back_what_was_kept_for_it() -> None:
    """For whatever reason, and also where its pod refused it before."""
    revision = Revision(concurrency=1, timeout_s=10)
    client = revision.ask(whose(b"a", 50))
    revision.show("p")
    pod, client.pod = client.pod, None
    assert pod is not None
    revision.throttler.retry(client, pod, revision.now_s)
    revision.ask(whose(b"a", 30))
    assert revision.throttler.held == 80
    revision.show()
    revision.pass_time(10)
    revision.throttler.expire(revision.now_s)
    revision.throttler.close(revision.now_s)
    assert revision.throttler.held == revision.budget.held == 0


# --- pods that do not take a request -------------------------------------------------------------------------------


def test_a_pod_that_refused_one_request_keeps_its_place() -> None:
    """It is asked again at once, by that one before all others, and goes on being asked by those who come."""
    revision = Revision(concurrency=2)
    revision.show("p")
    clients = [revision.ask() for _ in range(4)]
    pod, clients[0].pod = clients[0].pod, None
    assert pod is not None
    revision.throttler.retry(clients[0], pod, revision.now_s, eject=False)
    assert served_by(clients) == ["p", "p", None, None]
    assert (pod.ejected, pod.refusals, pod.in_flight) == (False, 0, 2)
    assert revision.throttler.counters.retries == 1


# --- starts --------------------------------------------------------------------------------------------------------


def woken(revision: Revision, seconds: float, times: int = ENOUGH) -> None:
    """Let a request wake the revision, and all be over; as often as it takes to foretell by it."""
    for _ in range(times):
        client = revision.ask()
        revision.pass_time(seconds)
        revision.show("p")
        revision.answer(client)
        revision.show()
        revision.pass_time(3600)


def test_where_no_start_was_measured_everybody_waits() -> None:
    """Not known is not zero, and not for ever either."""
    revision = Revision()
    assert revision.ask(with_deadline(revision, 0.01)).error is None


def test_who_has_no_time_for_a_start_is_told_so_at_once_and_the_start_goes_on() -> None:
    """With the time that it still takes; who comes back then finds a pod."""
    revision = Revision()
    woken(revision, 30)
    revision.demanded.clear()
    with pytest.raises(ColdStartError, match=r"takes 30\.0 s more to start, by 4 starts") as refused:
        revision.ask(with_deadline(revision, 5))
    assert refused.value.retry_after_s == pytest.approx(30)
    assert revision.demanded == [KEY]
    assert revision.throttler.queued == 0
    revision.throttler.set_starting(starting=True)
    revision.pass_time(20)
    with pytest.raises(ColdStartError) as again:
        revision.ask(with_deadline(revision, 5))
    assert again.value.retry_after_s == pytest.approx(10)
    in_time = revision.ask(with_deadline(revision, 11))
    revision.pass_time(10)
    revision.show("p")
    assert served_by([in_time]) == ["p"]
    assert served_by([revision.ask(with_deadline(revision, 5))]) == ["p"]


def test_who_brings_no_deadline_is_never_refused_a_start() -> None:
    """The time that the revision gives is for waiting, however little of it is left by what was measured."""
    revision = Revision(timeout_s=300)
    woken(revision, 30)
    revision.throttler.terms = terms_of(timeout_s=10)
    assert revision.ask().error is None
    assert revision.ask(with_deadline(revision, 31)).error is None


def test_who_is_refused_a_start_is_not_sent_away_for_longer_than_anybody_waits() -> None:
    """Whatever the starts took that were measured before."""
    revision = Revision(timeout_s=300)
    woken(revision, 30)
    revision.throttler.terms = terms_of(timeout_s=10)
    with pytest.raises(ColdStartError) as refused:
        revision.ask(with_deadline(revision, 5))
    assert refused.value.retry_after_s == pytest.approx(10)


def test_time_in_which_no_pod_can_be_made_is_not_a_start() -> None:
    """A quota keeps pods away for an hour, and somebody comes again and again."""
    revision = Revision(timeout_s=300)
    for _ in range(ENOUGH):
        for _ in range(900):
            revision.throttler.expire(revision.now_s)
            revision.ask()
            revision.pass_time(4)
        revision.show("p")
        for _ in range(revision.throttler.in_flight):
            revision.throttler.release(revision.pod("p"), revision.now_s)
        revision.show()
        revision.pass_time(3600)
    assert revision.ask(with_deadline(revision, 6)).error is None


def test_a_start_begins_anew_when_those_who_waited_were_told_that_it_failed() -> None:
    """What passed before they were told says nothing of how long a start takes."""
    revision = Revision(timeout_s=300)
    for _ in range(ENOUGH):
        revision.ask()
        revision.pass_time(200)
        revision.throttler.fail_waiting("exceeded quota", revision.now_s)
        woken(revision, 5, times=1)
    with pytest.raises(ColdStartError, match=r"takes 5\.0 s more"):
        revision.ask(with_deadline(revision, 4))
    assert revision.ask(with_deadline(revision, 6)).error is None


def test_a_start_that_is_slower_than_any_before_is_waited_for() -> None:
    """What is known says nothing of it."""
    revision = Revision()
    woken(revision, 30)
    revision.ask()
    revision.pass_time(31)
    assert revision.ask(with_deadline(revision, 5)).error is None


def test_where_pods_are_ready_starts_do_not_matter() -> None:
    """A queue before pods is another matter."""
    revision = Revision(concurrency=1)
    woken(revision, 30)
    revision.show("p")
    revision.ask()
    assert revision.ask(with_deadline(revision, 5)).error is None


def test_a_failed_start_is_not_measured() -> None:
    """A pod that comes an hour after a failure did not take an hour."""
    revision = Revision()
    revision.ask()
    revision.throttler.set_failure("no such bucket", revision.now_s)
    revision.throttler.set_failure(None, revision.now_s)
    revision.pass_time(3600)
    revision.show("p")
    revision.show()
    assert revision.ask(with_deadline(revision, 1)).error is None


# --- when to come back ---------------------------------------------------------------------------------------------


def full(revision: Revision) -> QueueFullError:
    with pytest.raises(QueueFullError) as refused:
        revision.ask()
    return refused.value


def test_a_full_queue_says_when_it_will_be_empty() -> None:
    """By how many were served each second while there was a queue; unknown before."""
    revision = Revision(concurrency=1, queue_limit=20)
    revision.show("p")
    running: list[Client] = [revision.ask() for _ in range(21)]
    revision.throttler.report(revision.now_s)
    assert full(revision).retry_after_s is None
    for _ in range(5):
        for _ in range(4):
            revision.answer(running.pop(0))
            running.append(revision.ask())
        revision.pass_time(1)
        revision.throttler.report(revision.now_s)
    assert full(revision).retry_after_s == pytest.approx(20 / 4)


def test_a_full_queue_at_zero_says_when_the_start_is_over() -> None:
    """As long as it is known how long that takes."""
    revision = Revision(queue_limit=1)
    woken(revision, 30)
    revision.ask()
    revision.pass_time(12)
    assert full(revision).retry_after_s == pytest.approx(18)
