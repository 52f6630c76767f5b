"""What is known of a wake, and what of it is shown where no terminal is."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tests.support.clock import FakeClock
from torpor.cli.timeline import parse_progress
from torpor.cli.view import show_wake
from torpor.cli.wake import Wake, is_ready, pod_note


def pod(*, ready: str = "False", ending: bool = False, **container: Any) -> dict[str, Any]:
    metadata = {"name": "m-x7k2p", "uid": "u"} | ({"deletionTimestamp": "2026-11-24T00:00:00Z"} if ending else {})
    status = {"conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [container]}
    return {"metadata": metadata, "status": status}


@pytest.mark.parametrize(
    ("seen", "ready"),
    [
        pytest.param(pod(ready="True"), True, id="ready"),
        pytest.param(pod(), False, id="not-ready"),
        pytest.param(pod(ready="True", ending=True), False, id="ending"),
        pytest.param({"metadata": {"name": "new"}}, False, id="without-status"),
    ],
)
def test_which_pods_answer(seen: dict[str, Any], ready: bool) -> None:  # noqa: FBT001
    """A pod that is ending is as good as none."""
    assert is_ready(seen) is ready


@pytest.mark.parametrize(
    ("container", "note"),
    [
        pytest.param({}, "m-x7k2p", id="nothing-to-say"),
        pytest.param({"state": {"waiting": {"reason": "ContainerCreating"}}}, "m-x7k2p", id="on-its-way"),
        pytest.param(
            {"state": {"waiting": {"reason": "ErrImageNeverPull", "message": "no command"}}},
            "m-x7k2p: ErrImageNeverPull: no command",
            id="cannot-start",
        ),
        pytest.param(
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                "lastState": {"terminated": {"reason": "Error", "message": "fetch: no such bucket\n"}},
            },
            "m-x7k2p: CrashLoopBackOff: fetch: no such bucket",
            id="its-last-words-are-better-than-the-back-off",
        ),
    ],
)
def test_what_a_pod_says(container: dict[str, Any], note: str) -> None:
    """One line: its name, and what holds it up."""
    assert pod_note(pod(**container)) == note


def test_lines_for_a_pipe_come_once_and_in_order() -> None:
    """Each stage when it has ended; the pod when it has something to say."""
    clock, out = FakeClock(), io.StringIO()
    with show_wake("m", clock, Console(file=out, width=80, highlight=False)) as wake:
        begin = clock.wall()
        clock.advance(0.25)
        wake.saw_pod(pod())
        wake.saw_pod(pod())
        clock.advance(1.75)
        wake.saw_progress(
            parse_progress(
                {
                    "state": "ready",
                    "listening_at": begin + 0.75,
                    "ready_at": begin + 2,
                    "stages": [{"name": "fetch", "started_at": begin + 1, "seconds": 0.5, "bytes": 1_000_000}],
                }
            )
        )
        clock.advance(0.5)
        wake.answered()
    assert out.getvalue().splitlines() == [
        "m is at zero; waking it",
        "m-x7k2p",
        "wake       0.250 s",
        "start      0.500 s",
        "fetch      0.500 s  1.0 MB, 2.0 MB/s",
        "answer     0.500 s",
    ]


async def test_a_wake_is_settled_when_the_last_report_is_here() -> None:
    """Who asked for the picture waits for it, but only as long as it is worth."""
    wake = Wake(FakeClock(), lambda: None)
    wake.saw_progress(parse_progress({"state": "ready"}))
    await wake.settled()
