"""The cluster's ConfigMap: it holds at once for all revisions; what is wrong with it is said and changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest

from tests.activator.autoscaler.world import World, world
from torpor.kube import Change, Settled
from torpor.spec.autoscaling import Defaults
from torpor.spec.clusterscaling import NAME, SCALING
from torpor.spec.configmap import NAMESPACE
from torpor.spec.kinds import CONFIG_MAP, EVENT, Object


def config_map(data: Mapping[str, str], name: str = NAME) -> Object:
    metadata = {"namespace": NAMESPACE, "name": name, "uid": "u", "resourceVersion": "1"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def following(w: World) -> Settled[Defaults]:
    return Settled(w.cluster, SCALING, w.autoscaler.use, w.recorder)  # type: ignore[arg-type]


def tell(config: Settled[Defaults], data: Mapping[str, str] | None) -> None:
    new = None if data is None else config_map(data)
    config.changed(Change(CONFIG_MAP, (NAMESPACE, NAME), None, new))


async def test_it_holds_at_once_for_revisions_that_sleep_and_those_that_do_not() -> None:
    """A cluster-wide min-scale wakes who sleeps; without the ConfigMap it holds no longer."""
    async with world() as w:
        w.deploy(0)
        await w.pass_seconds(70)
        config = following(w)
        tell(config, {"min-scale": "2"})
        await w.pass_seconds(10)
        assert w.replicas == 2
        tell(config, None)
        assert config.current == Defaults()
        await w.until_replicas(0)


async def test_an_annotation_wins_over_the_cluster() -> None:
    """What a revision says of itself is not for the cluster to change."""
    async with world() as w:
        w.deploy(1, min_scale="1")
        tell(following(w), {"min-scale": "3"})
        await w.pass_seconds(20)
        assert w.replicas == 1


async def test_a_shorter_window_is_used_from_the_next_tick_on() -> None:
    """Windows are made anew when their length changes."""
    async with world() as w:
        w.deploy(1)
        tell(following(w), {"stable-window": "6s"})
        assert await w.until_replicas(0) < 40


async def test_a_bad_value_is_said_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """One log line and one event on the ConfigMap, which name key, value and what is allowed."""
    async with world() as w:
        config = following(w)
        tell(config, {"stable-window": "30s"})
        with caplog.at_level(logging.WARNING):
            tell(config, {"stable-window": "5s"})
        assert config.current.stable_window_s == 30.0
        assert "data[stable-window]: '5s' is not allowed; use a duration from 6s to 3600s" in caplog.text
        await w.settle()
        async with asyncio.timeout(5):
            while not w.cluster.all(EVENT):  # noqa: ASYNC110  # events are written behind the scenes
                await asyncio.sleep(0.01)
        (event,) = w.cluster.all(EVENT)
        assert (event["reason"], event["type"]) == ("InvalidConfiguration", "Warning")
        assert event["involvedObject"]["name"] == NAME
        assert "data[stable-window]" in event["message"]


async def test_other_config_maps_are_none_of_its_business() -> None:
    """One namespace, one name."""
    async with world() as w:
        config = following(w)
        other = config_map({"min-scale": "5"}, "config-defaults")
        config.changed(Change(CONFIG_MAP, (NAMESPACE, "config-defaults"), None, other))
        assert config.current == Defaults()
