"""How far a pod is, in one word."""

from __future__ import annotations

from typing import Any

import pytest

from activator.waiting import stages
from activator.waiting.stages import QUEUE, READY, SCHEDULE, START, WAKE, Stage
from tests.activator.throttle.objects import BACK_OFF, RUNNING, container, pod
from torpor.spec import names
from torpor.spec.kinds import Object


@pytest.mark.parametrize(
    ("obj", "stage"),
    [
        pytest.param(None, WAKE, id="no pod"),
        pytest.param(pod("p"), SCHEDULE, id="no containers"),
        pytest.param(pod("p", container(waiting=BACK_OFF)), SCHEDULE, id="none runs"),
        pytest.param(pod("p", container(waiting=BACK_OFF), container(running=RUNNING)), START, id="one runs"),
    ],
)
def test_by_its_status(obj: Object | None, stage: Stage) -> None:
    """All that is known of pods that do not report."""
    assert stages.of_pod(obj) == stage


def progress(*names: str, **rest: object) -> dict[str, Any]:
    return {"state": "loading", "stages": [{"name": name, "seconds": None} for name in names], **rest}


@pytest.mark.parametrize(
    ("document", "stage"),
    [
        pytest.param(progress("resolve", "fetch", bytes_done=42, bytes_total=100), Stage("fetch", 42), id="fetch"),
        pytest.param(progress("fetch", bytes_done=1, bytes_total=None), Stage("fetch"), id="of unknown length"),
        pytest.param(progress("fetch", bytes_done=5, bytes_total=0), Stage("fetch"), id="of nothing"),
        pytest.param(progress("fetch", bytes_done=120, bytes_total=100), Stage("fetch", 100), id="more than expected"),
        pytest.param(progress("fetch", "open", bytes_done=100, bytes_total=100), Stage("open"), id="a later one"),
        pytest.param({"state": "ready", "stages": []}, READY, id="ready"),
        pytest.param(progress(), None, id="none yet"),
        pytest.param(progress("a\r\nb"), None, id="a word of its own"),
        pytest.param({"stages": ["fetch"]}, None, id="another form"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_by_its_own_report(document: dict[str, Any], stage: Stage | None) -> None:
    """What is not understood is not passed on: it would stand on a line of its own."""
    assert stages.of_progress(document) == stage


def test_of_several_the_first_counts() -> None:
    """It ends the wait."""
    assert stages.furthest([START, Stage("fetch", 10), Stage("fetch", 70), SCHEDULE]) == Stage("fetch", 70)
    assert stages.furthest([]) == WAKE
    assert QUEUE.name not in {WAKE.name, READY.name}


def reporting(port: str | None = None, ip: str | None = "192.0.2.1", **spec: object) -> Object:
    annotations = {names.PROGRESS_PATH: "/progress"} | ({} if port is None else {names.POD_PORT: port})
    obj = pod("p", container(running=RUNNING), annotations=annotations)
    obj["status"]["podIP"] = ip
    return {**obj, "spec": spec}


@pytest.mark.parametrize(
    ("obj", "where"),
    [
        pytest.param(reporting(), ("192.0.2.1", 8080, "/progress"), id="no port declared"),
        pytest.param(
            reporting(containers=[{}, {"ports": [{"containerPort": 9000}]}]),
            ("192.0.2.1", 9000, "/progress"),
            id="a declared port",
        ),
        pytest.param(reporting("31000"), ("192.0.2.1", 31000, "/progress"), id="a laptop's pod"),
        pytest.param(reporting("none"), None, id="a port that is none"),
        pytest.param(reporting(ip=None), None, id="no address yet"),
        pytest.param(pod("p", container(running=RUNNING)), None, id="it does not report"),
        pytest.param(
            pod("p", container(waiting=BACK_OFF), annotations={names.PROGRESS_PATH: "/p"}), None, id="it does not run"
        ),
    ],
)
def test_where_a_pod_is_asked(obj: Object, where: tuple[str, int, str] | None) -> None:
    """While it starts it is in no endpoints: its own object says where it listens."""
    assert stages.report_of(obj) == where
