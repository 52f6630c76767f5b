"""How a cold start's time was spent, from whoever knows it."""

from __future__ import annotations

from typing import Any

import pytest

from activator.throttle import coldstart
from activator.throttle.pod import Stages
from tests.activator.throttle.objects import BACK_OFF, container, pod
from torpor.cli.timeline import parse_cold_start
from torpor.spec.kinds import Object

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("document", "stages"),
    [
        pytest.param(
            {"started_at": 10.0, "listening_at": 10.5, "ready_at": 13}, Stages(0.5, 2.5), id="all three times"
        ),
        pytest.param({"started_at": 10.0, "listening_at": 10.5, "ready_at": None}, Stages(0.5, None), id="not ready"),
        pytest.param({"started_at": 10.0, "listening_at": 9.9, "ready_at": 9.8}, Stages(0.0, 0.0), id="a clock set"),
        pytest.param({"listening_at": 10.5, "ready_at": 13.0}, None, id="no start"),
        pytest.param({"started_at": "soon", "listening_at": 10.5}, None, id="no number"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_a_pod_says_itself(document: dict[str, Any], stages: Stages | None) -> None:
    """What another server leaves out is unknown, not an error."""
    assert coldstart.from_progress(document) == stages


STARTED = container(running={"startedAt": "2025-12-31T23:59:50Z"})
LATER = container(running={"startedAt": "2025-12-31T23:59:55Z"})


@pytest.mark.parametrize(
    ("obj", "stages"),
    [
        pytest.param(pod("p", STARTED, since="2025-12-31T23:59:53Z", ready=True), Stages(3.0, None), id="ready"),
        pytest.param(pod("p", STARTED, since="2025-12-31T23:59:40Z"), Stages(10.0, None), id="ready by now"),
        pytest.param(pod("p", LATER, STARTED), Stages(10.0, None), id="two containers"),
        pytest.param(pod("p", container(waiting=BACK_OFF)), None, id="nothing runs"),
        pytest.param(pod("p"), None, id="nothing known"),
    ],
)
def test_kubernetes_says_it_of_pods_that_do_not(obj: Object, stages: Stages | None) -> None:
    """To the second; the slice may tell of readiness before the pod's own status does."""
    assert coldstart.from_status(obj, NOW_S) == stages


@pytest.mark.parametrize(
    ("stages", "parts"),
    [
        pytest.param(Stages(0.4, 1.2), {"queue": 2.5, "start": 0.4, "load": 1.2, "first-byte": 0.03}, id="all"),
        pytest.param(Stages(0.4, None), {"queue": 2.5, "start": 0.4, "first-byte": 0.03}, id="no load"),
        pytest.param(None, {"queue": 2.5, "first-byte": 0.03}, id="nothing from the pod"),
    ],
)
def test_the_header_is_what_the_command_line_reads(stages: Stages | None, parts: dict[str, float]) -> None:
    """Parts that are not known are left out."""
    line = coldstart.header(2.5, 0.03, stages)
    assert line.endswith(b"\r\n")
    name, _, value = line.decode().strip().partition(": ")
    assert name == "Torpor-Cold-Start"
    assert parse_cold_start(value) == parts
