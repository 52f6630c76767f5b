"""Limits, traffic and conditions of Knative's objects."""

from __future__ import annotations

from typing import Any

import pytest

from torpor.errors import InvalidInputError
from torpor.spec.fields import Fields
from torpor.spec.knative import RevisionLimits, Target, condition, parse_limits, parse_traffic


def spec(**raw: Any) -> Fields:
    return Fields(raw, "spec")


@pytest.mark.parametrize(
    ("raw", "limits"),
    [
        pytest.param({}, RevisionLimits(0, 300.0, 300.0, None), id="Knative's defaults"),
        pytest.param({"containerConcurrency": 7}, RevisionLimits(7, 300.0, 300.0, None), id="concurrency"),
        pytest.param({"timeoutSeconds": 60}, RevisionLimits(0, 60.0, 60.0, None), id="first byte within the timeout"),
        pytest.param({"timeoutSeconds": 0}, RevisionLimits(0, 300.0, 300.0, None), id="zero is the default"),
        pytest.param(
            {"timeoutSeconds": 60, "responseStartTimeoutSeconds": 5, "idleTimeoutSeconds": 9},
            RevisionLimits(0, 60.0, 5.0, 9.0),
            id="all three",
        ),
        pytest.param({"timeoutSeconds": 86400}, RevisionLimits(0, 86400.0, 86400.0, None), id="a day"),
    ],
)
def test_limits(raw: dict[str, Any], limits: RevisionLimits) -> None:
    """What a revision asks of the door in front of it."""
    assert parse_limits(spec(**raw)) == limits


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"containerConcurrency": 1001}, "spec.containerConcurrency: 1001 .* from 0 to 1000"),
        ({"containerConcurrency": -1}, "spec.containerConcurrency: -1 .* from 0 to 1000"),
        ({"timeoutSeconds": 86401}, "spec.timeoutSeconds: 86401 .* from 0 to 86400"),
        ({"timeoutSeconds": 9, "responseStartTimeoutSeconds": 10}, "responseStartTimeoutSeconds: 10 .* which is 9"),
        ({"timeoutSeconds": 9, "idleTimeoutSeconds": 10}, "idleTimeoutSeconds: 10 .* which is 9"),
    ],
)
def test_limits_out_of_range(raw: dict[str, Any], message: str) -> None:
    """Field, value and range."""
    with pytest.raises(InvalidInputError, match=message):
        parse_limits(spec(**raw))


def test_traffic() -> None:
    """Latest, a named revision with a tag, and a configuration, in their order."""
    traffic = [
        {"latestRevision": True, "percent": 90},
        {"revisionName": "r1", "latestRevision": False, "percent": 10, "tag": "old"},
        {"configurationName": "c", "tag": "next"},
    ]
    assert parse_traffic(spec(traffic=traffic)) == (
        Target(None, None, 90, ""),
        Target("r1", None, 10, "old"),  # type: ignore[arg-type]
        Target(None, "c", 0, "next"),
    )
    assert parse_traffic(spec()) == ()


@pytest.mark.parametrize(
    ("traffic", "message"),
    [
        ([{"percent": 99}], "spec.traffic: 99 .* sum to 100"),
        ([{"percent": 50, "tag": "a"}, {"percent": 50, "tag": "a"}], "spec.traffic: 'a' .* once"),
        ([{"percent": 100, "revisionName": "r", "configurationName": "c"}], "configurationName.* not both"),
        ([{"percent": 100, "revisionName": "r", "latestRevision": True}], r"\[0\].latestRevision: True"),
        ([{"percent": 100, "latestRevision": False}], r"\[0\].latestRevision: False"),
        ([{"percent": 100, "tag": "Not DNS"}], r"\[0\].tag: 'Not DNS'"),
        ([{"percent": 101}], r"\[0\].percent: 101 .* from 0 to 100"),
        ([{"percent": True}], r"\[0\].percent: True"),
        ([3], r"spec.traffic\[0\]: 3 .* an object"),
    ],
)
def test_traffic_that_makes_no_sense(traffic: list[Any], message: str) -> None:
    """Percents sum to 100, tags are unique, and each target is clear."""
    with pytest.raises(InvalidInputError, match=message):
        parse_traffic(spec(traffic=traffic))


@pytest.mark.parametrize(
    ("obj", "status"),
    [
        ({}, "Unknown"),
        ({"status": None}, "Unknown"),
        ({"status": {"conditions": [{"type": "Other", "status": "True"}]}}, "Unknown"),
        ({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, "False"),
        ({"status": {"conditions": [{"type": "Ready"}]}}, "Unknown"),
    ],
)
def test_condition(obj: dict[str, Any], status: str) -> None:
    """What was not reported yet is Unknown."""
    assert condition(obj, "Ready") == status
