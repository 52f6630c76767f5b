"""A Configuration: a Revision per generation, and which one is the latest ready."""

from __future__ import annotations

import pytest

from controller.knative.reconcile.configuration import Seen, reconcile
from controller.plan import NOTHING
from tests.controller.knative.objects import (
    LATER,
    NOW,
    OPTIONS,
    configuration,
    created,
    marks,
    revision,
    settled_configuration,
    stored,
    template,
    with_status,
)
from torpor.spec import names
from torpor.spec.kinds import REVISION, Object


def look(obj: Object, *revisions: Object, namesake: Object | None = None, now: str = NOW) -> Object:
    """Return the status after a look; fails if anything else is to be done."""
    plan = reconcile(obj, Seen(revisions, namesake), OPTIONS, now)
    assert (plan.creates, plan.replaces, plan.deletes) == ((), (), ())
    assert plan.status is not None
    return plan.status


def test_the_first_generation_makes_the_first_revision() -> None:
    """Named by generation, owned, labelled, with the template's own labels and annotations and Knative's defaults."""
    template_ = template(annotations={"autoscaling.knative.dev/max-scale": "2"})
    template_["metadata"]["labels"] = {"team": "a"}
    obj = configuration(template_=template_)
    obj["metadata"]["annotations"] = {names.CREATOR: "me", "not": "handed on"}
    plan = reconcile(obj, Seen(), OPTIONS, NOW)
    assert created(plan) == [("Revision", "svc-00001")]
    made = plan.creates[0].obj
    assert made["metadata"]["labels"] == {
        "team": "a",
        names.SERVICE: "svc",
        names.SERVICE_UID: "uid-of-Service-svc",
        names.CONFIGURATION: "svc",
        names.CONFIGURATION_GENERATION: "1",
        names.CONFIGURATION_UID: "uid-of-Configuration-svc",
        names.ROUTING_STATE: "pending",
    }
    assert made["metadata"]["annotations"] == {
        "autoscaling.knative.dev/max-scale": "2",
        names.CREATOR: "me",
        names.ROUTING_STATE_MODIFIED: NOW,
    }
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-of-Configuration-svc"
    assert made["spec"] == {
        "containerConcurrency": 0,
        "timeoutSeconds": 300,
        "containers": [{"name": "user-container", "image": "example.com/app"}],
    }
    assert plan.status is not None
    assert plan.status["latestCreatedRevisionName"] == "svc-00001"
    assert "latestReadyRevisionName" not in plan.status
    assert marks(plan.status) == {"Ready": ("Unknown", "", "")}
    assert [note.message for note in plan.notes] == ['Created Revision "svc-00001"']


def test_a_long_name_is_shortened_so_that_the_revision_has_a_valid_one() -> None:
    """63 characters are what a label value and a DNS name may have."""
    obj = configuration()
    obj["metadata"]["name"] = "a" * 63
    [(_, name)] = created(reconcile(obj, Seen(), OPTIONS, NOW))
    assert len(name) == 63
    assert name.endswith("-00001")


@pytest.mark.parametrize(
    ("revisions", "generation", "latest_ready", "ready"),
    [
        pytest.param([(1, "")], 1, None, ("Unknown", "", ""), id="the only one is not ready yet"),
        pytest.param([(1, "True")], 1, 1, ("True", "", ""), id="the only one is ready"),
        pytest.param(
            [(1, "False")],
            1,
            None,
            ("False", "RevisionFailed", 'Revision "svc-00001" failed with message: no.'),
            id="the only one failed",
        ),
        pytest.param(
            [(1, "True"), (2, "")], 2, 1, ("Unknown", "", ""), id="the new one is not ready: the old one stays"
        ),
        pytest.param(
            [(1, "True"), (2, "False")],
            2,
            1,
            ("False", "RevisionFailed", 'Revision "svc-00002" failed with message: no.'),
            id="the new one failed: the old one stays",
        ),
        pytest.param([(1, "True"), (2, "True")], 2, 2, ("True", "", ""), id="the new one is ready"),
        pytest.param(
            [(1, "True"), (2, "True"), (3, "")],
            3,
            2,
            ("Unknown", "", ""),
            id="the newest that is ready, not the oldest",
        ),
        pytest.param([(9, "True"), (10, "True")], 10, 10, ("True", "", ""), id="ten is more than nine"),
    ],
)
def test_latest_ready(
    revisions: list[tuple[int, str]], generation: int, latest_ready: int | None, ready: tuple[str, str, str]
) -> None:
    """Traffic to the latest revision goes to the newest one that is ready, and never to one that is not."""
    made = [revision(number, ready=said, reason="X", message="no") for number, said in revisions]
    status = look(configuration(generation=generation), *made)
    assert status.get("latestReadyRevisionName") == (latest_ready and f"svc-{latest_ready:05d}")
    assert status["latestCreatedRevisionName"] == f"svc-{generation:05d}"
    assert marks(status)["Ready"] == ready


def test_the_latest_ready_one_does_not_go_back_while_it_is_there() -> None:
    """One that was ready once takes the traffic until a newer one is ready, whatever it says of itself now."""
    first = settled_configuration(revision(1, ready="True"), revision(2, ready="True"), generation=2)
    status = look(first, revision(1, ready="True"), revision(2, ready="False", message="gone bad"))
    assert status["latestReadyRevisionName"] == "svc-00002"


def test_the_latest_ready_one_was_deleted() -> None:
    """Then an older one that is ready takes its place, and one is made anew for the current generation."""
    before = settled_configuration(revision(1, ready="True"), revision(2, ready="True"), generation=2)
    plan = reconcile(before, Seen((revision(1, ready="True"),)), OPTIONS, LATER)
    assert created(plan) == [("Revision", "svc-00002")]
    assert plan.status is not None
    assert plan.status["latestReadyRevisionName"] == "svc-00001"


def test_nothing_is_left_to_do_after_one_look() -> None:
    """Looking again, later, finds nothing."""
    obj = settled_configuration(revision(ready="True"))
    assert reconcile(obj, Seen((revision(ready="True"),)), OPTIONS, LATER) == NOTHING


def test_a_name_of_ones_own() -> None:
    """The template may name its revision."""
    obj = configuration(template_=template(name="svc-blue"))
    assert created(reconcile(obj, Seen(), OPTIONS, NOW)) == [("Revision", "svc-blue")]


def blue(image: str = "example.com/app") -> Object:
    """A revision that an earlier generation's template named `svc-blue`."""
    return revision(1, ready="True", template_=template(image, name="svc-blue"))


EXISTS = 'Revision creation failed with message: revisions.serving.knative.dev "svc-blue" already exists.'


@pytest.mark.parametrize(
    ("namesake", "ready"),
    [
        pytest.param(blue(), ("True", "", ""), id="the same template again: the same revision"),
        pytest.param(blue("example.com/other"), ("False", "RevisionFailed", EXISTS), id="another template"),
        pytest.param(
            stored(REVISION, {"metadata": {"name": "svc-blue"}, "spec": blue()["spec"]}),
            ("False", "RevisionFailed", EXISTS),
            id="somebody else's",
        ),
    ],
)
def test_a_name_used_again(namesake: Object, ready: tuple[str, str, str]) -> None:
    """A revision never changes: its name can only mean the same again."""
    obj = configuration(generation=3, template_=template(name="svc-blue"))
    mine = (namesake,) if "ownerReferences" in namesake["metadata"] else ()
    status = look(obj, *mine, namesake=namesake)
    assert marks(status)["Ready"] == ready


@pytest.mark.parametrize(
    ("template_", "says"),
    [
        pytest.param({"spec": {"containers": []}}, "at least one container", id="no container"),
        pytest.param(
            template(annotations={"autoscaling.knative.dev/min-scale": "many"}), "min-scale", id="a wrong annotation"
        ),
        pytest.param(template(name="other"), "must begin with svc-", id="a name that does not fit"),
        pytest.param({}, "at least one container", id="nothing"),
    ],
)
def test_a_template_that_makes_no_sense(template_: Object, says: str) -> None:
    """Where no webhook refused it, the Configuration says what is wrong, and the old revision goes on."""
    before = settled_configuration(revision(ready="True"))
    changed = configuration(generation=2, template_=template_, status=before["status"])
    status = look(changed, revision(ready="True"))
    state, reason, message = marks(status)["Ready"]
    assert (state, reason) == ("False", "RevisionFailed")
    assert message.startswith("Revision creation failed with message: ")
    assert says in message
    assert status["latestReadyRevisionName"] == "svc-00001"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param("", "True", ["ConfigurationReady", "LatestReadyUpdate"], id="it becomes ready"),
        pytest.param("", "False", ["LatestCreatedFailed"], id="it fails"),
        pytest.param("False", "False", [], id="it goes on failing"),
        pytest.param("True", "True", [], id="it goes on being ready"),
    ],
)
def test_events(before: str, after: str, told: list[str]) -> None:
    """What happened is told once."""
    obj = settled_configuration(revision(ready=before, message="no"))
    plan = reconcile(obj, Seen((revision(ready=after, message="no"),)), OPTIONS, NOW)
    assert [note.reason for note in plan.notes] == told


def test_only_new_traffic_makes_no_revision() -> None:
    """Metadata and traffic of a Service leave the Configuration's generation as it is."""
    obj = with_status(configuration(), reconcile(configuration(), Seen((revision(),)), OPTIONS, NOW))
    obj["metadata"] = obj["metadata"] | {"annotations": {"changed": "yes"}}
    assert reconcile(obj, Seen((revision(),)), OPTIONS, LATER) == NOTHING
