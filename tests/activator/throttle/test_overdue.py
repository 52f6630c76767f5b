"""The times that a revision gives its pods."""

from __future__ import annotations

import pytest

from activator.throttle.overdue import overdue
from torpor.spec.knative import RevisionLimits

LIMITS = RevisionLimits(concurrency=1, timeout_s=10, response_start_timeout_s=3, idle_timeout_s=2)
PATIENT = RevisionLimits(concurrency=1, timeout_s=10, response_start_timeout_s=3, idle_timeout_s=None)


@pytest.mark.parametrize(
    ("limits", "age_s", "quiet_s", "begun", "endless", "says"),
    [
        pytest.param(LIMITS, 3, 2, False, False, None, id="exactly-in-time"),
        pytest.param(LIMITS, 3.1, 0, False, False, "did not begin to answer within 3 s", id="no-first-byte"),
        pytest.param(LIMITS, 9, 1, True, False, None, id="it-has-begun"),
        pytest.param(LIMITS, 10.1, 0, True, False, "did not finish its answer within 10 s", id="no-end"),
        pytest.param(LIMITS, 10.1, 0, True, True, None, id="a-tunnel-may-last"),
        pytest.param(LIMITS, 5, 2.1, True, False, "sent nothing for 2 s", id="silent"),
        pytest.param(LIMITS, 50, 2.1, True, True, "sent nothing for 2 s", id="a-silent-tunnel"),
        pytest.param(PATIENT, 5, 5, True, False, None, id="silence-without-a-limit"),
        pytest.param(LIMITS, 11, 9, False, False, "did not begin to answer within 3 s", id="first-things-first"),
    ],
)
def test_what_a_pod_has_overrun(
    *,
    limits: RevisionLimits,
    age_s: float,
    quiet_s: float,
    begun: bool,
    endless: bool,
    says: str | None,
) -> None:
    """A time is overrun when more than it has passed."""
    assert overdue(limits, age_s=age_s, quiet_s=quiet_s, begun=begun, endless=endless) == says
