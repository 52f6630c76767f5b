"""All throttlers together, told of the cluster by informers, whose watches come in any order."""

from __future__ import annotations

import pytest

from activator.throttle.again import MENDED_S
from activator.throttle.throttler import Hooks, Throttler
from activator.throttle.throttlers import EXPECTED_S, Throttlers
from tests.activator.throttle.objects import (
    BACK_OFF,
    KEY,
    RUNNING,
    container,
    ended,
    endpoint_slice,
    pod,
    revision,
    with_ready,
)
from tests.activator.throttle.revision import Client
from tests.support.clock import FakeClock
from torpor.errors import DeadlineError, LoadError, UnavailableError
from torpor.kube import Change
from torpor.spec import names
from torpor.spec.kinds import ENDPOINT_SLICE, POD, REVISION, Kind, Object, key_of


class Cluster:
    """Throttlers, and the informers before them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.demanded: list[tuple[str, str]] = []
        hooks = Hooks(self.demanded.append, lambda *_: None, lambda _: None)
        self.throttlers = Throttlers(100, 300.0, hooks, self.clock)
        self._objects: dict[tuple[Kind, tuple[str, str]], Object] = {}

    def tell(self, kind: Kind, obj: Object) -> None:
        """An object came or changed."""
        self._tell(kind, key_of(obj), obj)

    def remove(self, kind: Kind, name: str) -> None:
        self._tell(kind, (KEY[0], name), None)

    def _tell(self, kind: Kind, key: tuple[str, str], obj: Object | None) -> None:
        change = Change(kind, key, self._objects.pop((kind, key), None), obj)
        if obj is not None:
            self._objects[kind, key] = obj
        handlers = {
            REVISION: self.throttlers.revision_changed,
            ENDPOINT_SLICE: self.throttlers.slice_changed,
            POD: self.throttlers.pod_changed,
        }
        handlers[kind](change)

    @property
    def throttler(self) -> Throttler:
        found = self.throttlers.get(KEY)
        assert found is not None
        return found

    @property
    def pods(self) -> list[str]:
        return sorted(each.at.pod for each in self.throttler.pods)

    def ask(self, key: tuple[str, str] = KEY) -> Client:
        client = Client(self.clock.monotonic())
        throttler = self.throttlers.get(key)
        assert throttler is not None
        client.pod = throttler.enter(client, self.clock.monotonic())
        return client

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.throttlers.expire(self.clock.monotonic())


# --- pods ----------------------------------------------------------------------------------------------------------


def test_pods_that_were_known_before_their_revision_are_not_forgotten() -> None:
    """Watches of different kinds know nothing of one another."""
    cluster = Cluster()
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-1", "a"))
    cluster.tell(REVISION, revision(containerConcurrency=1))
    assert cluster.pods == ["a"]


def test_pods_of_all_slices_are_one_set() -> None:
    """Slices come, change and go; a pod in two of them is one pod."""
    cluster = Cluster()
    cluster.tell(REVISION, revision(containerConcurrency=1))
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-1", "a"))
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-2", "a", "b"))
    assert cluster.pods == ["a", "b"]
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-2", "b", ready=False))
    assert cluster.pods == ["a"]
    cluster.remove(ENDPOINT_SLICE, "s-1")
    assert cluster.pods == []


def test_a_slice_that_changes_its_revision_leaves_the_old_one() -> None:
    """Its label is what counts."""
    cluster = Cluster()
    cluster.tell(REVISION, revision(containerConcurrency=1))
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-1", "a"))
    labels = {names.REVISION: "app-2", names.SERVICE_NAME: "app-2-private"}
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-1", "a", labels=labels))
    assert cluster.pods == []


def test_a_revision_with_terms_that_are_not_allowed_is_served_with_the_defaults(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And the log says which field is wrong."""
    cluster = Cluster()
    cluster.tell(REVISION, revision(containerConcurrency="many"))
    assert cluster.throttler.terms.limits.concurrency == 0
    assert "containerConcurrency" in caplog.text


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(names.ANSWER_WHILE_ASLEEP, "healthy"), (names.WAKES, "Predictor!"), (names.SESSION_AFFINITY, "sticky")],
)
def test_an_annotation_that_cannot_be_read_is_left_out_alone(
    caplog: pytest.LogCaptureFixture, annotation: str, value: str
) -> None:
    """The others hold."""
    cluster = Cluster()
    good = {
        names.ANSWER_WHILE_ASLEEP: "health",
        names.WAKES: "predictor, explainer",
        names.SESSION_AFFINITY: "header=X-User",
        names.ACTIVATION_TIMEOUT: "5",
    }
    cluster.tell(REVISION, revision(annotations=good | {annotation: value}))
    terms = cluster.throttler.terms
    known = {
        names.ANSWER_WHILE_ASLEEP: terms.asleep.health,
        names.WAKES: terms.wakes == ("predictor", "explainer"),
        names.SESSION_AFFINITY: terms.affinity is not None,
    }
    assert known == {each: each != annotation for each in known}
    assert terms.activation_timeout_s == 5
    assert annotation in caplog.text


def test_what_a_revision_wakes_is_known_by_its_key() -> None:
    """Of one that is not there it is nothing."""
    cluster = Cluster()
    assert cluster.throttlers.wakes(KEY) == ()
    cluster.tell(REVISION, revision(annotations={names.WAKES: "b,a,b"}))
    assert cluster.throttlers.wakes(KEY) == ("b", "a")


# --- revisions that are expected -----------------------------------------------------------------------------------


def test_a_request_for_a_revision_that_was_not_seen_yet_waits_for_it() -> None:
    """It gets no slot before: how many its pods may have is not known."""
    cluster = Cluster()
    cluster.throttlers.expect(KEY)
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-1", "a"))
    first, second = cluster.ask(), cluster.ask()
    assert (first.pod, second.pod) == (None, None)
    assert cluster.demanded == [KEY, KEY]
    cluster.tell(REVISION, revision(containerConcurrency=1))
    assert first.pod is not None
    assert second.pod is None


def test_a_revision_that_was_expected_keeps_its_own_terms() -> None:
    """Time in the queue counts from when the request came, not from when the revision did."""
    cluster = Cluster()
    cluster.throttlers.expect(KEY)
    client = cluster.ask()
    cluster.pass_time(3)
    cluster.tell(REVISION, revision(annotations={names.ACTIVATION_TIMEOUT: "5"}))
    cluster.pass_time(EXPECTED_S)
    assert isinstance(client.error, DeadlineError)
    assert cluster.throttlers.get(KEY) is not None


def test_a_revision_that_never_comes_is_not_waited_for_long() -> None:
    """The answer says that it is not there, and nothing of it is kept."""
    cluster = Cluster()
    cluster.throttlers.expect(KEY)
    client = cluster.ask()
    cluster.pass_time(EXPECTED_S - 1)
    assert client.error is None
    cluster.pass_time(2)
    assert isinstance(client.error, UnavailableError)
    assert "default/app-1 is not there" in str(client.error)
    assert list(cluster.throttlers) == []


ROOM = (KEY[0], "route app")


def test_who_waits_for_a_route_that_leads_nowhere_is_sent_on_when_it_leads_somewhere() -> None:
    """In order, each where it is drawn; the time it has waited already counts."""
    cluster = Cluster()
    cluster.throttlers.expect(ROOM, "app has no traffic")
    first, second, third = (cluster.ask(ROOM) for _ in range(3))
    cluster.pass_time(4)
    other = (KEY[0], "app-2")
    cluster.tell(REVISION, revision(containerConcurrency=1, annotations={names.ACTIVATION_TIMEOUT: "5"}))
    cluster.tell(REVISION, revision("app-2"))
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-1", "a"))
    drawn = [KEY, other, KEY]
    cluster.throttlers.send_on(ROOM, lambda: drawn.pop(0))
    assert first.pod is not None
    assert (second.pod, third.pod) == (None, None)
    assert cluster.throttler.queued == 1
    assert cluster.throttlers.get(ROOM) is None
    assert other in cluster.demanded
    cluster.pass_time(2)
    assert second.error is None
    assert isinstance(third.error, DeadlineError)


def test_who_waits_for_a_route_that_goes_on_leading_nowhere_is_told_why() -> None:
    """In the words that hold by then."""
    cluster = Cluster()
    cluster.throttlers.expect(ROOM, "it has no revision yet")
    client = cluster.ask(ROOM)
    cluster.pass_time(EXPECTED_S - 1)
    cluster.throttlers.expect(ROOM, 'Configuration "app" not found')
    cluster.pass_time(2)
    assert client.error is None
    cluster.pass_time(EXPECTED_S)
    assert isinstance(client.error, UnavailableError)
    assert str(client.error) == 'Configuration "app" not found'
    assert cluster.throttlers.get(ROOM) is None


def test_who_is_sent_on_to_nowhere_is_refused() -> None:
    """A revision that was named, and is gone."""
    cluster = Cluster()
    cluster.throttlers.expect(ROOM)
    lost, drawn_nothing = cluster.ask(ROOM), cluster.ask(ROOM)
    drawn = [KEY, None]
    cluster.throttlers.send_on(ROOM, lambda: drawn.pop(0))
    assert isinstance(lost.error, UnavailableError)
    assert isinstance(drawn_nothing.error, UnavailableError)
    cluster.throttlers.send_on(ROOM, lambda: KEY)  # nobody waits there any more


def test_expecting_what_is_there_changes_nothing() -> None:
    """A table that is made anew names the same revisions again."""
    cluster = Cluster()
    cluster.tell(REVISION, revision(containerConcurrency=1))
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-1", "a"))
    cluster.throttlers.expect(KEY)
    cluster.pass_time(EXPECTED_S + 1)
    assert cluster.pods == ["a"]


def test_a_revision_that_is_deleted_and_made_again_begins_anew() -> None:
    """Who waited for the old one is refused; the new one has its own pods."""
    cluster = Cluster()
    cluster.tell(REVISION, revision(containerConcurrency=1))
    client = cluster.ask()
    cluster.remove(REVISION, KEY[1])
    assert isinstance(client.error, UnavailableError)
    assert cluster.throttlers.get(KEY) is None
    cluster.tell(ENDPOINT_SLICE, endpoint_slice("s-1", "b"))
    cluster.tell(REVISION, revision(containerConcurrency=1))
    assert cluster.pods == ["b"]


# --- failures ------------------------------------------------------------------------------------------------------

BROKEN = container(terminated=ended(1, "fetch: no such bucket"))


def test_a_model_that_does_not_load_is_told_to_who_waits_and_to_who_comes() -> None:
    """At once, in the pod's own words; nobody waits out a deadline for what is known."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    waiting = cluster.ask()
    cluster.tell(POD, pod("p", container(running=RUNNING)))
    cluster.tell(POD, pod("p", BROKEN))
    assert isinstance(waiting.error, LoadError)
    assert "fetch: no such bucket" in str(waiting.error)
    cluster.tell(POD, pod("p", container(1, ended(1, "fetch: no such bucket"), waiting=BACK_OFF)))
    with pytest.raises(LoadError, match="no such bucket"):
        cluster.ask()


def test_a_container_that_was_started_again_before_we_looked_still_tells_who_waits() -> None:
    """Who comes after that waits for the new try."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    cluster.tell(POD, pod("p", container(running=RUNNING)))
    waiting = cluster.ask()
    cluster.tell(POD, pod("p", container(1, ended(1, "warm: failed"), running=RUNNING)))
    assert isinstance(waiting.error, LoadError)
    later = cluster.ask()
    assert later.error is None
    cluster.tell(POD, pod("p", container(1, ended(1, "warm: failed"), running=RUNNING)))
    assert later.error is None


@pytest.mark.parametrize("how", ["gone", "being deleted", "tried again"])
def test_a_failure_that_is_over_is_not_held_against_the_next_request(how: str) -> None:
    """A revision that failed long ago and has no pod is tried again."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    cluster.tell(POD, pod("p", BROKEN))
    with pytest.raises(LoadError):
        cluster.ask()
    assert cluster.demanded == []
    match how:
        case "gone":
            cluster.remove(POD, "p")
        case "being deleted":
            cluster.tell(POD, pod("p", BROKEN, deletionTimestamp="2026-01-01T00:00:00Z"))
        case "tried again":
            cluster.tell(POD, pod("p", container(1, ended(1), running=RUNNING)))
    assert cluster.ask().error is None
    assert cluster.demanded == [KEY]


def test_a_pod_that_fails_beside_one_that_may_still_start_fails_nobody() -> None:
    """Until that one fails as well; a pod that is being deleted is no hope."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    waiting = cluster.ask()
    cluster.tell(POD, pod("p", container(running=RUNNING)))
    cluster.tell(POD, pod("q", container(running=RUNNING)))
    cluster.tell(POD, pod("p", container(1, ended(1, "no memory"), running=RUNNING)))
    cluster.tell(POD, pod("p", container(1, ended(1, "no memory"), waiting=BACK_OFF)))
    assert waiting.error is None
    cluster.tell(POD, pod("q", container(running=RUNNING), deletionTimestamp="2026-01-01T00:00:00Z"))
    assert isinstance(waiting.error, LoadError)
    assert "pod p" in str(waiting.error)


def test_who_waits_while_a_pod_that_had_served_is_restarted_goes_on_waiting() -> None:
    """A crash under load is no failure to load; but if the next run does not start, that is one."""
    cluster = Cluster()
    cluster.tell(REVISION, revision(containerConcurrency=1))
    cluster.tell(POD, pod("p", container(running=RUNNING) | {"ready": True}))
    waiting = cluster.ask()
    cluster.tell(POD, pod("p", container(terminated=ended(1, "a bug"))))
    cluster.tell(POD, pod("p", container(1, ended(1, "a bug"), waiting=BACK_OFF)))
    assert waiting.error is None
    again = {"startedAt": "2026-01-01T00:01:00Z"}
    cluster.tell(POD, pod("p", container(1, ended(1, "a bug"), running=again)))
    assert waiting.error is None
    cluster.tell(POD, pod("p", container(1, terminated=ended(1, "no licence", again["startedAt"]))))
    assert isinstance(waiting.error, LoadError)
    assert "no licence" in str(waiting.error)


def test_who_is_refused_is_told_when_the_model_is_tried_again() -> None:
    """The kubelet's pause and the run after it, less what has passed; it grows with the pause."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    for restarts, pause_s in ((1, 10), (2, 20), (3, 40)):
        waiting = {"reason": "CrashLoopBackOff", "message": f"back-off {pause_s}s restarting failed container=x pod=p"}
        last = ended(1, "no licence") | {"startedAt": "2027-01-15T07:59:57Z", "finishedAt": "2027-01-15T08:00:00Z"}
        cluster.tell(POD, pod("p", container(restarts, last, waiting=waiting)))
        with pytest.raises(LoadError) as refused:
            cluster.ask()
        assert refused.value.retry_after_s == pause_s + 3
    cluster.pass_time(30)
    with pytest.raises(LoadError) as refused:
        cluster.ask()
    assert refused.value.retry_after_s == 40 - 30 + 3


def test_who_waited_for_a_run_that_failed_is_told_of_the_next() -> None:
    """It is under way already, and takes as long as the last one."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    cluster.tell(POD, pod("p", container(running=RUNNING)))
    waiting = cluster.ask()
    last = ended(1, "no licence") | {"startedAt": "2027-01-15T07:59:50Z", "finishedAt": "2027-01-15T07:59:59Z"}
    cluster.tell(POD, pod("p", container(1, last, running={"startedAt": "2027-01-15T08:00:00Z"})))
    assert isinstance(waiting.error, LoadError)
    assert waiting.error.retry_after_s == 9


def test_who_is_refused_by_what_somebody_must_change_comes_back_in_a_minute() -> None:
    """Nothing is tried again by itself."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    cluster.tell(POD, pod("p", container(waiting={"reason": "ErrImageNeverPull"})))
    with pytest.raises(LoadError) as refused:
        cluster.ask()
    assert refused.value.retry_after_s == MENDED_S


def test_a_failure_that_was_known_before_the_revision_counts() -> None:
    """After a restart of ours everything is told in any order."""
    cluster = Cluster()
    cluster.tell(POD, pod("p", BROKEN))
    cluster.tell(REVISION, revision())
    with pytest.raises(LoadError, match="no such bucket"):
        cluster.ask()


PULLING = container(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"})


def test_an_image_that_does_not_come_is_hoped_for_as_long_as_its_revision_does() -> None:
    """Then who waits is told in the Revision's words, and so is who comes, until the pod gets on or is another."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    waiting = cluster.ask()
    cluster.tell(POD, pod("p", PULLING))
    assert waiting.error is None
    cluster.tell(REVISION, with_ready("False", "ImagePullBackOff", "no such image"))
    assert isinstance(waiting.error, LoadError)
    assert "revision app-1 cannot run (ImagePullBackOff): no such image" in str(waiting.error)
    with pytest.raises(LoadError, match="no such image"):
        cluster.ask()
    cluster.tell(POD, pod("p", container(waiting={"reason": "ContainerCreating"})))
    assert cluster.ask().error is None
    cluster.remove(POD, "p")
    later = cluster.ask()
    assert later.error is None
    cluster.tell(POD, pod("q", container(waiting={"reason": "ContainerCreating"})))
    assert later.error is None
    cluster.tell(POD, pod("q", PULLING))
    assert isinstance(later.error, LoadError)


def test_a_revision_of_which_nothing_is_made_is_not_waited_for() -> None:
    """No pod will come: who waits is told, who comes too, until the Revision says something else."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    waiting = cluster.ask()
    cluster.tell(REVISION, with_ready("False", "NotOwned", "there is a Deployment of this name"))
    assert isinstance(waiting.error, LoadError)
    with pytest.raises(LoadError, match="there is a Deployment of this name"):
        cluster.ask()
    cluster.tell(REVISION, with_ready("Unknown", "Deploying"))
    later = cluster.ask()
    cluster.tell(POD, pod("p", container(running=RUNNING)))
    cluster.tell(REVISION, with_ready("False", "NotOwned", "there is a core Service of this name"))
    assert later.error is None  # there is a pod all the same


def test_a_revision_of_which_nothing_is_made_is_known_after_a_restart_of_ours() -> None:
    """And forgotten with it."""
    cluster = Cluster()
    cluster.tell(REVISION, with_ready("False", "InvalidSpec", "spec.containers: none"))
    with pytest.raises(LoadError, match=r"spec\.containers: none"):
        cluster.ask()
    cluster.remove(REVISION, KEY[1])
    cluster.tell(REVISION, revision())
    assert cluster.ask().error is None


def test_who_waits_is_told_that_no_pod_could_be_made() -> None:
    """Who comes later waits: it is tried again, and a quota may have room by then."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    waiting = cluster.ask()
    cluster.tell(REVISION, with_ready("False", "FailedCreate", "exceeded quota"))
    assert isinstance(waiting.error, LoadError)
    assert "exceeded quota" in str(waiting.error)
    later = cluster.ask()
    cluster.tell(REVISION, with_ready("False", "FailedCreate", "exceeded quota"))
    assert later.error is None


def test_what_a_revision_says_of_its_last_pods_is_not_held_against_the_next() -> None:
    """They are gone, and it is tried again."""
    cluster = Cluster()
    cluster.tell(REVISION, with_ready("False", "ExitCode1", "Container failed with: no model"))
    waiting = cluster.ask()
    cluster.tell(POD, pod("p", container(running=RUNNING)))
    assert waiting.error is None


def test_a_pod_of_no_revision_is_nobodys() -> None:
    """And forgotten at once."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    cluster.tell(POD, pod("p", BROKEN, labels={}))
    assert cluster.ask().error is None
    assert cluster.throttlers._starting == {}


# --- the autoscaler ------------------------------------------------------------------------------------------------


def test_reports_are_of_revisions_with_requests_or_pods() -> None:
    """Ten thousand that sleep cost the autoscaler nothing."""
    cluster = Cluster()
    for number in range(100):
        cluster.tell(REVISION, revision(f"asleep-{number}"))
    cluster.tell(REVISION, revision())
    cluster.ask()
    assert [report.revision for report in cluster.throttlers.report(cluster.clock.monotonic())] == [KEY]


def test_what_is_not_known_may_be_frozen() -> None:
    """A Deployment may outlive its Revision by a moment."""
    cluster = Cluster()
    assert cluster.throttlers.freeze_if_idle(KEY)
    cluster.throttlers.thaw(KEY)
    cluster.tell(REVISION, revision())
    cluster.ask()
    assert not cluster.throttlers.freeze_if_idle(KEY)


def test_at_the_end_whoever_waits_is_told() -> None:
    """Nobody hangs on a door that is gone."""
    cluster = Cluster()
    cluster.tell(REVISION, revision())
    cluster.throttlers.expect((KEY[0], "app-2"))
    client = cluster.ask()
    cluster.throttlers.close()
    assert isinstance(client.error, UnavailableError)
    cluster.pass_time(EXPECTED_S + 1)
    assert list(cluster.throttlers) == []
