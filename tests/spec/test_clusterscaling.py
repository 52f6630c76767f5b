"""The cluster's defaults: every one equals Knative's; what cannot be used stays as it was."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.spec.autoscaling import Defaults, parse_scaling
from torpor.spec.clusterscaling import KEYS, SCALING

KNATIVE = {
    "container-concurrency-target-percentage": "70",
    "container-concurrency-target-default": "100",
    "requests-per-second-target-default": "200",
    "target-burst-capacity": "211",
    "stable-window": "60s",
    "panic-window-percentage": "10.0",
    "panic-threshold-percentage": "200.0",
    "max-scale-up-rate": "1000.0",
    "max-scale-down-rate": "2.0",
    "enable-scale-to-zero": "true",
    "scale-to-zero-grace-period": "30s",
    "scale-to-zero-pod-retention-period": "0s",
    "scale-down-delay": "0s",
    "initial-scale": "1",
    "min-scale": "0",
    "max-scale": "0",
    "max-scale-limit": "0",
    "activator-capacity": "100.0",
}
"""The `_example` block of Knative Serving's config/core/configmaps/autoscaler.yaml, key by key."""
OUR_OWN = {"allow-zero-initial-scale": "true"}
"""The one that differs (Knative: false), see decision 0007: to sleep from the start is what scale to zero is for."""


@pytest.mark.parametrize(("key", "value"), [pytest.param(*item, id=item[0]) for item in (KNATIVE | OUR_OWN).items()])
def test_each_default_equals_knatives(key: str, value: str) -> None:
    """Writing down what Knative documents as its default changes nothing."""
    read, errors = SCALING.read({key: value}, Defaults())
    assert (read, errors) == (Defaults(), [])


def test_every_key_is_in_the_table_and_every_field_has_a_key() -> None:
    """No default can be added without a word on Knative's."""
    assert set(KEYS) == set(KNATIVE | OUR_OWN)
    assert {name for name, _ in KEYS.values()} == {each.name for each in fields(Defaults)}


@pytest.mark.parametrize(
    ("key", "raw", "field", "value"),
    [
        ("container-concurrency-target-percentage", "0.5", "utilization", 0.5),
        ("container-concurrency-target-percentage", "100", "utilization", 1.0),
        ("container-concurrency-target-default", "7.5", "concurrency_target", 7.5),
        ("target-burst-capacity", "-1", "target_burst_capacity", -1.0),
        ("stable-window", "1m30s", "stable_window_s", 90.0),
        ("panic-threshold-percentage", "150", "panic_threshold", 1.5),
        ("enable-scale-to-zero", "F", "enable_scale_to_zero", False),
        ("scale-to-zero-grace-period", "2h", "scale_to_zero_grace_period_s", 7200.0),
        ("max-scale", "3", "max_scale", 3),
        ("initial-scale", "0", "initial_scale", 0),
    ],
)
def test_values(key: str, raw: str, field: str, value: object) -> None:
    """Values are read as Knative reads them, and nothing else changes."""
    read, errors = SCALING.read({key: raw, "_example": "…", "unknown-key": "x"}, Defaults())
    assert errors == []
    assert getattr(read, field) == value
    assert len(SCALING.differences(Defaults(), read)) == 1
    assert key in SCALING.differences(Defaults(), read)[0]


BAD = [
    ("container-concurrency-target-percentage", "0"),
    ("container-concurrency-target-percentage", "101"),
    ("container-concurrency-target-default", "0.001"),
    ("requests-per-second-target-default", "nan"),
    ("target-burst-capacity", "-0.5"),
    ("stable-window", "5s"),
    ("stable-window", "60"),
    ("stable-window", "6.5s"),
    ("stable-window", "61m"),
    ("panic-window-percentage", "0.5"),
    ("panic-threshold-percentage", "109"),
    ("max-scale-up-rate", "1"),
    ("max-scale-down-rate", "1.0"),
    ("enable-scale-to-zero", "yes"),
    ("scale-to-zero-grace-period", "5s"),
    ("scale-to-zero-pod-retention-period", "-1s"),
    ("scale-down-delay", "1.5s"),
    ("initial-scale", "-1"),
    ("initial-scale", "1_0"),
    ("allow-zero-initial-scale", ""),
    ("min-scale", "2147483648"),
    ("max-scale", "three"),
    ("max-scale-limit", "1"),  # max-scale is 0, no limit
    ("activator-capacity", "0.9"),
    ("pod-autoscaler-class", "hpa.autoscaling.knative.dev"),
]


@pytest.mark.parametrize(("key", "raw"), BAD, ids=lambda value: str(value) or "empty")
def test_a_bad_value_keeps_what_was_there_and_is_named(key: str, raw: str) -> None:
    """The error names key and value; the last good value stays, and all other keys are read."""
    before, _ = SCALING.read({"min-scale": "0", "max-scale-down-rate": "4"}, Defaults())
    other = "requests-per-second-target-default" if key != "requests-per-second-target-default" else "stable-window"
    good = {"requests-per-second-target-default": "50", "stable-window": "30s"}[other]
    read, errors = SCALING.read({"max-scale-down-rate": "4", other: good, key: raw}, before)
    assert len(errors) == 1
    assert raw in str(errors[0])
    assert "data[" in errors[0].field
    assert len(SCALING.differences(before, read)) == 1, "the other key alone"


def test_an_absent_key_is_the_default_again() -> None:
    """What is taken out of the ConfigMap holds no longer."""
    before, _ = SCALING.read({"stable-window": "30s", "max-scale": "4"}, Defaults())
    assert SCALING.read({"max-scale": "4"}, before)[0] == SCALING.read({"max-scale": "4"}, Defaults())[0]
    assert SCALING.read({}, before) == (Defaults(), [])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        pytest.param({"min-scale": "3", "max-scale": "2"}, "data[min-scale]", id="min over max"),
        pytest.param({"max-scale": "9", "max-scale-limit": "5"}, "data[max-scale]", id="max over its limit"),
        pytest.param(
            {"max-scale": "7", "initial-scale": "0", "allow-zero-initial-scale": "false"},
            "data[initial-scale]",
            id="zero not allowed",
        ),
    ],
)
def test_values_that_do_not_fit_each_other_stay_together_as_they_were(data: dict[str, str], field: str) -> None:
    """Half of a change would be what nobody wrote."""
    before, _ = SCALING.read({"max-scale": "7"}, Defaults())
    read, errors = SCALING.read(data, before)
    assert [error.field for error in errors] == [field]
    assert read == before


@given(st.dictionaries(st.sampled_from(sorted(KEYS)), st.sampled_from(["", "0", "1", "2", "7s", "true", "-1", "200"])))
def test_whatever_is_written_what_holds_is_usable(data: dict[str, str]) -> None:
    """A revision without annotations can be scaled by any outcome, and reading the outcome's source again is stable."""
    read, _ = SCALING.read(data, Defaults())
    scaling = parse_scaling({}, concurrency=0, defaults=read)
    assert scaling.target_per_pod >= 0.01
    assert not read.max_scale or read.min_scale <= read.max_scale
    assert SCALING.read(data, read)[0] == read
