"""The cluster's defaults of revisions: every one is Knative's or says why not; what cannot be used stays as it was."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.errors import InvalidInputError
from torpor.spec.clusterrevisions import KEYS, REVISIONS
from torpor.spec.fields import Fields
from torpor.spec.knative import BUILT_IN, RevisionDefaults, RevisionLimits, parse_limits

KNATIVE = {
    "revision-timeout-seconds": "300",
    "revision-idle-timeout-seconds": "0",
    "container-concurrency": "0",
    "container-concurrency-max-limit": "1000",
    "allow-container-concurrency-zero": "true",
    "container-name-template": "user-container",
    "enable-service-links": "false",
}
"""Of config/core/configmaps/defaults.yaml of Knative Serving, key by key."""
NOTHING = {
    f"revision-{resource}-{what}": ""
    for resource in ("cpu", "memory", "ephemeral-storage")
    for what in ("request", "limit")
}
"""Amounts of resources: Knative asks for none either."""
OUR_OWN = {
    "max-revision-timeout-seconds": "86400",  # Knative: 600, which long generations run into
    "revision-response-start-timeout-seconds": "0",  # Knative: 300, which cuts off long answers that are no streams
}


@pytest.mark.parametrize(
    ("key", "value"), [pytest.param(*item, id=item[0]) for item in (KNATIVE | NOTHING | OUR_OWN).items()]
)
def test_each_default_equals_knatives(key: str, value: str) -> None:
    """Writing down what Knative documents as its default changes nothing."""
    assert REVISIONS.read({key: value}, BUILT_IN) == (BUILT_IN, [])


def test_every_key_is_in_the_table_and_every_field_has_a_key() -> None:
    """No default can be added without a word on Knative's."""
    assert set(KEYS) == set(KNATIVE | NOTHING | OUR_OWN)
    assert {name for name, _ in KEYS.values()} == {each.name for each in fields(RevisionDefaults)}


@pytest.mark.parametrize(
    ("data", "field", "shown"),
    [
        pytest.param({"revision-timeout-seconds": "0"}, "revision-timeout-seconds", "from 1", id="no time at all"),
        pytest.param(
            {"revision-timeout-seconds": "700", "max-revision-timeout-seconds": "600"},
            "revision-timeout-seconds",
            "at most max-revision-timeout-seconds, which is 600",
            id="more than the most",
        ),
        pytest.param(
            {"revision-response-start-timeout-seconds": "301"},
            "revision-response-start-timeout-seconds",
            "at most revision-timeout-seconds, which is 300",
            id="first byte after the end",
        ),
        pytest.param(
            {"revision-idle-timeout-seconds": "301"},
            "revision-idle-timeout-seconds",
            "at most revision-timeout-seconds, which is 300",
            id="silence beyond the end",
        ),
        pytest.param({"container-concurrency": "-1"}, "container-concurrency", "from 0", id="negative"),
        pytest.param({"container-concurrency": "1001"}, "container-concurrency", "which is 1000", id="over the limit"),
        pytest.param(
            {"allow-container-concurrency-zero": "false"}, "container-concurrency", "from 1", id="a default not allowed"
        ),
        pytest.param({"container-concurrency-max-limit": "0"}, "container-concurrency-max-limit", "1", id="limit 0"),
        pytest.param({"container-name-template": "{{.Nam}}"}, "container-name-template", "{{.Name}}", id="a template"),
        pytest.param({"container-name-template": "A_b"}, "container-name-template", "lower-case", id="no name"),
        pytest.param({"enable-service-links": "maybe"}, "enable-service-links", "true or false", id="no truth"),
        pytest.param({"revision-cpu-request": "much"}, "revision-cpu-request", "quantity", id="no quantity"),
        pytest.param({"revision-memory-limit": "-1"}, "revision-memory-limit", "from 0", id="less than nothing"),
        pytest.param(
            {"revision-cpu-request": "2", "revision-cpu-limit": "500m"},
            "revision-cpu-request",
            "at most revision-cpu-limit, which is 500m",
            id="a request over its limit",
        ),
    ],
)
def test_what_cannot_be_used_is_named_and_changes_nothing(data: dict[str, str], field: str, shown: str) -> None:
    """Key, value and what is allowed are in the error; the other keys are read."""
    other = {"revision-ephemeral-storage-limit": "1Gi"}
    read, [error] = REVISIONS.read(data | other, BUILT_IN)
    assert error.field == f"data[{field}]"
    assert str(data.get(field, "0")) in str(error)
    assert shown in str(error)
    assert REVISIONS.differences(BUILT_IN, read) == ["revision-ephemeral-storage-limit is 1gi"]


def limits(data: dict[str, str], spec: dict[str, int]) -> RevisionLimits:
    read, errors = REVISIONS.read(data, BUILT_IN)
    assert not errors
    return parse_limits(Fields(spec, "spec"), read)


@pytest.mark.parametrize(
    ("data", "spec", "expected"),
    [
        pytest.param({"revision-timeout-seconds": "60"}, {}, (0, 60, 60, None), id="time"),
        pytest.param({"revision-timeout-seconds": "60"}, {"timeoutSeconds": 90}, (0, 90, 90, None), id="its own time"),
        pytest.param({"revision-response-start-timeout-seconds": "9"}, {}, (0, 300, 9, None), id="first byte"),
        pytest.param(
            {"revision-response-start-timeout-seconds": "90"}, {"timeoutSeconds": 60}, (0, 60, 60, None), id="no longer"
        ),
        pytest.param({"revision-idle-timeout-seconds": "9"}, {}, (0, 300, 300, 9), id="silence"),
        pytest.param(
            {"revision-idle-timeout-seconds": "9"}, {"idleTimeoutSeconds": 0}, (0, 300, 300, None), id="its own: none"
        ),
        pytest.param(
            {"revision-idle-timeout-seconds": "90"}, {"timeoutSeconds": 60}, (0, 60, 60, None), id="silence, no longer"
        ),
        pytest.param({"container-concurrency": "7"}, {}, (7, 300, 300, None), id="concurrency"),
        pytest.param({"container-concurrency": "7"}, {"containerConcurrency": 0}, (0, 300, 300, None), id="its own: 0"),
        pytest.param(
            {"container-concurrency-max-limit": "2000"},
            {"containerConcurrency": 2000},
            (2000, 300, 300, None),
            id="more",
        ),
    ],
)
def test_what_a_revision_gets(data: dict[str, str], spec: dict[str, int], expected: tuple[float, ...]) -> None:
    """The cluster's value where it has none of its own."""
    assert limits(data, spec) == RevisionLimits(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "spec", "says"),
    [
        pytest.param(
            {"max-revision-timeout-seconds": "600"},
            {"timeoutSeconds": 601},
            "timeoutSeconds: 601 .* 0 to 600",
            id="time",
        ),
        pytest.param(
            {"container-concurrency-max-limit": "50"}, {"containerConcurrency": 51}, "51 .* 0 to 50", id="concurrency"
        ),
        pytest.param(
            {"container-concurrency": "1", "allow-container-concurrency-zero": "false"},
            {"containerConcurrency": 0},
            "containerConcurrency: 0 .* 1 to 1000",
            id="no limit",
        ),
    ],
)
def test_what_a_revision_may_not_ask_for(data: dict[str, str], spec: dict[str, int], says: str) -> None:
    """The cluster's limits are what the error says is allowed."""
    with pytest.raises(InvalidInputError, match=says):
        limits(data, spec)


@given(
    st.dictionaries(st.sampled_from(sorted(KEYS)), st.sampled_from(["", "0", "1", "7", "true", "false", "500", "-1"]))
)
def test_whatever_is_written_what_holds_is_usable(data: dict[str, str]) -> None:
    """A revision that asks for nothing can be made by any outcome, and reading its source again is stable."""
    read, _ = REVISIONS.read(data, BUILT_IN)
    got = parse_limits(Fields({}, "spec"), read)
    assert got.response_start_timeout_s <= got.timeout_s <= read.max_timeout_s
    assert (1 - read.allow_unlimited) <= got.concurrency <= read.max_concurrency
    assert REVISIONS.read(data, read)[0] == read
