"""The autoscaling annotations: Knative's names, aliases, defaults and ranges; errors that name all three."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.errors import InvalidInputError
from torpor.spec.autoscaling import Aggregation, Defaults, Metric, Scaling, parse_scaling
from torpor.spec.duration import parse_duration

PREFIX = "autoscaling.knative.dev/"


def parse(concurrency: int = 0, defaults: Defaults = Defaults(), **annotations: str) -> Scaling:  # noqa: B008  # frozen
    return parse_scaling(
        {PREFIX + name.replace("_", "-"): value for name, value in annotations.items()},
        concurrency=concurrency,
        defaults=defaults,
    )


def test_defaults_equal_knatives() -> None:
    """A revision without annotations is scaled as Knative's config-autoscaler has it."""
    assert parse() == Scaling(
        min_scale=0,
        max_scale=0,
        initial_scale=1,
        activation_scale=1,
        metric=Metric.CONCURRENCY,
        target=100.0,
        utilization=0.7,
        aggregation=Aggregation.LINEAR,
        stable_window_s=60.0,
        panic_window_percentage=10.0,
        panic_threshold=2.0,
        target_burst_capacity=211.0,
        scale_down_delay_s=0.0,
        scale_to_zero_pod_retention_s=0.0,
    )
    cluster = Defaults()
    assert (cluster.max_scale_up_rate, cluster.max_scale_down_rate) == (1000.0, 2.0)
    assert (cluster.enable_scale_to_zero, cluster.scale_to_zero_grace_period_s) == (True, 30.0)
    assert parse().panic_window_s == 6.0


@pytest.mark.parametrize(
    ("name", "value", "field", "parsed"),
    [
        ("min-scale", "2", "min_scale", 2),
        ("max-scale", "0", "max_scale", 0),
        ("max-scale", "10", "max_scale", 10),
        ("initial-scale", "0", "initial_scale", 0),
        ("initial-scale", "3", "initial_scale", 3),
        ("activation-scale", "2", "activation_scale", 2),
        ("metric", "rps", "metric", Metric.RPS),
        ("target", "0.01", "target", 0.01),
        ("target", "1e3", "target", 1000.0),
        ("target-utilization-percentage", "1", "utilization", 0.01),
        ("target-utilization-percentage", "100", "utilization", 1.0),
        ("window", "6s", "stable_window_s", 6.0),
        ("window", "1h", "stable_window_s", 3600.0),
        ("panic-window-percentage", "1", "panic_window_percentage", 1.0),
        ("panic-window-percentage", "100.0", "panic_window_percentage", 100.0),
        ("panic-threshold-percentage", "110", "panic_threshold", 1.1),
        ("panic-threshold-percentage", "1000", "panic_threshold", 10.0),
        ("target-burst-capacity", "-1", "target_burst_capacity", -1.0),
        ("target-burst-capacity", "0", "target_burst_capacity", 0.0),
        ("scale-down-delay", "15m", "scale_down_delay_s", 900.0),
        ("scale-down-delay", "0s", "scale_down_delay_s", 0.0),
        ("scale-to-zero-pod-retention-period", "1m5s", "scale_to_zero_pod_retention_s", 65.0),
        ("scale-to-zero-pod-retention-period", "500ms", "scale_to_zero_pod_retention_s", 0.5),
        ("metric-aggregation-algorithm", "weighted-exponential", "aggregation", Aggregation.WEIGHTED_EXPONENTIAL),
        ("metric-aggregation-algorithm", "weightedExponential", "aggregation", Aggregation.WEIGHTED_EXPONENTIAL),
    ],
)
def test_each_annotation_in_both_spellings(name: str, value: str, field: str, parsed: object) -> None:
    """Every annotation changes its own field only, in kebab-case and in camelCase."""
    head, *tail = name.split("-")
    for spelling in (name, head + "".join(word.title() for word in tail)):
        scaling = parse_scaling({PREFIX + spelling: value}, concurrency=0)
        expected = replace(parse(), **{field: parsed})
        if field == "metric":  # the default of the target depends on it
            expected = replace(expected, target=200.0)
        assert scaling == expected


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        pytest.param("min-scale", "-1", "from 0 to 2147483647", id="negative"),
        pytest.param("min-scale", "two", "from 0 to 2147483647", id="words"),
        pytest.param("min-scale", "1.5", "whole number", id="fraction"),
        pytest.param("min-scale", "", "whole number", id="empty"),
        pytest.param("min-scale", "1_000", "whole number", id="python's own digits"),
        pytest.param("min-scale", " 1", "whole number", id="blank"),
        pytest.param("min-scale", "\u0661", "whole number", id="another alphabet's digits"),
        pytest.param("max-scale", "2147483648", "to 2147483647", id="over int32"),
        pytest.param("max-scale", "9" * 5000, "to 2147483647", id="thousands of digits"),
        pytest.param("activation-scale", "1", "from 2", id="activation below two"),
        pytest.param("metric", "cpu", "need Kubernetes' HPA", id="cpu is the HPA's"),
        pytest.param("metric", "memory", "need Kubernetes' HPA", id="memory is the HPA's"),
        pytest.param("metric", "tokens", "one of concurrency, rps", id="unknown metric"),
        pytest.param("class", "hpa.autoscaling.knative.dev", "kpa.autoscaling.knative.dev", id="hpa class"),
        pytest.param("metric-aggregation-algorithm", "median", "linear, weighted-exponential", id="aggregation"),
        pytest.param("target", "0.009", "from 0.01 up", id="target too small"),
        pytest.param("target", "nan", "from 0.01 up", id="target not a number"),
        pytest.param("target", "inf", "from 0.01 up", id="target infinite"),
        pytest.param("target", "1e400", "from 0.01 up", id="target overflows"),
        pytest.param("target-utilization-percentage", "0.5", "from 1 to 100", id="utilization is a percentage"),
        pytest.param("target-utilization-percentage", "101", "from 1 to 100", id="utilization over 100"),
        pytest.param("panic-window-percentage", "0", "from 1 to 100", id="panic window too short"),
        pytest.param("panic-threshold-percentage", "109", "from 110 to 1000", id="panic threshold too low"),
        pytest.param("target-burst-capacity", "-2", "-1 for no limit", id="burst capacity"),
        pytest.param("window", "5s", "from 6s to 1h", id="window too short"),
        pytest.param("window", "61m", "from 6s to 1h", id="window too long"),
        pytest.param("window", "6500ms", "whole seconds", id="window of half seconds"),
        pytest.param("window", "60", 'like "30s"', id="no unit"),
        pytest.param("scale-down-delay", "-1s", "from 0s to 1h", id="negative delay"),
        pytest.param("scale-down-delay", "1.5s", "whole seconds", id="delay of half seconds"),
        pytest.param("scale-to-zero-pod-retention-period", "2h", "from 0s to 1h", id="retention too long"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    """The error says which annotation, which value, and which range."""
    with pytest.raises(InvalidInputError) as caught:
        parse_scaling({PREFIX + name: value}, concurrency=0)
    assert (caught.value.field, caught.value.value) == (PREFIX + name, value)
    assert allowed in str(caught.value)
    assert PREFIX + name in str(caught.value)


def test_the_error_names_the_spelling_that_was_used() -> None:
    """Who wrote minScale is told of minScale."""
    with pytest.raises(InvalidInputError, match=r"autoscaling\.knative\.dev/minScale: 'x'"):
        parse_scaling({PREFIX + "minScale": "x"}, concurrency=0)


def test_kebab_case_wins() -> None:
    """Of two spellings the newer one counts, as in Knative."""
    assert parse_scaling({PREFIX + "minScale": "1", PREFIX + "min-scale": "2"}, concurrency=0).min_scale == 2


def test_other_annotations_are_left_alone() -> None:
    """What is not Knative's autoscaling, or not known, has no effect."""
    assert parse_scaling({"torpor.dev/min-scale": "x", PREFIX + "min-scael": "x"}, concurrency=0) == parse()


@pytest.mark.parametrize(
    ("annotations", "field"),
    [
        pytest.param({"min_scale": "3", "max_scale": "2"}, "max-scale", id="max below min"),
        pytest.param({"activation_scale": "3", "max_scale": "2"}, "activation-scale", id="activation above max"),
    ],
)
def test_bounds_must_fit_each_other(annotations: dict[str, str], field: str) -> None:
    """A range that holds nothing is refused."""
    with pytest.raises(InvalidInputError) as caught:
        parse(**annotations)
    assert caught.value.field == PREFIX + field


@pytest.mark.parametrize(
    ("concurrency", "annotations", "target", "per_pod"),
    [
        pytest.param(0, {}, 100.0, 70.0, id="soft default"),
        pytest.param(4, {}, 4.0, 2.8, id="container concurrency"),
        pytest.param(4, {"target": "2"}, 2.0, 1.4, id="annotation below it"),
        pytest.param(4, {"target": "9"}, 4.0, 2.8, id="annotation above it"),
        pytest.param(0, {"target": "9"}, 9.0, 6.3, id="annotation alone"),
        pytest.param(4, {"metric": "rps"}, 200.0, 140.0, id="rps knows no concurrency"),
        pytest.param(4, {"metric": "rps", "target": "9"}, 9.0, 6.3, id="rps with annotation"),
        pytest.param(1, {"target_utilization_percentage": "100"}, 1.0, 1.0, id="utilization"),
        pytest.param(0, {"target": "0.01"}, 0.01, 0.01, id="never below a hundredth"),
    ],
)
def test_target(concurrency: int, annotations: dict[str, str], target: float, per_pod: float) -> None:
    """What a pod can take, and what is aimed at, by Knative's rules."""
    scaling = parse(concurrency, **annotations)
    assert (scaling.target, scaling.target_per_pod) == (target, pytest.approx(per_pod))


def test_cluster_defaults_are_used() -> None:
    """What a revision does not say, the cluster says."""
    cluster = Defaults(stable_window_s=30.0, utilization=0.5, min_scale=1, max_scale=5, concurrency_target=10.0)
    scaling = parse(defaults=cluster)
    assert (scaling.stable_window_s, scaling.min_scale, scaling.max_scale) == (30.0, 1, 5)
    assert scaling.target_per_pod == 5.0


@pytest.mark.parametrize(
    ("cluster", "annotations", "allowed"),
    [
        pytest.param(Defaults(max_scale_limit=5, max_scale=5), {"max_scale": "6"}, "from 1 to 5", id="over the limit"),
        pytest.param(Defaults(max_scale_limit=5, max_scale=5), {"max_scale": "0"}, "from 1 to 5", id="no limit wanted"),
        pytest.param(Defaults(allow_zero_initial_scale=False), {"initial_scale": "0"}, "from 1", id="initial zero"),
        pytest.param(Defaults(max_scale=2), {"min_scale": "3"}, "at most max-scale, which is 2", id="min over default"),
    ],
)
def test_cluster_limits_hold(cluster: Defaults, annotations: dict[str, str], allowed: str) -> None:
    """A revision cannot ask for what its cluster forbids."""
    with pytest.raises(InvalidInputError, match=allowed):
        parse(defaults=cluster, **annotations)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("0", 0.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("250ms", 0.25),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1μs", 1e-6),
        ("7ns", 7e-9),
        ("-3s", -3.0),
        ("+3s", 3.0),
        ("2h45m", 9900.0),
    ],
)
def test_durations_are_gos(raw: str, seconds: float) -> None:
    """Everything time.ParseDuration reads is read alike."""
    assert parse_duration("field", raw) == seconds


@pytest.mark.parametrize("raw", ["", "3", "s", "1d", "1 s", "1s ", "--1s", "1m-3s", "1e3s", ".s", "\u0661s", "1S"])
def test_durations_that_go_refuses(raw: str) -> None:
    """Everything time.ParseDuration refuses is refused, by name."""
    with pytest.raises(InvalidInputError, match="field"):
        parse_duration("field", raw)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_add_up_exactly(hours: int, minutes: int, seconds: int, millis: int) -> None:
    """Parts of a duration are added without rounding."""
    raw = f"{hours}h{minutes}m{seconds}s{millis}ms"
    # One division of a whole number is rounded once; a fraction added to the seconds would be rounded twice.
    assert parse_duration("field", raw) == (((hours * 60 + minutes) * 60 + seconds) * 1000 + millis) / 1000


@given(st.text(max_size=20))
def test_no_text_does_worse_than_an_error(raw: str) -> None:
    """Whatever is written, it is read or refused."""
    for name in ("min-scale", "target", "window", "target-burst-capacity", "metric", "class"):
        try:
            parse_scaling({PREFIX + name: raw}, concurrency=0)
        except InvalidInputError as error:
            assert error.field == PREFIX + name  # noqa: PT017
