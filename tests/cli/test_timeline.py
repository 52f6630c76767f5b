"""A cold start as stages on one line of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.cli.timeline import LoadStage, Progress, Stage, parse_cold_start, parse_progress, timeline

SENT = 1000.0


def progress(**changes: object) -> Progress:
    known = {
        "state": "loading",
        "listening_at": SENT + 0.6,
        "ready_at": None,
        "bytes_done": 0,
        "bytes_total": None,
        "stages": (),
        "error": "",
    }
    return Progress(**(known | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "stages"),
    [
        pytest.param({}, [("wake", 0.0, None)], id="nothing-known-yet"),
        pytest.param({"pod_at": SENT + 0.5}, [("wake", 0.0, 0.5), ("start", 0.5, None)], id="a-pod-without-report"),
        pytest.param(
            {"pod_at": SENT - 5},
            [("wake", 0.0, 0.0), ("start", 0.0, None)],
            id="a-pod-that-was-there-before-cost-no-wait",
        ),
        pytest.param(
            {"pod_at": SENT + 0.5, "ready_at": SENT + 1, "answered_at": SENT + 1.5},
            [("wake", 0.0, 0.5), ("start", 0.5, 0.5), ("answer", 1.0, 0.5)],
            id="a-pod-that-reports-no-progress",
        ),
        pytest.param(
            {"pod_at": SENT + 0.5, "progress": progress(stages=(LoadStage("fetch", SENT + 0.75, None, 5),))},
            [("wake", 0.0, 0.5), ("start", 0.5, 0.1), ("fetch", 0.75, None)],
            id="in-the-middle-of-a-load",
        ),
        pytest.param(
            {
                "pod_at": SENT + 0.5,
                "progress": progress(ready_at=SENT + 2, stages=(LoadStage("open", SENT + 1, 1.0, 0),)),
                "answered_at": SENT + 2.25,
            },
            [("wake", 0.0, 0.5), ("start", 0.5, 0.1), ("open", 1.0, 1.0), ("answer", 2.0, 0.25)],
            id="answered",
        ),
    ],
)
def test_stages(arguments: dict[str, object], stages: list[tuple[str, float, float | None]]) -> None:
    """Every stage begins where it began, and the last one goes on until the answer is here."""
    found = timeline(SENT, **arguments)  # type: ignore[arg-type]
    assert [(stage.name, pytest.approx(stage.began_s), stage.seconds) for stage in found] == [
        (name, began, seconds if seconds is None else pytest.approx(seconds)) for name, began, seconds in stages
    ]


def test_bytes_of_how_many_are_shown_while_they_come() -> None:
    """The whole is of interest only as long as it is not reached."""
    moving = progress(bytes_total=100, stages=(LoadStage("fetch", SENT + 1, None, 40),))
    done = progress(bytes_total=100, stages=(LoadStage("fetch", SENT + 1, 1.0, 100),))
    assert timeline(SENT, pod_at=SENT, progress=moving)[-1] == Stage("fetch", 1.0, None, 40, 100)
    assert timeline(SENT, pod_at=SENT, progress=done)[-1] == Stage("fetch", 1.0, 1.0, 100, None)


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.one_of(st.none(), st.floats(0, 100)))),
    st.one_of(st.none(), st.floats(0, 1e4)),
    st.one_of(st.none(), st.floats(0, 1e4)),
)
def test_no_stage_is_before_the_request_or_lasts_less_than_nothing(
    loads: list[tuple[float, float | None]], pod_at: float | None, ready_at: float | None
) -> None:
    """Clocks of several processes may disagree; the picture stays a picture."""
    seen = progress(ready_at=ready_at, stages=tuple(LoadStage("open", at, seconds, 0) for at, seconds in loads))
    for stage in timeline(SENT, pod_at=pod_at, progress=seen, answered_at=SENT + 1):
        assert stage.began_s >= 0
        assert stage.seconds is None or stage.seconds >= 0


def test_what_a_predictor_reports_is_read() -> None:
    """The document of `/progress`, and one of a server that reports less."""
    document = {
        "state": "failed",
        "listening_at": 2.0,
        "ready_at": None,
        "bytes_done": 3,
        "bytes_total": 10,
        "stages": [{"name": "fetch", "started_at": 1.0, "seconds": None, "bytes": 3}],
        "error": {"stage": "fetch", "message": "no such bucket"},
    }
    read = parse_progress(document)
    assert (read.state, read.error, read.stages) == (
        "failed",
        "fetch: no such bucket",
        (LoadStage("fetch", 1.0, None, 3),),
    )
    assert parse_progress({}).state == "loading"


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        pytest.param("", {}, id="absent"),
        pytest.param("queue=1.234;start=0.4", {"queue": 1.234, "start": 0.4}, id="two-parts"),
        pytest.param("queue=1.5; first-byte=x", {"queue": 1.5}, id="what-is-no-number-is-left-out"),
    ],
)
def test_the_header_is_read(header: str, parts: dict[str, float]) -> None:
    """`Torpor-Cold-Start` names seconds."""
    assert parse_cold_start(header) == parts
