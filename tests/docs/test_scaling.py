"""The guide's tables of defaults: what they say is what the code does, and what Knative has, or says where it is not.

Knative's values are those of its own ConfigMaps (serving, config/core/configmaps) and of pkg/apis/autoscaling.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from torpor.errors import InvalidInputError
from torpor.spec.autoscaling import Scaling, parse_scaling
from torpor.spec.clusterrevisions import KEYS as REVISION_KEYS
from torpor.spec.clusterrevisions import REVISIONS
from torpor.spec.clusterscaling import KEYS as SCALING_KEYS
from torpor.spec.clusterscaling import SCALING
from torpor.spec.knative import NAME_IN_TEMPLATE
from torpor.spec.names import AUTOSCALING

GUIDE = (Path(__file__).parents[2] / "docs/guides/scaling.md").read_text()

# Of annotations: as they would be written; `none` where without one there is nothing.
KNATIVES_ANNOTATIONS = {
    "min-scale": "0",
    "max-scale": "0",
    "initial-scale": "1",
    "activation-scale": "none",
    "metric": "concurrency",
    "target": "100",
    "target-utilization-percentage": "70",
    "window": "60s",
    "panic-window-percentage": "10",
    "panic-threshold-percentage": "200",
    "metric-aggregation-algorithm": "linear",
    "scale-down-delay": "0s",
    "scale-to-zero-pod-retention-period": "0s",
    "target-burst-capacity": "211",
}
KNATIVES_AUTOSCALER = {
    "container-concurrency-target-percentage": "70",
    "container-concurrency-target-default": "100",
    "requests-per-second-target-default": "200",
    "target-burst-capacity": "211",
    "stable-window": "60s",
    "panic-window-percentage": "10",
    "panic-threshold-percentage": "200",
    "max-scale-up-rate": "1000",
    "max-scale-down-rate": "2",
    "enable-scale-to-zero": "true",
    "scale-to-zero-grace-period": "30s",
    "scale-to-zero-pod-retention-period": "0s",
    "scale-down-delay": "0s",
    "initial-scale": "1",
    "allow-zero-initial-scale": "false",
    "min-scale": "0",
    "max-scale": "0",
    "max-scale-limit": "0",
    "activator-capacity": "100",
}
KNATIVES_DEFAULTS = {
    "revision-timeout-seconds": "300",
    "max-revision-timeout-seconds": "600",
    "revision-response-start-timeout-seconds": "300",
    "revision-idle-timeout-seconds": "0",
    "container-concurrency": "0",
    "container-concurrency-max-limit": "1000",
    "allow-container-concurrency-zero": "true",
    "container-name-template": "user-container",
    "enable-service-links": "false",
    **{
        f"revision-{resource}-{what}": ""
        for resource in ("cpu", "memory", "ephemeral-storage")
        for what in ("request", "limit")
    },
}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a line of the guide."""
    after = GUIDE.partition(f"\n{heading}")[2].splitlines()
    begin = next(number for number, line in enumerate(after) if line.startswith("|---"))
    table: list[list[str]] = []
    for line in after[begin + 1 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def keys_of(cell: str) -> list[str]:
    """Return the names in the first cell of a row; one that begins with `-` has the beginning of the one before."""
    named = re.findall(r"`([^`]+)`", cell)
    stem = re.sub(r"-[a-z]+-(request|limit)$", "", named[0])
    return [name if not name.startswith("-") else stem + name for name in named]


def first_of(cell: str) -> str:
    """Return the value that a cell begins with, before what it says of it."""
    return re.split(r"[:;,( ]", cell.replace("`", ""), maxsplit=1)[0]


ANNOTATIONS = {
    name: (default.strip(), allowed)
    for names, defaults, allowed, _ in rows("## Annotations of Knative")
    for name, default in zip(keys_of(names), re.sub(r"\(.*?\)", "", defaults).split(","), strict=False)
}
"""Name: default, and what is allowed."""


def scaled(**annotations: str) -> Scaling:
    return parse_scaling(
        {AUTOSCALING + name.replace("_", "-"): text for name, text in annotations.items()}, concurrency=0
    )


def test_the_guide_names_every_annotation() -> None:
    assert ANNOTATIONS.keys() == KNATIVES_ANNOTATIONS.keys()


@pytest.mark.parametrize("name", KNATIVES_ANNOTATIONS)
def test_the_default_of_an_annotation(name: str) -> None:
    """As the guide states it it is Knative's, and to write it changes nothing."""
    stated = ANNOTATIONS[name][0].replace("`", "")
    if name == "target":
        # The guide's is a sentence; its numbers are the code's for each metric and each limit.
        assert stated == "containerConcurrency"
        _, said, _, _ = next(row for row in rows("## Annotations of Knative") if row[0] == "`target`")
        assert said == "`containerConcurrency`, else 100; `rps`: 200"
        targets = scaled().target, scaled(metric="rps").target, parse_scaling({}, concurrency=7).target
        assert targets == (100, 200, 7)
        return
    assert first_of(stated) == KNATIVES_ANNOTATIONS[name]
    if stated == "none":
        assert scaled().activation_scale == 1, "no wish"
    else:
        assert scaled(**{name.replace("-", "_"): first_of(stated)}) == scaled()


def edges(allowed: str) -> tuple[list[str], list[str]]:
    """Return texts that must be taken and texts that must be refused, by what the guide says is allowed."""
    if found := re.fullmatch(r"(\d+)(s?) to (\d+)(h?)", allowed):
        least, s, most, h = found.groups()
        return [least + s, most + h], [f"{int(least) - 1}{s}", f"{int(most) + 1}{h}"]
    if found := re.fullmatch(r"from ([\d.]+)", allowed):
        least_number = float(found[1])
        return [found[1]], [f"{least_number / 2:g}", "x"]
    if allowed.startswith("whole number"):
        return ["3"], ["-1", "1.5", "x"]
    if allowed == "-1, 0, more":
        return ["-1", "0", "500"], ["-2", "-0.5", "x"]
    return re.findall(r"`([^`]+)`", allowed), ["nonsense"]


@pytest.mark.parametrize("name", KNATIVES_ANNOTATIONS)
def test_what_an_annotation_may_be(name: str) -> None:
    """The ends of what the guide allows are taken, and what is just beyond them is refused."""
    taken, refused = edges(ANNOTATIONS[name][1])
    assert taken
    for text in taken:
        scaled(**{name.replace("-", "_"): text})
    for text in refused:
        with pytest.raises(InvalidInputError):
            scaled(**{name.replace("-", "_"): text})


def test_the_defaults_of_a_cluster() -> None:
    """Of config-autoscaler there is no table, but a sentence: all are Knative's but one."""
    assert "Every default equals Knative's, but `allow-zero-initial-scale`, which is true here." in " ".join(
        GUIDE.split()
    )
    assert SCALING_KEYS.keys() == KNATIVES_AUTOSCALER.keys()
    ours = {key: getattr(SCALING.blank, field) for key, (field, _) in SCALING_KEYS.items()}
    knatives = {key: read(key, KNATIVES_AUTOSCALER[key]) for key, (_, read) in SCALING_KEYS.items()}
    assert {key for key, value in ours.items() if value != knatives[key]} == {"allow-zero-initial-scale"}
    assert ours["allow-zero-initial-scale"] is True


DEFAULTS = {
    key: (default, knatives) for names, default, knatives in rows("`config-defaults`, in") for key in keys_of(names)
}


def test_the_guide_names_every_key() -> None:
    assert DEFAULTS.keys() == KNATIVES_DEFAULTS.keys() == REVISION_KEYS.keys()


@pytest.mark.parametrize("key", KNATIVES_DEFAULTS)
def test_the_default_of_a_key(key: str) -> None:
    """It is the code's, and Knative's; where it differs, the table has Knative's too."""
    stated, differs = DEFAULTS[key]
    field, read = REVISION_KEYS[key]
    said, ours = first_of(stated), getattr(REVISIONS.blank, field)
    assert ours == ("" if said == "none" else read(key, said))
    assert (ours == read(key, KNATIVES_DEFAULTS[key])) == (differs == "")
    if differs:
        assert first_of(differs) == KNATIVES_DEFAULTS[key]
    if NAME_IN_TEMPLATE in stated:
        assert read(key, f"a-{NAME_IN_TEMPLATE}")
